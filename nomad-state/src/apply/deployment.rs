//! Deployments: commands about them, and the counters that follow their allocations.
//!
//! Source: servers and scheduling reference, "Deployments".

use nomad_core::alloc::{AllocDeploymentStatus, Allocation};
use nomad_core::deployment::{Deployment, DeploymentStatus, DeploymentStatusUpdate};
use nomad_core::{AllocId, DeploymentId, Timestamp};

use super::{ApplyError, eval, job, job_status};
use crate::command::{
    DeploymentAllocHealth, DeploymentDelete, DeploymentPromote, DeploymentStatusChange, progress_by,
};
use crate::tables::Txn;

/// Creates a deployment, or takes over a scheduler's changes to one without losing counters.
pub(super) fn upsert(txn: &mut Txn, mut deployment: Deployment, now: Timestamp) {
    match txn.tables.deployments.get(&deployment.id) {
        Some(old) => {
            deployment.create_index = old.create_index;
            deployment.create_time = old.create_time;
            for (name, group) in &mut deployment.task_groups {
                if let Some(old) = old.task_groups.get(name) {
                    group.healthy_allocs = old.healthy_allocs;
                    group.unhealthy_allocs = old.unhealthy_allocs;
                    group.placed_allocs = old.placed_allocs;
                    group.require_progress_by = old.require_progress_by;
                    group.promoted |= old.promoted;
                    if group.placed_canaries.is_empty() {
                        group.placed_canaries = old.placed_canaries.clone();
                    }
                }
            }
        }
        None => {
            deployment.create_index = txn.index;
            if deployment.create_time.is_zero() {
                deployment.create_time = now;
            }
        }
    }
    deployment.modify_index = txn.index;
    deployment.modify_time = now;
    let key = deployment.job_key();
    txn.put_deployment(deployment);
    job_status::refresh(txn, &key, None);
}

/// Changes the status; a success makes the job version stable.
pub(super) fn set_status(txn: &mut Txn, update: &DeploymentStatusUpdate, now: Timestamp) {
    let mut job = None;
    edit(txn, update.deployment_id, now, |deployment| {
        deployment.status = update.status;
        deployment.status_description = update.status_description.clone();
        job = Some((deployment.job_key(), deployment.job_version));
    });
    let Some((key, version)) = job else { return };
    if update.status == DeploymentStatus::Successful {
        // The version may have been pruned; then nothing is left to mark.
        let _ = job::mark_stable(txn, &key, version, true);
    }
    job_status::refresh(txn, &key, None);
}

pub(super) fn status_change(
    txn: &mut Txn,
    command: &DeploymentStatusChange,
) -> Result<(), ApplyError> {
    active(txn, command.update.deployment_id)?;
    let was_paused = txn
        .tables
        .deployments
        .get(&command.update.deployment_id)
        .is_some_and(|deployment| deployment.status == DeploymentStatus::Paused);
    set_status(txn, &command.update, command.now);
    if was_paused && command.update.status == DeploymentStatus::Running {
        edit(
            txn,
            command.update.deployment_id,
            command.now,
            |deployment| restart_clocks(deployment, command.now),
        );
    }
    revert_and_evaluate(
        txn,
        command.job.as_ref(),
        command.eval.as_ref(),
        command.now,
    )
}

/// Stores the job to revert to, and the evaluation that follows.
fn revert_and_evaluate(
    txn: &mut Txn,
    job: Option<&nomad_core::job::Job>,
    eval: Option<&nomad_core::eval::Evaluation>,
    now: Timestamp,
) -> Result<(), ApplyError> {
    if let Some(job) = job {
        let old = txn.tables.jobs.get(&job.key()).cloned();
        let mut job = job.clone();
        job.submit_time = now;
        job.stable = false;
        job::insert_version(txn, job, old.as_deref(), 0);
    }
    if let Some(eval) = eval {
        let mut eval = eval.clone();
        if let Some(job) = txn.tables.jobs.get(&eval.job_key()) {
            eval.job_modify_index = job.job_modify_index;
        }
        eval::upsert_all(txn, &[eval])?;
    }
    Ok(())
}

/// Progress is measured from now on.
fn restart_clocks(deployment: &mut Deployment, now: Timestamp) {
    for group in deployment.task_groups.values_mut() {
        if !group.require_progress_by.is_zero() {
            group.require_progress_by = progress_by(now, group.progress_deadline);
        }
    }
}

pub(super) fn promote(txn: &mut Txn, command: &DeploymentPromote) -> Result<(), ApplyError> {
    active(txn, command.id)?;
    let deployment = txn.tables.deployments[&command.id].clone();
    let selected = |name: &String| {
        command
            .groups
            .as_ref()
            .is_none_or(|groups| groups.contains(name))
    };
    let canaries: Vec<_> = txn
        .tables
        .allocs_by_deployment
        .get(&command.id)
        .into_iter()
        .flatten()
        .filter_map(|id| txn.tables.allocs.get(id).cloned())
        .filter(|alloc| alloc.is_canary() && selected(&alloc.task_group))
        .collect();
    let mut reasons = Vec::new();
    for (name, group) in deployment
        .task_groups
        .iter()
        .filter(|(name, _)| selected(name))
    {
        let healthy = canaries
            .iter()
            .filter(|alloc| alloc.task_group == *name && alloc.is_healthy() && !alloc.terminal())
            .count() as i64;
        if healthy < group.desired_canaries {
            reasons.push(format!(
                "Task group {name:?} has {healthy}/{} healthy allocations",
                group.desired_canaries
            ));
        }
    }
    if !reasons.is_empty() {
        return Err(ApplyError::NotPromotable { reasons });
    }
    edit(txn, command.id, command.now, |deployment| {
        for (_, group) in deployment
            .task_groups
            .iter_mut()
            .filter(|(name, _)| selected(name))
        {
            group.promoted = true;
            if !group.require_progress_by.is_zero() {
                group.require_progress_by = progress_by(command.now, group.progress_deadline);
            }
        }
        if !deployment.requires_promotion() {
            "Deployment is running".clone_into(&mut deployment.status_description);
        }
    });
    for alloc in canaries.iter().filter(|alloc| alloc.is_healthy()) {
        let mut alloc = Allocation::clone(alloc);
        if let Some(status) = &mut alloc.deployment_status {
            status.canary = false;
            status.modify_index = txn.index;
        }
        alloc.modify_index = txn.index;
        alloc.alloc_modify_index = txn.index;
        txn.put_alloc(alloc);
    }
    revert_and_evaluate(txn, None, command.eval.as_ref(), command.now)
}

pub(super) fn alloc_health(
    txn: &mut Txn,
    command: &DeploymentAllocHealth,
) -> Result<(), ApplyError> {
    active(txn, command.id)?;
    for id in command.healthy.iter().chain(&command.unhealthy) {
        let alloc = txn
            .tables
            .allocs
            .get(id)
            .ok_or(ApplyError::AllocNotFound { id: *id })?;
        if alloc.deployment_id != Some(command.id) {
            return Err(ApplyError::Refused {
                reason: format!(
                    "alloc {:?} is not part of deployment {:?}",
                    id.to_string(),
                    command.id.to_string()
                ),
            });
        }
    }
    for id in &command.healthy {
        set_health(txn, *id, true, command.now);
    }
    for id in &command.unhealthy {
        set_health(txn, *id, false, command.now);
    }
    if let Some(update) = &command.update {
        set_status(txn, update, command.now);
    }
    revert_and_evaluate(
        txn,
        command.job.as_ref(),
        command.eval.as_ref(),
        command.now,
    )
}

fn set_health(txn: &mut Txn, id: AllocId, healthy: bool, now: Timestamp) {
    let Some(old) = txn.tables.allocs.get(&id).cloned() else {
        return;
    };
    let mut alloc = Allocation::clone(&old);
    let canary = alloc.is_canary();
    alloc.deployment_status = Some(AllocDeploymentStatus {
        healthy: Some(healthy),
        timestamp: now,
        canary,
        modify_index: txn.index,
    });
    alloc.modify_index = txn.index;
    txn.put_alloc(alloc.clone());
    alloc_changed(txn, Some(&old), &alloc);
}

pub(super) fn delete(txn: &mut Txn, command: &DeploymentDelete) -> Result<(), ApplyError> {
    for id in &command.ids {
        txn.remove_deployment(*id);
    }
    Ok(())
}

/// Follows one write of an allocation in its deployment's counters.
pub(super) fn alloc_changed(txn: &mut Txn, old: Option<&Allocation>, new: &Allocation) {
    let Some(id) = new.deployment_id else { return };
    let joined = old.is_none_or(|old| old.deployment_id != Some(id));
    let health = |alloc: &Allocation| {
        alloc
            .deployment_status
            .as_ref()
            .and_then(|status| status.healthy)
    };
    let before = if joined { None } else { old.and_then(health) };
    let after = health(new);
    let new_canary = joined && new.is_canary();
    if !joined && before == after {
        return;
    }
    let health_time = new
        .deployment_status
        .as_ref()
        .map(|status| status.timestamp)
        .unwrap_or_default();
    edit(txn, id, new.modify_time, |deployment| {
        let Some(group) = deployment.task_groups.get_mut(&new.task_group) else {
            return;
        };
        if joined {
            group.placed_allocs += 1;
            if group.require_progress_by.is_zero() {
                group.require_progress_by = progress_by(new.modify_time, group.progress_deadline);
            }
        }
        if new_canary && !group.placed_canaries.contains(&new.id) {
            group.placed_canaries.push(new.id);
        }
        match before {
            Some(true) => group.healthy_allocs -= 1,
            Some(false) => group.unhealthy_allocs -= 1,
            None => {}
        }
        match after {
            Some(true) => {
                group.healthy_allocs += 1;
                let by = progress_by(health_time, group.progress_deadline);
                group.require_progress_by = group.require_progress_by.max(by);
            }
            Some(false) => group.unhealthy_allocs += 1,
            None => {}
        }
    });
}

fn edit(txn: &mut Txn, id: DeploymentId, now: Timestamp, change: impl FnOnce(&mut Deployment)) {
    let Some(old) = txn.tables.deployments.get(&id) else {
        return;
    };
    let mut deployment = Deployment::clone(old);
    change(&mut deployment);
    if deployment == **old {
        return;
    }
    deployment.modify_index = txn.index;
    deployment.modify_time = now;
    txn.put_deployment(deployment);
}

fn active(txn: &Txn, id: DeploymentId) -> Result<(), ApplyError> {
    let deployment = txn
        .tables
        .deployments
        .get(&id)
        .ok_or(ApplyError::DeploymentNotFound { id })?;
    if deployment.active() {
        return Ok(());
    }
    Err(ApplyError::DeploymentTerminal {
        id,
        status: deployment.status.to_string(),
    })
}
