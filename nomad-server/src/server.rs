//! The handle that the rest of the agent holds, and how a server starts and stops.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use nomad_core::{Clock, NodeId};
use nomad_proto::TunnelIo;
use nomad_proto::node::ServerAddress;
use nomad_raft::{PeerStatus, Raft, Status};
use nomad_state::{Applied, Command, EventRead, State, Store, Watch, WatchKey};
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{PLAN_QUEUE, ServerConfig, Storage, UPDATE_QUEUE};
use crate::error::{ServerError, StartError};
use crate::feed::{Feed, FeedItem};
use crate::fsm::{Fsm, Output};
use crate::ids::SharedIds;
use crate::keyring::Keyring;
use crate::leader::{self, LeaderHandle, LeaderStats, Renewal};
use crate::node::registry::Sessions;
use crate::node::reports::{Report, commit_reports};
use crate::node::tunnels::Tunnels;
use crate::plan::PlanRequest;
use crate::plan::applier::Applier;
use crate::rpc::keys;
use crate::rpc::peers::Peers;
use crate::rpc::transport::GrpcTransport;
use crate::worker::Worker;

/// How long a request waits for a leader to be known (`rpc_hold_timeout`).
pub(crate) const LEADER_HOLD: Duration = Duration::from_secs(5);

/// Serves a byte stream on which another server or a client agent speaks HTTP.
pub type ForwardHandler = Arc<dyn Fn(TunnelIo) + Send + Sync>;

/// What all parts of a server share.
pub(crate) struct Inner {
    pub(crate) config: ServerConfig,
    pub(crate) store: Arc<Store>,
    pub(crate) raft: Raft<Output>,
    pub(crate) feed: Feed,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) tunnels: Tunnels,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: SharedIds,
    pub(crate) keyring: Keyring,
    /// Told when this server got a wrapping key.
    pub(crate) keys_changed: watch::Sender<()>,
    /// Where locks are renewed while this server leads.
    pub(crate) renewals: Mutex<Option<mpsc::Sender<Renewal>>>,
    /// The leader's loop while this server leads.
    pub(crate) leader: watch::Sender<Option<LeaderHandle>>,
    pub(crate) plans: mpsc::Sender<PlanRequest>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) forward: OnceLock<ForwardHandler>,
    pub(crate) stop: CancellationToken,
}

impl Inner {
    /// Puts a command into the log; gives its answer once it is applied here.
    pub(crate) async fn propose(
        &self,
        command: impl Into<Command>,
    ) -> Result<Applied, ServerError> {
        let data = Bytes::from(command.into().encode());
        match self.raft.propose(data).await {
            Ok(applied) => Ok(applied.output?),
            Err(nomad_raft::RaftError::NotLeader { .. }) => Err(self.no_leader_here()),
            Err(error) => Err(error.into()),
        }
    }

    /// The leader's loop, if this server leads.
    pub(crate) fn leader_here(&self) -> Result<LeaderHandle, ServerError> {
        self.leader
            .borrow()
            .clone()
            .ok_or_else(|| self.no_leader_here())
    }

    /// The leader's loop; where nobody leads, waits a while for somebody who does.
    pub(crate) async fn wait_for_leader(&self) -> Result<LeaderHandle, ServerError> {
        let mut here = self.leader.subscribe();
        let mut anywhere = self.raft.leader_changes();
        let wait = async {
            loop {
                if let Some(leader) = here.borrow_and_update().clone() {
                    return Ok(leader);
                }
                let known = *anywhere.borrow_and_update();
                if known.leader_id.is_some() && !known.is_leader {
                    return Err(self.no_leader_here());
                }
                tokio::select! {
                    () = self.stop.cancelled() => return Err(stopped()),
                    changed = here.changed() => changed.map_err(|_| stopped())?,
                    changed = anywhere.changed() => changed.map_err(|_| stopped())?,
                }
            }
        };
        tokio::time::timeout(LEADER_HOLD, wait)
            .await
            .unwrap_or(Err(ServerError::NoLeader))
    }

    fn no_leader_here(&self) -> ServerError {
        let leadership = self.raft.leadership();
        let other = leadership.leader_id.filter(|_| !leadership.is_leader);
        match other.and_then(|id| self.peers.address(id)) {
            Some(leader) => ServerError::NotLeader { leader },
            None => ServerError::NoLeader,
        }
    }

    /// The servers that a node may connect to.
    pub(crate) fn server_addresses(&self) -> Vec<ServerAddress> {
        let leader = self.raft.leadership().leader_id;
        self.peers
            .all()
            .into_iter()
            .map(|(id, info)| ServerAddress {
                name: info.name,
                address: info.address,
                leader: Some(id) == leader,
            })
            .collect()
    }
}

fn stopped() -> ServerError {
    ServerError::Stopped {
        reason: "shutting down".to_owned(),
    }
}

/// A running server. Clones share it.
#[derive(Clone)]
pub struct Server {
    pub(crate) inner: Arc<Inner>,
    threads: Arc<Mutex<Vec<std::thread::JoinHandle<()>>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.inner.config.name)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server: restores its state, joins or makes its cluster, starts its threads.
    ///
    /// Must be called in a tokio runtime, which the server's tasks then use.
    pub async fn start(
        config: ServerConfig,
        storage: Storage,
        clock: Arc<dyn Clock>,
        ids: SharedIds,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let keyring = Keyring::open(config.keystore.as_deref())?;
        let store = Arc::new(Store::new());
        store.keep_events(config.event_buffer);
        let feed = Feed::new();
        let sessions = Arc::new(Sessions::default());
        let peers = Arc::new(Peers::new(config.raft.id, config.peer_info()));
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Handle::current();
        let transport = GrpcTransport::new(Arc::clone(&peers), runtime.clone(), stop.clone());
        let fsm = Fsm {
            store: Arc::clone(&store),
            feed: feed.clone(),
            sessions: Arc::clone(&sessions),
        };
        let raft = Raft::start(
            config.raft.clone(),
            storage.log,
            storage.snapshots,
            fsm,
            Arc::new(transport),
        )
        .await?;
        if config.bootstrap_expect == 1 {
            bootstrap_alone(&raft, &config).await?;
        }
        let (plans, plan_queue) = mpsc::channel(PLAN_QUEUE);
        let (reports, report_queue) = mpsc::channel(UPDATE_QUEUE);
        let inner = Arc::new(Inner {
            store: Arc::clone(&store),
            raft: raft.clone(),
            feed,
            sessions,
            tunnels: Tunnels::default(),
            peers,
            clock: Arc::clone(&clock),
            ids: ids.clone(),
            keyring,
            keys_changed: watch::Sender::new(()),
            renewals: Mutex::default(),
            leader: watch::Sender::new(None),
            plans,
            reports,
            forward: OnceLock::new(),
            stop,
            config,
        });
        let server = Self {
            inner: Arc::clone(&inner),
            threads: Arc::default(),
        };
        let applier = Applier {
            store,
            raft,
            clock,
            ids,
            runtime: runtime.clone(),
        };
        server.spawn("plan-applier", move || applier.run(plan_queue))?;
        for number in 0..inner.config.workers {
            let worker = Worker::new(Arc::clone(&inner), runtime.clone());
            server.spawn(&format!("worker-{number}"), move || worker.run())?;
        }
        tokio::spawn(commit_reports(Arc::clone(&inner), report_queue));
        tokio::spawn(keys::follow(Arc::clone(&inner)));
        tokio::spawn(leader::supervise(inner));
        Ok(server)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work);
        let thread = thread.map_err(|source| StartError::Thread {
            name: name.to_owned(),
            source,
        })?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Settings it was started with.
    pub fn config(&self) -> &ServerConfig {
        &self.inner.config
    }

    /// The newest state of this server.
    pub fn state(&self) -> State {
        self.inner.store.snapshot()
    }

    /// Watches keys from now on. Make the watch first, read the state after: no change is missed then.
    pub fn watch(&self, keys: Vec<WatchKey>) -> Watch {
        self.inner.store.watch(keys)
    }

    /// Where in the event stream a subscriber that asks for an index starts.
    pub fn events_start(&self, index: u64) -> u64 {
        self.inner.store.events_start(index)
    }

    /// Events from a cursor on; watch [`WatchKey::Events`] first, then read.
    pub fn events(&self, cursor: u64) -> EventRead {
        self.inner.store.events(cursor)
    }

    /// Every change from now on, in order, for event streams. A receiver that lagged is told so and reads the state.
    pub fn feed(&self) -> broadcast::Receiver<FeedItem> {
        self.inner.feed.subscribe()
    }

    /// Waits until this server's state contains the log up to an index.
    pub async fn wait_for_index(&self, index: u64) -> Result<State, ServerError> {
        let mut feed = self.inner.feed.subscribe();
        loop {
            let state = self.state();
            if state.last_index() >= index {
                return Ok(state);
            }
            tokio::select! {
                () = self.inner.stop.cancelled() => return Err(stopped()),
                // Lagging is no loss: the state is read anew.
                _ = feed.recv() => {}
            }
        }
    }

    /// Puts a command into the log; gives its answer once it is applied here.
    pub async fn propose(&self, command: impl Into<Command>) -> Result<Applied, ServerError> {
        self.inner.propose(command).await
    }

    /// Returns when this server's state contains everything that was committed anywhere before the call.
    pub async fn read_barrier(&self) -> Result<(), ServerError> {
        self.inner.raft.read_barrier().await?;
        Ok(())
    }

    /// Waits until this server leads and its leader's loop runs; errors when another one leads.
    pub async fn wait_until_leading(&self) -> Result<(), ServerError> {
        self.inner.wait_for_leader().await.map(|_| ())
    }

    /// Whether this server leads.
    pub fn is_leader(&self) -> bool {
        self.inner.leader.borrow().is_some()
    }

    /// RPC address of the leader, when one is known.
    pub fn leader_address(&self) -> Option<String> {
        self.inner
            .peers
            .address(self.inner.raft.leadership().leader_id?)
    }

    /// How consensus stands on this server.
    pub async fn consensus(&self) -> Result<Status, ServerError> {
        Ok(self.inner.raft.status().await?)
    }

    /// All servers, with progress on the leader.
    pub async fn peers(&self) -> Result<Vec<PeerStatus>, ServerError> {
        Ok(self.consensus().await?.peers)
    }

    /// How much is queued at the leader's loop of this server.
    pub async fn leader_stats(&self) -> Result<LeaderStats, ServerError> {
        self.inner.leader_here()?.stats().await
    }

    /// The members of the cluster as this server knows them.
    pub fn known_servers(&self) -> Vec<nomad_raft::PeerInfo> {
        let all = self.inner.peers.all();
        all.into_iter().map(|(_, info)| info).collect()
    }

    /// How many nodes are connected to this server.
    pub fn connected_nodes(&self) -> usize {
        self.inner.sessions.len()
    }

    /// A byte stream to a node's own API, by way of the node's stream.
    pub async fn open_tunnel(&self, node: NodeId) -> Result<TunnelIo, ServerError> {
        self.inner
            .tunnels
            .open(&self.inner.sessions, &self.inner.ids, node)
            .await
    }

    /// Sets who serves the requests that others forward to this server; once.
    pub fn set_forward_handler(&self, handler: ForwardHandler) {
        if self.inner.forward.set(handler).is_err() {
            tracing::warn!("the handler of forwarded requests is set already");
        }
    }

    /// Stops: ends streams and threads, writes what is under way.
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        self.inner.raft.shutdown().await;
        let threads = std::mem::take(&mut *self.threads.lock());
        drop(self);
        // The plan applier ends when the last sender is gone, so nothing here may wait for it forever.
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads.into_iter().filter(|thread| {
                thread
                    .thread()
                    .name()
                    .is_some_and(|name| name.starts_with("worker-"))
            }) {
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

/// Makes a new server a cluster of its own; one that has members already is left alone.
async fn bootstrap_alone(raft: &Raft<Output>, config: &ServerConfig) -> Result<(), StartError> {
    let members = BTreeMap::from([(config.raft.id, config.peer_info())]);
    match raft.bootstrap(members).await {
        Ok(()) | Err(nomad_raft::RaftError::AlreadyBootstrapped) => Ok(()),
        Err(error) => Err(StartError::Bootstrap(error)),
    }
}
