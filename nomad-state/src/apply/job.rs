//! Commands about jobs and their versions.
//!
//! Source: job specification reference, "Versions and update kind"; servers and scheduling, "Job registration".

use std::sync::Arc;

use imbl::Vector;
use nomad_core::JobKey;
use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, JobStatus};

use super::{ApplyError, Reply, eval, job_status, summary};
use crate::command::{
    DEFAULT_TRACKED_VERSIONS, JobDelete, JobDeregister, JobRegister, JobStability,
    JobVersionTagUpdate, MAX_SCALING_EVENTS, PeriodicLaunches, ScalingEventRegister,
};
use crate::table::Table;
use crate::tables::Txn;

pub(super) fn register(txn: &mut Txn, command: &JobRegister) -> Result<Reply, ApplyError> {
    let key = command.job.key();
    let old = txn.tables.jobs.get(&key).cloned();
    if let Some(expected) = command.enforce_index {
        enforce_index(expected, old.as_deref())?;
    }
    let mut job = command.job.clone();
    if let Some(old) = &old {
        carry_over(&mut job, old, command);
        if !old.spec_changed(&job) {
            upsert_eval(txn, command.eval.as_ref(), old)?;
            return Ok(Reply::JobRegistered {
                version: old.version,
                job_modify_index: old.modify_index,
                changed: false,
            });
        }
    }
    job.submit_time = command.now;
    // Whether a version is stable is found by its deployment, not said by who submits it.
    job.stable = false;
    let job = insert_version(txn, job, old.as_deref(), command.tracked_versions);
    if let Some(submission) = &command.submission {
        let mut submission = submission.clone();
        submission.namespace = job.namespace.to_string();
        submission.job_id = job.id.to_string();
        submission.version = job.version;
        submission.job_modify_index = txn.index;
        txn.tables
            .job_submissions
            .insert((key.clone(), job.version), Arc::new(submission));
        txn.touch(Table::JobSubmissions);
    }
    if job.is_periodic() && !txn.tables.periodic_launches.contains_key(&key) {
        txn.tables
            .periodic_launches
            .insert(key.clone(), command.now);
        txn.touch(Table::PeriodicLaunches);
    }
    upsert_eval(txn, command.eval.as_ref(), &job)?;
    job_status::refresh(txn, &key, None);
    Ok(Reply::JobRegistered {
        version: job.version,
        job_modify_index: job.job_modify_index,
        changed: true,
    })
}

fn enforce_index(expected: u64, old: Option<&Job>) -> Result<(), ApplyError> {
    let refuse = |reason: String| Err(ApplyError::EnforceIndex { expected, reason });
    match (expected, old) {
        (0, Some(_)) => refuse("job already exists".to_owned()),
        (0, None) => Ok(()),
        (_, None) => refuse("job does not exist".to_owned()),
        (_, Some(old)) if old.job_modify_index != expected => refuse(format!(
            "job exists with conflicting job modify index: {}",
            old.job_modify_index
        )),
        _ => Ok(()),
    }
}

/// What a new submission takes over from the stored job.
fn carry_over(job: &mut Job, old: &Job, command: &JobRegister) {
    for group in &mut job.task_groups {
        let Some(old_group) = old.group(&group.name) else {
            continue;
        };
        if command.preserve_counts {
            group.count = old_group.count;
        }
        if command.preserve_resources {
            for task in &mut group.tasks {
                if let Some(old_task) = old_group.task(&task.name) {
                    task.resources = old_task.resources.clone();
                }
            }
        }
        if let (Some(policy), Some(old_policy)) = (&mut group.scaling, &old_group.scaling)
            && policy.kind == old_policy.kind
        {
            policy.id = old_policy.id.clone();
            policy.create_index = old_policy.create_index;
            policy.modify_index = old_policy.modify_index;
        }
        for task in &mut group.tasks {
            let old_policies = old_group
                .task(&task.name)
                .map_or(&[][..], |task| &task.scaling_policies);
            for policy in &mut task.scaling_policies {
                if let Some(old_policy) = old_policies.iter().find(|old| old.kind == policy.kind) {
                    policy.id = old_policy.id.clone();
                    policy.create_index = old_policy.create_index;
                    policy.modify_index = old_policy.modify_index;
                }
            }
        }
    }
}

/// Stores a job as the newest version.
pub(super) fn insert_version(
    txn: &mut Txn,
    mut job: Job,
    old: Option<&Job>,
    tracked: usize,
) -> Arc<Job> {
    let key = job.key();
    job.status = old.map_or(JobStatus::Pending, |old| old.status);
    job.status_description = String::new();
    job.modify_index = txn.index;
    job.job_modify_index = txn.index;
    match old {
        Some(old) => {
            job.create_index = old.create_index;
            if job.version <= old.version {
                job.version = old.version + 1;
            }
        }
        None => {
            job.create_index = txn.index;
            if !job.parent_id.is_empty() {
                let parent = JobKey::new(job.namespace.clone(), job.parent_id.clone());
                summary::child_changed(txn, &parent, None, Some(job.status));
            }
        }
    }
    put_scaling_policies(txn, &mut job);
    let job = Arc::new(job);
    let versions = txn.tables.job_versions.entry(key.clone()).or_default();
    versions.push_front(Arc::clone(&job));
    let dropped = prune(
        versions,
        if tracked == 0 {
            DEFAULT_TRACKED_VERSIONS
        } else {
            tracked
        },
    );
    for version in dropped {
        txn.tables.job_submissions.remove(&(key.clone(), version));
    }
    txn.touch(Table::JobVersions);
    txn.put_job(Arc::clone(&job));
    summary::ensure(txn, &job);
    job
}

/// Drops the oldest untagged versions above the limit, but never the newest stable one; gives their numbers.
fn prune(versions: &mut Vector<Arc<Job>>, tracked: usize) -> Vec<u64> {
    let mut dropped = Vec::new();
    let newest_stable = versions
        .iter()
        .find(|job| job.stable)
        .map(|job| job.version);
    loop {
        let untagged = versions
            .iter()
            .filter(|job| job.version_tag.is_none())
            .count();
        if untagged <= tracked {
            return dropped;
        }
        let oldest = versions
            .iter()
            .rposition(|job| job.version_tag.is_none() && Some(job.version) != newest_stable);
        let Some(oldest) = oldest else { return dropped };
        dropped.push(versions.remove(oldest).version);
    }
}

fn put_scaling_policies(txn: &mut Txn, job: &mut Job) {
    let (namespace, id) = (job.namespace.clone(), job.id.clone());
    let index = txn.index;
    let mut kept = Vec::new();
    for group in &mut job.task_groups {
        let mut policies: Vec<_> = group.scaling.iter_mut().collect();
        policies.extend(
            group
                .tasks
                .iter_mut()
                .flat_map(|task| &mut task.scaling_policies),
        );
        for policy in policies {
            let stored = txn.tables.scaling_policies.get(&policy.id);
            let same = stored.is_some_and(|old| **old == *policy);
            if !same {
                policy.create_index = stored.map_or(index, |old| old.create_index);
                policy.modify_index = index;
                txn.tables
                    .scaling_policies
                    .insert(policy.id.clone(), Arc::new(policy.clone()));
            }
            kept.push(policy.id.clone());
        }
    }
    let belongs = |target: &nomad_core::job::StringMap| {
        target.get("Job").is_some_and(|job| *job == *id.as_str())
            && target
                .get("Namespace")
                .is_some_and(|ns| *ns == *namespace.as_str())
    };
    let gone: Vec<String> = txn
        .tables
        .scaling_policies
        .iter()
        .filter(|(id, policy)| !kept.contains(id) && belongs(&policy.target))
        .map(|(id, _)| id.clone())
        .collect();
    if kept.is_empty() && gone.is_empty() {
        return;
    }
    for id in gone {
        txn.tables.scaling_policies.remove(&id);
    }
    txn.touch(Table::ScalingPolicies);
}

fn upsert_eval(txn: &mut Txn, eval: Option<&Evaluation>, job: &Job) -> Result<(), ApplyError> {
    let Some(eval) = eval else { return Ok(()) };
    let mut eval = eval.clone();
    eval.job_modify_index = job.job_modify_index;
    eval::upsert_all(txn, &[eval])
}

pub(super) fn deregister(txn: &mut Txn, command: &JobDeregister) -> Result<(), ApplyError> {
    let key = &command.key;
    let Some(old) = txn.tables.jobs.get(key).cloned() else {
        // Stopping what is not there is no error: its evaluation cleans up what may be left.
        return command.eval.as_ref().map_or(Ok(()), |eval| {
            eval::upsert_all(txn, std::slice::from_ref(eval))
        });
    };
    if command.no_shutdown_delay {
        let running: Vec<_> = txn
            .tables
            .allocs_by_job
            .get(key)
            .into_iter()
            .flat_map(|allocs| allocs.values())
            .filter(|alloc| !alloc.terminal())
            .cloned()
            .collect();
        for alloc in running {
            let mut alloc = nomad_core::alloc::Allocation::clone(&alloc);
            alloc.desired_transition.no_shutdown_delay = Some(true);
            alloc.modify_index = txn.index;
            txn.put_alloc(alloc);
        }
    }
    if command.purge {
        forget(txn, key);
        return command.eval.as_ref().map_or(Ok(()), |eval| {
            eval::upsert_all(txn, std::slice::from_ref(eval))
        });
    }
    let mut job = Job::clone(&old);
    job.stop = true;
    job.version_tag = None;
    for group in &mut job.task_groups {
        if let Some(policy) = &mut group.scaling {
            policy.enabled = false;
        }
    }
    job.submit_time = command.now;
    let job = insert_version(txn, job, Some(&old), 0);
    txn.tables.periodic_launches.remove(key);
    upsert_eval(txn, command.eval.as_ref(), &job)?;
    job_status::refresh(txn, key, None);
    Ok(())
}

/// Removes a job and everything that is only its own; allocations stay until they are collected.
fn forget(txn: &mut Txn, key: &JobKey) {
    let Some(old) = txn.remove_job(key) else {
        return;
    };
    txn.tables.job_versions.remove(key);
    txn.touch(Table::JobVersions);
    let submissions: Vec<_> = txn
        .tables
        .job_submissions
        .keys()
        .filter(|(job, _)| job == key)
        .cloned()
        .collect();
    for submission in submissions {
        txn.tables.job_submissions.remove(&submission);
    }
    if txn.tables.job_summaries.remove(key).is_some() {
        txn.touch(Table::JobSummaries);
        txn.changes.summaries.push(key.clone());
    }
    txn.tables.scaling_events.remove(key);
    txn.tables.periodic_launches.remove(key);
    put_scaling_policies(
        txn,
        &mut Job {
            namespace: key.namespace.clone(),
            id: key.id.clone(),
            ..Job::default()
        },
    );
    if !old.parent_id.is_empty() {
        let parent = JobKey::new(old.namespace.clone(), old.parent_id.clone());
        summary::child_changed(txn, &parent, Some(old.status), None);
    }
    let open: Vec<Evaluation> = txn
        .tables
        .evals_by_job
        .get(key)
        .into_iter()
        .flat_map(|evals| evals.values())
        .filter(|eval| !eval.terminal())
        .map(|eval| Evaluation::clone(eval))
        .collect();
    for mut eval in open {
        eval.status = nomad_core::eval::EvalStatus::Complete;
        eval.status_description = format!("job {} deleted", key.id);
        eval.modify_index = txn.index;
        txn.put_eval(eval);
    }
}

pub(super) fn delete(txn: &mut Txn, command: &JobDelete) -> Result<(), ApplyError> {
    for key in &command.keys {
        forget(txn, key);
    }
    Ok(())
}

pub(super) fn stability(txn: &mut Txn, command: &JobStability) -> Result<(), ApplyError> {
    mark_stable(txn, &command.key, command.version, command.stable)
}

/// Marks a job version as stable or not.
pub(super) fn mark_stable(
    txn: &mut Txn,
    key: &JobKey,
    version: u64,
    stable: bool,
) -> Result<(), ApplyError> {
    edit_version(txn, key, version, |job| job.stable = stable)
}

pub(super) fn version_tag(txn: &mut Txn, command: &JobVersionTagUpdate) -> Result<(), ApplyError> {
    let key = &command.key;
    let versions = txn
        .tables
        .job_versions
        .get(key)
        .ok_or_else(|| ApplyError::JobNotFound { key: key.clone() })?;
    let tagged = versions
        .iter()
        .find(|job| {
            job.version_tag
                .as_ref()
                .is_some_and(|tag| tag.name == command.name)
        })
        .map(|job| job.version);
    match (&command.tag, tagged) {
        (Some(_), Some(other)) if other != command.version => Err(ApplyError::Refused {
            reason: format!(
                "tag {:?} already exists on a different version of job {:?}",
                command.name, key.id
            ),
        }),
        (Some(tag), _) => edit_version(txn, key, command.version, |job| {
            job.version_tag = Some(tag.clone())
        }),
        (None, Some(version)) => edit_version(txn, key, version, |job| job.version_tag = None),
        (None, None) => Err(ApplyError::Refused {
            reason: format!("tag {:?} not found on job {:?}", command.name, key.id),
        }),
    }
}

/// Changes one kept version, and the job's newest row if it is that version.
fn edit_version(
    txn: &mut Txn,
    key: &JobKey,
    version: u64,
    edit: impl FnOnce(&mut Job),
) -> Result<(), ApplyError> {
    let missing = || ApplyError::JobVersionNotFound {
        key: key.clone(),
        version,
    };
    let index = txn.index;
    let versions = txn.tables.job_versions.get_mut(key).ok_or_else(missing)?;
    let at = versions
        .iter()
        .position(|job| job.version == version)
        .ok_or_else(missing)?;
    let mut job = Job::clone(&versions[at]);
    edit(&mut job);
    job.modify_index = index;
    let newest = txn
        .tables
        .jobs
        .get(key)
        .is_some_and(|newest| newest.version == version);
    if newest {
        job_status::replace_newest(txn, job);
    } else {
        versions.set(at, Arc::new(job));
        txn.touch(Table::JobVersions);
    }
    Ok(())
}

pub(super) fn periodic_launches(
    txn: &mut Txn,
    command: &PeriodicLaunches,
) -> Result<(), ApplyError> {
    for (key, at) in &command.launches {
        txn.tables.periodic_launches.insert(key.clone(), *at);
    }
    txn.touch(Table::PeriodicLaunches);
    Ok(())
}

pub(super) fn scaling_event(
    txn: &mut Txn,
    command: &ScalingEventRegister,
) -> Result<(), ApplyError> {
    let mut event = command.event.clone();
    event.create_index = txn.index;
    let groups = txn
        .tables
        .scaling_events
        .entry(command.key.clone())
        .or_default();
    let events = groups.entry(command.group.clone()).or_default();
    events.push_front(Arc::new(event));
    events.truncate(MAX_SCALING_EVENTS);
    txn.touch(Table::ScalingEvents);
    Ok(())
}
