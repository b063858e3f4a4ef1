//! Where we differ on purpose, or where the reference leaves a choice to chance: one rule each, with its reason.

use std::sync::Arc;

use nomad_core::alloc::{Allocation, DesiredStatus};
use nomad_core::job::Job;

/// Rule "rescheduled": the stop of a failed allocation that was replaced.
///
/// The reference overwrites that stop with a copy of the row from before the stop when it notes that the replacement
/// succeeded, so its plan says `run` without a description, and the row ends up stopped without one. We keep the stop
/// and its description.
pub(crate) fn stop(alloc: &Allocation) -> (String, String) {
    if alloc.desired_status == DesiredStatus::Run {
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
