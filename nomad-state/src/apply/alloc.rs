//! Commands about allocations that do not come from plans: what clients report, what operators want.

use nomad_core::alloc::{AllocClientUpdate, Allocation, ClientStatus};

use super::{ApplyError, deployment, eval, job_status, node, summary};
use crate::command::{AllocClientUpdates, AllocTransitions};
use crate::tables::Txn;

pub(super) fn client_updates(
    txn: &mut Txn,
    command: &AllocClientUpdates,
) -> Result<(), ApplyError> {
    let mut nodes = Vec::new();
    let mut jobs = Vec::new();
    for update in &command.updates {
        // The row may have been collected while the report was on its way.
        let Some(old) = txn.tables.allocs.get(&update.id).cloned() else {
            continue;
        };
        let mut alloc = Allocation::clone(&old);
        merge(&mut alloc, update, txn.index);
        alloc.modify_time = command.now;
        if !nodes.contains(&alloc.node_id) {
            nodes.push(alloc.node_id);
        }
        let key = alloc.job_key();
        if !jobs.contains(&key) {
            jobs.push(key);
        }
        write(txn, Some(&old), alloc);
    }
    for id in nodes {
        let index = txn.index;
        // The node may be gone already; its allocations' last words still count.
        let _ = node::change(txn, id, |node| node.last_alloc_update_index = index);
    }
    eval::upsert_all(txn, &command.evals)?;
    for key in jobs {
        job_status::refresh(txn, &key, None);
    }
    Ok(())
}

/// Takes over what a client may decide.
fn merge(alloc: &mut Allocation, update: &AllocClientUpdate, index: u64) {
    alloc.client_status = update.client_status;
    alloc.client_description = update.client_description.clone();
    alloc.task_states = update.task_states.clone();
    if update.network_status.is_some() {
        alloc.network_status = update.network_status.clone();
    }
    if let Some(status) = &update.deployment_status {
        let old = alloc.deployment_status.clone().unwrap_or_default();
        let mut new = old.clone();
        new.healthy = status.healthy.or(old.healthy);
        if new.healthy != old.healthy {
            new.timestamp = status.timestamp;
            new.modify_index = index;
        }
        alloc.deployment_status = Some(new);
    }
    alloc.modify_index = index;
}

/// Writes a row, and what follows from it: summary, deployment counters.
pub(super) fn write(txn: &mut Txn, old: Option<&Allocation>, new: Allocation) {
    let new = txn.put_alloc(new);
    summary::alloc_changed(txn, old, &new);
    deployment::alloc_changed(txn, old, &new);
}

pub(super) fn transitions(txn: &mut Txn, command: &AllocTransitions) -> Result<(), ApplyError> {
    for (id, transition) in &command.transitions {
        let Some(old) = txn.tables.allocs.get(id) else {
            continue;
        };
        let mut alloc = Allocation::clone(old);
        alloc.desired_transition.merge(transition);
        alloc.modify_index = txn.index;
        alloc.modify_time = command.now;
        txn.put_alloc(alloc);
    }
    eval::upsert_all(txn, &command.evals)
}

/// Whether a status is the servers' to decide rather than the client's.
pub(super) fn is_server_status(status: ClientStatus) -> bool {
    matches!(status, ClientStatus::Lost | ClientStatus::Unknown)
}
