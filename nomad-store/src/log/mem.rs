//! The log in memory: for development mode, tests and simulation.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{LogBatch, LogBounds, LogOp, LogStore};
use crate::types::{Durability, HardState, LogEntry, LogPosition, Membership};
use crate::{Result, StoreError};

/// A log in memory. Clones share the same content, so that a test can keep one across a restart.
#[derive(Clone, Debug, Default)]
pub struct MemLog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    current: State,
    /// What has been synced and the batches since, when crashes are simulated.
    durable: Option<(State, Vec<LogBatch>)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    base: LogPosition,
    entries: VecDeque<LogEntry>,
    hard_state: HardState,
    membership: Membership,
}

impl MemLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log that remembers what was synced, for [`MemLog::crash`].
    pub fn with_crashes() -> Self {
        let log = Self::default();
        log.inner.lock().durable = Some(Default::default());
        log
    }

    /// What a power cut leaves: a new log with the synced batches and the first `kept` of the others. The old one
    /// is cut off, so a writer that still holds it changes nothing.
    ///
    /// # Panics
    ///
    /// When the log was not made by [`MemLog::with_crashes`].
    pub fn crash(&self, kept: usize) -> Self {
        let inner = self.inner.lock();
        let (durable, pending) = inner
            .durable
            .as_ref()
            .expect("crash() is for logs made by with_crashes()");
        let mut state = durable.clone();
        for batch in pending.iter().take(kept) {
            state
                .apply(batch)
                .expect("was accepted when it was written");
        }
        Self {
            inner: Arc::new(Mutex::new(Inner {
                current: state.clone(),
                durable: Some((state, Vec::new())),
            })),
        }
    }

    /// How many batches a crash could lose.
    pub fn unsynced(&self) -> usize {
        self.inner
            .lock()
            .durable
            .as_ref()
            .map_or(0, |(_, pending)| pending.len())
    }
}

impl State {
    fn bounds(&self) -> LogBounds {
        LogBounds {
            base: self.base,
            last: self.entries.back().map_or(self.base, |e| LogPosition {
                index: e.index,
                term: e.term,
            }),
        }
    }

    fn at(&self, index: u64) -> &LogEntry {
        &self.entries[(index - self.base.index - 1) as usize]
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.base.index {
            return Ok(self.base.term);
        }
        self.bounds().check_range(&(index..index + 1))?;
        Ok(self.at(index).term)
    }

    /// Applies a batch to a copy of the positions first, so that a refused batch changes nothing.
    fn apply(&mut self, batch: &LogBatch) -> Result<()> {
        check_batch(self.bounds(), batch)?;
        for op in batch.ops() {
            match op {
                LogOp::Append(entries) => {
                    if let Some(first) = entries.first() {
                        self.entries
                            .truncate((first.index - self.base.index - 1) as usize);
                        self.entries.extend(entries.iter().cloned());
                    }
                }
                LogOp::HardState(hard_state) => self.hard_state = *hard_state,
                LogOp::Membership(membership) => self.membership = membership.clone(),
                LogOp::Reset(base) => {
                    self.entries.clear();
                    self.base = *base;
                }
                LogOp::Compact(to) => {
                    if *to > self.base.index {
                        let term = self.term(*to)?;
                        self.entries.drain(..(*to - self.base.index) as usize);
                        self.base = LogPosition { index: *to, term };
                    }
                }
            }
        }
        Ok(())
    }
}

/// Checks a whole batch against the bounds before any of it is written.
pub(super) fn check_batch(mut bounds: LogBounds, batch: &LogBatch) -> Result<()> {
    for op in batch.ops() {
        match op {
            LogOp::Append(entries) => {
                let Some(first) = entries.first() else {
                    continue;
                };
                bounds.check_append(first.index)?;
                for (i, entry) in entries.iter().enumerate() {
                    if entry.index != first.index + i as u64 {
                        return Err(StoreError::OutOfOrder {
                            index: entry.index,
                            first: bounds.first_index(),
                            last: bounds.last.index,
                        });
                    }
                    bounds.last = LogPosition {
                        index: entry.index,
                        term: entry.term,
                    };
                }
            }
            LogOp::Reset(base) => {
                bounds = LogBounds {
                    base: *base,
                    last: *base,
                };
            }
            LogOp::Compact(to) => {
                if *to > bounds.last.index {
                    return Err(StoreError::Unavailable {
                        index: *to,
                        last: bounds.last.index,
                    });
                }
                bounds.base.index = bounds.base.index.max(*to);
            }
            LogOp::HardState(_) | LogOp::Membership(_) => {}
        }
    }
    Ok(())
}

impl LogStore for MemLog {
    fn bounds(&self) -> LogBounds {
        self.inner.lock().current.bounds()
    }

    fn hard_state(&self) -> Result<HardState> {
        Ok(self.inner.lock().current.hard_state)
    }

    fn membership(&self) -> Result<Membership> {
        Ok(self.inner.lock().current.membership.clone())
    }

    fn term(&self, index: u64) -> Result<u64> {
        let inner = self.inner.lock();
        if index < inner.current.base.index {
            return Err(StoreError::Compacted {
                index,
                first: inner.current.bounds().first_index(),
            });
        }
        inner.current.term(index)
    }

    fn entries(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<LogEntry>> {
        let inner = self.inner.lock();
        if range.is_empty() {
            return Ok(Vec::new());
        }
        inner.current.bounds().check_range(&range)?;
        let mut out = Vec::new();
        let mut size = 0;
        for index in range {
            let entry = inner.current.at(index);
            size += entry.size();
            if size > max_bytes && !out.is_empty() {
                break;
            }
            out.push(entry.clone());
        }
        Ok(out)
    }

    fn write(&self, batch: &LogBatch, durability: Durability) -> Result<()> {
        let inner = &mut *self.inner.lock();
        inner.current.apply(batch)?;
        if let Some((durable, pending)) = &mut inner.durable {
            pending.push(batch.clone());
            if durability == Durability::Synced {
                *durable = inner.current.clone();
                pending.clear();
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let inner = &mut *self.inner.lock();
        if let Some((durable, pending)) = &mut inner.durable {
            *durable = inner.current.clone();
            pending.clear();
        }
        Ok(())
    }

    fn is_durable(&self) -> bool {
        self.inner.lock().durable.is_some()
    }

    fn path(&self) -> &Path {
        Path::new("<memory>")
    }
}
