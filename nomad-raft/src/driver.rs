//! The async loop around the core: a task that owns it, a thread that writes the log, a thread that applies.
//!
//! The task never waits for a disk or the state machine. What happens elsewhere comes back as an [`Event`].

mod apply;
mod perform;
mod persist;
mod requests;
mod snapshots;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use nomad_store::{LogStore, SnapshotMeta, SnapshotStore, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::{CoreConfig, MAX_PROPOSE_BATCH, RaftConfig};
use crate::core::Core;
use crate::error::{FatalError, RaftError};
use crate::handle::{Applied, Control, Proposal, Read, Reply, Shared, Stopped};
use crate::state_machine::StateMachine;
use crate::transport::Transport;
use crate::wire::{self, Frame};

/// How often a server that needs no ticks looks at its snapshots.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Events and frames handled before outputs are taken.
const DRAIN: usize = 128;

/// What other threads report.
pub(crate) enum Event {
    /// Writes up to this number are done.
    Persisted(Result<u64, StoreError>),
    /// The state machine has reached this index.
    Applied(u64),
    /// The state machine or a thread cannot go on.
    Failed(FatalError),
    /// A snapshot of our own state is written.
    SnapshotTaken(Result<SnapshotMeta, StoreError>),
    /// The stream of a snapshot to a peer ended.
    SnapshotSent {
        to: u64,
        transfer: u64,
        complete: bool,
    },
    /// A snapshot of the leader is on stable storage; this message goes with it.
    SnapshotReceived(Bytes),
}

pub(crate) type Events = mpsc::UnboundedSender<Event>;

/// Where requests come from.
pub(crate) struct Inputs<O> {
    pub(crate) proposals: mpsc::Receiver<Proposal<O>>,
    pub(crate) reads: mpsc::Receiver<Read>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) inbox: mpsc::Receiver<Bytes>,
}

struct Driver<O> {
    core: Core,
    config: RaftConfig,
    log: Arc<dyn LogStore>,
    snapshots: Arc<dyn SnapshotStore>,
    transport: Arc<dyn Transport>,
    shared: Arc<Shared>,
    events_tx: Events,
    events: mpsc::UnboundedReceiver<Event>,
    inputs: Inputs<O>,
    /// Absent when the log is in memory: then writing is as quick as asking another thread.
    persister: Option<persist::Persister>,
    applier: apply::Applier<O>,
    requests: requests::Requests<O>,
    taking: snapshots::Taking,
    transfers: transfer::Transfers,
    /// Tells the other threads to hurry.
    stopping: Arc<AtomicBool>,
    started: Instant,
    shutdown: bool,
}

/// Starts everything and returns when the state is restored and the log open.
pub(crate) async fn start<S: StateMachine>(
    config: RaftConfig,
    log: Arc<dyn LogStore>,
    snapshots: Arc<dyn SnapshotStore>,
    state_machine: S,
    transport: Arc<dyn Transport>,
    inputs: Inputs<S::Output>,
    shared: Arc<Shared>,
) -> Result<(), FatalError> {
    let core_config = core_config(&config);
    let (opened_log, opened_snapshots) = (Arc::clone(&log), Arc::clone(&snapshots));
    let (state_machine, core) = tokio::task::spawn_blocking(move || {
        let mut state_machine = state_machine;
        let snapshot = snapshots::restore_newest(&*opened_snapshots, &mut state_machine)?;
        let core = Core::open(core_config, opened_log, snapshot, opened_snapshots.path())?;
        Ok::<_, FatalError>((state_machine, core))
    })
    .await
    .map_err(|e| FatalError::Panic(e.to_string()))??;

    let (events_tx, events) = mpsc::unbounded_channel();
    let stopping = Arc::new(AtomicBool::new(false));
    let start = core.snapshot().map_or(core.base(), SnapshotMeta::position);
    shared.applied.store(start.index, Ordering::Release);
    transport.members_changed(core.membership());
    let driver = Driver {
        persister: log
            .is_durable()
            .then(|| persist::Persister::start(Arc::clone(&log), events_tx.clone()))
            .transpose()?,
        applier: apply::Applier::start(
            state_machine,
            apply::Context {
                log: Arc::clone(&log),
                snapshots: Arc::clone(&snapshots),
                shared: Arc::clone(&shared),
                events: events_tx.clone(),
                stopping: Arc::clone(&stopping),
            },
            start,
        )?,
        requests: requests::Requests::default(),
        taking: snapshots::Taking::new(Instant::now() + config.snapshot_interval),
        transfers: transfer::Transfers::default(),
        started: Instant::now(),
        shutdown: false,
        core,
        config,
        log,
        snapshots,
        transport,
        shared,
        events_tx,
        events,
        inputs,
        stopping,
    };
    tokio::spawn(driver.run_and_stop());
    Ok(())
}

fn core_config(config: &RaftConfig) -> CoreConfig {
    CoreConfig {
        id: config.id,
        seed: config.seed.unwrap_or_else(rand::random),
        incarnation: rand::random(),
        lease: config.scaled_election_timeout() / 2,
        trailing_logs: config.trailing_logs,
    }
}

impl<O: Send + 'static> Driver<O> {
    async fn run_and_stop(mut self) {
        let result = AssertUnwindSafe(self.run()).catch_unwind().await;
        let stopped = match result {
            Ok(Ok(())) => Stopped::Clean,
            Ok(Err(error)) => Stopped::Failed(error),
            Err(panic) => Stopped::Failed(self.explain_panic(&*panic)),
        };
        if let Stopped::Failed(error) = &stopped {
            tracing::error!(server = self.config.id, %error, "consensus has stopped");
        }
        self.stopping.store(true, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        shared.leadership.send_if_modified(|leadership| {
            let changed = leadership.is_leader || leadership.leader_id.is_some();
            leadership.is_leader = false;
            leadership.ready = false;
            leadership.leader_id = None;
            changed
        });
        // New requests are taken and dropped only when the reason can be seen; those that are dropped before wait
        // for it.
        let Self {
            persister,
            applier,
            transfers,
            requests,
            inputs,
            core,
            log,
            snapshots,
            ..
        } = self;
        let joined = tokio::task::spawn_blocking(move || {
            drop(core);
            drop(persister.map(persist::Persister::join));
            applier.join();
            transfers.join();
            drop(log);
            drop(snapshots);
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "a consensus thread panicked");
        }
        shared.stopped.send_replace(Some(stopped));
        drop((requests, inputs));
    }

    fn explain_panic(&self, panic: &(dyn std::any::Any + Send)) -> FatalError {
        if let Some(error) = self.core.first_error().lock().take() {
            return error.into();
        }
        let text = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        FatalError::Panic(text.unwrap_or_else(|| "panic without a message".into()))
    }

    async fn run(&mut self) -> Result<(), FatalError> {
        let mut tick = tokio::time::interval(self.config.tick());
        // After a stall one tick is enough: messages that arrived meanwhile are to be seen first.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.pump()?;
            self.check_bootstrap()?;
            self.retry_changes()?;
            self.pump()?;
            self.check_snapshot()?;
            if self.shutdown {
                return self.flush();
            }
            let room = self.requests.proposals() < self.config.max_proposals;
            tokio::select! {
                biased;
                _ = tick.tick(), if self.core.needs_ticks() => self.on_tick(),
                Some(event) = self.events.recv() => {
                    self.on_event(event)?;
                    self.drain_events()?;
                }
                Some(frame) = self.inputs.inbox.recv() => {
                    self.on_frame(frame)?;
                    self.drain_inbox()?;
                }
                control = self.inputs.control.recv() => match control {
                    Some(control) => self.on_control(control)?,
                    // All handles are gone.
                    None => return Ok(()),
                },
                Some(proposal) = self.inputs.proposals.recv(), if room => self.on_proposals(proposal),
                Some(read) = self.inputs.reads.recv() => self.on_reads(read),
                _ = housekeeping.tick() => {}
            }
        }
    }

    /// Writes what was handed out, before a clean end.
    fn flush(&mut self) -> Result<(), FatalError> {
        if let Some(persister) = self.persister.take() {
            persister.join()?;
        }
        self.log.sync()?;
        Ok(())
    }

    /// Time since the start, for the core.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn on_tick(&mut self) {
        self.core.tick();
        self.check_transfer();
        self.ask_again();
    }

    fn drain_events(&mut self) -> Result<(), FatalError> {
        for _ in 0..DRAIN {
            match self.events.try_recv() {
                Ok(event) => self.on_event(event)?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn drain_inbox(&mut self) -> Result<(), FatalError> {
        for _ in 0..DRAIN {
            match self.inputs.inbox.try_recv() {
                Ok(frame) => self.on_frame(frame)?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Result<(), FatalError> {
        match event {
            Event::Persisted(number) => self.core.persisted(number?),
            Event::Applied(index) => {
                self.core.applied(index);
                self.release_barriers(index);
            }
            Event::Failed(error) => return Err(error),
            Event::SnapshotTaken(result) => self.on_snapshot_taken(result),
            Event::SnapshotSent {
                to,
                transfer,
                complete,
            } => {
                if self.transfers.sent(to, transfer) {
                    self.core.snapshot_sent(to, complete);
                }
            }
            Event::SnapshotReceived(message) => self.step(&message)?,
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Bytes) -> Result<(), FatalError> {
        match wire::decode(frame) {
            Ok(Frame::Message(message)) => self.step(&message)?,
            Ok(Frame::Chunk(chunk)) => self.transfers.on_chunk(
                chunk,
                self.config.id,
                &self.transport,
                &self.snapshots,
                &self.events_tx,
            ),
            Ok(Frame::Answer(answer)) => self.transfers.on_answer(answer),
            Err(error) => tracing::warn!(%error, "frame of a peer dropped"),
        }
        Ok(())
    }

    fn step(&mut self, message: &Bytes) -> Result<(), FatalError> {
        match self.core.step(message) {
            Ok(()) => Ok(()),
            Err(crate::CoreError::Fatal(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "message of a peer dropped");
                Ok(())
            }
        }
    }

    /// Takes proposals that wait, so that they enter the log together.
    fn on_proposals(&mut self, first: Proposal<O>) {
        let now = Instant::now();
        let mut data = Vec::new();
        let mut replies = Vec::new();
        let mut next = Some(first);
        let room = self.config.max_proposals - self.requests.proposals();
        while let Some(proposal) = next {
            if proposal.deadline > now {
                data.push(proposal.data);
                replies.push(proposal.reply);
            } else {
                let _ = proposal
                    .reply
                    .send(Err(RaftError::Timeout { began: false }));
            }
            next = if data.len() < MAX_PROPOSE_BATCH.min(room) {
                self.inputs.proposals.try_recv().ok()
            } else {
                None
            };
        }
        if data.is_empty() {
            return;
        }
        match self.core.propose(data) {
            Ok(first) => self.requests.add_proposals(first, replies),
            Err(error) => {
                let error = RaftError::from(error);
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// A path for messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Proposals and their replies, by index.
type Waiting<O> = BTreeMap<u64, (u64, Reply<Applied<O>>)>;
/// Requests that are tried again.
type Retry = VecDeque<(Vec<crate::Change>, Instant, Reply<u64>)>;
