//! What the rest of the program holds of a running server.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nomad_store::{LogStore, PeerInfo, SnapshotMeta, SnapshotStore};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::config::{CONTROL_QUEUE, INBOX, MAX_PENDING_READS, RaftConfig};
use crate::core::{Change, Leadership};
use crate::driver;
use crate::error::{FatalError, RaftError};
use crate::state_machine::StateMachine;
use crate::status::Status;
use crate::transport::Transport;

/// A proposal that has been committed and applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied<O> {
    /// Its index in the log.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// What the state machine gave.
    pub output: O,
}

/// How and whether a server has stopped.
#[derive(Clone, Debug)]
pub enum Stopped {
    /// It was asked to, or all handles are gone.
    Clean,
    /// It could not go on.
    Failed(FatalError),
}

/// Where a deadline passed.
fn timed_out(began: bool) -> RaftError {
    RaftError::Timeout { began }
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, RaftError>>;

pub(crate) struct Proposal<O> {
    pub(crate) data: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply<Applied<O>>,
}

pub(crate) struct Read {
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply<u64>,
}

pub(crate) enum Control {
    Bootstrap(BTreeMap<u64, PeerInfo>, Reply<()>),
    Change(Vec<Change>, Instant, Reply<u64>),
    Transfer(Option<u64>, Reply<u64>),
    Snapshot(Reply<SnapshotMeta>),
    Status(Reply<Status>),
    SetSnapshots { threshold: u64, interval: Duration },
    Shutdown,
}

/// What the driver tells all handles.
pub(crate) struct Shared {
    pub(crate) applied: AtomicU64,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) stopped: watch::Sender<Option<Stopped>>,
}

struct Inner<O> {
    proposals: mpsc::Sender<Proposal<O>>,
    reads: mpsc::Sender<Read>,
    control: mpsc::Sender<Control>,
    inbox: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
    config: RaftConfig,
}

/// A running server. Clones share it; it stops when the last one is dropped, without the care of
/// [`Raft::shutdown`].
pub struct Raft<O> {
    inner: Arc<Inner<O>>,
}

impl<O> Clone for Raft<O> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<O> std::fmt::Debug for Raft<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raft")
            .field("id", &self.inner.config.id)
            .field("leadership", &*self.inner.shared.leadership.borrow())
            .finish_non_exhaustive()
    }
}

impl<O: Send + 'static> Raft<O> {
    /// Starts a server: restores the newest snapshot into the state machine, opens the log, and runs. An empty log
    /// waits for [`Raft::bootstrap`] or for a leader.
    ///
    /// Must be called in a tokio runtime.
    pub async fn start<S>(
        config: RaftConfig,
        log: Arc<dyn LogStore>,
        snapshots: Arc<dyn SnapshotStore>,
        state_machine: S,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, FatalError>
    where
        S: StateMachine<Output = O>,
    {
        config.validate()?;
        let (proposals, proposals_rx) = mpsc::channel(config.max_proposals);
        let (reads, reads_rx) = mpsc::channel(MAX_PENDING_READS);
        let (control, control_rx) = mpsc::channel(CONTROL_QUEUE);
        let (inbox, inbox_rx) = mpsc::channel(INBOX);
        let shared = Arc::new(Shared {
            applied: AtomicU64::new(0),
            leadership: watch::Sender::new(Leadership::default()),
            stopped: watch::Sender::new(None),
        });
        let inputs = driver::Inputs {
            proposals: proposals_rx,
            reads: reads_rx,
            control: control_rx,
            inbox: inbox_rx,
        };
        driver::start(
            config.clone(),
            log,
            snapshots,
            state_machine,
            transport,
            inputs,
            Arc::clone(&shared),
        )
        .await?;
        Ok(Self {
            inner: Arc::new(Inner {
                proposals,
                reads,
                control,
                inbox,
                shared,
                config,
            }),
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.inner.config.timeout
    }

    /// Why requests are no longer answered.
    fn gone(&self) -> RaftError {
        match &*self.inner.shared.stopped.borrow() {
            Some(Stopped::Failed(error)) => RaftError::Fatal(error.clone()),
            _ => RaftError::Stopped,
        }
    }

    async fn answer<T>(
        &self,
        rx: oneshot::Receiver<Result<T, RaftError>>,
        deadline: Instant,
    ) -> Result<T, RaftError> {
        match tokio::time::timeout_at(deadline, rx).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.why_gone(deadline).await),
            Err(_) => Err(timed_out(true)),
        }
    }

    /// Why a request was dropped without an answer: the server is stopping, and says why when it has stopped.
    async fn why_gone(&self, deadline: Instant) -> RaftError {
        let _ = tokio::time::timeout_at(deadline, self.stopped()).await;
        self.gone()
    }

    /// Appends `data` to the log and returns when it is committed and applied here, with the default deadline.
    ///
    /// # Errors
    ///
    /// See [`RaftError`]; each says whether the change may have happened.
    pub async fn propose(&self, data: Bytes) -> Result<Applied<O>, RaftError> {
        self.propose_until(data, self.deadline()).await
    }

    /// [`Raft::propose`] with a deadline.
    pub async fn propose_until(
        &self,
        data: Bytes,
        deadline: Instant,
    ) -> Result<Applied<O>, RaftError> {
        let rx = self.enqueue(data, deadline)?;
        self.answer(rx, deadline).await
    }

    /// Puts a proposal into the queue, in the order of the calls, and returns what waits for its result. So a caller
    /// can have several under way, one behind the other.
    pub fn propose_ordered(
        &self,
        data: Bytes,
    ) -> Result<impl Future<Output = Result<Applied<O>, RaftError>> + Send + use<O>, RaftError>
    {
        let deadline = self.deadline();
        let rx = self.enqueue(data, deadline)?;
        let raft = self.clone();
        Ok(async move { raft.answer(rx, deadline).await })
    }

    fn enqueue(
        &self,
        data: Bytes,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<Applied<O>, RaftError>>, RaftError> {
        let limit = self.inner.config.max_entry_bytes;
        if data.is_empty() || data.len() > limit {
            return Err(RaftError::TooLarge {
                size: data.len(),
                limit,
            });
        }
        let (reply, rx) = oneshot::channel();
        let proposal = Proposal {
            data,
            deadline,
            reply,
        };
        match self.inner.proposals.try_send(proposal) {
            Ok(()) => Ok(rx),
            Err(mpsc::error::TrySendError::Full(_)) => Err(RaftError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.gone()),
        }
    }

    /// Returns when this server's state contains everything that was committed anywhere before the call; the state
    /// read after it is linearizable. The result is the index up to which that holds. On the leader this mostly costs
    /// no message (lease); on a follower the leader is asked.
    pub async fn read_barrier(&self) -> Result<u64, RaftError> {
        self.read_barrier_until(self.deadline()).await
    }

    /// [`Raft::read_barrier`] with a deadline.
    pub async fn read_barrier_until(&self, deadline: Instant) -> Result<u64, RaftError> {
        let (reply, rx) = oneshot::channel();
        match self.inner.reads.try_send(Read { deadline, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(RaftError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(self.gone()),
        }
        match tokio::time::timeout_at(deadline, rx).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.why_gone(deadline).await),
            Err(_) => Err(timed_out(false)),
        }
    }

    async fn control<T>(
        &self,
        make: impl FnOnce(Instant, Reply<T>) -> Control,
    ) -> Result<T, RaftError> {
        let deadline = self.deadline();
        let (reply, rx) = oneshot::channel();
        let control = make(deadline, reply);
        match tokio::time::timeout_at(deadline, self.inner.control.send(control)).await {
            Ok(Ok(())) => self.answer(rx, deadline).await,
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(timed_out(false)),
        }
    }

    /// Gives an empty cluster its first members. Every server of it must be given the same ones; one that has members
    /// already says so.
    pub async fn bootstrap(&self, members: BTreeMap<u64, PeerInfo>) -> Result<(), RaftError> {
        self.control(|_, reply| Control::Bootstrap(members, reply))
            .await
    }

    /// Changes the membership as leader and returns when the change has come into effect, with its index.
    pub async fn change_membership(&self, changes: Vec<Change>) -> Result<u64, RaftError> {
        self.control(|deadline, reply| Control::Change(changes, deadline, reply))
            .await
    }

    /// Adds a server, or changes its role, name or address.
    pub async fn add_peer(&self, id: u64, info: PeerInfo, voter: bool) -> Result<u64, RaftError> {
        let change = if voter {
            Change::AddVoter(id, info)
        } else {
            Change::AddLearner(id, info)
        };
        self.change_membership(vec![change]).await
    }

    /// Removes a server. Its number must not be used again.
    pub async fn remove_peer(&self, id: u64) -> Result<u64, RaftError> {
        self.change_membership(vec![Change::Remove(id)]).await
    }

    /// Hands leadership to `to`, or to the voter with the longest log, and returns when this server no longer leads.
    /// The result is who was asked to take over.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, RaftError> {
        self.control(|_, reply| Control::Transfer(to, reply)).await
    }

    /// Writes a snapshot now and returns when it is on stable storage.
    pub async fn snapshot_now(&self) -> Result<SnapshotMeta, RaftError> {
        self.control(|_, reply| Control::Snapshot(reply)).await
    }

    /// How this server stands.
    pub async fn status(&self) -> Result<Status, RaftError> {
        self.control(|_, reply| Control::Status(reply)).await
    }

    /// Changes when snapshots are taken, for a reloaded configuration.
    pub async fn set_snapshots(&self, threshold: u64, interval: Duration) -> Result<(), RaftError> {
        let control = Control::SetSnapshots {
            threshold: threshold.max(1),
            interval,
        };
        self.inner
            .control
            .send(control)
            .await
            .map_err(|_| self.gone())
    }

    /// Takes a frame that a peer's [`Transport::send`] gave, waiting for room. Bad frames are logged and dropped.
    pub async fn deliver(&self, frame: Bytes) -> Result<(), RaftError> {
        self.inner.inbox.send(frame).await.map_err(|_| self.gone())
    }

    /// Takes a frame, or drops it when there is no room; consensus copes with that.
    pub fn try_deliver(&self, frame: Bytes) {
        let _ = self.inner.inbox.try_send(frame);
    }

    /// Who leads, now and after each change.
    pub fn leader_changes(&self) -> watch::Receiver<Leadership> {
        self.inner.shared.leadership.subscribe()
    }

    /// Who leads.
    pub fn leadership(&self) -> Leadership {
        *self.inner.shared.leadership.borrow()
    }

    /// Highest index that the state machine has applied.
    pub fn applied_index(&self) -> u64 {
        self.inner.shared.applied.load(Ordering::Acquire)
    }

    /// Settings it was started with.
    pub fn config(&self) -> &RaftConfig {
        &self.inner.config
    }

    /// Resolves when the server has stopped and all its threads are gone, so that its directories can be opened
    /// again. The future does not keep the server alive.
    pub fn stopped(&self) -> impl Future<Output = Stopped> + Send + 'static + use<O> {
        let mut rx = self.inner.shared.stopped.subscribe();
        async move {
            match rx.wait_for(Option::is_some).await {
                Ok(stopped) => stopped.clone().unwrap_or(Stopped::Clean),
                Err(_) => Stopped::Clean,
            }
        }
    }

    /// Stops: refuses new requests, writes what is under way and returns when all threads are gone.
    pub async fn shutdown(&self) -> Stopped {
        // A full queue or a server that has stopped: either way waiting is right.
        let _ = self.inner.control.send(Control::Shutdown).await;
        self.stopped().await
    }
}
