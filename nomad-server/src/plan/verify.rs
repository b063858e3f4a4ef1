//! Which parts of a plan still fit: pure, per node, by the scheduler's own check.
//!
//! Source: servers and scheduling reference, "Plan application".

use std::collections::BTreeSet;

use nomad_core::NodeId;
use nomad_core::plan::{Plan, PlanResult};
use nomad_core::view::ClusterView;
use nomad_scheduler::{NodePart, Overlay, verify_node};

/// What of a plan can be committed on top of `view` and the plans in flight, and why not the rest.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// What fits. Its `alloc_index` is set once it is committed.
    pub result: PlanResult,
    /// Nodes whose part was refused, with the reasons.
    pub rejected: Vec<(NodeId, String)>,
}

impl Verdict {
    /// Whether everything fits.
    pub fn is_full(&self) -> bool {
        self.rejected.is_empty()
    }
}

/// Verifies a plan node by node.
pub fn verify(view: &dyn ClusterView, plan: &Plan, overlay: &Overlay) -> Verdict {
    let mut verdict = Verdict::default();
    let nodes: BTreeSet<NodeId> = plan
        .node_update
        .keys()
        .chain(plan.node_allocation.keys())
        .chain(plan.node_preemptions.keys())
        .copied()
        .collect();
    for node in nodes {
        match verify_node(view, node, &NodePart::of(plan, node), overlay) {
            Ok(()) => accept(view, plan, node, &mut verdict.result),
            Err(reason) => verdict.rejected.push((node, reason.to_string())),
        }
    }
    let rejected = !verdict.rejected.is_empty();
    if rejected {
        verdict.result.rejected_nodes = verdict.rejected.iter().map(|(node, _)| *node).collect();
        verdict.result.refresh_index = view.index();
    }
    if rejected && plan.all_at_once {
        verdict.result.node_update.clear();
        verdict.result.node_allocation.clear();
        verdict.result.node_preemptions.clear();
        return verdict;
    }
    verdict.result.deployment = plan.deployment.clone();
    verdict.result.deployment_updates = plan.deployment_updates.clone();
    if rejected {
        drop_unplaced_canaries(plan, &mut verdict.result);
    }
    verdict
}

fn accept(view: &dyn ClusterView, plan: &Plan, node: NodeId, result: &mut PlanResult) {
    if let Some(stops) = plan.node_update.get(&node) {
        result.node_update.insert(node, stops.clone());
    }
    if let Some(allocs) = plan.node_allocation.get(&node) {
        result.node_allocation.insert(node, allocs.clone());
    }
    if let Some(preemptions) = plan.node_preemptions.get(&node) {
        // One that ended meanwhile need not be preempted any more.
        let live: Vec<_> = preemptions
            .iter()
            .filter(|preemption| {
                view.alloc(preemption.alloc_id)
                    .is_some_and(|alloc| !alloc.terminal())
            })
            .cloned()
            .collect();
        if !live.is_empty() {
            result.node_preemptions.insert(node, live);
        }
    }
}

/// Canaries on refused nodes were not placed after all.
fn drop_unplaced_canaries(plan: &Plan, result: &mut PlanResult) {
    let Some(deployment) = &mut result.deployment else {
        return;
    };
    let dropped: BTreeSet<_> = plan
        .node_allocation
        .iter()
        .filter(|(node, _)| !result.node_allocation.contains_key(node))
        .flat_map(|(_, allocs)| allocs)
        .map(|alloc| alloc.id)
        .collect();
    for group in deployment.task_groups.values_mut() {
        group
            .placed_canaries
            .retain(|canary| !dropped.contains(canary));
    }
}
