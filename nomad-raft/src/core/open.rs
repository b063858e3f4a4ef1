//! Starting: from an empty log, a bootstrapped one, or what a crash left.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use nomad_store::{
    Durability, HardState, LogBatch, LogOp, LogPosition, LogStore, Membership, PeerInfo,
    SnapshotMeta, StoreError,
};
use raft::{Config, RawNode, ReadOnlyOption};

use super::{Core, Leadership, Output};
use crate::config::{
    CoreConfig, ELECTION_TICKS, HEARTBEAT_TICKS, MAX_APPEND_BYTES, MAX_COMMITTED_BYTES,
    MAX_INFLIGHT_APPENDS, MAX_UNCOMMITTED_BYTES,
};
use crate::error::{ConfigError, FatalError};
use crate::storage::RaftStorage;
use crate::{convert, logger};

/// Where every bootstrapped log begins. It is behind the start of the log on purpose: a server that joins later has
/// an empty log and so is sent a snapshot, which tells it the members.
const BOOTSTRAP: LogPosition = LogPosition { index: 1, term: 1 };

/// Ticks after a start during which no vote is given: longer than any lease that this server's answers may have
/// given to a leader before it stopped.
const QUIET_TICKS: usize = ELECTION_TICKS / 2 + 1;

impl Core {
    /// Writes the first membership into an empty log. Every server of a new cluster must do so with the same members.
    /// The result is false, and nothing changes, when the log has members or entries already.
    pub fn bootstrap(
        log: &dyn LogStore,
        members: BTreeMap<u64, PeerInfo>,
    ) -> Result<bool, StoreError> {
        if !log.membership()?.is_empty() || log.bounds().last.index > 0 || members.is_empty() {
            return Ok(false);
        }
        // It may have voted already, when another server was quicker; that must not be forgotten.
        let before = log.hard_state()?;
        let hard_state = HardState {
            term: before.term.max(BOOTSTRAP.term),
            vote: before.vote,
            commit: BOOTSTRAP.index,
        };
        let membership = Membership {
            index: BOOTSTRAP.index,
            voters: members.keys().copied().collect(),
            peers: members,
            ..Membership::default()
        };
        let mut batch = LogBatch::new();
        batch
            .push(LogOp::Reset(BOOTSTRAP))
            .push(LogOp::Membership(membership))
            .push(LogOp::HardState(hard_state));
        log.write(&batch, Durability::Synced)?;
        Ok(true)
    }

    /// Replaces the members by force, for a cluster that has lost its majority for good (`peers.json`). All entries
    /// that this server holds count as committed from now on. To be called on every surviving server, with the same
    /// members, while it is stopped; whatever the lost servers alone had is lost.
    pub fn force_members(
        log: &dyn LogStore,
        members: BTreeMap<u64, PeerInfo>,
        learners: &[u64],
    ) -> Result<(), StoreError> {
        let last = log.bounds().last;
        let mut hard_state = log.hard_state()?;
        hard_state.term = hard_state.term.max(last.term);
        hard_state.commit = last.index;
        let membership = Membership {
            index: last.index,
            voters: members
                .keys()
                .copied()
                .filter(|id| !learners.contains(id))
                .collect(),
            learners: learners.to_vec(),
            peers: members,
            ..Membership::default()
        };
        let mut batch = LogBatch::new();
        batch
            .push(LogOp::Membership(membership))
            .push(LogOp::HardState(hard_state));
        log.write(&batch, Durability::Synced)
    }

    /// Opens what is stored. `snapshot` is the newest usable snapshot, which the state machine has taken already;
    /// committed entries after it come out again. `snapshots` says where they lie, for messages.
    pub fn open(
        config: CoreConfig,
        log: Arc<dyn LogStore>,
        snapshot: Option<SnapshotMeta>,
        snapshots: &Path,
    ) -> Result<Self, FatalError> {
        let start = recover(&*log, snapshot.as_ref(), snapshots)?;
        let raft_config = Config {
            id: config.id,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: start.applied,
            max_size_per_msg: MAX_APPEND_BYTES,
            max_inflight_msgs: MAX_INFLIGHT_APPENDS,
            check_quorum: true,
            pre_vote: true,
            min_election_tick: ELECTION_TICKS,
            max_election_tick: 2 * ELECTION_TICKS,
            // Our own lease is stricter than that of raft-rs; see the module's head.
            read_only_option: ReadOnlyOption::Safe,
            skip_bcast_commit: false,
            batch_append: true,
            priority: 0,
            max_uncommitted_size: MAX_UNCOMMITTED_BYTES,
            max_committed_size_per_ready: MAX_COMMITTED_BYTES,
        };
        let storage = RaftStorage::new(
            log,
            convert::to_hard_state(&start.hard_state),
            &start.membership,
            snapshot,
        );
        let first_error = storage.first_error();
        let raw = RawNode::new(&raft_config, storage, &logger::logger()).map_err(|error| {
            match first_error.lock().take() {
                Some(error) => error.into(),
                None => match error {
                    raft::Error::ConfigInvalid(value) => FatalError::Config(ConfigError {
                        key: "raft",
                        value,
                        allowed: "see the message",
                    }),
                    error => FatalError::Panic(error.to_string()),
                },
            }
        })?;
        // A server that ran before may have promised a leader not to vote for a while.
        let ran_before = start.hard_state.term > BOOTSTRAP.term;
        let mut core = Self {
            raw,
            membership: start.membership,
            writes: VecDeque::new(),
            next_write: 0,
            handed_out: start.applied,
            applied: start.applied,
            gate: None,
            out: Output::default(),
            reads: super::reads::Reads::default(),
            leadership: Leadership::default(),
            attempts: 0,
            attempts_term: 0,
            quiet: if ran_before { QUIET_TICKS } else { 0 },
            leader_silent: 0,
            hard_state: start.hard_state,
            durable_term: start.hard_state.term,
            failed: None,
            config,
        };
        core.campaign_if_alone();
        core.after_input();
        Ok(core)
    }
}

struct Start {
    hard_state: HardState,
    membership: Membership,
    applied: u64,
}

/// Brings log and snapshot together after whatever happened between their writes.
fn recover(
    log: &dyn LogStore,
    snapshot: Option<&SnapshotMeta>,
    snapshots: &Path,
) -> Result<Start, FatalError> {
    let mut hard_state = log.hard_state()?;
    let mut membership = log.membership()?;
    let mut bounds = log.bounds();
    let gap = |found: String| FatalError::Gap {
        log: log.path().display().to_string(),
        snapshots: snapshots.display().to_string(),
        base: bounds.base.index,
        found,
    };
    let applied = match snapshot {
        None if bounds.base.index > BOOTSTRAP.index => return Err(gap("does not exist".into())),
        None => bounds.base.index,
        Some(snapshot) if snapshot.index < bounds.base.index => {
            return Err(gap(format!("ends at index {}", snapshot.index)));
        }
        Some(snapshot) => {
            // A snapshot that came from the leader is complete before the log is reset to it; finish that here.
            let fits =
                snapshot.index <= bounds.last.index && log.term(snapshot.index)? == snapshot.term;
            if snapshot.membership.index > membership.index || membership.is_empty() {
                membership = snapshot.membership.clone();
            }
            if !fits {
                hard_state.term = hard_state.term.max(snapshot.term);
                hard_state.commit = snapshot.index;
                let mut batch = LogBatch::new();
                batch
                    .push(LogOp::Reset(snapshot.position()))
                    .push(LogOp::Membership(membership.clone()))
                    .push(LogOp::HardState(hard_state));
                log.write(&batch, Durability::Synced)?;
                bounds = log.bounds();
            }
            snapshot.index
        }
    };
    // The commit index is written lazily; whatever was applied or made a member was committed.
    hard_state.commit = hard_state
        .commit
        .max(applied)
        .max(membership.index.min(bounds.last.index));
    if hard_state.commit > bounds.last.index || membership.index > bounds.last.index {
        return Err(FatalError::LogLost {
            last: bounds.last.index,
            expected: hard_state.commit.max(membership.index),
            by: "as committed by this server itself".into(),
        });
    }
    Ok(Start {
        hard_state,
        membership,
        applied,
    })
}
