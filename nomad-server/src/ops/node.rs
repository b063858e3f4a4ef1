//! Eligibility, drains, and the end of nodes.
//!
//! Source: servers and scheduling reference, "Eligibility and drain"; HTTP API reference, "Nodes".

use std::sync::Arc;

use nomad_core::eval::Evaluation;
use nomad_core::job::StringMap;
use nomad_core::node::{DrainMetadata, DrainStrategy, Eligibility, Node, NodeEvent};
use nomad_core::view::ClusterView as _;
use nomad_core::{EvalId, Nanos, NodeId, Timestamp};
use nomad_state::command::{EvalUpsert, NodeDeregister, NodeDrainUpdate, NodeEligibilityUpdate};

use crate::error::ServerError;
use crate::node::evals;
use crate::server::Server;

/// What a drain is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainSpec {
    /// Span after which what is left is stopped; negative is at once, 0 is never.
    pub deadline: Nanos,
    pub ignore_system_jobs: bool,
}

/// A drain to be set, changed or taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainNode {
    /// Absent: the drain is taken back.
    pub spec: Option<DrainSpec>,
    /// With no spec: new work may come at once.
    pub mark_eligible: bool,
    pub meta: StringMap,
    /// Who asked, or "".
    pub accessor_id: String,
}

/// What became of a write about a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeReply {
    pub node_modify_index: u64,
    pub eval_ids: Vec<EvalId>,
    /// 0 where there are no evaluations.
    pub eval_create_index: u64,
    pub index: u64,
}

impl NodeReply {
    fn new(index: u64, eval_ids: Vec<EvalId>) -> Self {
        let eval_create_index = if eval_ids.is_empty() { 0 } else { index };
        Self {
            node_modify_index: index,
            eval_ids,
            eval_create_index,
            index,
        }
    }
}

impl Server {
    /// Allows or forbids new work on a node.
    pub async fn set_eligibility(
        &self,
        id: NodeId,
        eligibility: Eligibility,
    ) -> Result<NodeReply, ServerError> {
        let node = self.node_or_error(id)?;
        if node.scheduling_eligibility == eligibility {
            self.inner.wait_for_leader().await?;
            return Ok(NodeReply::default());
        }
        let now = self.inner.clock.now();
        let message = format!("Node marked as {eligibility} for scheduling");
        let evals = match eligibility {
            Eligibility::Eligible => self.evals_for(&node, now),
            Eligibility::Ineligible => Vec::new(),
        };
        let eval_ids = evals.iter().map(|eval| eval.id).collect();
        let command = NodeEligibilityUpdate {
            id,
            eligibility: Some(eligibility),
            event: Some(event("Cluster", message, now)),
            evals,
            now,
        };
        Ok(NodeReply::new(self.write(command).await?.index, eval_ids))
    }

    /// Sets, changes or takes back a drain.
    pub async fn drain_node(
        &self,
        id: NodeId,
        request: DrainNode,
    ) -> Result<NodeReply, ServerError> {
        let node = self.node_or_error(id)?;
        let now = self.inner.clock.now();
        let strategy = request.spec.map(|spec| strategy(&node, spec, now));
        let message = match (&strategy, &node.drain_strategy) {
            (Some(_), None) => "Node drain strategy set",
            (Some(_), Some(_)) => "Node drain strategy updated",
            (None, _) => "Node drain disabled",
        };
        let last_drain = last_drain(&node, strategy.as_ref(), &request, now);
        let evals = if strategy.is_none() && request.mark_eligible {
            self.evals_for(&node, now)
        } else {
            Vec::new()
        };
        let eval_ids = evals.iter().map(|eval| eval.id).collect();
        let command = NodeDrainUpdate {
            id,
            strategy,
            mark_eligible: request.mark_eligible,
            last_drain,
            event: Some(event("Drain", message.to_owned(), now)),
            evals,
            now,
        };
        Ok(NodeReply::new(self.write(command).await?.index, eval_ids))
    }

    /// Lets the scheduler look at all jobs of a node again.
    pub async fn evaluate_node(&self, id: NodeId) -> Result<NodeReply, ServerError> {
        let node = self.node_or_error(id)?;
        let now = self.inner.clock.now();
        let evals = self.evals_for(&node, now);
        let eval_ids: Vec<_> = evals.iter().map(|eval| eval.id).collect();
        let index = if evals.is_empty() {
            self.inner.wait_for_leader().await?;
            self.state().last_index()
        } else {
            self.write(EvalUpsert { evals, now }).await?.index
        };
        let reply = NodeReply::new(index, eval_ids);
        Ok(NodeReply {
            node_modify_index: node.modify_index,
            ..reply
        })
    }

    /// Forgets a node; what ran there is lost.
    pub async fn purge_node(&self, id: NodeId) -> Result<NodeReply, ServerError> {
        let node = self.node_or_error(id)?;
        let now = self.inner.clock.now();
        let evals = self.evals_for(&node, now);
        let removed = self.write(NodeDeregister { ids: vec![id] }).await?.index;
        if let Some(stream) = self.inner.sessions.get(id) {
            // A node that still lives registers again.
            stream.closed.cancel();
        }
        let eval_ids: Vec<_> = evals.iter().map(|eval| eval.id).collect();
        let index = if evals.is_empty() {
            removed
        } else {
            self.write(EvalUpsert { evals, now }).await?.index
        };
        Ok(NodeReply {
            node_modify_index: removed,
            ..NodeReply::new(index, eval_ids)
        })
    }

    fn node_or_error(&self, id: NodeId) -> Result<Arc<Node>, ServerError> {
        self.state()
            .node(id)
            .cloned()
            .ok_or_else(|| ServerError::refused("node not found"))
    }

    fn evals_for(&self, node: &Node, now: Timestamp) -> Vec<Evaluation> {
        evals::for_node(&self.state(), node, now, || self.inner.ids.fresh())
    }
}

fn strategy(node: &Node, spec: DrainSpec, now: Timestamp) -> DrainStrategy {
    let started_at = node
        .drain_strategy
        .as_ref()
        .map_or(now, |drain| drain.started_at);
    DrainStrategy {
        deadline: spec.deadline,
        ignore_system_jobs: spec.ignore_system_jobs,
        force_deadline: match spec.deadline.0 {
            0 => Timestamp::ZERO,
            span if span < 0 => now,
            _ => now + spec.deadline,
        },
        started_at,
    }
}

fn last_drain(
    node: &Node,
    strategy: Option<&DrainStrategy>,
    request: &DrainNode,
    now: Timestamp,
) -> Option<DrainMetadata> {
    let accessor_id = match request.accessor_id.as_str() {
        "" => String::new(),
        accessor => format!("token:{accessor}"),
    };
    match strategy {
        Some(strategy) => Some(DrainMetadata {
            started_at: strategy.started_at,
            updated_at: now,
            status: "draining".to_owned(),
            accessor_id,
            meta: request.meta.clone(),
        }),
        // Nothing is cancelled where nothing went on.
        None => node.drain_strategy.as_ref().map(|strategy| DrainMetadata {
            started_at: strategy.started_at,
            updated_at: now,
            status: "canceled".to_owned(),
            accessor_id,
            meta: request.meta.clone(),
        }),
    }
}

pub(crate) fn event(subsystem: &str, message: String, now: Timestamp) -> NodeEvent {
    NodeEvent {
        message,
        subsystem: subsystem.to_owned(),
        timestamp: now,
        ..NodeEvent::default()
    }
}
