//! Registration: checks, the row in the state, and the first heartbeat.

use nomad_core::node::{ALL_NODE_POOL, DEFAULT_NODE_POOL, Node, NodeStatus};
use nomad_core::view::ClusterView as _;
use nomad_proto::node::error::Kind;
use nomad_proto::node::{Registered, node_down};
use nomad_state::command::{EvalUpsert, NodeRegister};

use super::{Refusal, Session};
use crate::node::evals;

impl Session {
    /// Writes the node's row if it says anything new, and answers.
    pub(super) async fn register(&mut self, mut node: Node) -> Result<(), Refusal> {
        check(&node)?;
        if node.node_pool.is_empty() {
            DEFAULT_NODE_POOL.clone_into(&mut node.node_pool);
        }
        node.computed_class = nomad_scheduler::computed_class(&node);
        let state = self.inner.store.snapshot();
        let now = self.inner.clock.now();
        let stored = state.node(node.id);
        if stored.is_some_and(|old| old.secret_id != node.secret_id) {
            return Err(Refusal::new(
                Kind::WrongSecret,
                "node secret ID does not match. Not registering node.",
            ));
        }
        let mut index = state.last_index();
        if stored.is_none_or(|old| differs(old, &node)) {
            let evals = match stored {
                Some(old) if old.status != NodeStatus::Ready || matters(old, &node) => {
                    evals::for_node(&state, &node, now, || self.inner.ids.fresh())
                }
                _ => Vec::new(),
            };
            index = self.inner.propose(NodeRegister { node, now }).await?.index;
            if !evals.is_empty() {
                index = self.inner.propose(EvalUpsert { evals, now }).await?.index;
            }
        }
        let heartbeat_ttl_ms = self.beat().await?;
        let registered = Registered {
            index,
            heartbeat_ttl_ms,
            servers: self.inner.server_addresses(),
            region: self.inner.config.region.clone(),
        };
        self.send(node_down::Message::Registered(registered)).await;
        Ok(())
    }
}

fn check(node: &Node) -> Result<(), Refusal> {
    let missing = [
        (
            node.id.0 == nomad_core::Uuid::NIL,
            "missing node ID for client registration",
        ),
        (
            node.datacenter.is_empty(),
            "missing datacenter for client registration",
        ),
        (
            node.name.is_empty(),
            "missing node name for client registration",
        ),
        (
            node.attributes.is_empty(),
            "missing attributes for client registration",
        ),
        (
            node.secret_id.is_empty(),
            "missing node secret ID for client registration",
        ),
    ];
    if let Some((_, message)) = missing.into_iter().find(|(missing, _)| *missing) {
        return Err(Refusal::new(Kind::BadRequest, message));
    }
    let pool = &node.node_pool;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if pool == ALL_NODE_POOL {
        return Err(Refusal::new(
            Kind::BadRequest,
            "node is not allowed to register in node pool \"all\"",
        ));
    }
    if pool.len() > 128 || !pool.chars().all(allowed) {
        return Err(Refusal::new(
            Kind::BadRequest,
            format!("invalid node pool {pool:?}"),
        ));
    }
    Ok(())
}

/// Whether a registration says anything that is not stored.
fn differs(old: &Node, new: &Node) -> bool {
    let mut same = new.clone();
    // What the servers own of a row.
    same.status = old.status;
    same.status_description = old.status_description.clone();
    same.status_updated_at = old.status_updated_at;
    same.scheduling_eligibility = old.scheduling_eligibility;
    same.drain_strategy = old.drain_strategy.clone();
    same.last_drain = old.last_drain.clone();
    same.events = old.events.clone();
    same.last_missed_heartbeat_index = old.last_missed_heartbeat_index;
    same.last_alloc_update_index = old.last_alloc_update_index;
    same.create_index = old.create_index;
    same.modify_index = old.modify_index;
    same != *old || old.is_down()
}

/// Whether a change makes the node's jobs look again. Capacity is not among it: that wakes blocked evaluations.
fn matters(old: &Node, new: &Node) -> bool {
    old.datacenter != new.datacenter
        || old.name != new.name
        || old.node_class != new.node_class
        || old.attributes != new.attributes
        || old.meta != new.meta
        || old.drivers != new.drivers
        || old.host_volumes != new.host_volumes
        || old.node_resources.devices != new.node_resources.devices
}
