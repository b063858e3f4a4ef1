//! What a server says about itself.

use std::time::Duration;

use nomad_store::{LogPosition, Membership, PeerInfo};

use crate::core::{Leadership, Role};

/// A peer as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its number.
    pub id: u64,
    /// Its name and address.
    pub info: PeerInfo,
    /// Whether it votes.
    pub voter: bool,
    /// Highest index known to be on its disk; only on the leader.
    pub matched: Option<u64>,
    /// Whether it has answered since the last election timeout; only on the leader.
    pub active: Option<bool>,
    /// Whether it is being sent a snapshot; only on the leader.
    pub snapshot: Option<bool>,
}

/// How a server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This server's number.
    pub id: u64,
    /// What it is.
    pub role: Role,
    /// Leader, term, readiness.
    pub leadership: Leadership,
    /// Highest index known to be committed.
    pub commit_index: u64,
    /// Highest index applied.
    pub applied_index: u64,
    /// First index the log holds.
    pub first_index: u64,
    /// Last index the log holds.
    pub last_index: u64,
    /// The newest snapshot.
    pub snapshot: LogPosition,
    /// Time since something came from the leader; zero on the leader, nothing when none is known.
    pub last_contact: Option<Duration>,
    /// The members.
    pub membership: Membership,
    /// All members, with progress on the leader.
    pub peers: Vec<PeerStatus>,
    /// Proposals under way.
    pub proposals: usize,
}
