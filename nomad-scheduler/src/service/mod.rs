//! Service and batch jobs: reconcile, then place one by one.
//!
//! Source: servers and scheduling reference, "Plan building for generic jobs".

mod build;

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::deployment::Deployment;
use nomad_core::diff::{Change, group_change};
use nomad_core::eval::{EvalStatus, EvalTrigger, Evaluation};
use nomad_core::ids::IdSource;
use nomad_core::job::{Job, JobType, TaskGroup};
use nomad_core::plan::Plan;

use self::build::Build;
use crate::attempt::successor;
use crate::candidates;
use crate::columns::NodeColumns;
use crate::explain::PlacementExplanation;
use crate::plan_parts::{
    BLOCKED, annotate, empty_plan, lose_stopping, stop, tainted, under_version,
};
use crate::reconcile::{Reconciler, Results, Update, Updater};
use crate::schedule::{Finish, Input, Outcome};
use crate::stack::Stack;

/// Decides what a new job version does to running allocations.
pub(crate) struct InPlace<'s, 'a> {
    pub(crate) stack: &'s mut Stack<'a>,
    pub(crate) job: Option<&'s Arc<Job>>,
    pub(crate) input: &'s Input<'a>,
}

impl Updater for InPlace<'_, '_> {
    fn update(&mut self, alloc: &Arc<Allocation>, group: &TaskGroup) -> Update {
        let (Some(job), Some(own)) = (self.job, &alloc.job) else {
            return Update::Ignore;
        };
        match group_change(own, job, &group.name) {
            Change::None => return Update::Ignore,
            Change::Destructive(_) => return Update::Destructive,
            Change::InPlace => {}
        }
        if alloc.terminal() {
            return Update::Ignore;
        }
        let Some(node) = self.input.view.node(alloc.node_id) else {
            return Update::Destructive;
        };
        if !candidates::accepts(job, node) || !self.stack.fits_in_place(alloc, job) {
            return Update::Destructive;
        }
        Update::InPlace(Arc::new(under_version(alloc, job, self.input.eval)))
    }
}

/// What the reconciler left to do, with everything that needs no node already in the plan.
struct Prepared<'a> {
    stack: Stack<'a>,
    plan: Plan,
    results: Results,
    deployment: Option<Deployment>,
}

fn prepare<'a>(
    input: &Input<'a>,
    columns: &'a NodeColumns,
    ids: &mut dyn IdSource,
) -> Prepared<'a> {
    let key = input.eval.job_key();
    let job = input.view.job(&key);
    let tainted = tainted(input);
    let mut plan = empty_plan(input, job);
    let mut stack = Stack::new(input, columns, key);
    lose_stopping(input, &tainted, &mut plan, &mut stack);

    let batch = input.eval.job_type == JobType::Batch;
    let mut reconciler =
        Reconciler::new(input.eval, job, batch, input.now, &tainted, input.view, ids);
    reconciler.compute(&mut InPlace {
        stack: &mut stack,
        job,
        input,
    });
    let deployment = reconciler.deployment.take();
    let mut results = std::mem::take(&mut reconciler.results);
    plan.deployment_updates = std::mem::take(&mut results.deployment_updates);
    for one in &results.stop {
        stop(&mut plan, one);
        stack.proposed.remove(&one.alloc);
    }
    update_rows(&mut plan, &mut results, deployment.as_ref());
    Prepared {
        stack,
        plan,
        results,
        deployment,
    }
}

/// One attempt for a service or batch job.
pub(crate) fn schedule(
    input: &Input<'_>,
    columns: &NodeColumns,
    ids: &mut dyn IdSource,
) -> Outcome {
    let Prepared {
        stack,
        mut plan,
        mut results,
        deployment,
    } = prepare(input, columns, ids);
    let mut finish = Finish {
        // An evaluation names the job's deployment also when that has ended: monitors follow it from there.
        deployment_id: deployment
            .as_ref()
            .map(|deployment| deployment.id)
            .or_else(|| {
                let latest = input.view.latest_deployment(&input.eval.job_key());
                latest.map(|deployment| deployment.id)
            }),
        follow_ups: std::mem::take(&mut results.follow_ups),
        ..Finish::default()
    };
    let mut desired = std::mem::take(&mut results.desired);
    let begun = results.deployment.take();
    match input.view.job(&input.eval.job_key()) {
        None => plan.deployment = begun,
        Some(job) => {
            let mut build = Build::new(input, job, stack, plan, deployment, ids);
            build.place_all(results);
            for (group, count) in &build.preemptions {
                desired.entry(group.clone()).or_default().preemptions = *count;
            }
            let waits = !finish.follow_ups.is_empty() && input.eval.wait_until.is_zero();
            let built = build.finish();
            plan = built.plan;
            if begun.is_some() {
                plan.deployment = built.deployment;
            }
            finish.queued_allocations = built.queued;
            finish.failed_tg_allocs = built.failed;
            block(input, &mut finish, &built.stack, waits, ids);
            built.stack.keep();
        }
    }
    annotate(input, &mut plan, &mut finish, desired);
    Outcome {
        plan: (!plan.is_no_op()).then_some(plan),
        finish,
    }
}

/// Judges every node for each placement of a service or batch job.
pub(crate) fn explain(
    input: &Input<'_>,
    columns: &NodeColumns,
    ids: &mut dyn IdSource,
    limit: usize,
) -> Vec<PlacementExplanation> {
    let Prepared {
        stack,
        plan,
        results,
        deployment,
    } = prepare(input, columns, ids);
    match input.view.job(&input.eval.job_key()) {
        None => Vec::new(),
        Some(job) => Build::new(input, job, stack, plan, deployment, ids).explain(&results, limit),
    }
}

/// What waits for capacity: a new evaluation, or the same one again.
fn block(
    input: &Input<'_>,
    finish: &mut Finish,
    stack: &Stack<'_>,
    waits_for_follow_up: bool,
    ids: &mut dyn IdSource,
) {
    if finish.failed_tg_allocs.is_empty() {
        return;
    }
    let escaped = stack.eligibility.escaped;
    let blocked = Evaluation {
        triggered_by: EvalTrigger::QueuedAllocs,
        status: EvalStatus::Blocked,
        status_description: BLOCKED.to_owned(),
        class_eligibility: if escaped {
            BTreeMap::new()
        } else {
            stack.eligibility.classes(stack.proposed.columns)
        },
        escaped_computed_class: escaped,
        snapshot_index: input.view.index(),
        ..successor(input.eval)
    };
    if input.eval.status == EvalStatus::Blocked {
        finish.reblock = Some(Evaluation {
            class_eligibility: blocked.class_eligibility,
            escaped_computed_class: escaped,
            snapshot_index: blocked.snapshot_index,
            ..input.eval.clone()
        });
    } else if !waits_for_follow_up {
        finish.blocked.push(Evaluation {
            id: ids.next_uuid().into(),
            ..blocked
        });
    }
}

/// In-place updates and rows whose bookkeeping changes.
fn update_rows(plan: &mut Plan, results: &mut Results, deployment: Option<&Deployment>) {
    let deployment = deployment
        .filter(|deployment| deployment.active())
        .map(|deployment| deployment.id);
    for row in std::mem::take(&mut results.in_place) {
        let mut row = Arc::unwrap_or_clone(row);
        if row.deployment_id != deployment {
            row.deployment_id = deployment;
            row.deployment_status = None;
        }
        if let Some(noted) = results.attribute_updates.remove(&row.id) {
            row.followup_eval_id = noted.followup_eval_id;
            row.alloc_states.clone_from(&noted.alloc_states);
        }
        plan.node_allocation
            .entry(row.node_id)
            .or_default()
            .push(Arc::new(row));
    }
    let stopped: std::collections::BTreeSet<_> =
        results.stop.iter().map(|stop| stop.alloc.id).collect();
    for (id, row) in std::mem::take(&mut results.attribute_updates) {
        if !stopped.contains(&id) {
            plan.node_allocation
                .entry(row.node_id)
                .or_default()
                .push(row);
        }
    }
}
