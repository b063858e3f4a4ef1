//! Requests under way: proposals, reads, membership changes, transfers.

use std::collections::BTreeMap;

use nomad_store::LogPosition;
use tokio::time::Instant;

use super::apply::Replies;
use super::{Driver, Retry, Waiting};
use crate::core::Change;
use crate::error::{CoreError, FatalError, RaftError};
use crate::handle::{Applied, Control, Read, Reply};
use crate::state_machine::Committed;
use crate::status::{PeerStatus, Status};

/// Membership changes that wait for one under way.
const MAX_RETRIES: usize = 64;

/// How often a transfer is tried: the other server refuses while it has a membership change to apply.
const TRANSFER_TRIES: u32 = 3;

/// A transfer of leadership under way.
struct Transfer {
    /// Who was asked to take over.
    to: u64,
    /// Who shall take over, if the caller minds.
    wish: Option<u64>,
    tries: u32,
    reply: Reply<u64>,
}

/// Reads that share one question to the quorum.
struct Asked {
    since: Instant,
    reads: Vec<Read>,
}

/// A bootstrap that waits until nothing is being written.
type Bootstrap = (BTreeMap<u64, crate::PeerInfo>, Reply<()>);

pub(super) struct Requests<O> {
    bootstrap: Option<Bootstrap>,
    proposals: Waiting<O>,
    changes: BTreeMap<u64, Reply<u64>>,
    retry: Retry,
    transfer: Option<Transfer>,
    /// Reads that wait for a quorum, by the number given to the core.
    asked: BTreeMap<u64, Asked>,
    next_read: u64,
    /// Reads that wait until an index is applied.
    barriers: BTreeMap<u64, Vec<Reply<u64>>>,
}

impl<O> Default for Requests<O> {
    fn default() -> Self {
        Self {
            bootstrap: None,
            proposals: BTreeMap::new(),
            changes: BTreeMap::new(),
            retry: Retry::new(),
            transfer: None,
            asked: BTreeMap::new(),
            next_read: 0,
            barriers: BTreeMap::new(),
        }
    }
}

impl<O> Requests<O> {
    /// Proposals under way.
    pub(super) fn proposals(&self) -> usize {
        self.proposals.len()
    }

    pub(super) fn add_proposals(&mut self, first: LogPosition, replies: Vec<Reply<Applied<O>>>) {
        for (index, reply) in (first.index..).zip(replies) {
            self.proposals.insert(index, (first.term, reply));
        }
    }

    /// The replies to entries that are now committed. A proposal whose index another leader's entry took has failed.
    pub(super) fn take_committed(&mut self, committed: &[Committed]) -> Replies<O> {
        let mut out = Vec::new();
        if self.proposals.is_empty() {
            return out;
        }
        for entry in committed {
            if let Some((term, reply)) = self.proposals.remove(&entry.index) {
                if term == entry.term {
                    out.push((entry.index, reply));
                } else {
                    let _ = reply.send(Err(RaftError::LeadershipLost));
                }
            }
        }
        out
    }

    /// Membership changes at these indices came into effect.
    pub(super) fn changed(&mut self, indices: &[u64]) {
        for index in indices {
            if let Some(reply) = self.changes.remove(index) {
                let _ = reply.send(Ok(*index));
            }
        }
    }

    pub(super) fn leadership_lost(&mut self) {
        for (_, (_, reply)) in std::mem::take(&mut self.proposals) {
            let _ = reply.send(Err(RaftError::LeadershipLost));
        }
        for (_, reply) in std::mem::take(&mut self.changes) {
            let _ = reply.send(Err(RaftError::LeadershipLost));
        }
        for (_, _, reply) in self.retry.drain(..) {
            let _ = reply.send(Err(RaftError::NotLeader { leader: None }));
        }
        if let Some(transfer) = self.transfer.take() {
            let _ = transfer.reply.send(Ok(transfer.to));
        }
    }

    /// A read may be answered when `index` is applied.
    pub(super) fn read_ready(&mut self, id: u64, index: u64, applied: u64) {
        for read in self.asked.remove(&id).into_iter().flat_map(|a| a.reads) {
            if applied >= index {
                let _ = read.reply.send(Ok(index));
            } else {
                self.barriers.entry(index).or_default().push(read.reply);
            }
        }
    }

    pub(super) fn read_failed(&mut self, id: u64, leader: Option<u64>) {
        for read in self.asked.remove(&id).into_iter().flat_map(|a| a.reads) {
            let _ = read.reply.send(Err(RaftError::NotLeader { leader }));
        }
    }
}

impl<O: Send + 'static> Driver<O> {
    /// Takes reads that wait, so that they share one question to the quorum.
    pub(super) fn on_reads(&mut self, first: Read) {
        let mut reads = vec![first];
        while let Ok(read) = self.inputs.reads.try_recv() {
            reads.push(read);
        }
        self.ask(reads);
    }

    fn ask(&mut self, reads: Vec<Read>) {
        self.requests.next_read += 1;
        let id = self.requests.next_read;
        let now = self.now();
        match self.core.read(id, now) {
            Ok(()) => {
                let since = Instant::now();
                self.requests.asked.insert(id, Asked { since, reads });
            }
            Err(error) => {
                let error = RaftError::from(error);
                for read in reads {
                    let _ = read.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Asks again for reads whose question or answer was lost, and forgets those that nobody waits for.
    pub(super) fn ask_again(&mut self) {
        if self.requests.asked.is_empty() {
            return;
        }
        let now = Instant::now();
        let patience = self.config.scaled_election_timeout();
        let late: Vec<u64> = self
            .requests
            .asked
            .iter()
            .filter(|(_, asked)| now >= asked.since + patience)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.core.cancel_read(id);
            let Some(mut asked) = self.requests.asked.remove(&id) else {
                continue;
            };
            // Whoever is late has stopped waiting by its own clock.
            asked
                .reads
                .retain(|read| read.deadline > now && !read.reply.is_closed());
            if !asked.reads.is_empty() {
                self.ask(asked.reads);
            }
        }
    }

    pub(super) fn release_barriers(&mut self, applied: u64) {
        while let Some(entry) = self.requests.barriers.first_entry() {
            if *entry.key() > applied {
                break;
            }
            let (index, replies) = entry.remove_entry();
            for reply in replies {
                let _ = reply.send(Ok(index));
            }
        }
    }

    pub(super) fn on_control(&mut self, control: Control) -> Result<(), FatalError> {
        match control {
            Control::Bootstrap(members, reply) => {
                self.requests.bootstrap = Some((members, reply));
            }
            Control::Change(changes, deadline, reply) => {
                self.on_change(changes, deadline, reply)?;
            }
            Control::Transfer(wish, reply) => self.on_transfer(wish, TRANSFER_TRIES, reply),
            Control::Snapshot(reply) => self.on_snapshot_request(reply),
            Control::Status(reply) => {
                let _ = reply.send(Ok(self.status()));
            }
            Control::SetSnapshots {
                threshold,
                interval,
            } => {
                self.config.snapshot_threshold = threshold;
                self.config.snapshot_interval = interval;
            }
            Control::Shutdown => self.shutdown = true,
        }
        Ok(())
    }

    /// Bootstraps when that was asked for. The core is opened anew for it, so nothing may be under way.
    pub(super) fn check_bootstrap(&mut self) -> Result<(), FatalError> {
        if self.core.writing() {
            return Ok(());
        }
        let Some((members, reply)) = self.requests.bootstrap.take() else {
            return Ok(());
        };
        if !self.core.membership().is_empty() || self.core.last_index() > 0 {
            let _ = reply.send(Err(RaftError::AlreadyBootstrapped));
            return Ok(());
        }
        if members.is_empty() || members.contains_key(&0) {
            let _ = reply.send(Err(RaftError::Membership(
                "a cluster needs at least one member, and none may be 0".into(),
            )));
            return Ok(());
        }
        // Nothing is under way in an empty log, so this short write may happen here.
        crate::Core::bootstrap(&*self.log, members)?;
        self.core = crate::Core::open(
            super::core_config(&self.config),
            std::sync::Arc::clone(&self.log),
            None,
            self.snapshots.path(),
        )?;
        self.applier.start_at(self.core.base());
        self.transport.members_changed(self.core.membership());
        let _ = reply.send(Ok(()));
        Ok(())
    }

    fn on_change(
        &mut self,
        changes: Vec<Change>,
        deadline: Instant,
        reply: Reply<u64>,
    ) -> Result<(), FatalError> {
        match self.core.change_membership(&changes) {
            Ok(position) => {
                self.requests.changes.insert(position.index, reply);
            }
            Err(CoreError::MembershipBusy) if self.requests.retry.len() < MAX_RETRIES => {
                self.requests.retry.push_back((changes, deadline, reply));
            }
            Err(CoreError::Fatal(error)) => return Err(error),
            Err(error) => {
                let _ = reply.send(Err(error.into()));
            }
        }
        Ok(())
    }

    /// Tries membership changes that had to wait for another one.
    pub(super) fn retry_changes(&mut self) -> Result<(), FatalError> {
        if self.requests.retry.is_empty() || self.core.changing_members() {
            return Ok(());
        }
        let now = Instant::now();
        for _ in 0..self.requests.retry.len() {
            let Some((changes, deadline, reply)) = self.requests.retry.pop_front() else {
                break;
            };
            if deadline > now && !reply.is_closed() {
                self.on_change(changes, deadline, reply)?;
            }
        }
        Ok(())
    }

    fn on_transfer(&mut self, wish: Option<u64>, tries: u32, reply: Reply<u64>) {
        match self.core.transfer(wish) {
            Ok(to) if to == self.config.id => {
                let _ = reply.send(Ok(to));
            }
            Ok(to) => {
                let transfer = Transfer {
                    to,
                    wish,
                    tries,
                    reply,
                };
                if let Some(older) = self.requests.transfer.replace(transfer) {
                    let _ = older.reply.send(Err(RaftError::Membership(
                        "replaced by a later transfer".into(),
                    )));
                }
            }
            Err(error) => {
                let _ = reply.send(Err(error.into()));
            }
        }
    }

    /// Tries a transfer again that the other server did not take up, or fails it.
    pub(super) fn check_transfer(&mut self) {
        if self.core.transferring() {
            return;
        }
        let Some(transfer) = self.requests.transfer.take() else {
            return;
        };
        if transfer.tries > 1 && !transfer.reply.is_closed() {
            self.on_transfer(transfer.wish, transfer.tries - 1, transfer.reply);
        } else {
            let _ = transfer.reply.send(Err(RaftError::Membership(format!(
                "server {} did not take over in time",
                transfer.to
            ))));
        }
    }

    fn status(&self) -> Status {
        let core = &self.core;
        let membership = core.membership().clone();
        let peers = membership
            .voters
            .iter()
            .chain(&membership.voters_outgoing)
            .chain(&membership.learners)
            .chain(&membership.learners_next)
            .copied()
            .collect::<std::collections::BTreeSet<u64>>()
            .into_iter()
            .map(|id| {
                let progress = core.progress(id);
                PeerStatus {
                    id,
                    info: membership.peers.get(&id).cloned().unwrap_or_default(),
                    voter: membership.is_voter(id),
                    matched: progress.map(|p| p.matched),
                    active: progress.map(|p| p.active),
                    snapshot: progress.map(|p| p.snapshot),
                }
            })
            .collect();
        Status {
            id: core.id(),
            role: core.role(),
            leadership: core.leadership(),
            commit_index: core.commit_index(),
            applied_index: self
                .shared
                .applied
                .load(std::sync::atomic::Ordering::Acquire),
            first_index: core.base().index + 1,
            last_index: core.last_index(),
            snapshot: core
                .snapshot()
                .map(nomad_store::SnapshotMeta::position)
                .unwrap_or_default(),
            last_contact: core
                .leader()
                .map(|_| self.config.tick() * core.ticks_since_leader() as u32),
            membership,
            peers,
            proposals: self.requests.proposals(),
        }
    }
}
