//! Linearizable reads: by lease when it holds, else by asking a quorum.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use raft::{ReadState, StateRole};

use super::{Core, Now};
use crate::config::MAX_PENDING_READS;
use crate::error::CoreError;

/// Bytes that identify a read in the cluster: server, incarnation, number.
const CONTEXT_BYTES: usize = 24;

#[derive(Default)]
pub(super) struct Reads {
    /// Asked of a quorum, with the time of asking.
    pending: BTreeMap<u64, Now>,
    /// Waiting until this leader has committed an entry of its term.
    early: Vec<(u64, Now)>,
    /// Until when a quorum refuses to vote for another.
    lease: Now,
    /// Term in which leases are not to be trusted.
    no_lease_term: u64,
    /// Term and role for which the above holds.
    epoch: (u64, bool),
}

impl Reads {
    pub(super) fn no_lease(&mut self, term: u64) {
        self.no_lease_term = term;
        self.lease = Now::ZERO;
    }
}

impl Core {
    /// Asks for the index that a read must wait for, now. The answer comes in [`super::Output::reads`] under `id`,
    /// or the failure in [`super::Output::failed_reads`]. On a follower the leader is asked; that answer may get
    /// lost, so the caller must give up by [`Core::cancel_read`] at some time.
    pub fn read(&mut self, id: u64, now: Now) -> Result<(), CoreError> {
        let leads = self.raw.raft.state == StateRole::Leader;
        if !leads && self.raw.raft.leader_id == 0 {
            return Err(CoreError::NotLeader { leader: None });
        }
        if leads && self.in_lease(now) {
            self.out.reads.push((id, self.commit_index()));
            return Ok(());
        }
        if self.reads.pending.len() + self.reads.early.len() >= MAX_PENDING_READS {
            return Err(CoreError::Busy);
        }
        if leads && !self.raw.raft.commit_to_current_term() {
            self.reads.early.push((id, now));
            return Ok(());
        }
        self.ask_quorum(id, now);
        self.after_input();
        Ok(())
    }

    /// Forgets a read.
    pub fn cancel_read(&mut self, id: u64) {
        self.reads.pending.remove(&id);
        self.reads.early.retain(|(other, _)| *other != id);
    }

    /// Whether a read can be answered from the commit index without asking anyone.
    pub fn in_lease(&self, now: Now) -> bool {
        let raft = &self.raw.raft;
        raft.state == StateRole::Leader
            && raft.commit_to_current_term()
            && (self.membership.is_sole_voter(self.config.id)
                || (now < self.reads.lease
                    && raft.lead_transferee.is_none()
                    && self.reads.no_lease_term != raft.term))
    }

    fn ask_quorum(&mut self, id: u64, now: Now) {
        let mut context = Vec::with_capacity(CONTEXT_BYTES);
        context.put_u64(self.config.id);
        context.put_u64(self.config.incarnation);
        context.put_u64(id);
        self.reads.pending.insert(id, now);
        self.raw.read_index(context);
    }

    /// A quorum has answered, or the leader for us.
    pub(super) fn read_confirmed(&mut self, state: &ReadState) {
        let mut context = &state.request_ctx[..];
        if context.len() != CONTEXT_BYTES
            || context.get_u64() != self.config.id
            || context.get_u64() != self.config.incarnation
        {
            return;
        }
        let id = context.get_u64();
        let Some(asked) = self.reads.pending.remove(&id) else {
            return;
        };
        let raft = &self.raw.raft;
        if raft.state == StateRole::Leader && self.reads.no_lease_term != raft.term {
            self.reads.lease = self.reads.lease.max(asked + self.config.lease);
        }
        self.out.reads.push((id, state.index));
    }

    /// Fails reads that a change of term or role has cut off, and asks for those that had to wait.
    pub(super) fn check_reads(&mut self) {
        let raft = &self.raw.raft;
        let epoch = (raft.term, raft.state == StateRole::Leader);
        if epoch != self.reads.epoch {
            self.reads.epoch = epoch;
            self.reads.lease = Now::ZERO;
            let pending = std::mem::take(&mut self.reads.pending);
            self.out.failed_reads.extend(pending.keys());
            let early = std::mem::take(&mut self.reads.early);
            self.out.failed_reads.extend(early.iter().map(|(id, _)| id));
        }
        if !self.reads.early.is_empty() && raft.commit_to_current_term() {
            for (id, now) in std::mem::take(&mut self.reads.early) {
                self.ask_quorum(id, now);
            }
        }
    }
}
