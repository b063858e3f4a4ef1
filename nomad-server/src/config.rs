//! Settings of a server, its storage, and the limits of its queues.

use std::path::PathBuf;
use std::sync::Arc;

use nomad_core::{Nanos, Uuid};
use nomad_raft::{PeerInfo, RaftConfig};
use nomad_store::{LogStore, MemLog, MemSnapshots, SnapshotStore};

use crate::broker::{BrokerConfig, JobTypes};
use crate::error::StartError;
use crate::gc::GcConfig;
use crate::heartbeat::HeartbeatConfig;

/// Applied batches that a part of the server may lag behind before it has to read the state anew.
pub const CHANGE_FEED: usize = 1024;
/// Requests waiting for the leader's loop.
pub const LEADER_QUEUE: usize = 4096;
/// Plans waiting to be verified; beyond it workers wait.
pub const PLAN_QUEUE: usize = 1024;
/// Plans committed in one log entry at most.
pub const MAX_PLANS_PER_ENTRY: usize = 128;
/// Placements committed in one log entry at most, but for a single plan that has more.
pub const MAX_PLACEMENTS_PER_ENTRY: usize = 2048;
/// Reports of nodes waiting to be committed; beyond it nodes are held back.
pub const UPDATE_QUEUE: usize = 4096;
/// Allocation updates committed in one log entry at most.
pub const MAX_UPDATES_PER_ENTRY: usize = 2048;
/// Largest `num_schedulers`.
pub const MAX_WORKERS: usize = 256;

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Region that it belongs to.
    pub region: String,
    pub datacenter: String,
    /// Name of the server, unique in its region.
    pub name: String,
    /// Id of the server, kept in its data directory.
    pub id: Uuid,
    /// `host:port` at which others reach its RPC listener.
    pub rpc_address: String,
    /// Servers that make up a new cluster; 1 is a cluster of its own at once, 0 waits to be added to one.
    pub bootstrap_expect: u32,
    /// Consensus; its id is derived from [`Self::id`].
    pub raft: RaftConfig,
    /// Threads that schedule (`num_schedulers`); 0 is none.
    pub workers: usize,
    /// Job types that they schedule (`enabled_schedulers`).
    pub schedulers: JobTypes,
    pub broker: BrokerConfig,
    pub heartbeat: HeartbeatConfig,
    pub gc: GcConfig,
    /// Versions of a job that are kept (`job_tracked_versions`).
    pub job_tracked_versions: usize,
    /// Log entries whose events the event stream keeps (`event_buffer_size`); 0 is no event stream.
    pub event_buffer: usize,
    /// Largest sum of a job's counts; 0 is no limit (`job_max_count`).
    pub job_max_count: i64,
    /// Largest priority of a job (`job_max_priority`).
    pub job_max_priority: i32,
    /// Directory of the keys that wrap the keyring; without one they are gone with the process.
    pub keystore: Option<PathBuf>,
    /// How long a root key seals new data (`root_key_rotation_threshold`).
    pub root_key_rotation: Nanos,
}

impl ServerConfig {
    /// The defaults for a server that is a cluster of its own.
    pub fn new(id: Uuid, name: impl Into<String>, rpc_address: impl Into<String>) -> Self {
        Self {
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            name: name.into(),
            id,
            rpc_address: rpc_address.into(),
            bootstrap_expect: 1,
            raft: RaftConfig::new(raft_id(id)),
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            schedulers: JobTypes::ALL,
            broker: BrokerConfig::default(),
            heartbeat: HeartbeatConfig::default(),
            gc: GcConfig::default(),
            job_tracked_versions: 6,
            event_buffer: nomad_state::events::DEFAULT_EVENT_BUFFER,
            job_max_count: 50_000,
            job_max_priority: 100,
            keystore: None,
            root_key_rotation: crate::keyring::rotation::DEFAULT_ROTATION,
        }
    }

    /// How others know this server.
    pub fn peer_info(&self) -> PeerInfo {
        PeerInfo {
            node_id: self.id.to_string(),
            name: format!("{}.{}", self.name, self.region),
            address: self.rpc_address.clone(),
        }
    }

    /// Checks what is not checked elsewhere.
    pub fn validate(&self) -> Result<(), StartError> {
        let bad = |key, value: String, allowed| {
            Err(StartError::Config {
                key,
                value,
                allowed,
            })
        };
        if self.workers > MAX_WORKERS {
            return bad("num_schedulers", self.workers.to_string(), "0 to 256");
        }
        if self.name.is_empty() {
            return bad("name", String::new(), "a name");
        }
        if !(1..=32_766).contains(&self.job_max_priority) {
            return bad(
                "job_max_priority",
                self.job_max_priority.to_string(),
                "1 to 32766",
            );
        }
        Ok(())
    }
}

/// The number by which consensus knows a server.
pub fn raft_id(id: Uuid) -> u64 {
    let Uuid(bytes) = id;
    let mut low = [0; 8];
    low.copy_from_slice(&bytes[8..]);
    u64::from_be_bytes(low).max(1)
}

/// Where a server keeps its log and snapshots.
#[derive(Clone)]
pub struct Storage {
    pub log: Arc<dyn LogStore>,
    pub snapshots: Arc<dyn SnapshotStore>,
}

impl Storage {
    /// Kept in memory: gone with the process.
    pub fn memory() -> Self {
        Self {
            log: Arc::new(MemLog::new()),
            snapshots: Arc::new(MemSnapshots::new()),
        }
    }

    /// Kept in a directory: the log in RocksDB, snapshots as files.
    #[cfg(feature = "rocksdb")]
    pub fn open(directory: &std::path::Path) -> Result<Self, StartError> {
        Ok(Self {
            log: Arc::new(nomad_store::RocksLog::open(&directory.join("log"))?),
            snapshots: Arc::new(nomad_store::FileSnapshots::open(
                &directory.join("snapshots"),
            )?),
        })
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("log", &self.log.path())
            .finish_non_exhaustive()
    }
}
