//! Where we differ on purpose, or where the reference leaves a choice to chance: one rule each, with its reason.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{Allocation, DesiredStatus};
use nomad_core::ids::NodeId;
use nomad_core::job::Job;
use nomad_core::memory_view::MemoryView;
use nomad_core::metric::NodeScoreMeta;
use nomad_core::view::ClusterView;

use crate::invariants::{self, Effect};
use crate::recording::Step;

thread_local! {
    static USED: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes that a rule was needed.
fn used(rule: &'static str) {
    USED.with_borrow_mut(|used| *used.entry(rule).or_default() += 1);
}

/// How often each rule was needed so far.
pub(crate) fn uses() -> BTreeMap<&'static str, u64> {
    USED.with_borrow(Clone::clone)
}

/// Rule "rescheduled": the stop of a failed allocation that was replaced.
///
/// The reference overwrites that stop with a copy of the row from before the stop when it notes that the replacement
/// succeeded, so its plan says `run` without a description, and the row ends up stopped without one. We keep the stop
/// and its description.
pub(crate) fn stop(alloc: &Allocation) -> (String, String) {
    if alloc.desired_status == DesiredStatus::Run {
        used("rescheduled");
        return (
            DesiredStatus::Stop.to_string(),
            "alloc was rescheduled because it failed".to_owned(),
        );
    }
    (
        alloc.desired_status.to_string(),
        alloc.desired_description.clone(),
    )
}

/// Rule "group order": groups compete for room in the order in which they are placed.
///
/// The reference goes through them in the random order of a Go map; we follow the job file. A step passes if we do the
/// same as the reference under some order of the groups. Here: all orders of the groups of a job.
pub(crate) fn group_orders(groups: usize) -> Vec<Vec<usize>> {
    if groups == 0 {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for order in group_orders(groups.min(4) - 1) {
        for place in (0..=order.len()).rev() {
            let mut longer = order.clone();
            longer.insert(place, order.len());
            orders.push(longer);
        }
    }
    orders
}

/// Notes that only another order than the job's gave the recorded result.
pub(crate) fn needed_order(order: &[usize]) {
    if !order.is_sorted() {
        used("group order");
    }
}

/// A job with its groups in another order.
pub(crate) fn reorder(job: &Job, order: &[usize]) -> Job {
    let mut other = job.clone();
    if job.task_groups.len() == order.len() {
        other.task_groups = order
            .iter()
            .map(|index| job.task_groups[*index].clone())
            .collect();
    }
    other
}

/// Rule "no placement": a failed allocation for which no new place was found.
///
/// Both sides leave it as it is and note `no placement`, so that a later evaluation tries again. The reference then
/// takes the tracker that it made for the note, which has no events, for used-up attempts (unless they are unlimited),
/// and never tries again; we do. So that the rest can be compared, we are shown such allocations without a policy.
pub(crate) fn forget_unplaced(alloc: &mut Allocation, job: Option<&Arc<Job>>) {
    let unplaced = alloc.reschedule_tracker.as_ref().is_some_and(|tracker| {
        tracker.events.is_empty() && tracker.last_reschedule == "no placement"
    });
    let Some(job) = job.filter(|_| unplaced) else {
        return;
    };
    used("no placement");
    let mut own = Job::clone(job);
    for group in &mut own.task_groups {
        if group.name == alloc.task_group
            && group
                .reschedule_policy
                .as_ref()
                .is_some_and(|policy| !policy.unlimited)
        {
            group.reschedule_policy = None;
        }
    }
    alloc.job = Some(Arc::new(own));
}

/// Whether two sets of score parts, and their means, are the same.
///
/// Rule "spread counts": the counters of spreads are those of `distinct_property`, so they are off in the same way once
/// the plan stops allocations or updates them in place (see [`theirs_counts_too_much`]). Then the spread part is not
/// compared, and the mean is compared as it would be with their spread part.
pub(crate) fn same_scores(
    step: &Step,
    parts: &BTreeMap<String, f64>,
    score: f64,
    recorded: &NodeScoreMeta,
    close: f64,
    view: &MemoryView,
) -> bool {
    const SPREAD: &str = "allocation-spread";
    let near = |left: f64, right: f64| (left - right).abs() < close;
    let mut parts = parts.clone();
    let mut theirs = recorded.scores.clone();
    let mut score = score;
    if changes(step, view) {
        let ours = parts.remove(SPREAD);
        let other = theirs.remove(SPREAD);
        // How many parts the mean is over: anti-affinity and penalty count only where they are not zero, affinity
        // only where the job has any.
        let optional = ["job-anti-affinity", "node-reschedule-penalty"];
        let fixed = optional
            .iter()
            .filter(|name| parts.get(**name).is_some_and(|part| *part != 0.0))
            .count()
            + ["binpack", "devices", "preemption"]
                .iter()
                .filter(|name| parts.contains_key(**name))
                .count();
        let fits = |affinity: usize| {
            let own = (fixed + affinity + usize::from(ours.is_some())) as f64;
            let base = parts.values().sum::<f64>();
            let their = (fixed + affinity + usize::from(other.is_some())) as f64;
            near(score, (base + ours.unwrap_or(0.0)) / own)
                .then(|| (base + other.unwrap_or(0.0)) / their)
        };
        match fits(0).or_else(|| fits(1)) {
            Some(with_theirs) => {
                if ours != other {
                    used("spread counts");
                }
                score = with_theirs;
            }
            None => return false,
        }
    }
    parts.len() == theirs.len()
        && near(score, recorded.norm_score)
        && parts
            .iter()
            .all(|(name, part)| theirs.get(name).is_some_and(|other| near(*part, *other)))
}

/// Whether the recorded plan stops allocations of the job or updates them in place.
fn changes(step: &Step, view: &MemoryView) -> bool {
    step.plan().is_some_and(|plan| {
        plan.stops().next().is_some() || plan.rows().any(|row| view.alloc(row.id).is_some())
    })
}

/// What their plan does, for [`invariants::broken`].
pub(crate) fn their_effect(step: &Step, view: &MemoryView) -> Effect {
    let mut effect = Effect {
        gone: std::collections::BTreeSet::new(),
        placed: Vec::new(),
    };
    let Some(plan) = step.plan() else {
        return effect;
    };
    effect.gone.extend(plan.stops().map(|alloc| alloc.id));
    effect.gone.extend(plan.preempted().map(|victim| victim.id));
    for row in plan.rows().filter(|row| view.alloc(row.id).is_none()) {
        let mut alloc = row.clone();
        alloc.job = view
            .job_version(&alloc.job_key(), alloc.job_version)
            .or_else(|| view.job(&alloc.job_key()))
            .cloned();
        effect.placed.push(Arc::new(alloc));
    }
    effect
}

/// Rules "over capacity" and "property counts": the reference's plan is one that should not be.
///
/// When it evicts, it leaves the job's own allocations out of what a node has in use, and so puts more on a node than
/// the node holds. And for `distinct_property` it takes stopped allocations off the count even where they had ended
/// and were not counted, so that a value is used more often than it may be. We do neither, so we place less; everything
/// that does not depend on where and how many we place is still compared.
pub(crate) fn theirs_is_broken(step: &Step, view: &MemoryView) -> bool {
    let job = view.job(&step.eval.job_key());
    let broken = !invariants::broken(view, job, &their_effect(step, view)).is_empty();
    if broken {
        used("their plan breaks capacity or a limit");
    }
    broken
}

/// Rule "over capacity" for nodes that are only scored: whether the placement does not fit on the node even if
/// everything of other jobs is evicted there.
pub(crate) fn never_fits(view: &MemoryView, node: NodeId, alloc: &Allocation) -> bool {
    let mut placed = alloc.clone();
    placed.node_id = node;
    let others = view
        .allocs_of_node(node)
        .filter(|other| other.job_id != alloc.job_id)
        .map(|other| other.id)
        .collect();
    let effect = Effect {
        gone: others,
        placed: vec![Arc::new(placed)],
    };
    let never = !invariants::broken(view, None, &effect).is_empty();
    if never {
        used("a scored node that cannot hold it");
    }
    never
}

/// Rule "property counts", the other way round: the reference counts an allocation that is updated in place twice, and
/// forgets a stopped allocation once its value is used again, so for `distinct_property` it may find less room than
/// there is. True where the job has such a constraint, something is stopped or updated, and we place more.
pub(crate) fn theirs_counts_too_much(step: &Step, view: &MemoryView, ours_placed: usize) -> bool {
    let Some(plan) = step.plan() else {
        return false;
    };
    let has = view.job(&step.eval.job_key()).is_some_and(|job| {
        job.constraints
            .iter()
            .chain(job.task_groups.iter().flat_map(|group| &group.constraints))
            .any(|constraint| constraint.operand == "distinct_property")
    });
    let placed = plan
        .rows()
        .filter(|row| view.alloc(row.id).is_none())
        .count();
    let applies = has && changes(step, view) && ours_placed > placed;
    if applies {
        used("property counts");
    }
    applies
}

/// Rule "property counts" again: how often a value is said to be used is off after updates in place, so the number
/// itself is not compared.
pub(crate) fn without_use(reasons: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for (reason, count) in reasons {
        let reason = match reason.split_once(" used by ") {
            Some((property, _)) => property,
            None => reason,
        };
        *counts.entry(reason.to_owned()).or_default() += count;
    }
    counts
}
