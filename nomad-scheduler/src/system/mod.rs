//! System and sysbatch jobs: one allocation of each group on every node that may run it.
//!
//! Source: servers and scheduling reference, "System / sysbatch".

mod deployment;
mod diff;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::{AllocDeploymentStatus, Allocation, ClientStatus};
use nomad_core::deployment::{Deployment, DeploymentState};
use nomad_core::diff::group_change;
use nomad_core::eval::{EvalStatus, EvalTrigger, Evaluation};
use nomad_core::ids::{IdSource, NodeId};
use nomad_core::job::{Job, JobType};
use nomad_core::metric::AllocMetric;
use nomad_core::plan::{DesiredUpdates, Plan};

use self::deployment::{Allowance, allowance, canaries, has_deployment};
use self::diff::{Compare, Diff, Missing};
use self::select::{Given, GroupChecks, Refused, merge};
use crate::attempt::successor;
use crate::candidates::Candidates;
use crate::columns::NodeColumns;
use crate::eligibility::Eligibility;
use crate::explain::{NodeExplanation, NodeVerdict, PlacementExplanation};
use crate::plan_parts::{
    BLOCKED, annotate, empty_plan, lose_stopping, preempt, stop, tainted, under_version,
    withdraw_stop,
};
use crate::preempt::Victims;
use crate::reconcile::deployment::{begin, begin_group, choose, describe, succeed};
use crate::reconcile::follow_up::recorded;
use crate::reconcile::{Stop, description};
use crate::rng::{Rng, mix};
use crate::schedule::{Finish, Input, Outcome};
use crate::stack::{Stack, may_preempt, style};

/// A plan in the making.
struct Build<'s, 'a> {
    input: &'s Input<'a>,
    job: &'s Arc<Job>,
    stack: Stack<'a>,
    candidates: &'s Candidates,
    plan: Plan,
    checks: BTreeMap<String, GroupChecks>,
    eligibility: Eligibility,
    victims: Victims,
    may_preempt: bool,
    rng: Rng,
    desired: BTreeMap<String, DesiredUpdates>,
    queued: BTreeMap<String, i64>,
    failed: BTreeMap<String, AllocMetric>,
    filtered: BTreeMap<String, AllocMetric>,
    exhausted: BTreeSet<NodeId>,
    deployment: Option<Deployment>,
    ids: &'s mut dyn IdSource,
}

/// One attempt for a system or sysbatch job.
pub(crate) fn schedule(
    input: &Input<'_>,
    columns: &NodeColumns,
    ids: &mut dyn IdSource,
) -> Outcome {
    let key = input.eval.job_key();
    let job = input.view.job(&key);
    let tainted = tainted(input);
    let mut plan = empty_plan(input, job);
    let mut stack = Stack::new(input, columns, key.clone());
    lose_stopping(input, &tainted, &mut plan, &mut stack);

    let candidates = job.map_or_else(Candidates::default, |job| Candidates::of(job, columns));
    let diff = Compare {
        job,
        columns,
        candidates: &candidates,
        tainted: &tainted,
        now: input.now,
    }
    .compute(input.view.allocs_of_job(&key));

    let latest = input
        .view
        .latest_deployment(&key)
        .map(|deployment| Deployment::clone(deployment));
    let latest_id = latest.as_ref().map(|deployment| deployment.id);
    let (current, _, cancelled) = choose(latest, job.map(|job| &**job), input.now);
    plan.deployment_updates.extend(cancelled);

    let mut desired: BTreeMap<String, DesiredUpdates> = BTreeMap::new();
    stop_unwanted(&diff, &mut plan, &mut stack, &mut desired);
    let mut finish = Finish {
        deployment_id: current
            .as_ref()
            .map(|deployment| deployment.id)
            .or(latest_id),
        ..Finish::default()
    };
    if let Some(job) = job.filter(|job| !job.stopped()) {
        let mut build = Build::new(input, job, stack, &candidates, plan, ids);
        build.desired = desired;
        build.deployment = current;
        build.run(diff, &mut finish);
        plan = build.plan;
        desired = build.desired;
        finish.queued_allocations = build.queued;
        finish.failed_tg_allocs = build.failed;
    }
    annotate(input, &mut plan, &mut finish, desired);
    Outcome {
        plan: (!plan.is_no_op()).then_some(plan),
        finish,
    }
}

/// Stops what does not belong where it is, and counts it.
fn stop_unwanted(
    diff: &Diff,
    plan: &mut Plan,
    stack: &mut Stack<'_>,
    desired: &mut BTreeMap<String, DesiredUpdates>,
) {
    let lists = [
        (&diff.stop, None, description::NOT_NEEDED),
        (&diff.migrate, None, description::TAINTED),
        (&diff.lost, Some(ClientStatus::Lost), description::LOST),
    ];
    for (allocs, client_status, text) in lists {
        for alloc in allocs {
            stop(
                plan,
                &Stop {
                    alloc: Arc::clone(alloc),
                    client_status,
                    description: text,
                    follow_up: None,
                },
            );
            stack.proposed.remove(alloc);
        }
    }
    for alloc in &diff.stop {
        desired.entry(alloc.task_group.clone()).or_default().stop += 1;
    }
    for alloc in &diff.migrate {
        desired.entry(alloc.task_group.clone()).or_default().migrate += 1;
    }
}

/// Judges the node of each placement of a system or sysbatch job.
pub(crate) fn explain(
    input: &Input<'_>,
    columns: &NodeColumns,
    ids: &mut dyn IdSource,
    limit: usize,
) -> Vec<PlacementExplanation> {
    let key = input.eval.job_key();
    let Some(job) = input.view.job(&key).filter(|job| !job.stopped()) else {
        return Vec::new();
    };
    let tainted = tainted(input);
    let mut plan = empty_plan(input, Some(job));
    let mut stack = Stack::new(input, columns, key.clone());
    lose_stopping(input, &tainted, &mut plan, &mut stack);
    let candidates = Candidates::of(job, columns);
    let diff = Compare {
        job: Some(job),
        columns,
        candidates: &candidates,
        tainted: &tainted,
        now: input.now,
    }
    .compute(input.view.allocs_of_job(&key));
    stop_unwanted(&diff, &mut plan, &mut stack, &mut BTreeMap::new());
    let mut build = Build::new(input, job, stack, &candidates, plan, ids);
    let (_, destructive) = build.split_updates(&diff);
    let updates = destructive.iter().map(|alloc| {
        let missing = Missing {
            node: alloc.node_id,
            name: alloc.name.clone(),
            group: alloc.task_group.clone(),
            previous: None,
        };
        (missing, Some(alloc))
    });
    let places = diff.place.iter().map(|missing| (missing.clone(), None));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    updates
        .chain(places)
        .filter(|(missing, _)| {
            let seen = seen.entry(missing.group.clone()).or_default();
            *seen += 1;
            *seen <= limit
        })
        .filter_map(|(missing, replaced)| build.explain(&missing, replaced))
        .collect()
}

impl<'s, 'a> Build<'s, 'a> {
    fn new(
        input: &'s Input<'a>,
        job: &'s Arc<Job>,
        stack: Stack<'a>,
        candidates: &'s Candidates,
        plan: Plan,
        ids: &'s mut dyn IdSource,
    ) -> Self {
        Self {
            input,
            job,
            stack,
            candidates,
            plan,
            checks: BTreeMap::new(),
            eligibility: Eligibility::default(),
            victims: Victims::default(),
            may_preempt: may_preempt(input.view, job.job_type),
            rng: Rng::new(mix(input.seed)),
            desired: BTreeMap::new(),
            queued: BTreeMap::new(),
            failed: BTreeMap::new(),
            filtered: BTreeMap::new(),
            exhausted: BTreeSet::new(),
            deployment: None,
            ids,
        }
    }

    fn explain(
        &mut self,
        missing: &Missing,
        replaced: Option<&Arc<Allocation>>,
    ) -> Option<PlacementExplanation> {
        if let Some(old) = replaced {
            self.stack.proposed.remove(old);
        }
        let selected = self.select(missing);
        if let Some(old) = replaced {
            self.stack.proposed.restore(old);
        }
        let first = |counts: &BTreeMap<String, i64>| counts.keys().next().cloned();
        let verdict = match selected? {
            Ok(given) => NodeVerdict::Scored {
                parts: given.metric.score_meta_data.first()?.scores.clone(),
                score: given.metric.score_meta_data.first()?.norm_score,
                preempts: given.preempted.iter().map(|victim| victim.id).collect(),
            },
            Err(Refused::Filtered(metric)) => NodeVerdict::Filtered {
                reason: first(&metric.constraint_filtered)?,
            },
            Err(Refused::Exhausted(metric)) => NodeVerdict::Exhausted {
                dimension: first(&metric.dimension_exhausted)?,
            },
        };
        Some(PlacementExplanation {
            name: missing.name.clone(),
            group: missing.group.clone(),
            nodes: vec![NodeExplanation {
                node_id: missing.node,
                verdict,
            }],
        })
    }

    fn run(&mut self, diff: Diff, finish: &mut Finish) {
        for group in &self.job.task_groups {
            self.desired.entry(group.name.clone()).or_default();
            self.queued.insert(group.name.clone(), 0);
        }
        for alloc in &diff.ignore {
            self.desired
                .entry(alloc.task_group.clone())
                .or_default()
                .ignore += 1;
        }
        self.mark_connections(&diff);
        let (in_place, destructive) = self.split_updates(&diff);
        let mut by_group: BTreeMap<String, Vec<Arc<Allocation>>> = BTreeMap::new();
        for alloc in destructive {
            by_group
                .entry(alloc.task_group.clone())
                .or_default()
                .push(alloc);
        }
        let allowances = self.plan_rollout(&by_group, &diff);
        for row in in_place {
            self.update_in_place(row);
        }
        let running: BTreeMap<String, u64> = self
            .desired
            .iter()
            .map(|(group, desired)| (group.clone(), desired.ignore + desired.in_place_update))
            .collect();
        let mut placed: BTreeMap<String, u64> = BTreeMap::new();
        let mut waiting = false;
        for (group, allocs) in &by_group {
            let allowed = allowances[group];
            waiting |= allowed.updates < allocs.len();
            for (number, alloc) in allocs.iter().enumerate() {
                if number >= allowed.updates {
                    // It keeps its place until its turn comes.
                    *placed.entry(group.clone()).or_default() += 1;
                    self.desired.entry(group.clone()).or_default().ignore += 1;
                    continue;
                }
                let desired = self.desired.entry(group.clone()).or_default();
                if allowed.canary {
                    desired.canary += 1;
                } else {
                    desired.destructive_update += 1;
                }
                if self.replace(alloc, allowed.canary) {
                    *placed.entry(group.clone()).or_default() += 1;
                }
            }
        }
        let sysbatch = self.job.job_type == JobType::Sysbatch;
        for missing in &diff.place {
            *self.queued.entry(missing.group.clone()).or_default() += 1;
            let outcome = self.place(missing, missing.previous.as_ref(), false);
            if matches!(outcome, Placed::Yes) {
                *placed.entry(missing.group.clone()).or_default() += 1;
            }
            if sysbatch && !matches!(outcome, Placed::Filtered) {
                self.desired.entry(missing.group.clone()).or_default().place += 1;
            }
        }
        for group in &self.job.task_groups {
            let name = &group.name;
            let total =
                running.get(name).copied().unwrap_or(0) + placed.get(name).copied().unwrap_or(0);
            if !sysbatch {
                // For system jobs this is the number of nodes that should run the group.
                self.desired.entry(name.clone()).or_default().place = total;
            }
            if total == 0
                && !self.failed.contains_key(name)
                && let Some(metric) = self.filtered.remove(name)
            {
                self.failed.insert(name.clone(), metric);
            }
        }
        self.finish_rollout(finish, waiting);
        self.block(finish);
    }

    /// Notes which allocations went out of sight or came back.
    fn mark_connections(&mut self, diff: &Diff) {
        let away = diff.disconnecting.iter().map(|alloc| (alloc, true));
        let back = diff.reconnecting.iter().map(|alloc| (alloc, false));
        for (alloc, is_away) in away.chain(back) {
            let mut row = Allocation::clone(alloc);
            let desired = self.desired.entry(alloc.task_group.clone()).or_default();
            if is_away {
                row.client_status = ClientStatus::Unknown;
                row.client_description = description::UNKNOWN.to_owned();
                desired.disconnect += 1;
            } else {
                desired.reconnect += 1;
            }
            row.alloc_states
                .push(recorded(row.client_status, self.input.now));
            self.plan
                .node_allocation
                .entry(row.node_id)
                .or_default()
                .push(Arc::new(row));
        }
    }

    fn split_updates(&mut self, diff: &Diff) -> (Vec<Allocation>, Vec<Arc<Allocation>>) {
        let mut in_place = Vec::new();
        let mut destructive = Vec::new();
        for alloc in &diff.update {
            let same = alloc.job.as_ref().is_some_and(|own| {
                !group_change(own, self.job, &alloc.task_group).is_destructive()
            });
            if same && alloc.terminal() {
                // A sysbatch allocation that has ended has nothing to update.
                self.desired
                    .entry(alloc.task_group.clone())
                    .or_default()
                    .ignore += 1;
            } else if same && self.stack.fits_in_place(alloc, self.job) {
                self.desired
                    .entry(alloc.task_group.clone())
                    .or_default()
                    .in_place_update += 1;
                in_place.push(under_version(alloc, self.job, self.input.eval));
            } else {
                destructive.push(Arc::clone(alloc));
            }
        }
        (in_place, destructive)
    }

    fn update_in_place(&mut self, mut row: Allocation) {
        let deployment = self.deployment.as_ref().map(|deployment| deployment.id);
        if row.deployment_id != deployment {
            row.deployment_id = deployment;
            row.deployment_status = None;
        }
        self.plan
            .node_allocation
            .entry(row.node_id)
            .or_default()
            .push(Arc::new(row));
    }

    /// Stops an allocation and places its successor on the same node. Says whether the group goes on there.
    fn replace(&mut self, alloc: &Arc<Allocation>, canary: bool) -> bool {
        *self.queued.entry(alloc.task_group.clone()).or_default() += 1;
        let stopping = !alloc.terminal();
        if stopping {
            stop(
                &mut self.plan,
                &Stop {
                    alloc: Arc::clone(alloc),
                    client_status: None,
                    description: description::UPDATING,
                    follow_up: None,
                },
            );
            self.stack.proposed.remove(alloc);
        }
        let missing = Missing {
            node: alloc.node_id,
            name: alloc.name.clone(),
            group: alloc.task_group.clone(),
            previous: None,
        };
        match self.place(&missing, Some(alloc), canary) {
            Placed::Yes => true,
            // The node is not meant to run it any more.
            Placed::Filtered => false,
            Placed::Exhausted => {
                if stopping {
                    withdraw_stop(&mut self.plan, alloc);
                    self.stack.proposed.restore(alloc);
                }
                true
            }
        }
    }

    fn place(
        &mut self,
        missing: &Missing,
        previous: Option<&Arc<Allocation>>,
        canary: bool,
    ) -> Placed {
        let Some(selected) = self.select(missing) else {
            return Placed::Filtered;
        };
        let into = |map: &mut BTreeMap<String, AllocMetric>, metric: Box<AllocMetric>| {
            map.entry(missing.group.clone())
                .and_modify(|all| merge(all, &metric))
                .or_insert(*metric);
        };
        match selected {
            Ok(given) => {
                self.add(missing, previous, canary, given);
                Placed::Yes
            }
            Err(Refused::Filtered(metric)) => {
                *self.queued.entry(missing.group.clone()).or_default() -= 1;
                into(&mut self.filtered, metric);
                Placed::Filtered
            }
            Err(Refused::Exhausted(metric)) => {
                into(&mut self.failed, metric);
                self.exhausted.insert(missing.node);
                Placed::Exhausted
            }
        }
    }

    /// Judges the node that a placement is for.
    fn select(&mut self, missing: &Missing) -> Option<Result<Given, Refused>> {
        let group = self.job.group(&missing.group)?;
        let slot = self.stack.proposed.columns.slot(missing.node)?;
        let proposed = &self.stack.proposed;
        let checks = self.checks.entry(group.name.clone()).or_insert_with(|| {
            GroupChecks::new(
                self.job,
                group,
                style(self.input.view, self.job, self.input.seed),
                proposed,
            )
        });
        Some(checks.select(
            self.job,
            group,
            slot,
            &missing.name,
            self.candidates,
            proposed,
            &mut self.eligibility,
            self.may_preempt.then_some(&self.victims),
            &mut self.rng,
        ))
    }

    fn add(
        &mut self,
        missing: &Missing,
        previous: Option<&Arc<Allocation>>,
        canary: bool,
        given: Given,
    ) {
        let node_name = self
            .input
            .view
            .node(missing.node)
            .map_or_else(String::new, |node| node.name.clone());
        let mut alloc = Allocation {
            id: self.ids.next_uuid().into(),
            namespace: self.job.namespace.clone(),
            eval_id: Some(self.input.eval.id),
            name: missing.name.clone(),
            node_id: missing.node,
            node_name,
            job_id: self.job.id.clone(),
            job: Some(Arc::clone(self.job)),
            job_version: self.job.version,
            task_group: missing.group.clone(),
            allocated_resources: given.resources,
            metrics: Some(Arc::new(given.metric)),
            deployment_id: self
                .deployment
                .as_ref()
                .filter(|deployment| deployment.active())
                .map(|deployment| deployment.id),
            previous_allocation: previous.map(|previous| previous.id),
            ..Allocation::default()
        };
        if canary {
            alloc.deployment_status = Some(AllocDeploymentStatus {
                canary: true,
                ..AllocDeploymentStatus::default()
            });
        }
        preempt(&mut self.plan, &mut alloc, &given.preempted);
        for victim in &given.preempted {
            self.victims.add(victim);
            self.stack.proposed.remove(victim);
        }
        if !given.preempted.is_empty() {
            self.desired
                .entry(missing.group.clone())
                .or_default()
                .preemptions += given.preempted.len() as u64;
        }
        let alloc = Arc::new(alloc);
        self.stack.proposed.place(&alloc);
        self.plan
            .node_allocation
            .entry(missing.node)
            .or_default()
            .push(alloc);
    }

    /// How many destructive updates each group may make; begins a deployment where a version is new.
    fn plan_rollout(
        &mut self,
        destructive: &BTreeMap<String, Vec<Arc<Allocation>>>,
        diff: &Diff,
    ) -> BTreeMap<String, Allowance> {
        let mut allowances = BTreeMap::new();
        let key = self.input.eval.job_key();
        let live: Vec<Arc<Allocation>> = self
            .input
            .view
            .allocs_of_job(&key)
            .filter(|alloc| !alloc.terminal())
            .cloned()
            .collect();
        let known = live.iter().any(|alloc| {
            alloc.job_version == self.job.version
                && alloc
                    .job
                    .as_ref()
                    .is_some_and(|own| own.create_index == self.job.create_index)
        });
        for group in &self.job.task_groups {
            let count = destructive.get(&group.name).map_or(0, Vec::len);
            if !has_deployment(self.job, group) {
                allowances.insert(
                    group.name.clone(),
                    Allowance {
                        updates: count,
                        canary: false,
                    },
                );
                continue;
            }
            let changes = count > 0
                || diff.update.iter().any(|a| a.task_group == group.name)
                || diff.place.iter().any(|a| a.group == group.name);
            let existing = self
                .deployment
                .as_ref()
                .and_then(|deployment| deployment.task_groups.get(&group.name))
                .cloned();
            let mut state = existing
                .clone()
                .unwrap_or_else(|| begin_group(group.update.as_ref()));
            if existing.is_none() {
                state.desired_canaries = canaries(self.job, group, count, 0);
                if changes && (!known || count > 0) {
                    self.begin_rollout(&group.name, state.clone());
                }
            }
            let members: Vec<&Arc<Allocation>> = live
                .iter()
                .filter(|alloc| {
                    alloc.task_group == group.name
                        && alloc.deployment_id.is_some()
                        && alloc.deployment_id
                            == self.deployment.as_ref().map(|deployment| deployment.id)
                })
                .collect();
            let allowed = allowance(group, &state, self.deployment.as_ref(), &members, count);
            allowances.insert(group.name.clone(), allowed);
        }
        // Groups that the job does not have any more have nothing to update.
        for group in destructive.keys() {
            allowances.entry(group.clone()).or_insert(Allowance {
                updates: 0,
                canary: false,
            });
        }
        allowances
    }

    fn begin_rollout(&mut self, group: &str, state: DeploymentState) {
        let deployment = match self.deployment.take() {
            Some(deployment) => deployment,
            None => begin(self.job, self.input.eval.priority, self.input.now, self.ids),
        };
        let is_new = deployment.create_index == 0;
        let deployment = self.deployment.insert(deployment);
        deployment.task_groups.insert(group.to_owned(), state);
        if is_new {
            self.plan.deployment = Some(deployment.clone());
        }
    }

    /// Says how many nodes the deployment reaches, or that it is done.
    fn finish_rollout(&mut self, finish: &mut Finish, waiting: bool) {
        if let Some(begun) = &mut self.plan.deployment {
            for (group, state) in &mut begun.task_groups {
                state.desired_total = self.desired.get(group).map_or(0, |desired| {
                    i64::try_from(desired.place).unwrap_or(i64::MAX)
                });
            }
            describe(begun);
            finish.deployment_id = Some(begun.id);
            return;
        }
        let Some(deployment) = self.deployment.as_ref().filter(|d| d.active()) else {
            return;
        };
        let busy = waiting
            || self.desired.values().any(|desired| {
                desired.destructive_update + desired.canary + desired.in_place_update > 0
            })
            || self.queued.values().any(|queued| *queued > 0);
        let done = deployment.task_groups.values().all(|state| {
            state.healthy_allocs >= state.desired_total.max(state.desired_canaries)
                && (state.desired_canaries == 0 || state.promoted)
        });
        if !busy && done {
            let update = succeed(deployment, self.input.now);
            self.plan.deployment_updates.push(update);
        }
    }

    /// One evaluation per exhausted node waits for room there.
    fn block(&mut self, finish: &mut Finish) {
        let escaped = self.eligibility.escaped;
        let classes = if escaped {
            BTreeMap::new()
        } else {
            self.eligibility.classes(self.stack.proposed.columns)
        };
        let blocked = Evaluation {
            triggered_by: EvalTrigger::QueuedAllocs,
            status: EvalStatus::Blocked,
            status_description: BLOCKED.to_owned(),
            class_eligibility: classes,
            escaped_computed_class: escaped,
            snapshot_index: self.input.view.index(),
            ..successor(self.input.eval)
        };
        for node in &self.exhausted {
            if self.input.eval.status == EvalStatus::Blocked
                && self.input.eval.node_id == Some(*node)
            {
                finish.reblock = Some(Evaluation {
                    class_eligibility: blocked.class_eligibility.clone(),
                    escaped_computed_class: escaped,
                    snapshot_index: blocked.snapshot_index,
                    ..self.input.eval.clone()
                });
                continue;
            }
            finish.blocked.push(Evaluation {
                id: self.ids.next_uuid().into(),
                node_id: Some(*node),
                ..blocked.clone()
            });
        }
    }
}

/// What became of one placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    Yes,
    Filtered,
    Exhausted,
}
