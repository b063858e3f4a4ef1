//! Service and batch jobs: reconcile, then place one by one.
//!
//! Source: servers and scheduling reference, "Plan building for generic jobs".

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{
    AllocDeploymentStatus, Allocation, ClientStatus, DesiredStatus, RescheduleTracker,
};
use nomad_core::deployment::Deployment;
use nomad_core::diff::{Change, group_change};
use nomad_core::eval::{EvalStatus, EvalTrigger, Evaluation};
use nomad_core::ids::{DeploymentId, IdSource};
use nomad_core::job::{Job, JobType, TaskGroup};
use nomad_core::metric::AllocMetric;
use nomad_core::plan::{AllocPreemption, AllocStop, Plan, PlanAnnotations};

use crate::attempt::successor;
use crate::candidates;
use crate::columns::NodeColumns;
use crate::rank::{self, Wanted};
use crate::reconcile::classify::Tainted;
use crate::reconcile::{
    Place, Reconciler, Results, Stop, Update, Updater, description, reschedule,
};
use crate::schedule::{Finish, Input, Outcome};
use crate::stack::{Selected, Stack, may_preempt};

/// Description of the evaluation that waits for capacity.
pub(crate) const BLOCKED: &str = "created to place remaining allocations";

/// Nodes of the job's allocations that are gone, down, disconnected or draining.
pub(crate) fn tainted(input: &Input<'_>) -> Tainted {
    let mut tainted = Tainted::new();
    for alloc in input.view.allocs_of_job(&input.eval.job_key()) {
        if tainted.contains_key(&alloc.node_id) {
            continue;
        }
        match input.view.node(alloc.node_id) {
            None => {
                tainted.insert(alloc.node_id, None);
            }
            Some(node) => {
                use nomad_core::node::NodeStatus::{Disconnected, Down};
                if matches!(node.status, Down | Disconnected) || node.drain_strategy.is_some() {
                    tainted.insert(alloc.node_id, Some(Arc::clone(node)));
                }
            }
        }
    }
    tainted
}

/// A plan that says nothing yet.
pub(crate) fn empty_plan(input: &Input<'_>, job: Option<&Arc<Job>>) -> Plan {
    Plan {
        eval_id: input.eval.id,
        priority: input.eval.priority,
        all_at_once: job.is_some_and(|job| job.all_at_once),
        job: job.cloned(),
        snapshot_index: input.view.index(),
        ..Plan::default()
    }
}

/// Puts a stop into the plan.
pub(crate) fn stop(plan: &mut Plan, stop: &Stop) {
    plan.node_update
        .entry(stop.alloc.node_id)
        .or_default()
        .push(AllocStop {
            alloc_id: stop.alloc.id,
            desired_status: DesiredStatus::Stop,
            desired_description: stop.description.to_owned(),
            client_status: stop.client_status,
            followup_eval_id: stop.follow_up,
        });
}

/// Takes a stop out of the plan again.
pub(crate) fn withdraw_stop(plan: &mut Plan, alloc: &Allocation) {
    if let Some(stops) = plan.node_update.get_mut(&alloc.node_id) {
        stops.retain(|stop| stop.alloc_id != alloc.id);
        if stops.is_empty() {
            plan.node_update.remove(&alloc.node_id);
        }
    }
}

/// Puts evictions for a placement into the plan.
pub(crate) fn preempt(plan: &mut Plan, alloc: &mut Allocation, victims: &[Arc<Allocation>]) {
    for victim in victims {
        plan.node_preemptions
            .entry(victim.node_id)
            .or_default()
            .push(AllocPreemption {
                alloc_id: victim.id,
                preempted_by: alloc.id,
            });
        alloc.preempted_allocations.push(victim.id);
    }
}

/// Allocations that were to be stopped on nodes that are gone will not report any more: they are lost.
pub(crate) fn lose_stopping(
    input: &Input<'_>,
    tainted: &Tainted,
    plan: &mut Plan,
    stack: &mut Stack<'_>,
) {
    for alloc in input.view.allocs_of_job(&input.eval.job_key()) {
        let gone = match tainted.get(&alloc.node_id) {
            None => false,
            Some(None) => true,
            Some(Some(node)) => node.is_down(),
        };
        let open = matches!(
            alloc.client_status,
            ClientStatus::Running | ClientStatus::Pending
        );
        if gone && open && alloc.server_terminal() {
            plan.node_update
                .entry(alloc.node_id)
                .or_default()
                .push(AllocStop {
                    alloc_id: alloc.id,
                    desired_status: alloc.desired_status,
                    desired_description: description::LOST.to_owned(),
                    client_status: Some(ClientStatus::Lost),
                    followup_eval_id: None,
                });
            stack.proposed.remove(alloc);
        }
    }
}

/// The row of an allocation under another job version.
pub(crate) fn under_version(
    alloc: &Arc<Allocation>,
    job: &Arc<Job>,
    eval: &Evaluation,
) -> Allocation {
    let mut row = Allocation::clone(alloc);
    row.eval_id = Some(eval.id);
    row.job = Some(Arc::clone(job));
    row.job_version = job.version;
    row
}

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

/// A plan in the making.
struct Build<'s, 'a> {
    input: &'s Input<'a>,
    job: &'s Arc<Job>,
    stack: Stack<'a>,
    plan: Plan,
    failed: BTreeMap<String, AllocMetric>,
    queued: BTreeMap<String, i64>,
    preemptions: BTreeMap<String, u64>,
    deployment: Option<Deployment>,
    /// Whether the deployment begins with this plan.
    deployment_is_new: bool,
    ids: &'s mut dyn IdSource,
}

/// One attempt for a service or batch job.
pub(crate) fn schedule(
    input: &Input<'_>,
    columns: &NodeColumns,
    ids: &mut dyn IdSource,
) -> Outcome {
    let key = input.eval.job_key();
    let job = input.view.job(&key);
    let tainted = tainted(input);
    let mut plan = empty_plan(input, job);
    let mut stack = Stack::new(input.view, columns, key, input.seed);
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

    let mut finish = Finish {
        deployment_id: deployment.as_ref().map(|deployment| deployment.id),
        follow_ups: std::mem::take(&mut results.follow_ups),
        ..Finish::default()
    };
    let mut desired = std::mem::take(&mut results.desired);
    plan.deployment_updates = std::mem::take(&mut results.deployment_updates);
    for one in &results.stop {
        stop(&mut plan, one);
        stack.proposed.remove(&one.alloc);
    }
    update_rows(&mut plan, &mut results, deployment.as_ref());

    match job {
        None => {
            plan.deployment = results.deployment;
        }
        Some(job) => {
            let mut build = Build {
                input,
                job,
                stack,
                plan,
                failed: BTreeMap::new(),
                queued: BTreeMap::new(),
                preemptions: BTreeMap::new(),
                deployment_is_new: results.deployment.is_some(),
                deployment,
                ids,
            };
            build.place_all(results);
            for (group, count) in &build.preemptions {
                desired.entry(group.clone()).or_default().preemptions = *count;
            }
            plan = build.plan;
            if build.deployment_is_new {
                plan.deployment = build.deployment;
            }
            finish.queued_allocations = build.queued;
            finish.failed_tg_allocs = build.failed;
            let waits = !finish.follow_ups.is_empty() && input.eval.wait_until.is_zero();
            block(input, &mut finish, &build.stack, waits, build.ids);
        }
    }
    if input.eval.annotate_plan {
        let annotations = Arc::new(PlanAnnotations {
            desired_tg_updates: desired,
            preempted_allocs: Vec::new(),
        });
        plan.annotations = Some(Arc::clone(&annotations));
        finish.annotations = Some(annotations);
    }
    Outcome {
        plan: (!plan.is_no_op()).then_some(plan),
        finish,
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
            stack.eligibility.classes(&stack.proposed.columns.classes)
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

impl Build<'_, '_> {
    fn place_all(&mut self, results: Results) {
        let Results {
            place, destructive, ..
        } = results;
        if place.is_empty() && destructive.is_empty() {
            for group in &self.job.task_groups {
                self.queued.insert(group.name.clone(), 0);
            }
            return;
        }
        for one in destructive
            .iter()
            .map(|(_, place)| place)
            .chain(place.iter())
        {
            *self.queued.entry(one.group.clone()).or_default() += 1;
        }
        for (old, place) in destructive {
            self.place(&place, Some(&old));
        }
        for one in place {
            self.place(&one, None);
        }
    }

    /// Places one allocation; `replaced` makes way for it, or stays if there is no room.
    fn place(&mut self, place: &Place, replaced: Option<&Arc<Allocation>>) {
        let (job, deployment) = self.version_for(place);
        let Some(group) = job.group(&place.group).cloned() else {
            return;
        };
        if let Some(metric) = self.failed.get_mut(&place.group) {
            metric.coalesced_failures += 1;
            rank_exhaust(metric, &group);
            self.keep_failed(place);
            return;
        }
        if let Some(old) = replaced {
            stop(
                &mut self.plan,
                &Stop {
                    alloc: Arc::clone(old),
                    client_status: None,
                    description: description::UPDATING,
                    follow_up: None,
                },
            );
            self.stack.proposed.remove(old);
        }
        let wanted = self.wanted(place, &group, &job);
        let may = may_preempt(self.input.view, job.job_type);
        match self.stack.select(&job, &place.group, &wanted, may) {
            Ok(selected) => self.add(place, &job, deployment, selected),
            Err(mut metric) => {
                if let Some(old) = replaced {
                    withdraw_stop(&mut self.plan, old);
                    self.stack.proposed.restore(old);
                }
                rank_exhaust(&mut metric, &group);
                self.failed.insert(place.group.clone(), *metric);
                self.keep_failed(place);
            }
        }
    }

    /// A failed allocation that finds no new place is not stopped; a mark makes later evaluations try again.
    fn keep_failed(&mut self, place: &Place) {
        let Some(previous) = place.previous.as_ref().filter(|_| place.reschedule) else {
            return;
        };
        withdraw_stop(&mut self.plan, previous);
        self.stack.proposed.restore(previous);
        let mut row = Allocation::clone(previous);
        row.reschedule_tracker = Some(RescheduleTracker {
            last_reschedule: reschedule::NO_PLACEMENT.to_owned(),
            ..row.reschedule_tracker.unwrap_or_default()
        });
        self.plan
            .node_allocation
            .entry(row.node_id)
            .or_default()
            .push(Arc::new(row));
    }

    fn wanted(&mut self, place: &Place, group: &TaskGroup, job: &Arc<Job>) -> Wanted {
        let mut wanted = Wanted {
            index: index_of(&place.name),
            ..Wanted::default()
        };
        let Some(previous) = &place.previous else {
            return wanted;
        };
        if previous.client_status == ClientStatus::Failed {
            wanted.penalty.insert(previous.node_id);
        }
        if let Some(tracker) = &previous.reschedule_tracker {
            wanted
                .penalty
                .extend(tracker.events.iter().filter_map(|event| event.prev_node_id));
        }
        let keeps_data = group
            .ephemeral_disk
            .as_ref()
            .is_some_and(|disk| disk.sticky || disk.migrate);
        if keeps_data && self.stack.is_candidate(job, previous.node_id) {
            wanted.preferred = Some(previous.node_id);
        }
        wanted
    }

    fn add(
        &mut self,
        place: &Place,
        job: &Arc<Job>,
        deployment: Option<DeploymentId>,
        selected: Selected,
    ) {
        let node = Arc::clone(self.stack.proposed.columns.row(selected.slot));
        let mut alloc = Allocation {
            id: self.ids.next_uuid().into(),
            namespace: job.namespace.clone(),
            eval_id: Some(self.input.eval.id),
            name: place.name.clone(),
            node_id: node.id,
            node_name: node.name.clone(),
            job_id: job.id.clone(),
            job: Some(Arc::clone(job)),
            job_version: job.version,
            task_group: place.group.clone(),
            allocated_resources: selected.resources,
            metrics: Some(Arc::new(selected.metric)),
            deployment_id: deployment,
            ..Allocation::default()
        };
        if let Some(previous) = &place.previous {
            alloc.previous_allocation = Some(previous.id);
            if place.reschedule {
                alloc.reschedule_tracker = Some(reschedule::tracker(previous, self.input.now));
            }
        }
        if place.canary
            && self
                .deployment
                .as_ref()
                .is_some_and(|deployment| deployment.task_groups.contains_key(&place.group))
        {
            // The state notes it among the deployment's canaries.
            alloc.deployment_status = Some(AllocDeploymentStatus {
                canary: true,
                ..AllocDeploymentStatus::default()
            });
        }
        preempt(&mut self.plan, &mut alloc, &selected.preempted);
        for victim in &selected.preempted {
            self.stack.evict(victim);
        }
        if !selected.preempted.is_empty() {
            *self.preemptions.entry(place.group.clone()).or_default() +=
                selected.preempted.len() as u64;
        }
        let alloc = Arc::new(alloc);
        self.stack.proposed.place(&alloc);
        self.plan
            .node_allocation
            .entry(node.id)
            .or_default()
            .push(alloc);
    }

    /// The job version that a placement runs, and the deployment that it belongs to.
    fn version_for(&self, place: &Place) -> (Arc<Job>, Option<DeploymentId>) {
        let current = self
            .deployment
            .as_ref()
            .filter(|deployment| deployment.active())
            .map(|deployment| deployment.id);
        if place.downgrade
            && let Some((job, deployment)) = self.downgraded(place)
        {
            return (job, deployment);
        }
        (Arc::clone(self.job), current)
    }

    /// The newest version that was promoted or never had canaries.
    fn downgraded(&self, place: &Place) -> Option<(Arc<Job>, Option<DeploymentId>)> {
        let key = self.job.key();
        let mut deployments: Vec<_> = self
            .input
            .view
            .deployments_of_job(&key)
            .filter(|deployment| deployment.job_create_index == self.job.create_index)
            .collect();
        deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.job_version));
        for deployment in deployments {
            let Some(state) = deployment.task_groups.get(&place.group) else {
                continue;
            };
            if (state.promoted || state.desired_canaries == 0)
                && let Some(job) = self.input.view.job_version(&key, deployment.job_version)
                && job.version >= place.min_job_version
                && job.group(&place.group).is_some()
            {
                return Some((Arc::clone(job), Some(deployment.id)));
            }
        }
        // Versions without an update strategy have no deployment.
        let job = self.input.view.job_version(&key, place.min_job_version)?;
        let group = job.group(&place.group)?;
        group
            .update
            .as_ref()
            .is_none_or(|update| update.max_parallel == 0)
            .then(|| (Arc::clone(job), None))
    }
}

fn rank_exhaust(metric: &mut AllocMetric, group: &TaskGroup) {
    rank::exhaust_resources(metric, group);
}

fn index_of(name: &str) -> Option<u64> {
    let open = name.rfind('[')?;
    name[open + 1..].strip_suffix(']')?.parse().ok()
}
