//! What raft-rs reads: the stored log with its newest entries cached.
//!
//! Entries enter the cache when raft-rs hands them out and leave it only when they are in the stored log, so reads
//! are right while the write is still under way on another thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use nomad_store::{LogPosition, LogStore, Membership, SnapshotMeta, StoreError};
use parking_lot::Mutex;
use raft::eraftpb::{Entry, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::config::{CACHE_BYTES, CACHE_ENTRIES};
use crate::convert;

/// The first error of the stored log, kept because raft-rs can only panic on it.
pub(crate) type FirstError = Arc<Mutex<Option<StoreError>>>;

pub(crate) struct RaftStorage {
    log: Arc<dyn LogStore>,
    /// The entry before the first one.
    base: LogPosition,
    last: u64,
    /// The newest entries without a gap, up to `last`.
    cache: VecDeque<Entry>,
    cache_bytes: u64,
    /// Entries up to here can be read from the stored log.
    stored: u64,
    initial: RaftState,
    /// The newest snapshot that can be sent.
    snapshot: Option<SnapshotMeta>,
    /// Set when a follower needs a snapshot and there is none.
    wanted: Cell<bool>,
    error: FirstError,
}

impl RaftStorage {
    pub(crate) fn new(
        log: Arc<dyn LogStore>,
        hard_state: raft::eraftpb::HardState,
        membership: &Membership,
        snapshot: Option<SnapshotMeta>,
    ) -> Self {
        let bounds = log.bounds();
        Self {
            log,
            base: bounds.base,
            last: bounds.last.index,
            cache: VecDeque::new(),
            cache_bytes: 0,
            stored: bounds.last.index,
            initial: RaftState::new(hard_state, convert::to_conf_state(membership)),
            snapshot,
            wanted: Cell::new(false),
            error: FirstError::default(),
        }
    }

    /// Where an error of the stored log is left.
    pub(crate) fn first_error(&self) -> FirstError {
        Arc::clone(&self.error)
    }

    pub(crate) fn base(&self) -> LogPosition {
        self.base
    }

    pub(crate) fn snapshot_meta(&self) -> Option<&SnapshotMeta> {
        self.snapshot.as_ref()
    }

    pub(crate) fn set_snapshot(&mut self, meta: SnapshotMeta) {
        self.wanted.set(false);
        self.snapshot = Some(meta);
    }

    /// Whether a snapshot was asked for in vain since the last call.
    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.replace(false)
    }

    fn cache_first(&self) -> u64 {
        self.last + 1 - self.cache.len() as u64
    }

    /// Takes entries that are about to be written; what was there from the first one's index on is replaced. The
    /// result is that index.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Option<u64> {
        let first = entries.first()?.index;
        if first <= self.last {
            let keep = first.saturating_sub(self.cache_first()) as usize;
            for gone in self.cache.drain(keep.min(self.cache.len())..) {
                self.cache_bytes -= convert::entry_size(&gone);
            }
            self.stored = self.stored.min(first - 1);
        }
        for entry in entries {
            self.cache_bytes += convert::entry_size(entry);
            self.cache.push_back(entry.clone());
            self.last = entry.index;
        }
        self.evict();
        Some(first)
    }

    /// Drops everything and continues after `base`.
    pub(crate) fn reset(&mut self, base: LogPosition) {
        self.cache.clear();
        self.cache_bytes = 0;
        self.base = base;
        self.last = base.index;
        self.stored = base.index;
    }

    /// Entries up to `index` can be read from the stored log now.
    pub(crate) fn set_stored(&mut self, index: u64) {
        self.stored = self.stored.max(index.min(self.last));
        self.evict();
    }

    /// Drops entries up to and including `to`; they stay in the stored log until the compaction is written there.
    pub(crate) fn compact(&mut self, to: LogPosition) {
        self.base = to;
        while self.cache.front().is_some_and(|e| e.index <= to.index) {
            self.pop_cached();
        }
    }

    fn evict(&mut self) {
        while (self.cache.len() > CACHE_ENTRIES || self.cache_bytes > CACHE_BYTES)
            && self.cache.front().is_some_and(|e| e.index <= self.stored)
        {
            self.pop_cached();
        }
    }

    fn pop_cached(&mut self) {
        if let Some(entry) = self.cache.pop_front() {
            self.cache_bytes -= convert::entry_size(&entry);
        }
    }

    fn fail(&self, error: StoreError) -> raft::Error {
        let text = error.to_string();
        self.error.lock().get_or_insert(error);
        raft::Error::Store(StorageError::Other(text.into()))
    }
}

impl Storage for RaftStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let max = max_size.into().unwrap_or(u64::MAX);
        if low <= self.base.index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let cache_first = self.cache_first();
        let mut out = Vec::new();
        let mut size = 0u64;
        if low < cache_first {
            let stored_high = high.min(cache_first);
            let stored = self
                .log
                .entries(low..stored_high, max)
                .map_err(|e| self.fail(e))?;
            let complete = stored.len() as u64 == stored_high - low;
            size = stored.iter().map(nomad_store::LogEntry::size).sum();
            out.extend(stored.into_iter().map(convert::from_stored));
            if !complete {
                return Ok(out);
            }
        }
        for index in low.max(cache_first)..high {
            let entry = &self.cache[(index - cache_first) as usize];
            size = size.saturating_add(convert::entry_size(entry));
            if size > max && !out.is_empty() {
                break;
            }
            out.push(entry.clone());
        }
        Ok(out)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.base.index {
            return Ok(self.base.term);
        }
        if index < self.base.index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if index > self.last {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let cache_first = self.cache_first();
        if index >= cache_first {
            return Ok(self.cache[(index - cache_first) as usize].term);
        }
        self.log.term(index).map_err(|e| self.fail(e))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        match &self.snapshot {
            // One from before the server was a member would be refused by it.
            Some(meta)
                if meta.index >= request_index
                    && meta.index >= self.base.index
                    && meta.membership.contains(to) =>
            {
                Ok(convert::to_snapshot(meta))
            }
            _ => {
                self.wanted.set(true);
                Err(raft::Error::Store(
                    StorageError::SnapshotTemporarilyUnavailable,
                ))
            }
        }
    }
}
