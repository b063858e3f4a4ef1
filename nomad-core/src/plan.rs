//! Plans: what a scheduler proposes to change, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alloc::{Allocation, ClientStatus, DesiredStatus};
use crate::deployment::{Deployment, DeploymentStatusUpdate};
use crate::ids::{AllocId, EvalId, NodeId};
use crate::job::Job;
use crate::wire;

/// A proposed change of the cluster for one evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    pub eval_id: EvalId,
    pub priority: i32,
    /// Commit whole or not at all.
    pub all_at_once: bool,
    /// The job version that its placements run; absent when the job is gone.
    pub job: Option<Arc<Job>>,
    /// Stops and evictions per node.
    pub node_update: BTreeMap<NodeId, Vec<AllocStop>>,
    /// Placements and in-place updates per node, whole rows.
    pub node_allocation: BTreeMap<NodeId, Vec<Arc<Allocation>>>,
    /// Allocations of less important jobs that make room, per node.
    pub node_preemptions: BTreeMap<NodeId, Vec<AllocPreemption>>,
    /// A deployment to create or replace.
    pub deployment: Option<Deployment>,
    pub deployment_updates: Vec<DeploymentStatusUpdate>,
    pub annotations: Option<Arc<PlanAnnotations>>,
    /// Index of the snapshot that it was made from.
    pub snapshot_index: u64,
}

/// What a plan changes of an allocation that it stops.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocStop {
    #[serde(rename = "AllocID")]
    pub alloc_id: AllocId,
    pub desired_status: DesiredStatus,
    pub desired_description: String,
    /// Set where the servers decide the client status too: lost, unknown, failed.
    pub client_status: Option<ClientStatus>,
    #[serde(with = "wire::opt_id")]
    pub followup_eval_id: Option<EvalId>,
}

/// An allocation that makes room for a more important one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocPreemption {
    #[serde(rename = "AllocID")]
    pub alloc_id: AllocId,
    pub preempted_by: AllocId,
}

impl Plan {
    /// Whether it changes nothing.
    pub fn is_no_op(&self) -> bool {
        self.node_update.is_empty()
            && self.node_allocation.is_empty()
            && self.node_preemptions.is_empty()
            && self.deployment.is_none()
            && self.deployment_updates.is_empty()
    }
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlanResult {
    /// What was committed; equal to the plan's where everything fit.
    pub node_update: BTreeMap<NodeId, Vec<AllocStop>>,
    pub node_allocation: BTreeMap<NodeId, Vec<Arc<Allocation>>>,
    pub node_preemptions: BTreeMap<NodeId, Vec<AllocPreemption>>,
    pub deployment: Option<Deployment>,
    pub deployment_updates: Vec<DeploymentStatusUpdate>,
    /// Nodes whose part was refused.
    pub rejected_nodes: Vec<NodeId>,
    /// If not zero, the scheduler should look at a snapshot of at least this index and try again.
    pub refresh_index: u64,
    /// Index at which it was committed.
    pub alloc_index: u64,
}

impl PlanResult {
    /// Whether all placements of the plan were committed: (expected, actual).
    pub fn placed(&self, plan: &Plan) -> (usize, usize) {
        let count =
            |allocs: &BTreeMap<NodeId, Vec<Arc<Allocation>>>| allocs.values().map(Vec::len).sum();
        (count(&plan.node_allocation), count(&self.node_allocation))
    }
}

/// What a plan would do, per group, for people.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlanAnnotations {
    #[serde(rename = "DesiredTGUpdates", with = "wire::null_if_empty")]
    pub desired_tg_updates: BTreeMap<String, DesiredUpdates>,
    /// What would be preempted, as the API lists allocations.
    #[serde(with = "wire::null_if_empty")]
    pub preempted_allocs: Vec<serde_json::Value>,
}

/// Counts of what a plan does with a group's allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredUpdates {
    pub ignore: u64,
    pub place: u64,
    pub migrate: u64,
    pub stop: u64,
    pub in_place_update: u64,
    pub destructive_update: u64,
    pub canary: u64,
    pub preemptions: u64,
    pub disconnect: u64,
    pub reconnect: u64,
    pub reschedule_now: u64,
    pub reschedule_later: u64,
}
