//! Why the server did not do what it was asked; each kind says what the caller should do.

use std::time::Duration;

use nomad_proto::PackError;
use nomad_raft::{FatalError, RaftError};
use nomad_state::ApplyError;

/// How long a refused caller should wait where nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request that was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServerError {
    /// The request itself is wrong.
    #[error("{reason}")]
    BadRequest { reason: String },
    /// What it is about does not exist, and that is the caller's mistake.
    #[error("{what}")]
    NotFound { what: String },
    /// Understood, but it does not fit the state.
    #[error("{reason}")]
    Refused { reason: String },
    /// Understood, but it does not fit the state, as apply found.
    #[error(transparent)]
    State(#[from] ApplyError),
    /// Somebody else leads; ask there.
    #[error("not the leader")]
    NotLeader {
        /// `host:port` of the leader's RPC listener.
        leader: String,
    },
    /// Nobody leads at the moment.
    #[error("No cluster leader")]
    NoLeader,
    /// The node is not connected to this server.
    #[error("No path to node")]
    NoPath,
    /// Too much at once.
    #[error("too many requests are under way, try again in {} s", retry_after.as_secs())]
    Busy { retry_after: Duration },
    /// It took too long; the change may still come into effect.
    #[error("timed out waiting for {what}")]
    Timeout { what: &'static str },
    /// Larger than a limit.
    #[error("{what} of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        what: &'static str,
        size: usize,
        limit: usize,
    },
    /// The server is shutting down or has stopped.
    #[error("the server has stopped: {reason}")]
    Stopped { reason: String },
    /// Something failed that is nobody's mistake.
    #[error("{reason}")]
    Internal { reason: String },
}

impl ServerError {
    /// The request itself is wrong.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::BadRequest {
            reason: reason.into(),
        }
    }

    /// What it is about does not exist.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// It does not fit the state.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }

    /// Something failed that is nobody's mistake.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::Internal {
            reason: reason.into(),
        }
    }

    /// Too much at once, come back after the usual time.
    pub fn busy() -> Self {
        Self::Busy {
            retry_after: RETRY_AFTER,
        }
    }

    /// Whether trying again later, perhaps elsewhere, makes sense.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotLeader { .. } | Self::NoLeader | Self::Busy { .. } | Self::Timeout { .. }
        )
    }
}

impl From<RaftError> for ServerError {
    fn from(error: RaftError) -> Self {
        match error {
            // Who leads is looked up by the caller, who knows the addresses.
            RaftError::NotLeader { .. } | RaftError::LeadershipLost => Self::NoLeader,
            RaftError::Busy => Self::busy(),
            RaftError::Timeout { .. } => Self::Timeout {
                what: "the cluster",
            },
            RaftError::TooLarge { size, limit } => Self::TooLarge {
                what: "change",
                size,
                limit,
            },
            RaftError::Stopped | RaftError::Fatal(_) => Self::Stopped {
                reason: error.to_string(),
            },
            RaftError::Membership(_) | RaftError::AlreadyBootstrapped | RaftError::Snapshot(_) => {
                Self::refused(error.to_string())
            }
        }
    }
}

impl From<PackError> for ServerError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Decode { .. } => Self::bad_request(error.to_string()),
            PackError::Encode { .. } => Self::internal(error.to_string()),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting out of its range.
    #[error("{key} is {value}, allowed is {allowed}")]
    Config {
        key: &'static str,
        value: String,
        allowed: &'static str,
    },
    /// Stored data could not be opened.
    #[error(transparent)]
    Store(#[from] nomad_store::StoreError),
    /// Consensus could not start.
    #[error(transparent)]
    Consensus(#[from] FatalError),
    /// The first server of a cluster could not make itself its member.
    #[error("cannot bootstrap: {0}")]
    Bootstrap(RaftError),
    /// The keys that wrap the keyring could not be read.
    #[error(transparent)]
    Keystore(#[from] crate::keyring::KeystoreError),
    /// A thread could not be started.
    #[error("cannot start thread {name}: {source}")]
    Thread {
        name: String,
        source: std::io::Error,
    },
}
