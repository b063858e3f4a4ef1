//! Which ended allocations are removed from disk, and when.
//!
//! Source: client and drivers reference, section 1.8.

use std::collections::{BTreeMap, BTreeSet};

use nomad_core::{AllocId, Timestamp};

/// When ended allocations are removed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GcLimits {
    /// Most allocations on the node, running ones included.
    pub max_allocs: usize,
    /// Percent of the disk that may be used.
    pub disk_usage_percent: f64,
    /// Percent of the file system's inodes that may be used.
    pub inode_usage_percent: f64,
}

/// How full the node is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Allocations that have a directory, running or ended.
    pub allocs: usize,
    /// Percent of the disk under the allocation directories.
    pub disk_percent: f64,
    /// Percent of its inodes.
    pub inode_percent: f64,
}

/// Ended allocations, oldest first.
#[derive(Debug, Clone, Default)]
pub struct GcQueue {
    by_time: BTreeSet<(Timestamp, AllocId)>,
    times: BTreeMap<AllocId, Timestamp>,
}

impl GcQueue {
    /// Notes that an allocation has ended.
    pub fn ended(&mut self, alloc: AllocId, now: Timestamp) {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.times.entry(alloc) {
            entry.insert(now);
            self.by_time.insert((now, alloc));
        }
    }

    /// Forgets an allocation. Whether it was in the queue.
    pub fn remove(&mut self, alloc: &AllocId) -> bool {
        match self.times.remove(alloc) {
            Some(time) => self.by_time.remove(&(time, *alloc)),
            None => false,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Takes out the oldest if a limit is exceeded; why it is.
    pub fn next(&mut self, limits: &GcLimits, usage: &Usage) -> Option<(AllocId, &'static str)> {
        let why = if usage.disk_percent > limits.disk_usage_percent {
            "disk usage is over its threshold"
        } else if usage.inode_percent > limits.inode_usage_percent {
            "inode usage is over its threshold"
        } else if usage.allocs > limits.max_allocs {
            "there are more allocations than the limit"
        } else {
            return None;
        };
        self.pop().map(|alloc| (alloc, why))
    }

    /// Takes out the oldest.
    pub fn pop(&mut self) -> Option<AllocId> {
        let (_, alloc) = self.by_time.pop_first()?;
        self.times.remove(&alloc);
        Some(alloc)
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::Uuid;

    use super::*;

    const LIMITS: GcLimits = GcLimits {
        max_allocs: 2,
        disk_usage_percent: 80.0,
        inode_usage_percent: 70.0,
    };

    fn alloc(n: u8) -> AllocId {
        AllocId(Uuid([n; 16]))
    }

    fn usage(allocs: usize, disk_percent: f64) -> Usage {
        Usage {
            allocs,
            disk_percent,
            inode_percent: 0.0,
        }
    }

    #[test]
    fn the_oldest_goes_first_and_only_above_a_limit() {
        let mut queue = GcQueue::default();
        queue.ended(alloc(1), Timestamp(20));
        queue.ended(alloc(2), Timestamp(10));
        queue.ended(alloc(2), Timestamp(30));
        assert_eq!(queue.next(&LIMITS, &usage(2, 80.0)), None);
        assert_eq!(
            queue.next(&LIMITS, &usage(3, 0.0)).map(|(id, _)| id),
            Some(alloc(2))
        );
        assert_eq!(
            queue.next(&LIMITS, &usage(1, 81.0)).map(|(id, _)| id),
            Some(alloc(1))
        );
        assert_eq!(queue.next(&LIMITS, &usage(9, 99.0)), None);
    }

    #[test]
    fn removed_allocations_are_not_collected_again() {
        let mut queue = GcQueue::default();
        queue.ended(alloc(1), Timestamp(1));
        assert!(queue.remove(&alloc(1)));
        assert!(!queue.remove(&alloc(1)));
        assert!(queue.is_empty());
        assert_eq!(queue.pop(), None);
    }
}
