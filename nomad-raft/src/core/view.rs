//! Looking at a core without changing it.

use nomad_store::{LogPosition, Membership, SnapshotMeta};

use super::{Core, Leadership, Role};

/// How far a peer is, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Highest index known to be on its disk.
    pub matched: u64,
    /// Whether it has answered since the last election timeout.
    pub active: bool,
    /// Whether it is being sent a snapshot.
    pub snapshot: bool,
}

impl Core {
    /// Whether [`Core::take_output`] has anything to give.
    pub fn has_output(&self) -> bool {
        self.raw.has_ready()
            || !self.out.is_empty()
            || self.failed.is_some()
            || self.leadership() != self.leadership
    }

    /// This server's number.
    pub fn id(&self) -> u64 {
        self.config.id
    }

    /// What this server is at the moment.
    pub fn role(&self) -> Role {
        self.raw.raft.state.into()
    }

    /// The current term.
    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// Who leads, when known.
    pub fn leader(&self) -> Option<u64> {
        Some(self.raw.raft.leader_id).filter(|&id| id != 0)
    }

    /// Leader, term and readiness.
    pub fn leadership(&self) -> Leadership {
        Leadership {
            leader_id: self.leader(),
            term: self.term(),
            is_leader: self.role() == Role::Leader,
            ready: self.role() == Role::Leader && self.raw.raft.apply_to_current_term(),
        }
    }

    /// Highest index known to be committed.
    pub fn commit_index(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }

    /// Highest index that counts as applied.
    pub fn applied_index(&self) -> u64 {
        self.raw.raft.raft_log.applied
    }

    /// Last index of the log, written or not.
    pub fn last_index(&self) -> u64 {
        self.raw.raft.raft_log.last_index()
    }

    /// The entry before the first one held.
    pub fn base(&self) -> LogPosition {
        self.raw.store().base()
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Option<&SnapshotMeta> {
        self.raw.store().snapshot_meta()
    }

    /// The members as of the last committed change.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Ticks since anything came from the leader; 0 on the leader itself.
    pub fn ticks_since_leader(&self) -> u64 {
        if self.role() == Role::Leader {
            0
        } else {
            self.leader_silent
        }
    }

    /// How far a peer is; nothing on a server that does not lead.
    pub fn progress(&self, peer: u64) -> Option<Progress> {
        if self.role() != Role::Leader {
            return None;
        }
        let progress = self.raw.raft.prs().get(peer)?;
        Some(Progress {
            matched: progress.matched,
            active: peer == self.config.id || progress.recent_active,
            snapshot: progress.state == raft::ProgressState::Snapshot,
        })
    }

    /// The term of a log entry, when the log holds it.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index < self.base().index || index > self.last_index() {
            return None;
        }
        self.raw.raft.raft_log.term(index).ok()
    }

    /// Whether a write is under way.
    pub fn writing(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Whether leadership is being handed over.
    pub fn transferring(&self) -> bool {
        self.raw.raft.lead_transferee.is_some()
    }

    /// Last index that has been given out to be applied.
    pub fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// False while time means nothing to this server: alone and leading.
    pub fn needs_ticks(&self) -> bool {
        !(self.role() == Role::Leader
            && self.membership.is_sole_voter(self.config.id)
            && self.membership.learners.is_empty())
            || self.raw.raft.lead_transferee.is_some()
    }

    /// Where an error of the stored log is kept when raft-rs panics because of it.
    pub(crate) fn first_error(&self) -> crate::storage::FirstError {
        self.raw.store().first_error()
    }
}
