//! The status of a node: what follows from its signs of life, and from their absence.
//!
//! Source: servers and scheduling reference, "Nodes".

use nomad_core::Timestamp;
use nomad_core::alloc::{Allocation, ClientStatus, DesiredStatus};
use nomad_core::node::{Node, NodeStatus};
use nomad_core::view::ClusterView;

/// The status that a living node gets, if another one than it has. `synced` says that it reported its allocations
/// since it came back: until then it may run what the servers have given to others.
pub fn after_beat(view: &dyn ClusterView, node: &Node, synced: bool) -> Option<NodeStatus> {
    match node.status {
        NodeStatus::Ready => None,
        NodeStatus::Down => Some(NodeStatus::Ready),
        NodeStatus::Disconnected => Some(NodeStatus::Init),
        NodeStatus::Init => {
            let current = synced || node.last_alloc_update_index > node.last_missed_heartbeat_index;
            let has_live = || view.allocs_of_node(node.id).any(|alloc| !alloc.terminal());
            (current || !has_live()).then_some(NodeStatus::Ready)
        }
    }
}

/// The status that a silent node gets.
pub fn after_silence(view: &dyn ClusterView, node: &Node, now: Timestamp) -> NodeStatus {
    let may_return = view.allocs_of_node(node.id).any(|alloc| {
        alloc.desired_status == DesiredStatus::Run
            && !alloc.client_terminal()
            && lost_at(alloc, now).is_some_and(|at| at > now)
    });
    if may_return {
        NodeStatus::Disconnected
    } else {
        NodeStatus::Down
    }
}

/// Whether a change of status makes the node's jobs look again.
pub fn needs_evals(old: NodeStatus, new: NodeStatus) -> bool {
    old != new
        && (new == NodeStatus::Down
            || (matches!(old, NodeStatus::Init | NodeStatus::Down) && new == NodeStatus::Ready)
            || old == NodeStatus::Disconnected
            || new == NodeStatus::Disconnected)
}

/// When a disconnected allocation counts as lost; never where its group does not wait.
fn lost_at(alloc: &Allocation, now: Timestamp) -> Option<Timestamp> {
    let lost_after = alloc.group()?.lost_after();
    if lost_after.0 <= 0 {
        return None;
    }
    let since = match alloc.client_status {
        ClientStatus::Unknown => alloc
            .alloc_states
            .iter()
            .rev()
            .find(|state| state.value == ClientStatus::Unknown.as_str())
            .map_or(now, |state| state.time),
        _ => now,
    };
    Some(since + lost_after)
}

#[cfg(test)]
mod tests {
    use nomad_state::State;

    use super::*;

    #[test]
    fn the_dead_and_the_new_become_ready_and_the_disconnected_report_first() {
        let empty = State::default();
        let node = |status| Node {
            status,
            ..Node::default()
        };
        for (status, expected) in [
            (NodeStatus::Ready, None),
            (NodeStatus::Init, Some(NodeStatus::Ready)),
            (NodeStatus::Down, Some(NodeStatus::Ready)),
            (NodeStatus::Disconnected, Some(NodeStatus::Init)),
        ] {
            assert_eq!(
                after_beat(&empty, &node(status), false),
                expected,
                "{status}"
            );
        }
        assert_eq!(
            after_silence(&empty, &node(NodeStatus::Ready), Timestamp(1)),
            NodeStatus::Down
        );
    }

    #[test]
    fn evaluations_follow_the_changes_that_matter() {
        use NodeStatus::{Disconnected, Down, Init, Ready};
        for (old, new, expected) in [
            (Init, Ready, true),
            (Ready, Down, true),
            (Down, Ready, true),
            (Ready, Disconnected, true),
            (Disconnected, Init, true),
            (Ready, Ready, false),
            (Ready, Init, false),
        ] {
            assert_eq!(needs_evals(old, new), expected, "{old} to {new}");
        }
    }
}
