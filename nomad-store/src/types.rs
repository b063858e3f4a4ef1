//! What is stored: entries, hard state, membership. Plain data, no consensus crate needed to read it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Largest data plus context of one log entry, in bytes.
pub const MAX_ENTRY_BYTES: u64 = 32 * 1024 * 1024;

/// When a write has to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In order, but only as durable as the operating system's cache until the next sync.
    Buffered,
    /// On stable storage when the call returns.
    Synced,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// The index, from 1; 0 is before the first entry.
    pub index: u64,
    /// The term in which the entry at `index` was proposed.
    pub term: u64,
}

/// What an entry carries. The numbers are stored and never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A command, or empty for a new leader's first entry.
    #[default]
    Normal = 0,
    /// A single membership change (old encoding; read, never written).
    ConfChange = 1,
    /// A membership change.
    ConfChangeV2 = 2,
}

impl EntryKind {
    /// The kind with the stored number `n`.
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            0 => Some(Self::Normal),
            1 => Some(Self::ConfChange),
            2 => Some(Self::ConfChangeV2),
            _ => None,
        }
    }
}

/// One log entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the log, from 1.
    pub index: u64,
    /// Term of the leader that proposed it.
    pub term: u64,
    /// How to read `data`.
    pub kind: EntryKind,
    /// The command.
    pub data: Bytes,
    /// Extra bytes of the proposer, mostly empty.
    pub context: Bytes,
}

impl LogEntry {
    /// Bytes it counts against a size limit.
    pub fn size(&self) -> u64 {
        (self.data.len() + self.context.len()) as u64
    }
}

/// What a server must remember of its votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// Latest term seen.
    pub term: u64,
    /// Server voted for in that term, 0 for none.
    pub vote: u64,
    /// Highest index known to be committed.
    pub commit: u64,
}

/// How to name and reach a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// The server's id as users see it (a UUID).
    pub node_id: String,
    /// The server's name.
    pub name: String,
    /// `host:port` of its RPC listener.
    pub address: String,
}

/// The members of the cluster as of one log index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Index of the last membership entry it contains; 0 when bootstrapped.
    pub index: u64,
    /// Voting members (of the incoming half while in a joint configuration).
    pub voters: Vec<u64>,
    /// Members that receive the log but do not vote.
    pub learners: Vec<u64>,
    /// Voters of the outgoing half; empty unless in a joint configuration.
    pub voters_outgoing: Vec<u64>,
    /// Members that become learners when the joint configuration is left.
    pub learners_next: Vec<u64>,
    /// Whether the leader leaves the joint configuration by itself.
    pub auto_leave: bool,
    /// Names and addresses of all members.
    pub peers: BTreeMap<u64, PeerInfo>,
}

impl Membership {
    /// True when no member is known: the server has not joined or bootstrapped a cluster.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty() && self.learners.is_empty() && self.voters_outgoing.is_empty()
    }

    /// True when `id` takes part in any role.
    pub fn contains(&self, id: u64) -> bool {
        self.is_voter(id) || self.learners.contains(&id) || self.learners_next.contains(&id)
    }

    /// True when `id` votes, in either half of a joint configuration.
    pub fn is_voter(&self, id: u64) -> bool {
        self.voters.contains(&id) || self.voters_outgoing.contains(&id)
    }

    /// True when `id` alone decides.
    pub fn is_sole_voter(&self, id: u64) -> bool {
        self.voters == [id] && self.voters_outgoing.is_empty()
    }
}

/// What a snapshot says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// Index of the last entry whose effect is contained.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The members as of that entry.
    pub membership: Membership,
}

impl SnapshotMeta {
    /// Index and term as a position.
    pub fn position(&self) -> LogPosition {
        LogPosition {
            index: self.index,
            term: self.term,
        }
    }
}
