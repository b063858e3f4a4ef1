//! From raft-rs's `Ready` to what the caller does: send, persist, apply.

use bytes::Bytes;
use nomad_store::{LogBatch, LogOp, LogPosition, SnapshotMeta};
use raft::StateRole;
use raft::eraftpb::{EntryType, Message, MessageType};

use super::{Core, Write};
use crate::convert;
use crate::error::FatalError;
use crate::state_machine::Committed;

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, when known.
    pub leader_id: Option<u64>,
    /// The current term.
    pub term: u64,
    /// Whether it is this server.
    pub is_leader: bool,
    /// Whether this server leads and has applied an entry of its own term, so that its state is up to date.
    pub ready: bool,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The receiving server.
    pub to: u64,
    /// What it gets.
    pub payload: Payload,
}

/// What a server sends to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A message for [`Core::step`]. Losing it costs time, nothing else.
    Message(Bytes),
    /// Stream the snapshot of this position; when the receiver has it on stable storage it calls [`Core::step`] with
    /// `message`. Report the end by [`Core::snapshot_sent`].
    Snapshot {
        /// Which snapshot.
        position: LogPosition,
        /// The message that goes with it.
        message: Bytes,
    },
}

/// A write to the log. Writes are made in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// For [`Core::persisted`].
    pub number: u64,
    /// What to write.
    pub batch: LogBatch,
    /// Whether it must be on stable storage before it is reported.
    pub sync: bool,
}

/// What follows from the inputs so far.
#[derive(Debug, Default)]
pub struct Output {
    /// To send now.
    pub messages: Vec<Outgoing>,
    /// To write, in order.
    pub persist: Vec<Persist>,
    /// A received snapshot that the state machine shall take before `committed`.
    pub install: Option<SnapshotMeta>,
    /// To apply, in order. Entries without data only move the index.
    pub committed: Vec<Committed>,
    /// Reads that may be answered once this index is applied.
    pub reads: Vec<(u64, u64)>,
    /// Reads that must be asked elsewhere: leadership or the term changed.
    pub failed_reads: Vec<u64>,
    /// Set when leader, term or readiness changed.
    pub leadership: Option<Leadership>,
    /// Indices of membership changes that came into effect, by an entry or with a snapshot.
    pub membership: Vec<u64>,
    /// A follower needs a snapshot and there is none that is new enough.
    pub snapshot_wanted: bool,
}

impl Output {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.persist.is_empty()
            && self.install.is_none()
            && self.committed.is_empty()
            && self.reads.is_empty()
            && self.failed_reads.is_empty()
            && self.leadership.is_none()
            && self.membership.is_empty()
            && !self.snapshot_wanted
    }
}

impl Core {
    /// What follows from the inputs so far.
    pub fn take_output(&mut self) -> Result<Output, FatalError> {
        while self.raw.has_ready() {
            self.take_ready();
            // Something that waited for this may be possible now.
            self.campaign_if_alone();
            self.after_input();
        }
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let leadership = self.leadership();
        if leadership != self.leadership {
            self.leadership = leadership;
            self.out.leadership = Some(leadership);
        }
        self.out.snapshot_wanted |= self.raw.store().take_wanted();
        Ok(std::mem::take(&mut self.out))
    }

    fn take_ready(&mut self) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        let mut batch = LogBatch::new();
        let mut last = None;
        let mut install = None;

        if !ready.snapshot().is_empty() {
            match convert::from_snapshot(ready.snapshot()) {
                Ok(meta) => {
                    let position = meta.position();
                    self.raw.mut_store().reset(position);
                    self.raw.mut_store().set_snapshot(meta.clone());
                    for write in &mut self.writes {
                        write.last = None;
                    }
                    batch.push(LogOp::Reset(position));
                    // Never older than ours: it contains all changes up to its index, and that is not below our
                    // commit index.
                    self.membership = meta.membership.clone();
                    self.out.membership.push(self.membership.index);
                    batch.push(LogOp::Membership(self.membership.clone()));
                    self.handed_out = position.index;
                    install = Some(meta);
                }
                Err(error) => self.fail(position_of(&ready), error.to_string()),
            }
        }
        let entries = ready.take_entries();
        if let Some(first) = self.raw.mut_store().append(&entries) {
            for write in &mut self.writes {
                write.last = write.last.map(|last| last.min(first - 1));
            }
            last = entries.last().map(|e| e.index);
            batch.push(LogOp::Append(
                entries.iter().map(convert::to_stored).collect(),
            ));
        }
        if let Some(hs) = ready.hs() {
            self.hard_state = convert::from_hard_state(hs);
        }
        // A new commit index alone is not worth a write: it rides with the next one.
        if ready.must_sync() || !batch.is_empty() {
            batch.push(LogOp::HardState(self.hard_state));
        }

        let now = ready.take_messages();
        self.send(now);
        let (now, later) = self.split_persisted(ready.take_persisted_messages());
        self.send(now);

        for state in ready.take_read_states() {
            self.read_confirmed(&state);
        }
        let committed = ready.take_committed_entries();
        let pending = !batch.is_empty();
        self.raw.advance_append_async(ready);
        let write = self.queue_write(batch, true);
        self.writes.push_back(Write {
            number: write,
            ready: Some(number),
            pending,
            last,
            term: self.hard_state.term,
            messages: later,
            install,
        });
        self.finish_writes(0);
        self.hand_out(committed);
    }

    /// Numbers a write and adds it to the output unless it is empty.
    pub(super) fn queue_write(&mut self, batch: LogBatch, sync: bool) -> u64 {
        self.next_write += 1;
        if !batch.is_empty() {
            self.out.persist.push(Persist {
                number: self.next_write,
                batch,
                sync,
            });
        }
        self.next_write
    }

    /// Messages that need not wait for the disk: an answer to a heartbeat promises nothing that is not durable yet,
    /// as long as its term is.
    fn split_persisted(&self, messages: Vec<Message>) -> (Vec<Message>, Vec<Message>) {
        messages.into_iter().partition(|m| {
            m.msg_type == MessageType::MsgHeartbeatResponse && m.term == self.durable_term
        })
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = message.to;
            let payload = if message.msg_type == MessageType::MsgSnapshot {
                let meta = message.get_snapshot().get_metadata();
                Payload::Snapshot {
                    position: LogPosition {
                        index: meta.index,
                        term: meta.term,
                    },
                    message: convert::encode(&message),
                }
            } else {
                Payload::Message(convert::encode(&message))
            };
            self.out.messages.push(Outgoing { to, payload });
        }
    }

    /// All writes up to `number` are done: on stable storage if they asked for it.
    pub fn persisted(&mut self, number: u64) {
        self.finish_writes(number);
        self.advance_applied();
        self.campaign_if_alone();
        self.after_input();
    }

    /// Completes writes from the front: those up to `number`, and those that only waited for them.
    fn finish_writes(&mut self, number: u64) {
        let mut ready = None;
        while let Some(front) = self.writes.front() {
            if front.pending && front.number > number {
                break;
            }
            let Some(write) = self.writes.pop_front() else {
                break;
            };
            if let Some(last) = write.last {
                self.raw.mut_store().set_stored(last);
            }
            self.durable_term = self.durable_term.max(write.term);
            if self
                .gate
                .is_some_and(|(_, gate_write)| gate_write <= write.number)
            {
                self.gate = None;
            }
            ready = write.ready.or(ready);
            self.send(write.messages);
            if let Some(meta) = write.install {
                self.out.install = Some(meta);
            }
        }
        if let Some(ready) = ready {
            self.raw.on_persist_ready(ready);
        }
    }

    /// Gives committed entries to the caller and lets membership entries come into effect.
    fn hand_out(&mut self, committed: Vec<raft::eraftpb::Entry>) {
        for entry in committed {
            self.handed_out = entry.index;
            let position = LogPosition {
                index: entry.index,
                term: entry.term,
            };
            let data = if entry.entry_type == EntryType::EntryNormal {
                entry.data
            } else {
                if let Err(error) = self.apply_membership(&entry) {
                    self.fail(entry.index, error);
                    return;
                }
                Bytes::new()
            };
            self.out.committed.push(Committed {
                index: position.index,
                term: position.term,
                data,
            });
        }
    }

    /// Tells raft-rs how far the state machine is, but not past a membership change that a crash could still undo.
    pub(super) fn advance_applied(&mut self) {
        let mut to = self.applied.min(self.handed_out);
        if let Some((index, _)) = self.gate {
            to = to.min(index - 1);
        }
        if to > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(to);
            self.leave_joint();
        }
        self.campaign_if_alone();
    }

    pub(super) fn compact(&mut self, to: u64) {
        let Ok(term) = self.raw.raft.raft_log.term(to) else {
            return;
        };
        self.raw
            .mut_store()
            .compact(LogPosition { index: to, term });
        let mut batch = LogBatch::new();
        batch.push(LogOp::Compact(to));
        // Nothing depends on it: after a crash the old entries are simply still there.
        let number = self.queue_write(batch, false);
        self.writes.push_back(Write {
            number,
            ready: None,
            pending: true,
            last: None,
            term: 0,
            messages: Vec::new(),
            install: None,
        });
    }

    pub(super) fn fail(&mut self, index: u64, reason: String) {
        self.failed
            .get_or_insert(FatalError::Apply { index, reason });
    }

    /// A server that leads and is no longer a member must stop at once: raft-rs counts on the leader being one.
    pub(super) fn step_down_if_removed(&mut self) {
        if self.raw.raft.state == StateRole::Leader && !self.membership.is_voter(self.config.id) {
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, 0);
        }
    }
}

fn position_of(ready: &raft::Ready) -> u64 {
    ready.snapshot().get_metadata().index
}
