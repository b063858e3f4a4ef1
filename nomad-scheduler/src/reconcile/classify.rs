//! What has become of a group's allocations: the first rule that matches decides.
//!
//! Source: servers and scheduling reference, "Classification table".

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus, DesiredStatus};
use nomad_core::ids::NodeId;
use nomad_core::job::Disconnect;
use nomad_core::node::{Node, NodeStatus};
use nomad_core::time::{Nanos, Timestamp};

use super::AllocSet;

/// Nodes of existing allocations that are not simply fine; nothing where the node is gone.
pub(crate) type Tainted = BTreeMap<NodeId, Option<Arc<Node>>>;

/// The classes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    pub(super) untainted: AllocSet,
    pub(super) migrate: AllocSet,
    pub(super) lost: AllocSet,
    pub(super) disconnecting: AllocSet,
    pub(super) reconnecting: AllocSet,
    pub(super) ignore: AllocSet,
    pub(super) expiring: AllocSet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Untainted,
    Migrate,
    Lost,
    Disconnecting,
    Reconnecting,
    Ignore,
    Expiring,
}

/// The `disconnect` block of the allocation's own job version.
pub(super) fn disconnect(alloc: &Allocation) -> Option<&Disconnect> {
    alloc.group()?.disconnect.as_ref()
}

/// How long it may stay disconnected; zero is not at all.
pub(super) fn lost_after(alloc: &Allocation) -> Nanos {
    alloc
        .group()
        .map_or(Nanos::ZERO, |group| group.lost_after())
}

/// Whether a replacement may be placed while it is disconnected.
pub(super) fn replaces(alloc: &Allocation) -> bool {
    disconnect(alloc).and_then(|disconnect| disconnect.replace) != Some(false)
}

fn client_states(alloc: &Allocation) -> impl DoubleEndedIterator<Item = (&str, Timestamp)> {
    alloc
        .alloc_states
        .iter()
        .filter(|state| state.field == 0)
        .map(|state| (state.value.as_str(), state.time))
}

/// When the servers last lost sight of it.
pub(crate) fn last_unknown(alloc: &Allocation) -> Option<Timestamp> {
    client_states(alloc)
        .rev()
        .find(|(value, _)| *value == "unknown")
        .map(|(_, time)| time)
}

/// Whether its node has come back and the servers have not recorded that yet.
pub(crate) fn needs_reconnect(alloc: &Allocation) -> bool {
    matches!(
        alloc.client_status,
        ClientStatus::Unknown | ClientStatus::Running | ClientStatus::Failed
    ) && client_states(alloc)
        .next_back()
        .is_some_and(|(value, _)| value == "unknown")
}

/// Whether it has been out of sight for too long.
pub(crate) fn has_expired(alloc: &Allocation, now: Timestamp) -> bool {
    let span = lost_after(alloc);
    alloc.client_status == ClientStatus::Unknown
        && span.is_set()
        && last_unknown(alloc).is_some_and(|time| time + span <= now)
}

fn class(alloc: &Allocation, tainted: &Tainted, now: Timestamp) -> Class {
    let reconnect = needs_reconnect(alloc);
    let transition = &alloc.desired_transition;
    let failed = alloc.client_status == ClientStatus::Failed;
    let stopping = alloc.server_terminal();
    if reconnect && alloc.desired_status == DesiredStatus::Run && failed {
        return Class::Reconnecting;
    }
    if stopping && !reconnect {
        return if transition.should_disable_migration_placement() {
            Class::Untainted
        } else {
            Class::Ignore
        };
    }
    if alloc.client_terminal() && !reconnect {
        return if alloc.is_canary() && transition.should_migrate() {
            Class::Migrate
        } else {
            Class::Untainted
        };
    }
    if has_expired(alloc, now) {
        return Class::Expiring;
    }
    if reconnect && failed && alloc.desired_status == DesiredStatus::Stop {
        return Class::Ignore;
    }
    let taint = tainted.get(&alloc.node_id);
    if let Some(Some(node)) = taint
        && node.status == NodeStatus::Disconnected
    {
        return match alloc.client_status {
            ClientStatus::Unknown => Class::Untainted,
            ClientStatus::Pending => Class::Lost,
            _ if !lost_after(alloc).is_set() => Class::Lost,
            _ => Class::Disconnecting,
        };
    }
    if transition.should_migrate() {
        return Class::Migrate;
    }
    let fine = match taint {
        None => true,
        Some(Some(node)) => node.status == NodeStatus::Ready,
        Some(None) => return Class::Lost,
    };
    if fine {
        return if reconnect {
            Class::Reconnecting
        } else {
            Class::Untainted
        };
    }
    if let Some(Some(node)) = taint
        && node.is_down()
    {
        return match alloc.client_status {
            ClientStatus::Unknown if !replaces(alloc) => Class::Untainted,
            ClientStatus::Running if !replaces(alloc) => Class::Disconnecting,
            _ => Class::Lost,
        };
    }
    Class::Untainted
}

/// Sorts a set into its classes.
pub(super) fn classify(set: &AllocSet, tainted: &Tainted, now: Timestamp) -> Classes {
    let mut classes = Classes::default();
    for (id, alloc) in set {
        let class = match class(alloc, tainted, now) {
            Class::Untainted => &mut classes.untainted,
            Class::Migrate => &mut classes.migrate,
            Class::Lost => &mut classes.lost,
            Class::Disconnecting => &mut classes.disconnecting,
            Class::Reconnecting => &mut classes.reconnecting,
            Class::Ignore => &mut classes.ignore,
            Class::Expiring => &mut classes.expiring,
        };
        class.insert(*id, Arc::clone(alloc));
    }
    classes
}

#[cfg(test)]
mod tests {
    use nomad_core::alloc::{AllocState, DesiredTransition};
    use nomad_core::job::{Job, TaskGroup};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn alloc(status: ClientStatus, lost_after: i64, unknown_at: Option<i64>) -> Allocation {
        let job = Job {
            task_groups: vec![TaskGroup {
                name: "web".to_owned(),
                disconnect: Some(Disconnect {
                    lost_after: Nanos::secs(lost_after),
                    ..Disconnect::default()
                }),
                ..TaskGroup::default()
            }],
            ..Job::default()
        };
        Allocation {
            task_group: "web".to_owned(),
            client_status: status,
            job: Some(Arc::new(job)),
            alloc_states: unknown_at
                .map(|time| AllocState {
                    value: "unknown".to_owned(),
                    time: Timestamp::from_secs(time),
                    ..AllocState::default()
                })
                .into_iter()
                .collect(),
            ..Allocation::default()
        }
    }

    fn on(status: NodeStatus) -> Tainted {
        let node = Node {
            status,
            ..Node::default()
        };
        Tainted::from([(NodeId::default(), Some(Arc::new(node)))])
    }

    #[test]
    fn rules_in_order() {
        let fine = Tainted::new();
        let gone = Tainted::from([(NodeId::default(), None)]);
        let down = on(NodeStatus::Down);
        let away = on(NodeStatus::Disconnected);
        let draining = on(NodeStatus::Ready);
        let mut migrating = alloc(ClientStatus::Running, 0, None);
        migrating.desired_transition = DesiredTransition {
            migrate: Some(true),
            ..DesiredTransition::default()
        };
        let mut stopped = alloc(ClientStatus::Running, 0, None);
        stopped.desired_status = DesiredStatus::Stop;
        let mut pinned = alloc(ClientStatus::Running, 0, None);
        if let Some(job) = pinned.job.as_mut().map(Arc::make_mut)
            && let Some(disconnect) = &mut job.task_groups[0].disconnect
        {
            disconnect.replace = Some(false);
        }
        let running = alloc(ClientStatus::Running, 0, None);
        let tolerant = alloc(ClientStatus::Running, 60, None);
        for (alloc, tainted, expected) in [
            (&running, &fine, Class::Untainted),
            (&running, &draining, Class::Untainted),
            (&running, &gone, Class::Lost),
            (&running, &down, Class::Lost),
            (&running, &away, Class::Lost),
            (&tolerant, &away, Class::Disconnecting),
            (&alloc(ClientStatus::Pending, 60, None), &away, Class::Lost),
            (
                &alloc(ClientStatus::Unknown, 60, Some(990)),
                &away,
                Class::Untainted,
            ),
            (
                &alloc(ClientStatus::Unknown, 60, Some(900)),
                &away,
                Class::Expiring,
            ),
            (
                &alloc(ClientStatus::Running, 60, Some(990)),
                &fine,
                Class::Reconnecting,
            ),
            (
                &alloc(ClientStatus::Failed, 60, Some(990)),
                &fine,
                Class::Reconnecting,
            ),
            (
                &alloc(ClientStatus::Complete, 0, None),
                &down,
                Class::Untainted,
            ),
            (&migrating, &draining, Class::Migrate),
            (&stopped, &fine, Class::Ignore),
            (&pinned, &down, Class::Disconnecting),
        ] {
            assert_eq!(class(alloc, tainted, NOW), expected);
        }
    }
}
