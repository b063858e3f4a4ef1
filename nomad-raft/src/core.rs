//! The consensus core: pure, driven from outside, deterministic for a seed.
//!
//! Inputs are methods; after any of them the caller takes [`Output`]s while [`Core::has_output`] says so, and does in
//! this order: send `messages`, hand `persist` to whatever writes the log, hand `committed` to whatever applies.
//! When a write is on stable storage it calls [`Core::persisted`], when entries are applied [`Core::applied`].
//!
//! **Lease reads.** A leader may answer a read without asking anyone until `lease` after the moment at which it sent
//! a round of heartbeats that a quorum answered. That is safe because every server of that quorum refuses to vote for
//! an election timeout after such a heartbeat, and because
//! - a server that has just started refuses to vote for an election timeout too (it may have answered before);
//! - after a leadership transfer was begun, which may override that refusal, reads go the long way for the rest of
//!   the term.
//!
//! `lease` must not exceed half an election timeout.

mod members;
mod open;
mod output;
mod reads;
#[cfg(test)]
mod tests;
mod view;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use nomad_store::{LogPosition, Membership, SnapshotMeta};
use raft::eraftpb::{Entry, Message, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};

pub use members::Change;
pub use output::{Leadership, Outgoing, Output, Payload, Persist};
pub use view::Progress;

use crate::config::{CoreConfig, ELECTION_TICKS, MAX_FRAME_BYTES};
use crate::convert;
use crate::error::{CoreError, FatalError};
use crate::storage::RaftStorage;

/// What a server is to its cluster at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader or waits for one.
    #[default]
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

impl From<StateRole> for Role {
    fn from(role: StateRole) -> Self {
        match role {
            StateRole::Follower => Self::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Self::Candidate,
            StateRole::Leader => Self::Leader,
        }
    }
}

/// One server's part in consensus, without I/O.
pub struct Core {
    raw: RawNode<RaftStorage>,
    config: CoreConfig,
    membership: Membership,
    /// Writes that are under way, and outputs that wait for them.
    writes: VecDeque<Write>,
    next_write: u64,
    /// The last position up to which the state machine has been asked to go.
    handed_out: u64,
    /// What the state machine has reached.
    applied: u64,
    /// A membership entry and the write that makes it durable: entries from it on count as applied only after that.
    gate: Option<(u64, u64)>,
    /// Outputs gathered since the last [`Core::take_output`].
    out: Output,
    reads: reads::Reads,
    leadership: Leadership,
    /// Elections begun in the current term; part of the jitter, so that equal timeouts part.
    attempts: u64,
    attempts_term: u64,
    /// Ticks during which no vote is given after a start.
    quiet: usize,
    /// Ticks since anything came from the leader.
    leader_silent: u64,
    /// The last hard state handed out to be written.
    hard_state: nomad_store::HardState,
    /// Term that is on stable storage.
    durable_term: u64,
    /// Set when a membership entry could not be read or applied.
    failed: Option<FatalError>,
}

/// A write under way.
struct Write {
    number: u64,
    /// The raft-rs ready it belongs to, if any.
    ready: Option<u64>,
    /// False when there was nothing to write; it only waits for those before it.
    pending: bool,
    /// Last index appended, lowered when a later append replaces it.
    last: Option<u64>,
    term: u64,
    messages: Vec<Message>,
    install: Option<SnapshotMeta>,
}

impl Core {
    /// One tick of time, a twentieth of the election timeout.
    pub fn tick(&mut self) {
        self.quiet = self.quiet.saturating_sub(1);
        self.leader_silent += 1;
        if self.raw.raft.state != StateRole::Leader && self.membership.is_sole_voter(self.config.id)
        {
            // Alone it campaigns as soon as it can, never by time.
            self.campaign_if_alone();
        } else {
            if self.installing() {
                self.raw.raft.election_elapsed = 0;
            }
            let fired = self.raw.tick();
            if fired && self.raw.raft.state != StateRole::Leader {
                self.attempts += 1;
            }
            self.leave_joint();
        }
        self.after_input();
    }

    /// A message of a peer, as [`Payload::Message`] carried it.
    pub fn step(&mut self, message: &Bytes) -> Result<(), CoreError> {
        if message.len() > MAX_FRAME_BYTES {
            return Err(CoreError::BadMessage(format!(
                "{} bytes exceed the limit of {MAX_FRAME_BYTES}",
                message.len()
            )));
        }
        let message = convert::decode(message)?;
        let from = message.from;
        if from == 0 || from == self.config.id || message.to != self.config.id {
            return Err(CoreError::BadMessage(format!(
                "from {from} to {}, this is {}",
                message.to, self.config.id
            )));
        }
        match message.msg_type {
            // Proposals and transfers come through the API of the leader, never from a peer.
            MessageType::MsgPropose | MessageType::MsgTransferLeader => {
                return Err(CoreError::BadMessage(format!("{:?}", message.msg_type)));
            }
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
                if self.quiet > 0 && &message.context[..] != raft::CAMPAIGN_TRANSFER =>
            {
                return Ok(());
            }
            // The leader asks again, or gives up handing over.
            MessageType::MsgTimeoutNow if self.installing() => return Ok(()),
            MessageType::MsgHeartbeat => {
                self.check_not_lost(message.commit, message.term, from)?;
            }
            MessageType::MsgSnapshot => {
                // Fails early on a description that could not be stored later.
                convert::from_snapshot(message.get_snapshot())?;
            }
            _ => {}
        }
        if message.from == self.raw.raft.leader_id {
            self.leader_silent = 0;
        }
        let result = self.raw.step(message);
        self.after_input();
        match result {
            Ok(()) | Err(raft::Error::StepPeerNotFound | raft::Error::ProposalDropped) => Ok(()),
            Err(error) => Err(CoreError::BadMessage(error.to_string())),
        }
    }

    /// Whether a snapshot is in the log whose state the state machine has not taken yet. No election may begin until
    /// then: raft-rs looks for membership changes among the entries that are not applied, and these are gone.
    fn installing(&self) -> bool {
        self.raw.raft.raft_log.applied < self.raw.store().base().index
    }

    /// A leader's heartbeat names an index that this server acknowledged. When the log does not reach it, acknowledged
    /// entries are gone, and going on could elect a leader without them.
    fn check_not_lost(&self, commit: u64, term: u64, from: u64) -> Result<(), CoreError> {
        let last = self.raw.raft.raft_log.last_index();
        if term >= self.raw.raft.term && commit > last {
            return Err(FatalError::LogLost {
                last,
                expected: commit,
                by: format!("to server {from}"),
            }
            .into());
        }
        Ok(())
    }

    /// Appends entries to the log as leader. The result is the first one's position; the others follow it.
    pub fn propose(&mut self, entries: Vec<Bytes>) -> Result<LogPosition, CoreError> {
        self.check_leader()?;
        if self.raw.raft.lead_transferee.is_some() {
            return Err(CoreError::Transferring);
        }
        let count = entries.len() as u64;
        if count == 0 {
            return Err(CoreError::Busy);
        }
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.config.id;
        message.set_entries(
            entries
                .into_iter()
                .map(|data| Entry {
                    data,
                    ..Default::default()
                })
                .collect::<Vec<_>>()
                .into(),
        );
        let result = self.raw.raft.step(message);
        self.after_input();
        match result {
            Ok(()) => Ok(LogPosition {
                index: self.raw.raft.raft_log.last_index() + 1 - count,
                term: self.raw.raft.term,
            }),
            Err(_) => Err(CoreError::Busy),
        }
    }

    /// Hands leadership to `to`, or to the voter with the longest log. The result is who it is offered to; whether
    /// it took over shows in [`Core::leadership`] within an election timeout.
    pub fn transfer(&mut self, to: Option<u64>) -> Result<u64, CoreError> {
        self.check_leader()?;
        let id = self.config.id;
        let to = match to {
            Some(to) if to == id => return Ok(to),
            Some(to) if self.membership.is_voter(to) => to,
            Some(to) => {
                return Err(CoreError::BadMembership(format!(
                    "server {to} is not a voter"
                )));
            }
            None => self
                .raw
                .raft
                .prs()
                .iter()
                .filter(|(peer, progress)| {
                    **peer != id && progress.recent_active && self.membership.is_voter(**peer)
                })
                .max_by_key(|(peer, progress)| (progress.matched, std::cmp::Reverse(**peer)))
                .map(|(peer, _)| *peer)
                .ok_or_else(|| {
                    CoreError::BadMembership("no other voter answers that could take over".into())
                })?,
        };
        self.reads.no_lease(self.raw.raft.term);
        self.raw.transfer_leader(to);
        self.after_input();
        Ok(to)
    }

    /// The state machine has applied everything up to `index`.
    pub fn applied(&mut self, index: u64) {
        self.applied = self.applied.max(index);
        self.advance_applied();
        self.after_input();
    }

    /// A snapshot of our own state is on stable storage. The log before it, less the trailing entries, is dropped.
    pub fn snapshot_saved(&mut self, meta: SnapshotMeta) {
        if self
            .snapshot()
            .is_some_and(|current| current.index >= meta.index)
        {
            return;
        }
        let to = meta.index.saturating_sub(self.config.trailing_logs);
        self.raw.mut_store().set_snapshot(meta);
        if to > self.raw.store().base().index {
            self.compact(to);
        }
        self.after_input();
    }

    /// The stream of a snapshot to `to` ended.
    pub fn snapshot_sent(&mut self, to: u64, complete: bool) {
        let status = if complete {
            SnapshotStatus::Finish
        } else {
            SnapshotStatus::Failure
        };
        self.raw.report_snapshot(to, status);
        self.after_input();
    }

    /// Messages to `to` are being lost.
    pub fn unreachable(&mut self, to: u64) {
        self.raw.report_unreachable(to);
        self.after_input();
    }

    fn check_leader(&self) -> Result<(), CoreError> {
        if self.raw.raft.state == StateRole::Leader {
            return Ok(());
        }
        Err(CoreError::NotLeader {
            leader: self.leader(),
        })
    }

    /// Becomes leader at once when nobody else has a say and nothing is under way.
    fn campaign_if_alone(&mut self) {
        let raft = &self.raw.raft;
        let ready = raft.state != StateRole::Leader
            && self.membership.is_sole_voter(self.config.id)
            && self.writes.is_empty()
            && raft.raft_log.persisted == raft.raft_log.last_index()
            && raft.raft_log.applied >= raft.raft_log.committed
            && !self.raw.has_ready();
        if ready {
            // Refused only when it cannot win, and then the next call tries again.
            let _ = self.raw.campaign();
        }
    }

    /// To be called after everything that may have changed term or role.
    fn after_input(&mut self) {
        let raft = &mut self.raw.raft;
        if raft.term != self.attempts_term {
            self.attempts_term = raft.term;
            self.attempts = 0;
        }
        // raft-rs draws from the thread's generator; replace that by a number that depends on nothing hidden.
        let jitter = jitter(self.config.seed, self.config.id, raft.term, self.attempts);
        if raft.randomized_election_timeout() != jitter {
            raft.set_randomized_election_timeout(jitter);
        }
        self.check_reads();
    }
}

/// An election timeout in ticks, between one and two election timeouts: a hash, so that it does not depend on how
/// often it is asked for.
fn jitter(seed: u64, id: u64, term: u64, attempts: u64) -> usize {
    let mut x = seed;
    for part in [id, term, attempts] {
        x ^= part;
        // splitmix64
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    ELECTION_TICKS + (x % ELECTION_TICKS as u64) as usize
}

/// The time at which something happened, since any fixed moment.
pub type Now = Duration;
