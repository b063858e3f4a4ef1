//! Our own snapshots: when to take one, writing it, and restoring the newest at the start.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nomad_store::{SnapshotMeta, SnapshotStore, StoreError};
use tokio::time::Instant;

use super::{Driver, Event, Events, shown};
use crate::error::{FatalError, RaftError};
use crate::handle::Reply;
use crate::state_machine::{SnapshotWrite, StateMachine};

/// How the taking of snapshots stands.
pub(super) struct Taking {
    /// Whether one is being written.
    running: bool,
    /// A follower waits for one.
    pub(super) wanted: bool,
    /// Who waits for the next one.
    replies: Vec<Reply<SnapshotMeta>>,
    next_check: Instant,
}

impl Taking {
    pub(super) fn new(next_check: Instant) -> Self {
        Self {
            running: false,
            wanted: false,
            replies: Vec::new(),
            next_check,
        }
    }
}

impl<O: Send + 'static> Driver<O> {
    pub(super) fn on_snapshot_request(&mut self, reply: Reply<SnapshotMeta>) {
        if self.core.membership().is_empty() {
            let _ = reply.send(Err(RaftError::Snapshot(
                "this server has not joined a cluster".into(),
            )));
            return;
        }
        self.taking.replies.push(reply);
    }

    /// Begins a snapshot when one is due.
    pub(super) fn check_snapshot(&mut self) -> Result<(), FatalError> {
        if self.taking.running {
            return Ok(());
        }
        let handed_out = self.core.handed_out();
        let newest = self.core.snapshot().map_or(0, |meta| meta.index);
        let asked = self.taking.wanted || !self.taking.replies.is_empty();
        if !asked {
            if self.config.snapshot_threshold > handed_out.saturating_sub(newest) {
                return Ok(());
            }
            let now = Instant::now();
            if now < self.taking.next_check {
                return Ok(());
            }
            self.taking.next_check = now + self.config.snapshot_interval;
        }
        if handed_out == newest {
            // Nothing has happened since the last one.
            self.taking.wanted = false;
            if let Some(meta) = self.core.snapshot().cloned() {
                for reply in self.taking.replies.drain(..) {
                    let _ = reply.send(Ok(meta.clone()));
                }
            }
            return Ok(());
        }
        // While old entries are replayed the membership may be ahead of them; wait for them.
        if self.core.membership().is_empty() || self.core.membership().index > handed_out {
            return Ok(());
        }
        self.taking.running = true;
        self.taking.wanted = false;
        self.applier.snapshot(self.core.membership().clone());
        Ok(())
    }

    pub(super) fn on_snapshot_taken(&mut self, result: Result<SnapshotMeta, StoreError>) {
        self.taking.running = false;
        let replies = std::mem::take(&mut self.taking.replies);
        match result {
            Ok(meta) => {
                tracing::info!(
                    server = self.config.id,
                    index = meta.index,
                    "snapshot written"
                );
                self.core.snapshot_saved(meta.clone());
                for reply in replies {
                    let _ = reply.send(Ok(meta.clone()));
                }
            }
            Err(error) => {
                // The log still has everything; try again at the next interval.
                tracing::error!(
                    server = self.config.id,
                    %error,
                    path = shown(self.snapshots.path()),
                    "cannot write a snapshot"
                );
                for reply in replies {
                    let _ = reply.send(Err(RaftError::Snapshot(error.to_string())));
                }
            }
        }
    }
}

/// Restores the newest usable snapshot into a state machine.
pub(super) fn restore_newest<S: StateMachine>(
    snapshots: &dyn SnapshotStore,
    state_machine: &mut S,
) -> Result<Option<SnapshotMeta>, FatalError> {
    let Some(mut reader) = nomad_store::snapshot::open_newest(snapshots)? else {
        return Ok(None);
    };
    let meta = reader.meta().clone();
    state_machine
        .restore(&mut reader)
        .map_err(|e| FatalError::Apply {
            index: meta.index,
            reason: e.reason,
        })?;
    reader.finish()?;
    Ok(Some(meta))
}

/// A writer that gives up when the server stops.
struct Stoppable<'a, W: ?Sized> {
    out: &'a mut W,
    stopping: &'a AtomicBool,
}

impl<W: Write + ?Sized> Write for Stoppable<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(io::Error::other("the server is stopping"));
        }
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes an image on a thread of its own.
pub(super) fn write_on_thread(
    image: impl SnapshotWrite,
    meta: SnapshotMeta,
    snapshots: Arc<dyn SnapshotStore>,
    events: Events,
    stopping: Arc<AtomicBool>,
) -> Result<JoinHandle<()>, FatalError> {
    let path = snapshots.path().to_path_buf();
    std::thread::Builder::new()
        .name("raft-snapshot".into())
        .spawn(move || {
            let write = AssertUnwindSafe(|| {
                let mut sink = snapshots.create(&meta)?;
                let mut out = Stoppable {
                    out: &mut *sink,
                    stopping: &stopping,
                };
                image.write_to(&mut out).map_err(|source| StoreError::Io {
                    op: "write a snapshot to",
                    path: snapshots.path().to_path_buf(),
                    source,
                })?;
                sink.commit().map(|info| info.meta)
            });
            let result = catch_unwind(write).unwrap_or_else(|_| {
                Err(StoreError::Engine {
                    path: snapshots.path().to_path_buf(),
                    what: "serialising the state panicked".into(),
                })
            });
            let _ = events.send(Event::SnapshotTaken(result));
        })
        .map_err(|source| {
            StoreError::Io {
                op: "start the snapshot thread for",
                path,
                source,
            }
            .into()
        })
}
