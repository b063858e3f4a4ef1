//! What can go wrong: for one request, or for the whole server.

use std::sync::Arc;

use nomad_store::StoreError;

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}, allowed is {allowed}")]
pub struct ConfigError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub allowed: &'static str,
}

/// Why consensus stopped on this server. It answers no request from then on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FatalError {
    /// A setting out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log or a snapshot could not be read or written.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The snapshot and the log do not meet.
    #[error(
        "the log in {log} begins after index {base}, but the newest usable snapshot in {snapshots} {found}; entries \
         between them are missing. Restore that snapshot's file from a backup, or move both directories away and let \
         this server rejoin its cluster"
    )]
    Gap {
        /// The log's directory.
        log: String,
        /// The snapshots' directory.
        snapshots: String,
        /// The last index that the log no longer holds.
        base: u64,
        /// What was found instead of a snapshot at or after it.
        found: String,
    },
    /// The log ends before what it had acknowledged.
    #[error(
        "the log ends at index {last}, but index {expected} was acknowledged {by}: data of this server was lost. Move its \
         raft directory away and let it rejoin the cluster under a new id"
    )]
    LogLost {
        /// Last index held.
        last: u64,
        /// Index that should be there.
        expected: u64,
        /// By whose knowledge.
        by: String,
    },
    /// The state machine could not apply an entry or restore a snapshot.
    #[error("cannot apply log entry {index}: {reason}")]
    Apply {
        /// Index of the entry or snapshot.
        index: u64,
        /// What the state machine said.
        reason: String,
    },
    /// A bug: the consensus code failed an assertion.
    #[error("consensus failed: {0}")]
    Panic(String),
}

impl From<StoreError> for FatalError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Why the core refused an input.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CoreError {
    /// Only the leader can do this.
    #[error("not the leader")]
    NotLeader {
        /// Who the leader is, when known.
        leader: Option<u64>,
    },
    /// Too much is under way; try again soon.
    #[error("too many changes are waiting to be committed")]
    Busy,
    /// Leadership is being handed over; the new leader takes it.
    #[error("leadership is being transferred")]
    Transferring,
    /// Another membership change is not complete yet.
    #[error("another membership change is under way")]
    MembershipBusy,
    /// The membership change makes no sense.
    #[error("membership change refused: {0}")]
    BadMembership(String),
    /// A message of a peer cannot be read.
    #[error("bad message from a peer: {0}")]
    BadMessage(String),
    /// The server cannot go on.
    #[error(transparent)]
    Fatal(#[from] FatalError),
}

/// Why a request was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RaftError {
    /// This server is not the leader. Nothing was done; ask `leader`.
    #[error("not the leader")]
    NotLeader {
        /// Who the leader is, when known.
        leader: Option<u64>,
    },
    /// Leadership went away while the change was under way. It may or may not come into effect.
    #[error("leadership was lost while the change was under way; it may still take effect")]
    LeadershipLost,
    /// Too much is under way. Nothing was done; try again soon.
    #[error("too many requests are under way")]
    Busy,
    /// The deadline passed. Unless `began` is false the change may still come into effect.
    #[error("timed out waiting for the cluster")]
    Timeout {
        /// Whether the change may have entered the log.
        began: bool,
    },
    /// The proposal is too large. Nothing was done.
    #[error("entry of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A membership change or transfer that cannot be done now or at all.
    #[error("{0}")]
    Membership(String),
    /// The cluster has members already.
    #[error("already bootstrapped: the cluster has members")]
    AlreadyBootstrapped,
    /// A snapshot could not be written.
    #[error("cannot write a snapshot: {0}")]
    Snapshot(String),
    /// The server is shutting down or has stopped.
    #[error("consensus has stopped on this server")]
    Stopped,
    /// The server has stopped because of an error.
    #[error("consensus has stopped on this server: {0}")]
    Fatal(FatalError),
}

impl From<CoreError> for RaftError {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::NotLeader { leader } => Self::NotLeader { leader },
            CoreError::Busy | CoreError::Transferring => Self::Busy,
            CoreError::MembershipBusy | CoreError::BadMembership(_) => {
                Self::Membership(error.to_string())
            }
            CoreError::BadMessage(_) => Self::Membership(error.to_string()),
            CoreError::Fatal(error) => Self::Fatal(error),
        }
    }
}
