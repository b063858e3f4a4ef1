//! Commands about nodes.

use nomad_core::NodeId;
use nomad_core::node::{Eligibility, MAX_NODE_EVENTS, Node, NodeEvent, NodeStatus};

use super::{ApplyError, eval};
use crate::command::{
    NodeDeregister, NodeDrainUpdate, NodeEligibilityUpdate, NodeEventsUpsert, NodeRegister,
    NodeStatusUpdate,
};
use crate::tables::Txn;

const REGISTERED: &str = "Node registered";
const REREGISTERED: &str = "Node re-registered";

pub(super) fn register(txn: &mut Txn, command: &NodeRegister) -> Result<(), ApplyError> {
    let mut node = command.node.clone();
    if node.node_pool.is_empty() {
        nomad_core::node::DEFAULT_NODE_POOL.clone_into(&mut node.node_pool);
    }
    let event = |message: &str| NodeEvent {
        message: message.to_owned(),
        subsystem: "Cluster".to_owned(),
        timestamp: command.now,
        ..NodeEvent::default()
    };
    match txn.tables.nodes.get(&node.id) {
        Some(old) => {
            node.create_index = old.create_index;
            node.status = old.status;
            node.status_description = old.status_description.clone();
            node.status_updated_at = old.status_updated_at;
            node.scheduling_eligibility = old.scheduling_eligibility;
            node.drain_strategy = old.drain_strategy.clone();
            node.last_drain = old.last_drain.clone();
            node.events = old.events.clone();
            node.last_missed_heartbeat_index = old.last_missed_heartbeat_index;
            node.last_alloc_update_index = old.last_alloc_update_index;
            if old.is_down() {
                push_event(&mut node, event(REREGISTERED), txn.index);
            }
        }
        None => {
            node.create_index = txn.index;
            node.status_updated_at = command.now.as_secs();
            node.events = vec![event(REGISTERED)];
        }
    }
    node.modify_index = txn.index;
    super::config::ensure_node_pool(txn, &node.node_pool);
    txn.put_node(node);
    Ok(())
}

pub(super) fn deregister(txn: &mut Txn, command: &NodeDeregister) -> Result<(), ApplyError> {
    for id in &command.ids {
        txn.remove_node(*id)
            .ok_or(ApplyError::NodeNotFound { id: *id })?;
    }
    Ok(())
}

pub(super) fn status(txn: &mut Txn, command: &NodeStatusUpdate) -> Result<(), ApplyError> {
    let index = txn.index;
    change(txn, command.id, |node| {
        if command.status == NodeStatus::Down || command.status == NodeStatus::Disconnected {
            node.last_missed_heartbeat_index = index;
        }
        node.status = command.status;
        node.status_description = command.description.clone();
        node.status_updated_at = command.now.as_secs();
        if let Some(event) = &command.event {
            push_event(node, event.clone(), index);
        }
    })?;
    eval::upsert_all(txn, &command.evals)
}

pub(super) fn eligibility(
    txn: &mut Txn,
    command: &NodeEligibilityUpdate,
) -> Result<(), ApplyError> {
    let index = txn.index;
    let wanted = command.eligibility.unwrap_or_default();
    let node = txn
        .tables
        .nodes
        .get(&command.id)
        .ok_or(ApplyError::NodeNotFound { id: command.id })?;
    if wanted == Eligibility::Eligible && node.drain_strategy.is_some() {
        return Err(ApplyError::Refused {
            reason: "can not set node's scheduling eligibility to eligible while it is draining"
                .to_owned(),
        });
    }
    change(txn, command.id, |node| {
        node.scheduling_eligibility = wanted;
        node.status_updated_at = command.now.as_secs();
        if let Some(event) = &command.event {
            push_event(node, event.clone(), index);
        }
    })?;
    eval::upsert_all(txn, &command.evals)
}

pub(super) fn drain(txn: &mut Txn, command: &NodeDrainUpdate) -> Result<(), ApplyError> {
    let index = txn.index;
    change(txn, command.id, |node| {
        node.drain_strategy = command.strategy.clone();
        if command.strategy.is_some() {
            node.scheduling_eligibility = Eligibility::Ineligible;
        } else if command.mark_eligible {
            node.scheduling_eligibility = Eligibility::Eligible;
        }
        if command.last_drain.is_some() {
            node.last_drain = command.last_drain.clone();
        }
        node.status_updated_at = command.now.as_secs();
        if let Some(event) = &command.event {
            push_event(node, event.clone(), index);
        }
    })?;
    eval::upsert_all(txn, &command.evals)
}

pub(super) fn events(txn: &mut Txn, command: &NodeEventsUpsert) -> Result<(), ApplyError> {
    let index = txn.index;
    for (id, events) in &command.events {
        // A node may be gone by the time its events arrive; they go with it.
        let _ = change(txn, *id, |node| {
            for event in events {
                push_event(node, event.clone(), index);
            }
        });
    }
    Ok(())
}

/// Changes a node's row.
pub(super) fn change(
    txn: &mut Txn,
    id: NodeId,
    edit: impl FnOnce(&mut Node),
) -> Result<(), ApplyError> {
    let old = txn
        .tables
        .nodes
        .get(&id)
        .ok_or(ApplyError::NodeNotFound { id })?;
    let mut node = Node::clone(old);
    edit(&mut node);
    node.modify_index = txn.index;
    txn.put_node(node);
    Ok(())
}

fn push_event(node: &mut Node, mut event: NodeEvent, index: u64) {
    event.create_index = index;
    node.events.push(event);
    if node.events.len() > MAX_NODE_EVENTS {
        node.events.remove(0);
    }
}
