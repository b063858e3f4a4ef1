//! The thread that owns the state machine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nomad_store::{
    EntryKind, LogPosition, LogStore, Membership, SnapshotMeta, SnapshotReader, SnapshotStore,
    StoreError,
};

use super::{Event, Events, snapshots};
use crate::config::{MAX_APPLY_BACKLOG, MAX_APPLY_ENTRIES, MAX_COMMITTED_BYTES};
use crate::error::FatalError;
use crate::handle::{Applied, Reply, Shared};
use crate::state_machine::{Committed, StateMachine};

/// Replies to proposals, in the order of their indices.
pub(super) type Replies<O> = Vec<(u64, Reply<Applied<O>>)>;

enum Job<O> {
    Apply(Entries, Replies<O>),
    Install(SnapshotMeta),
    Snapshot(Membership),
    StartAt(LogPosition),
}

enum Entries {
    Here(Vec<Committed>),
    /// Too much was waiting: read them from the log when it is their turn.
    InLog {
        from: u64,
        last: LogPosition,
    },
}

/// What the thread works with.
pub(super) struct Context {
    pub(super) log: Arc<dyn LogStore>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    pub(super) shared: Arc<Shared>,
    pub(super) events: Events,
    pub(super) stopping: Arc<AtomicBool>,
}

/// The driver's end.
pub(super) struct Applier<O> {
    jobs: Sender<Job<O>>,
    /// Bytes of entries that wait in memory.
    backlog: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl<O: Send + 'static> Applier<O> {
    pub(super) fn start<S>(
        state_machine: S,
        context: Context,
        position: LogPosition,
    ) -> Result<Self, FatalError>
    where
        S: StateMachine<Output = O>,
    {
        let (jobs, rx) = channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let path = context.log.path().to_path_buf();
        let mut worker = Worker {
            state_machine,
            context,
            position,
            backlog: Arc::clone(&backlog),
            outputs: Vec::new(),
            snapshot_thread: None,
        };
        let thread = std::thread::Builder::new()
            .name("raft-apply".into())
            .spawn(move || worker.run(&rx))
            .map_err(|source| StoreError::Io {
                op: "start the apply thread for",
                path,
                source,
            })?;
        Ok(Self {
            jobs,
            backlog,
            thread,
        })
    }

    pub(super) fn apply(&self, entries: Vec<Committed>, replies: Replies<O>) {
        let size = bytes_of(&entries);
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        let entries = if self.backlog.load(Ordering::Relaxed) < MAX_APPLY_BACKLOG {
            self.backlog.fetch_add(size, Ordering::Relaxed);
            Entries::Here(entries)
        } else {
            Entries::InLog {
                from: first.index,
                last: LogPosition {
                    index: last.index,
                    term: last.term,
                },
            }
        };
        self.job(Job::Apply(entries, replies));
    }

    /// A log was bootstrapped and begins after this position.
    pub(super) fn start_at(&self, position: LogPosition) {
        self.job(Job::StartAt(position));
    }

    pub(super) fn install(&self, meta: SnapshotMeta) {
        self.job(Job::Install(meta));
    }

    /// Takes a snapshot when everything handed out so far is applied.
    pub(super) fn snapshot(&self, membership: Membership) {
        self.job(Job::Snapshot(membership));
    }

    fn job(&self, job: Job<O>) {
        // The thread only ends after it has reported why.
        let _ = self.jobs.send(job);
    }

    pub(super) fn join(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the apply thread panicked");
        }
    }
}

fn bytes_of(entries: &[Committed]) -> usize {
    entries.iter().map(|e| e.data.len()).sum()
}

struct Worker<S: StateMachine> {
    state_machine: S,
    context: Context,
    /// The last entry applied.
    position: LogPosition,
    backlog: Arc<AtomicUsize>,
    outputs: Vec<S::Output>,
    snapshot_thread: Option<JoinHandle<()>>,
}

impl<S: StateMachine> Worker<S> {
    fn run(&mut self, jobs: &Receiver<Job<S::Output>>) {
        let result = catch_unwind(AssertUnwindSafe(|| self.work(jobs)));
        let error = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|s| (*s).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Some(FatalError::Apply {
                    index: self.position.index + 1,
                    reason: format!("the state machine panicked: {text}"),
                })
            }
        };
        if let Some(error) = error {
            let _ = self.context.events.send(Event::Failed(error));
        }
        if let Some(thread) = self.snapshot_thread.take() {
            // Its own panic has been reported as an event.
            let _ = thread.join();
        }
    }

    fn work(&mut self, jobs: &Receiver<Job<S::Output>>) -> Result<(), FatalError> {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
            if self.context.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            match job {
                Job::Apply(Entries::Here(mut entries), mut replies) => {
                    // What has come meanwhile goes along, so that the result is published once for all.
                    let mut size = bytes_of(&entries);
                    while entries.len() < MAX_APPLY_ENTRIES && size < MAX_COMMITTED_BYTES as usize {
                        match jobs.try_recv() {
                            Ok(Job::Apply(Entries::Here(more), more_replies)) => {
                                size += bytes_of(&more);
                                entries.extend(more);
                                replies.extend(more_replies);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.apply(entries, replies)?;
                    self.backlog.fetch_sub(size, Ordering::Relaxed);
                }
                Job::Apply(Entries::InLog { from, last }, replies) => {
                    self.apply_from_log(from, last, replies)?;
                }
                Job::Install(meta) => self.install(&meta)?,
                Job::Snapshot(membership) => self.snapshot(membership)?,
                Job::StartAt(position) => self.reached(position),
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        mut entries: Vec<Committed>,
        replies: Replies<S::Output>,
    ) -> Result<(), FatalError> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        let position = LogPosition {
            index: last.index,
            term: last.term,
        };
        entries.retain(|e| !e.data.is_empty());
        self.outputs.clear();
        if !entries.is_empty() {
            self.state_machine
                .apply(&entries, &mut self.outputs)
                .map_err(|e| FatalError::Apply {
                    index: e.index,
                    reason: e.reason,
                })?;
        }
        if self.outputs.len() != entries.len() {
            return Err(FatalError::Apply {
                index: position.index,
                reason: format!(
                    "the state machine gave {} results for {} entries",
                    self.outputs.len(),
                    entries.len()
                ),
            });
        }
        self.reached(position);
        let mut replies = replies.into_iter().peekable();
        for (entry, output) in entries.iter().zip(self.outputs.drain(..)) {
            if replies
                .peek()
                .is_some_and(|(index, _)| *index == entry.index)
                && let Some((index, reply)) = replies.next()
            {
                // The proposer may have given up.
                let _ = reply.send(Ok(Applied {
                    index,
                    term: entry.term,
                    output,
                }));
            }
        }
        Ok(())
    }

    fn reached(&mut self, position: LogPosition) {
        self.position = position;
        self.context
            .shared
            .applied
            .store(position.index, Ordering::Release);
        let _ = self.context.events.send(Event::Applied(position.index));
    }

    fn apply_from_log(
        &mut self,
        from: u64,
        last: LogPosition,
        replies: Replies<S::Output>,
    ) -> Result<(), FatalError> {
        let mut replies = replies;
        let mut next = from;
        while next <= last.index {
            let read = self
                .context
                .log
                .entries(next..last.index + 1, MAX_COMMITTED_BYTES)?;
            let entries: Vec<Committed> = read
                .into_iter()
                .map(|e| Committed {
                    index: e.index,
                    term: e.term,
                    data: match e.kind {
                        EntryKind::Normal => e.data,
                        _ => bytes::Bytes::new(),
                    },
                })
                .collect();
            next = entries.last().map_or(last.index, |e| e.index) + 1;
            let later = replies.split_off(replies.partition_point(|(index, _)| *index < next));
            self.apply(entries, std::mem::replace(&mut replies, later))?;
        }
        Ok(())
    }

    fn install(&mut self, meta: &SnapshotMeta) -> Result<(), FatalError> {
        let snapshots = &self.context.snapshots;
        let mut reader = SnapshotReader::new(snapshots.open(meta.position())?, snapshots.path())?;
        self.state_machine
            .restore(&mut reader)
            .map_err(|e| FatalError::Apply {
                index: meta.index,
                reason: e.reason,
            })?;
        reader.finish()?;
        self.reached(meta.position());
        Ok(())
    }

    fn snapshot(&mut self, membership: Membership) -> Result<(), FatalError> {
        if let Some(thread) = self.snapshot_thread.take() {
            let _ = thread.join();
        }
        let meta = SnapshotMeta {
            index: self.position.index,
            term: self.position.term,
            membership,
        };
        let image = self.state_machine.snapshot();
        self.snapshot_thread = Some(snapshots::write_on_thread(
            image,
            meta,
            Arc::clone(&self.context.snapshots),
            self.context.events.clone(),
            Arc::clone(&self.context.stopping),
        )?);
        Ok(())
    }
}
