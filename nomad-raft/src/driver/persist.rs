//! The thread that writes the log: batches that wait are merged, so that they share one sync.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nomad_store::{Durability, LogStore, StoreError};

use super::{Event, Events};
use crate::core::Persist;
use crate::error::FatalError;

/// Batches and bytes that are merged into one write.
const MERGE_BATCHES: usize = 256;
const MERGE_BYTES: u64 = 8 * 1024 * 1024;

pub(super) struct Persister {
    /// Bounded by what raft-rs lets be uncommitted on a leader and in flight to a follower.
    writes: Sender<Persist>,
    thread: JoinHandle<()>,
}

impl Persister {
    pub(super) fn start(log: Arc<dyn LogStore>, events: Events) -> Result<Self, FatalError> {
        let (writes, rx) = channel();
        let path = log.path().to_path_buf();
        let thread = std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || run(&*log, &rx, &events))
            .map_err(|source| StoreError::Io {
                op: "start the log thread for",
                path,
                source,
            })?;
        Ok(Self { writes, thread })
    }

    pub(super) fn write(&self, persist: Persist) {
        // The thread only ends after it has reported why.
        let _ = self.writes.send(persist);
    }

    /// Lets the thread finish what it was given.
    pub(super) fn join(self) -> Result<(), FatalError> {
        drop(self.writes);
        self.thread
            .join()
            .map_err(|_| FatalError::Panic("the log thread panicked".into()))
    }
}

fn run(log: &dyn LogStore, writes: &Receiver<Persist>, events: &Events) {
    while let Ok(first) = writes.recv() {
        let mut number = first.number;
        let mut sync = first.sync;
        let mut batch = first.batch;
        let mut merged = 1;
        let mut size = batch.size();
        while merged < MERGE_BATCHES && size < MERGE_BYTES {
            let Ok(next) = writes.try_recv() else { break };
            number = next.number;
            sync |= next.sync;
            size += next.batch.size();
            batch.merge(next.batch);
            merged += 1;
        }
        let durability = if sync {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        let result = log.write(&batch, durability).map(|()| number);
        let failed = result.is_err();
        if events.send(Event::Persisted(result)).is_err() || failed {
            return;
        }
    }
}
