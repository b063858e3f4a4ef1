//! The plan applier's check of one node's part of a plan, by the same fit code that placed it.
//!
//! Source: servers and scheduling reference, "Per-node verification".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::ids::{AllocId, NodeId};
use nomad_core::node::{Eligibility, NodeStatus};
use nomad_core::plan::{AllocPreemption, AllocStop, Plan, PlanResult};
use nomad_core::view::ClusterView;

use crate::feasible::host_volume;
use crate::fit;

/// What a plan does on one node.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodePart<'a> {
    pub stops: &'a [AllocStop],
    pub preemptions: &'a [AllocPreemption],
    /// New and updated allocations.
    pub placements: &'a [Arc<Allocation>],
}

impl<'a> NodePart<'a> {
    /// The part of `plan` for `node`.
    pub fn of(plan: &'a Plan, node: NodeId) -> Self {
        Self {
            stops: plan.node_update.get(&node).map_or(&[], Vec::as_slice),
            preemptions: plan.node_preemptions.get(&node).map_or(&[], Vec::as_slice),
            placements: plan.node_allocation.get(&node).map_or(&[], Vec::as_slice),
        }
    }
}

/// Results that are decided but not in the view yet: plans whose entries are still in flight.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    nodes: BTreeMap<NodeId, OverlayNode>,
}

#[derive(Debug, Clone, Default)]
struct OverlayNode {
    gone: BTreeSet<AllocId>,
    written: BTreeMap<AllocId, Arc<Allocation>>,
}

impl Overlay {
    /// Adds a result that the view does not contain yet.
    pub fn add(&mut self, result: &PlanResult) {
        for (node, stops) in &result.node_update {
            let entry = self.nodes.entry(*node).or_default();
            for stop in stops {
                entry.written.remove(&stop.alloc_id);
                entry.gone.insert(stop.alloc_id);
            }
        }
        for (node, preemptions) in &result.node_preemptions {
            let entry = self.nodes.entry(*node).or_default();
            for preemption in preemptions {
                entry.written.remove(&preemption.alloc_id);
                entry.gone.insert(preemption.alloc_id);
            }
        }
        for (node, allocs) in &result.node_allocation {
            let entry = self.nodes.entry(*node).or_default();
            for alloc in allocs {
                entry.gone.remove(&alloc.id);
                entry.written.insert(alloc.id, Arc::clone(alloc));
            }
        }
    }

    /// Forgets everything: the view has caught up.
    pub fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Allocations that hold something of the node, by id.
    fn live_allocs(
        &self,
        view: &dyn ClusterView,
        node: NodeId,
    ) -> BTreeMap<AllocId, Arc<Allocation>> {
        let mut live: BTreeMap<AllocId, Arc<Allocation>> = view
            .allocs_of_node(node)
            .filter(|alloc| !alloc.terminal())
            .map(|alloc| (alloc.id, Arc::clone(alloc)))
            .collect();
        if let Some(entry) = self.nodes.get(&node) {
            live.retain(|id, _| !entry.gone.contains(id));
            for (id, alloc) in &entry.written {
                if alloc.terminal() {
                    live.remove(id);
                } else {
                    live.insert(*id, Arc::clone(alloc));
                }
            }
        }
        live
    }
}

/// Why a node's part of a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    #[error("node does not exist")]
    NodeGone,
    #[error("node is {status} and does not take allocations")]
    NodeNotReady { status: NodeStatus },
    #[error("node is disconnected and only takes updates to unknown")]
    NodeDisconnected,
    #[error("node is not eligible")]
    NodeIneligible,
    #[error("node is draining")]
    NodeDraining,
    /// Something does not fit: the dimension, as metrics name it.
    #[error("{dimension}")]
    Exhausted { dimension: String },
}

/// Re-checks one node's part of a plan against `view` plus the plans in flight.
///
/// Stops alone are always accepted; updates in place are accepted on nodes that are not eligible, new allocations are
/// not. Fit covers CPU, cores, memory, disk, ports, devices and single-writer host volumes.
pub fn verify_node(
    view: &dyn ClusterView,
    node: NodeId,
    part: &NodePart<'_>,
    overlay: &Overlay,
) -> Result<(), RejectReason> {
    if part.placements.is_empty() {
        return Ok(());
    }
    let row = view.node(node).ok_or(RejectReason::NodeGone)?;
    let all = |status: ClientStatus| {
        part.placements
            .iter()
            .all(|alloc| alloc.client_status == status)
    };
    match row.status {
        NodeStatus::Ready => {}
        NodeStatus::Disconnected if all(ClientStatus::Unknown) => return Ok(()),
        NodeStatus::Disconnected => return Err(RejectReason::NodeDisconnected),
        NodeStatus::Down
            if part.placements.iter().all(|alloc| {
                alloc.client_status == ClientStatus::Lost
                    || (alloc.client_status == ClientStatus::Unknown
                        && alloc.group().is_some_and(|group| {
                            group
                                .disconnect
                                .as_ref()
                                .is_some_and(|disconnect| disconnect.replace == Some(false))
                        }))
            }) =>
        {
            return Ok(());
        }
        status => return Err(RejectReason::NodeNotReady { status }),
    }

    let mut live = overlay.live_allocs(view, node);
    let in_place = part
        .placements
        .iter()
        .all(|alloc| live.contains_key(&alloc.id));
    if !in_place {
        if row.scheduling_eligibility == Eligibility::Ineligible {
            return Err(RejectReason::NodeIneligible);
        }
        if row.drain_strategy.is_some() {
            return Err(RejectReason::NodeDraining);
        }
    }
    for stop in part.stops {
        live.remove(&stop.alloc_id);
    }
    for preemption in part.preemptions {
        live.remove(&preemption.alloc_id);
    }
    for alloc in part.placements {
        if alloc.terminal() {
            live.remove(&alloc.id);
        } else {
            live.insert(alloc.id, Arc::clone(alloc));
        }
    }
    let mut claimed = BTreeSet::new();
    for alloc in live.values() {
        for name in host_volume::single_writers(alloc) {
            // Static volumes are shared by whoever names them; only dynamic ones have claims.
            let dynamic = row
                .host_volumes
                .get(&*name)
                .is_some_and(|volume| !volume.id.is_empty());
            if dynamic && !claimed.insert(name.into_owned()) {
                return Err(RejectReason::Exhausted {
                    dimension: fit::dimension::VOLUMES.to_owned(),
                });
            }
        }
    }
    fit::allocs_fit(row, live.values().map(|alloc| &**alloc)).map_err(|dimension| {
        RejectReason::Exhausted {
            dimension: dimension.into_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use nomad_core::ids::Uuid;
    use nomad_core::job::{Job, TaskGroup, VolumeRequest};
    use nomad_core::memory_view::MemoryView;
    use nomad_core::node::{HostVolume, Node};

    use super::*;

    fn alloc(number: u8, job: &Arc<Job>, node: NodeId) -> Arc<Allocation> {
        Arc::new(Allocation {
            id: AllocId(Uuid([number; 16])),
            name: format!("db.main[{number}]"),
            job: Some(Arc::clone(job)),
            task_group: "main".to_owned(),
            node_id: node,
            ..Allocation::default()
        })
    }

    #[test]
    fn a_dynamic_volume_has_one_single_writer() {
        let mut node = Node {
            id: NodeId(Uuid([9; 16])),
            status: NodeStatus::Ready,
            ..Node::default()
        };
        let volume = HostVolume {
            name: "data".to_owned(),
            id: "v1".to_owned(),
            ..HostVolume::default()
        };
        node.host_volumes.insert("data".to_owned(), volume);
        let mut group = TaskGroup {
            name: "main".to_owned(),
            ..TaskGroup::default()
        };
        let request = VolumeRequest {
            kind: "host".to_owned(),
            source: "data".to_owned(),
            access_mode: "single-node-single-writer".to_owned(),
            ..VolumeRequest::default()
        };
        group.volumes.insert("data".to_owned(), request);
        let job = Arc::new(Job {
            task_groups: vec![group],
            ..Job::default()
        });
        let both = [alloc(1, &job, node.id), alloc(2, &job, node.id)];
        let verify = |node: &Node, placements: &[Arc<Allocation>]| {
            let mut view = MemoryView::default();
            view.put_node(node.clone());
            let part = NodePart {
                placements,
                ..NodePart::default()
            };
            verify_node(&view, node.id, &part, &Overlay::default())
        };
        assert_eq!(verify(&node, &both[..1]), Ok(()));
        let refused = verify(&node, &both).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "conflicting claims for host volume with single-writer"
        );
        // A static volume belongs to whoever names it.
        node.host_volumes.get_mut("data").unwrap().id.clear();
        assert_eq!(verify(&node, &both), Ok(()));
    }
}
