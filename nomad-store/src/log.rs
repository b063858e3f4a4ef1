//! The log of one server: entries, hard state and membership, written in atomic batches.

mod mem;
#[cfg(any(test, feature = "rocksdb"))]
mod record;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

pub use mem::MemLog;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksLog;

use crate::types::{Durability, HardState, LogEntry, LogPosition, Membership};
use crate::{Result, StoreError};

/// The range a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBounds {
    /// The entry just before the first one: all up to it was compacted or never existed. Its term is still known.
    pub base: LogPosition,
    /// The last entry; equal to `base` when the log is empty.
    pub last: LogPosition,
}

impl LogBounds {
    /// First index held (or that the next append to an empty log would have).
    pub fn first_index(&self) -> u64 {
        self.base.index + 1
    }

    /// Checks that an append starting at `index` leaves no hole.
    pub(crate) fn check_append(&self, index: u64) -> Result<()> {
        if index <= self.base.index || index > self.last.index + 1 {
            return Err(StoreError::OutOfOrder {
                index,
                first: self.first_index(),
                last: self.last.index,
            });
        }
        Ok(())
    }

    /// Checks that all of `range` is held.
    pub(crate) fn check_range(&self, range: &Range<u64>) -> Result<()> {
        if range.start < self.first_index() {
            return Err(StoreError::Compacted {
                index: range.start,
                first: self.first_index(),
            });
        }
        if range.end > self.last.index + 1 {
            return Err(StoreError::Unavailable {
                index: range.end - 1,
                last: self.last.index,
            });
        }
        Ok(())
    }
}

/// One change of a [`LogBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOp {
    /// Appends consecutive entries; whatever the log holds from the first one's index on is replaced.
    Append(Vec<LogEntry>),
    /// Replaces the hard state.
    HardState(HardState),
    /// Replaces the membership.
    Membership(Membership),
    /// Drops all entries and continues after `base`, as when a snapshot is installed.
    Reset(LogPosition),
    /// Drops entries up to and including this index; later ones stay.
    Compact(u64),
}

/// Changes that are written whole or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    ops: Vec<LogOp>,
}

impl LogBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one change at the end.
    pub fn push(&mut self, op: LogOp) -> &mut Self {
        self.ops.push(op);
        self
    }

    /// Adds all changes of `other` after those of this one, so that several batches share one write.
    pub fn merge(&mut self, other: Self) {
        self.ops.extend(other.ops);
    }

    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The changes in order.
    pub fn ops(&self) -> &[LogOp] {
        &self.ops
    }

    /// Bytes of all entries, for limits on merging.
    pub fn size(&self) -> u64 {
        self.ops
            .iter()
            .map(|op| match op {
                LogOp::Append(entries) => entries.iter().map(LogEntry::size).sum(),
                _ => 0,
            })
            .sum()
    }
}

/// The log of one server. Methods may be called from several threads; writes are in the order of the calls.
///
/// Reads see every batch whose [`LogStore::write`] has returned, synced or not.
pub trait LogStore: Send + Sync {
    /// What range of entries is held.
    fn bounds(&self) -> LogBounds;

    /// The hard state written last; zeros when none was.
    fn hard_state(&self) -> Result<HardState>;

    /// The membership written last; empty when none was.
    fn membership(&self) -> Result<Membership>;

    /// The term of the entry at `index`, which must lie between the base and the last index.
    fn term(&self, index: u64) -> Result<u64>;

    /// Entries with the indices of `range`, stopping before `max_bytes` are exceeded but giving at least one of a
    /// range that is not empty.
    fn entries(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<LogEntry>>;

    /// Writes a batch atomically.
    fn write(&self, batch: &LogBatch, durability: Durability) -> Result<()>;

    /// Returns when all that was written before is on stable storage.
    fn sync(&self) -> Result<()>;

    /// False when nothing survives the process, so that waiting for a sync is pointless.
    fn is_durable(&self) -> bool;

    /// Where it lies, for messages.
    fn path(&self) -> &Path;
}

/// Entries read at a time by [`verify_log`].
const VERIFY_BYTES: u64 = 1024 * 1024;

/// Reads the whole log and returns how many entries it holds, or the first damage found.
pub fn verify_log(log: &dyn LogStore) -> Result<u64> {
    let bounds = log.bounds();
    let mut next = bounds.first_index();
    let mut term = bounds.base.term;
    while next <= bounds.last.index {
        for entry in log.entries(next..bounds.last.index + 1, VERIFY_BYTES)? {
            if entry.term < term {
                return Err(StoreError::CorruptLog {
                    path: log.path().to_path_buf(),
                    index: entry.index,
                    what: format!("term {} follows term {term}", entry.term),
                });
            }
            term = entry.term;
            next = entry.index + 1;
        }
    }
    Ok(bounds.last.index - bounds.base.index)
}
