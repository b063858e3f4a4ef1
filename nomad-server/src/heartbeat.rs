//! Which nodes are alive: a deadline per node, pushed on by every heartbeat.
//!
//! Source: servers and scheduling reference, "Heartbeats".

use std::collections::{BTreeSet, HashMap};

use nomad_core::{Nanos, NodeId, Timestamp};

/// Settings of heartbeats.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatConfig {
    /// Shortest span that a node is given (`min_heartbeat_ttl`).
    pub min_ttl: Nanos,
    /// Heartbeats that the servers want per second at most (`max_heartbeats_per_second`).
    pub max_per_second: f64,
    /// Added before a node is taken for lost (`heartbeat_grace`).
    pub grace: Nanos,
    /// What every node gets when leadership changes (`failover_heartbeat_ttl`).
    pub failover_ttl: Nanos,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            min_ttl: Nanos::secs(10),
            max_per_second: 50.0,
            grace: Nanos::secs(10),
            failover_ttl: Nanos::secs(300),
        }
    }
}

/// What happens to heartbeats.
#[derive(Debug, Clone)]
pub enum Event {
    /// A node showed up; `jitter` is a random number in [0, 1).
    Beat { node: NodeId, jitter: f64 },
    /// What followed from its silence could not be written: let it expire again after this span.
    Retry { node: NodeId, after: Nanos },
    /// Leadership was gained: these nodes are not known to be down.
    Recover { nodes: Vec<NodeId> },
    /// The node is down or gone: nothing is expected of it.
    Forget { node: NodeId },
    /// Time went by.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the node to show up within this span.
    Reply { node: NodeId, ttl: Nanos },
    /// The node did not show up.
    Expired { node: NodeId },
}

/// The deadlines. Lives on the leader, in memory.
#[derive(Debug)]
pub struct Heartbeats {
    config: HeartbeatConfig,
    deadlines: HashMap<NodeId, Timestamp>,
    order: BTreeSet<(Timestamp, NodeId)>,
}

impl Heartbeats {
    /// No node yet.
    pub fn new(config: HeartbeatConfig) -> Self {
        Self {
            config,
            deadlines: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Takes an event in, and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Beat { node, jitter } => {
                let base = self.base_ttl(!self.deadlines.contains_key(&node));
                let ttl = base + Nanos((base.0 as f64 * jitter.clamp(0.0, 1.0)) as i64);
                self.set(node, now + ttl + self.config.grace);
                actions.push(Action::Reply { node, ttl });
            }
            Event::Retry { node, after } => {
                if !self.deadlines.contains_key(&node) {
                    self.set(node, now + after);
                }
            }
            Event::Recover { nodes } => {
                for node in nodes {
                    self.set(node, now + self.config.failover_ttl);
                }
            }
            Event::Forget { node } => self.forget(node),
            Event::Tick => {}
        }
        while let Some((_, node)) = self.order.first().copied().filter(|(at, _)| *at <= now) {
            self.forget(node);
            actions.push(Action::Expired { node });
        }
        actions
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Nodes that are expected to show up.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no node is expected.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Forgets all nodes.
    pub fn clear(&mut self) {
        self.deadlines.clear();
        self.order.clear();
    }

    /// So long that all nodes together stay below the wanted rate.
    fn base_ttl(&self, new: bool) -> Nanos {
        let nodes = (self.order.len() + usize::from(new)) as f64;
        let spread = Nanos((nodes / self.config.max_per_second * 1e9) as i64);
        spread.max(self.config.min_ttl)
    }

    fn set(&mut self, node: NodeId, deadline: Timestamp) {
        if let Some(old) = self.deadlines.insert(node, deadline) {
            self.order.remove(&(old, node));
        }
        self.order.insert((deadline, node));
    }

    fn forget(&mut self, node: NodeId) {
        if let Some(old) = self.deadlines.remove(&node) {
            self.order.remove(&(old, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::Uuid;

    use super::*;

    const T0: Timestamp = Timestamp(1_000_000_000_000);

    fn node(number: u16) -> NodeId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        NodeId(Uuid(bytes))
    }

    fn beat(beats: &mut Heartbeats, number: u16, jitter: f64, now: Timestamp) -> Nanos {
        match beats.handle(
            Event::Beat {
                node: node(number),
                jitter,
            },
            now,
        )[..]
        {
            [Action::Reply { ttl, .. }] => ttl,
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_silent_node_expires_after_its_span_and_the_grace() {
        let mut beats = Heartbeats::new(HeartbeatConfig::default());
        assert_eq!(beat(&mut beats, 1, 0.5, T0), Nanos::secs(15));
        let deadline = T0 + Nanos::secs(25);
        assert_eq!(beats.next_wake(), Some(deadline));
        assert!(beats.handle(Event::Tick, deadline - Nanos(1)).is_empty());
        let expired = beats.handle(Event::Tick, deadline);
        assert_eq!(expired, [Action::Expired { node: node(1) }]);
        assert!(beats.is_empty() && beats.handle(Event::Tick, deadline).is_empty());
    }

    #[test]
    fn beats_push_the_deadline_on_and_forgotten_nodes_never_expire() {
        let mut beats = Heartbeats::new(HeartbeatConfig::default());
        beat(&mut beats, 1, 0.0, T0);
        beat(&mut beats, 1, 0.0, T0 + Nanos::secs(10));
        assert!(beats.handle(Event::Tick, T0 + Nanos::secs(29)).is_empty());
        beats.handle(Event::Forget { node: node(1) }, T0);
        assert!(beats.handle(Event::Tick, T0 + Nanos::hours(1)).is_empty());
    }

    #[test]
    fn many_nodes_are_asked_less_often() {
        let mut beats = Heartbeats::new(HeartbeatConfig::default());
        for number in 0..999 {
            beat(&mut beats, number, 0.0, T0);
        }
        assert_eq!(
            beat(&mut beats, 999, 0.0, T0),
            Nanos::secs(20),
            "1000 nodes at 50 per second"
        );
    }

    #[test]
    fn after_a_failover_nodes_have_time_to_find_the_leader() {
        let mut beats = Heartbeats::new(HeartbeatConfig::default());
        beats.handle(
            Event::Recover {
                nodes: vec![node(1), node(2)],
            },
            T0,
        );
        beat(&mut beats, 1, 0.0, T0 + Nanos::secs(5));
        let expired = beats.handle(Event::Tick, T0 + Nanos::secs(300));
        assert_eq!(
            expired,
            [
                Action::Expired { node: node(1) },
                Action::Expired { node: node(2) }
            ]
        );
    }
}
