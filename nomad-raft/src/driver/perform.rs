//! From the core's outputs to deeds: send, write, apply, answer.

use std::sync::atomic::Ordering;

use nomad_store::Durability;

use super::{Driver, transfer};
use crate::core::{Leadership, Output, Payload};
use crate::error::FatalError;
use crate::wire;

impl<O: Send + 'static> Driver<O> {
    /// Does what follows from the inputs so far.
    pub(super) fn pump(&mut self) -> Result<(), FatalError> {
        while self.core.has_output() {
            let output = self.core.take_output()?;
            self.perform(output)?;
        }
        Ok(())
    }

    fn perform(&mut self, output: Output) -> Result<(), FatalError> {
        for outgoing in output.messages {
            match outgoing.payload {
                Payload::Message(message) => {
                    self.transport.send(outgoing.to, wire::message(&message));
                }
                Payload::Snapshot { position, message } => self.transfers.send(
                    transfer::Sending {
                        to: outgoing.to,
                        from: self.config.id,
                        position,
                        message,
                        patience: self.config.scaled_election_timeout(),
                    },
                    &self.transport,
                    &self.snapshots,
                    &self.events_tx,
                ),
            }
        }
        let mut written = None;
        for persist in output.persist {
            match &self.persister {
                Some(persister) => persister.write(persist),
                None => {
                    self.log.write(&persist.batch, Durability::Buffered)?;
                    written = Some(persist.number);
                }
            }
        }
        if let Some(meta) = output.install {
            self.applier.install(meta);
        }
        if !output.committed.is_empty() {
            let replies = self.requests.take_committed(&output.committed);
            self.applier.apply(output.committed, replies);
        }
        if !output.membership.is_empty() {
            self.transport.members_changed(self.core.membership());
            self.requests.changed(&output.membership);
        }
        let applied = self
            .shared
            .applied
            .load(Ordering::Acquire)
            .min(self.core.handed_out());
        for (id, index) in output.reads {
            self.requests.read_ready(id, index, applied);
        }
        if !output.failed_reads.is_empty() {
            let leader = self.core.leader();
            for id in output.failed_reads {
                self.requests.read_failed(id, leader);
            }
        }
        if let Some(leadership) = output.leadership {
            self.on_leadership(leadership);
        }
        self.taking.wanted |= output.snapshot_wanted;
        if let Some(number) = written {
            self.core.persisted(number);
        }
        Ok(())
    }

    fn on_leadership(&mut self, leadership: Leadership) {
        let before = self.shared.leadership.send_replace(leadership);
        if before.is_leader && (!leadership.is_leader || leadership.term != before.term) {
            self.requests.leadership_lost();
            self.transfers.stop_sending();
        }
        if before.is_leader != leadership.is_leader {
            tracing::info!(
                server = self.config.id,
                term = leadership.term,
                leader = leadership.leader_id,
                "{}",
                if leadership.is_leader {
                    "became leader"
                } else {
                    "no longer leader"
                }
            );
        }
    }
}
