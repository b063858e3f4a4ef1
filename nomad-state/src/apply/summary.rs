//! Job summaries: counters that follow every write of an allocation or evaluation.
//!
//! Source: servers and scheduling reference, "Job summary".

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, JobStatus};
use nomad_core::summary::{JobChildrenSummary, JobSummary, TaskGroupSummary};
use nomad_core::{JobId, JobKey};

use super::ApplyError;
use crate::tables::Txn;

/// Makes sure that a job has a summary with all its groups.
pub(super) fn ensure(txn: &mut Txn, job: &Job) {
    let key = job.key();
    let mut summary = txn.tables.job_summaries.get(&key).map_or_else(
        || JobSummary {
            job_id: job.id.clone(),
            namespace: job.namespace.clone(),
            children: Some(JobChildrenSummary::default()),
            ..JobSummary::default()
        },
        |summary| JobSummary::clone(summary),
    );
    for group in &job.task_groups {
        summary.summary.entry(group.name.clone()).or_default();
    }
    txn.put_summary(summary);
}

/// Takes over the queued counts of an evaluation of the job's current version.
pub(super) fn set_queued(txn: &mut Txn, eval: &Evaluation) {
    if eval.queued_allocations.is_empty() {
        return;
    }
    let key = eval.job_key();
    let current = txn.tables.jobs.get(&key).map(|job| job.job_modify_index);
    if current.is_none_or(|index| eval.job_modify_index != 0 && eval.job_modify_index < index) {
        return;
    }
    let Some(summary) = txn.tables.job_summaries.get(&key) else {
        return;
    };
    let mut summary = JobSummary::clone(summary);
    for (group, queued) in &eval.queued_allocations {
        if let Some(group) = summary.summary.get_mut(group) {
            group.queued = *queued;
        }
    }
    txn.put_summary(summary);
}

/// Follows one write of an allocation.
pub(super) fn alloc_changed(txn: &mut Txn, old: Option<&Allocation>, new: &Allocation) {
    if old.is_some_and(|old| old.client_status == new.client_status) {
        return;
    }
    let Some(summary) = txn.tables.job_summaries.get(&new.job_key()) else {
        return;
    };
    // A purged job that was registered anew counts only its own allocations.
    if new.create_index != 0 && new.create_index < summary.create_index {
        return;
    }
    let mut summary = JobSummary::clone(summary);
    let group = summary.summary.entry(new.task_group.clone()).or_default();
    match old {
        None => group.queued = (group.queued - 1).max(0),
        Some(old) => {
            let counter = match old.client_status {
                ClientStatus::Pending => Some(&mut group.starting),
                ClientStatus::Running => Some(&mut group.running),
                ClientStatus::Lost => Some(&mut group.lost),
                ClientStatus::Unknown => Some(&mut group.unknown),
                ClientStatus::Complete | ClientStatus::Failed => None,
            };
            if let Some(counter) = counter {
                *counter = (*counter - 1).max(0);
            }
        }
    }
    count(group, new.client_status);
    txn.put_summary(summary);
}

/// Follows a change of a child's status in its parent's summary.
pub(super) fn child_changed(
    txn: &mut Txn,
    parent: &JobKey,
    old: Option<JobStatus>,
    new: Option<JobStatus>,
) {
    if old == new {
        return;
    }
    let Some(summary) = txn.tables.job_summaries.get(parent) else {
        return;
    };
    let mut summary = JobSummary::clone(summary);
    let children = summary.children.get_or_insert_default();
    let mut add = |status: Option<JobStatus>, by: i64| {
        let counter = match status {
            Some(JobStatus::Pending) => &mut children.pending,
            Some(JobStatus::Running) => &mut children.running,
            Some(JobStatus::Dead) => &mut children.dead,
            None => return,
        };
        *counter = (*counter + by).max(0);
    };
    add(old, -1);
    add(new, 1);
    txn.put_summary(summary);
}

/// Counts everything anew; queued counts come from the newest evaluations.
pub(super) fn reconcile(txn: &mut Txn) -> Result<(), ApplyError> {
    let jobs: Vec<_> = txn.tables.jobs.values().cloned().collect();
    for job in jobs {
        let key = job.key();
        let queued = |group: &str| {
            txn.tables
                .job_summaries
                .get(&key)
                .and_then(|old| old.summary.get(group))
                .map_or(0, |old| old.queued)
        };
        let mut summary = JobSummary {
            job_id: job.id.clone(),
            namespace: job.namespace.clone(),
            children: Some(children(txn, &job.id, &key)),
            ..JobSummary::default()
        };
        for group in &job.task_groups {
            let counts = TaskGroupSummary {
                queued: queued(&group.name),
                ..TaskGroupSummary::default()
            };
            summary.summary.insert(group.name.clone(), counts);
        }
        for alloc in txn
            .tables
            .allocs_by_job
            .get(&key)
            .into_iter()
            .flat_map(|allocs| allocs.values())
        {
            count(
                summary.summary.entry(alloc.task_group.clone()).or_default(),
                alloc.client_status,
            );
        }
        txn.put_summary(summary);
    }
    Ok(())
}

fn children(txn: &Txn, _id: &JobId, key: &JobKey) -> JobChildrenSummary {
    let mut counts = JobChildrenSummary::default();
    let children = txn.tables.job_children.get(key).into_iter().flatten();
    for child in children.filter_map(|child| txn.tables.jobs.get(child)) {
        match child.status {
            JobStatus::Pending => counts.pending += 1,
            JobStatus::Running => counts.running += 1,
            JobStatus::Dead => counts.dead += 1,
        }
    }
    counts
}

fn count(group: &mut TaskGroupSummary, status: ClientStatus) {
    match status {
        ClientStatus::Pending => group.starting += 1,
        ClientStatus::Running => group.running += 1,
        ClientStatus::Complete => group.complete += 1,
        ClientStatus::Failed => group.failed += 1,
        ClientStatus::Lost => group.lost += 1,
        ClientStatus::Unknown => group.unknown += 1,
    }
}
