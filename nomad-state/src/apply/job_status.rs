//! A job's status follows from its allocations, evaluations and deployments.
//!
//! Source: servers and scheduling reference, "Job registration", last rule.

use std::sync::Arc;

use nomad_core::JobKey;
use nomad_core::job::{Job, JobStatus, JobType};

use super::summary;
use crate::tables::Txn;

/// Brings a job's status up to date; `forced` wins where an allocation is known to exist.
pub(super) fn refresh(txn: &mut Txn, key: &JobKey, forced: Option<JobStatus>) {
    let Some(job) = txn.tables.jobs.get(key) else {
        return;
    };
    let status = forced.unwrap_or_else(|| status_of(txn, key, job));
    if status == job.status {
        return;
    }
    let old_status = job.status;
    let mut job = Job::clone(job);
    job.status = status;
    job.modify_index = txn.index;
    replace_newest(txn, job.clone());
    if !job.parent_id.is_empty() {
        let parent = JobKey::new(job.namespace.clone(), job.parent_id.clone());
        summary::child_changed(txn, &parent, Some(old_status), Some(status));
    }
}

/// What the job's status is.
pub(super) fn status_of(txn: &Txn, key: &JobKey, job: &Job) -> JobStatus {
    if job.is_periodic() || job.is_parameterized() {
        return if job.stop {
            JobStatus::Dead
        } else {
            JobStatus::Running
        };
    }
    let tables = &txn.tables;
    let mut has_alloc = false;
    for alloc in tables
        .allocs_by_job
        .get(key)
        .into_iter()
        .flat_map(|allocs| allocs.values())
    {
        has_alloc = true;
        if !alloc.terminal() {
            return JobStatus::Running;
        }
    }
    let deployments = tables
        .deployments_by_job
        .get(key)
        .into_iter()
        .flat_map(|deployments| deployments.values());
    if !job.stop
        && deployments
            .into_iter()
            .any(|deployment| deployment.active())
    {
        return JobStatus::Running;
    }
    let mut has_eval = false;
    for eval in tables
        .evals_by_job
        .get(key)
        .into_iter()
        .flat_map(|evals| evals.values())
    {
        has_eval = true;
        if !eval.terminal() {
            return JobStatus::Pending;
        }
    }
    if job.job_type == JobType::System {
        return if job.stop {
            JobStatus::Dead
        } else {
            JobStatus::Running
        };
    }
    // Nothing has happened yet: the first evaluation is on its way.
    if !has_eval && !has_alloc && !job.stop {
        JobStatus::Pending
    } else {
        JobStatus::Dead
    }
}

/// Puts a newer row of the same version, in the job table and among the versions.
pub(super) fn replace_newest(txn: &mut Txn, job: Job) {
    let key = job.key();
    let job = Arc::new(job);
    if let Some(versions) = txn.tables.job_versions.get_mut(&key)
        && let Some(at) = versions.iter().position(|old| old.version == job.version)
    {
        versions.set(at, Arc::clone(&job));
        txn.touch(crate::table::Table::JobVersions);
    }
    txn.put_job(job);
}
