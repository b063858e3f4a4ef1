//! Allocations that stop when the node has not heard of its servers for long: `disconnect.stop_on_client_after`.
//!
//! Source: client and drivers reference, section 1.6.

use std::collections::BTreeMap;

use nomad_core::{AllocId, Nanos, Timestamp};

/// What a node that was started with allocations grants before its first heartbeat.
pub const START_GRACE: Nanos = Nanos::secs(50);

/// Knows which allocations have to stop, and when.
#[derive(Debug, Clone)]
pub struct HeartbeatStop {
    last_good: Timestamp,
    spans: BTreeMap<AllocId, Nanos>,
}

impl HeartbeatStop {
    /// For a client that starts now, with allocations restored from disk or none.
    pub fn new(now: Timestamp, restored: bool) -> Self {
        Self {
            last_good: if restored { now + START_GRACE } else { now },
            spans: BTreeMap::new(),
        }
    }

    /// Watches an allocation.
    pub fn watch(&mut self, alloc: AllocId, span: Nanos) {
        self.spans.insert(alloc, span);
    }

    /// Forgets an allocation.
    pub fn forget(&mut self, alloc: &AllocId) {
        self.spans.remove(alloc);
    }

    /// The servers answered a heartbeat.
    pub fn heartbeat(&mut self, now: Timestamp) {
        self.last_good = self.last_good.max(now);
    }

    /// When the last heartbeat was answered.
    pub fn last_good(&self) -> Timestamp {
        self.last_good
    }

    /// When the next allocation has to stop, unless a heartbeat comes first.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.spans
            .values()
            .min()
            .map(|shortest| self.last_good + *shortest)
    }

    /// Takes out the allocations whose time is over.
    pub fn expired(&mut self, now: Timestamp) -> Vec<AllocId> {
        let last_good = self.last_good;
        let gone: Vec<AllocId> = self
            .spans
            .iter()
            .filter(|(_, span)| now >= last_good + **span)
            .map(|(alloc, _)| *alloc)
            .collect();
        for alloc in &gone {
            self.spans.remove(alloc);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::Uuid;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn alloc(n: u8) -> AllocId {
        AllocId(Uuid([n; 16]))
    }

    #[test]
    fn each_allocation_has_its_own_span() {
        let mut stop = HeartbeatStop::new(at(0), false);
        stop.watch(alloc(1), Nanos::secs(30));
        stop.watch(alloc(2), Nanos::secs(60));
        assert_eq!(stop.next_deadline(), Some(at(30)));
        stop.heartbeat(at(10));
        assert_eq!(stop.next_deadline(), Some(at(40)));
        assert!(stop.expired(at(39)).is_empty());
        assert_eq!(stop.expired(at(40)), [alloc(1)]);
        assert_eq!(stop.next_deadline(), Some(at(70)));
        stop.forget(&alloc(2));
        assert_eq!(stop.next_deadline(), None);
    }

    #[test]
    fn restored_allocations_get_a_grace() {
        let mut stop = HeartbeatStop::new(at(100), true);
        stop.watch(alloc(1), Nanos::secs(5));
        assert!(stop.expired(at(154)).is_empty());
        assert_eq!(stop.expired(at(155)), [alloc(1)]);
    }
}
