//! Committing plans.
//!
//! Source: servers and scheduling reference, "Commit semantics".

use std::sync::Arc;

use nomad_core::Timestamp;
use nomad_core::alloc::{AllocState, Allocation, ClientStatus, DesiredStatus};
use nomad_core::job::{Job, JobStatus};
use nomad_core::plan::{AllocPreemption, AllocStop};

use super::{ApplyError, alloc, deployment, eval, job_status};
use crate::command::{AppliedPlan, PlanResults};
use crate::tables::Txn;

pub(super) fn results(txn: &mut Txn, command: &PlanResults) -> Result<(), ApplyError> {
    for plan in &command.plans {
        one(txn, plan, command.now)?;
    }
    Ok(())
}

fn one(txn: &mut Txn, plan: &AppliedPlan, now: Timestamp) -> Result<(), ApplyError> {
    let job = plan.job.as_ref().and_then(|wanted| {
        let newest = txn.tables.jobs.get(&wanted.key)?;
        let versions = txn.tables.job_versions.get(&wanted.key);
        let kept =
            versions.and_then(|versions| versions.iter().find(|job| job.version == wanted.version));
        Some((Arc::clone(kept.unwrap_or(newest)), newest.stop))
    });
    if let Some(new) = &plan.deployment {
        deployment::upsert(txn, new.clone(), now);
    }
    for update in &plan.deployment_updates {
        deployment::set_status(txn, update, now);
    }
    for stop in &plan.stops {
        apply_stop(txn, stop, plan, now);
    }
    for preemption in &plan.preemptions {
        preempt(txn, preemption, plan, now);
    }
    let mut placed = false;
    for row in &plan.allocations {
        placed |= place(txn, row, job.as_ref(), now);
    }
    eval::upsert_all(txn, &plan.preemption_evals)?;
    eval::upsert_all(txn, &plan.evals)?;
    if let Some(wanted) = &plan.job {
        job_status::refresh(txn, &wanted.key, placed.then_some(JobStatus::Running));
    }
    Ok(())
}

fn apply_stop(txn: &mut Txn, stop: &AllocStop, plan: &AppliedPlan, now: Timestamp) {
    let Some(old) = txn.tables.allocs.get(&stop.alloc_id).cloned() else {
        return;
    };
    let mut row = Allocation::clone(&old);
    row.desired_status = stop.desired_status;
    row.desired_description = stop.desired_description.clone();
    row.followup_eval_id = stop.followup_eval_id.or(row.followup_eval_id);
    if let Some(status) = stop.client_status
        && status != row.client_status
    {
        set_server_status(&mut row, status, now);
    }
    finish(txn, &old, row, plan, now);
}

fn preempt(txn: &mut Txn, preemption: &AllocPreemption, plan: &AppliedPlan, now: Timestamp) {
    let Some(old) = txn.tables.allocs.get(&preemption.alloc_id).cloned() else {
        return;
    };
    if old.terminal() {
        return;
    }
    let mut row = Allocation::clone(&old);
    row.desired_status = DesiredStatus::Evict;
    row.desired_description = format!("Preempted by alloc ID {}", preemption.preempted_by);
    row.preempted_by_allocation = Some(preemption.preempted_by);
    finish(txn, &old, row, plan, now);
}

fn finish(
    txn: &mut Txn,
    old: &Allocation,
    mut row: Allocation,
    _plan: &AppliedPlan,
    now: Timestamp,
) {
    row.modify_index = txn.index;
    row.alloc_modify_index = txn.index;
    row.modify_time = now;
    alloc::write(txn, Some(old), row);
}

/// Writes a placement or update; whether a new allocation came to be.
fn place(txn: &mut Txn, row: &Allocation, job: Option<&(Arc<Job>, bool)>, now: Timestamp) -> bool {
    let old = txn.tables.allocs.get(&row.id).cloned();
    // A job that was stopped or purged meanwhile gets nothing new.
    let dropped = old.is_none() && job.is_none_or(|(_, stopped)| *stopped);
    if dropped {
        return false;
    }
    let mut row = row.clone();
    if let Some((job, _)) = job {
        row.job = Some(Arc::clone(job));
        row.job_version = job.version;
    } else if let Some(old) = &old {
        row.job = old.job.clone();
        row.job_version = old.job_version;
    }
    row.modify_index = txn.index;
    row.alloc_modify_index = txn.index;
    row.modify_time = now;
    match &old {
        Some(old) => {
            row.create_index = old.create_index;
            row.create_time = old.create_time;
            keep_client_half(&mut row, old, now);
        }
        None => {
            row.create_index = txn.index;
            row.create_time = now;
            if let Some(previous) = row.previous_allocation {
                link_next(txn, previous, &row);
            }
        }
    }
    alloc::write(txn, old.as_deref(), row);
    old.is_none()
}

/// The client's reports win over what the scheduler saw on its snapshot.
fn keep_client_half(row: &mut Allocation, old: &Allocation, now: Timestamp) {
    let wanted = row.client_status;
    row.task_states = old.task_states.clone();
    row.network_status = old.network_status.clone();
    row.client_status = old.client_status;
    row.client_description = old.client_description.clone();
    if alloc::is_server_status(wanted) && wanted != old.client_status {
        row.alloc_states = old.alloc_states.clone();
        set_server_status(row, wanted, now);
    }
    // A new deployment starts with unknown health.
    if row.deployment_id == old.deployment_id && row.deployment_status.is_none() {
        row.deployment_status = old.deployment_status.clone();
    }
}

fn set_server_status(row: &mut Allocation, status: ClientStatus, now: Timestamp) {
    row.client_status = status;
    row.alloc_states.push(AllocState {
        field: 0,
        value: status.as_str().to_owned(),
        time: now,
    });
}

fn link_next(txn: &mut Txn, previous: nomad_core::AllocId, row: &Allocation) {
    let Some(old) = txn.tables.allocs.get(&previous) else {
        return;
    };
    let mut linked = Allocation::clone(old);
    linked.next_allocation = Some(row.id);
    linked.modify_index = txn.index;
    txn.put_alloc(linked);
}
