//! Settings and limits.

use std::time::Duration;

use crate::error::ConfigError;

/// Ticks of an election timeout. The randomized timeout lies between one and two of these.
pub const ELECTION_TICKS: usize = 20;
/// Ticks between heartbeats.
pub const HEARTBEAT_TICKS: usize = 2;
/// Largest append message, in bytes of entries; a larger entry travels alone.
pub const MAX_APPEND_BYTES: u64 = 512 * 1024;
/// Append messages under way to one follower.
pub const MAX_INFLIGHT_APPENDS: usize = 64;
/// Entries proposed and not yet committed, in bytes; beyond it proposals are refused as busy.
pub const MAX_UNCOMMITTED_BYTES: u64 = 64 * 1024 * 1024;
/// Committed entries handed out at a time, in bytes.
pub const MAX_COMMITTED_BYTES: u64 = 4 * 1024 * 1024;
/// Largest frame that is accepted from a peer, in bytes.
pub const MAX_FRAME_BYTES: usize = 17 * 1024 * 1024;
/// Reads that wait for a quorum.
pub const MAX_PENDING_READS: usize = 4096;
/// Recent log entries kept in memory, in bytes and in number.
pub const CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// See [`CACHE_BYTES`].
pub const CACHE_ENTRIES: usize = 1024;
/// Committed entries that wait in memory to be applied, in bytes; beyond it they are read from the log again.
pub const MAX_APPLY_BACKLOG: usize = 16 * 1024 * 1024;
/// Entries applied in one call of the state machine.
pub const MAX_APPLY_ENTRIES: usize = 1024;
/// Proposals that enter the log in one step.
pub const MAX_PROPOSE_BATCH: usize = 256;
/// Frames from peers waiting to be handled.
pub const INBOX: usize = 256;
/// Administrative requests waiting to be handled.
pub const CONTROL_QUEUE: usize = 64;
/// Bytes of a snapshot in one frame.
pub const SNAPSHOT_CHUNK: usize = 256 * 1024;
/// Snapshot frames under way without an acknowledgement.
pub const SNAPSHOT_WINDOW: usize = 4;
/// How often unacknowledged snapshot frames are sent again before the transfer is given up.
pub const SNAPSHOT_TRIES: u32 = 10;

/// Settings of the pure core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreConfig {
    /// This server's number, not zero, unique in the cluster for all time.
    pub id: u64,
    /// Seed of the election jitter. Servers may share one: the id is mixed in.
    pub seed: u64,
    /// A number that no other start of this server has, so that late answers to old reads are told apart.
    pub incarnation: u64,
    /// How long a quorum's answer lets the leader read without asking again. Must be well below the election timeout.
    pub lease: Duration,
    /// Entries kept behind a snapshot for followers that lag a little.
    pub trailing_logs: u64,
}

/// Settings of a running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftConfig {
    /// This server's number, not zero, unique in the cluster for all time.
    pub id: u64,
    /// Shortest time without a leader before an election. A leader that hears from no quorum that long steps down.
    pub election_timeout: Duration,
    /// Multiplies the election timeout, heartbeats and lease; 1 to 10 (`raft_multiplier`).
    pub multiplier: u32,
    /// Seed of the election jitter; random when absent.
    pub seed: Option<u64>,
    /// Applied entries since the last snapshot that make the next one due (`raft_snapshot_threshold`).
    pub snapshot_threshold: u64,
    /// How often that is looked at (`raft_snapshot_interval`).
    pub snapshot_interval: Duration,
    /// Entries kept behind a snapshot for followers that lag a little (`raft_trailing_logs`).
    pub trailing_logs: u64,
    /// How long a proposal, read or membership change may take when the caller sets no deadline.
    pub timeout: Duration,
    /// Largest proposal in bytes.
    pub max_entry_bytes: usize,
    /// Proposals waiting or under way; beyond it they are refused as busy.
    pub max_proposals: usize,
}

impl RaftConfig {
    /// The defaults for server `id`.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            election_timeout: Duration::from_secs(1),
            multiplier: 1,
            seed: None,
            snapshot_threshold: 8192,
            snapshot_interval: Duration::from_mins(2),
            trailing_logs: 10240,
            timeout: Duration::from_secs(30),
            max_entry_bytes: 8 * 1024 * 1024,
            max_proposals: 4096,
        }
    }

    /// The election timeout with the multiplier.
    pub fn scaled_election_timeout(&self) -> Duration {
        self.election_timeout * self.multiplier
    }

    /// Time between two ticks of the core.
    pub fn tick(&self) -> Duration {
        self.scaled_election_timeout() / ELECTION_TICKS as u32
    }

    /// Checks all limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bad = |key, value: String, allowed| {
            Err(ConfigError {
                key,
                value,
                allowed,
            })
        };
        if self.id == 0 {
            return bad("id", "0".into(), "any number but 0");
        }
        if !(1..=10).contains(&self.multiplier) {
            return bad("raft_multiplier", self.multiplier.to_string(), "1 to 10");
        }
        if self.election_timeout < Duration::from_millis(20) {
            let value = format!("{:?}", self.election_timeout);
            return bad("election_timeout", value, "20ms or more");
        }
        if self.snapshot_threshold == 0 {
            return bad("raft_snapshot_threshold", "0".into(), "1 or more");
        }
        if self.max_entry_bytes == 0 || self.max_entry_bytes > MAX_FRAME_BYTES - 1024 * 1024 {
            let value = self.max_entry_bytes.to_string();
            return bad("max_entry_bytes", value, "1 to 16777216");
        }
        if self.max_proposals == 0 {
            return bad("max_proposals", "0".into(), "1 or more");
        }
        Ok(())
    }
}
