//! The replicated state machine: decodes committed commands, applies them to the store, and feeds the changes on.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

use nomad_raft::{ApplyError, Committed, SnapshotWrite, StateMachine};
use nomad_state::{Applied, Command, Reply, State, Store};

use crate::feed::{Feed, FeedItem};
use crate::node::registry::Sessions;
use crate::telemetry::{apply_metric, millis};

/// What a proposal gives back.
pub(crate) type Output = Result<Applied, nomad_state::ApplyError>;

/// Applies commands on behalf of consensus.
pub(crate) struct Fsm {
    pub(crate) store: Arc<Store>,
    pub(crate) feed: Feed,
    pub(crate) sessions: Arc<Sessions>,
}

impl StateMachine for Fsm {
    type Output = Output;
    type Snapshot = StateImage;

    fn apply(
        &mut self,
        entries: &[Committed],
        outputs: &mut Vec<Output>,
    ) -> Result<(), ApplyError> {
        let mut commands = Vec::with_capacity(entries.len());
        for entry in entries {
            let command = Command::decode(&entry.data)
                .map_err(|error| ApplyError::new(entry.index, error.to_string()))?;
            commands.push((entry.index, command));
        }
        let began = Instant::now();
        let results = self
            .store
            .apply_batch(commands.iter().map(|(index, command)| (*index, command)));
        let took = millis(began.elapsed());
        metrics::histogram!("nomad.raft.fsm.apply").record(took);
        metrics::counter!("nomad.raft.apply").increment(commands.len() as u64);
        // A batch is applied in one go; each command counts with its share.
        let share = took / commands.len().max(1) as f64;
        for name in commands
            .iter()
            .filter_map(|(_, command)| apply_metric(command))
        {
            metrics::histogram!(name).record(share);
        }
        let changes: Arc<[_]> = results
            .iter()
            .filter_map(|result| result.as_ref().ok())
            .map(|applied| Arc::clone(&applied.changes))
            .collect();
        let restored = results
            .iter()
            .any(|result| matches!(result, Ok(applied) if applied.reply == Reply::Restored));
        if restored {
            // What was said to nodes and heard of them belongs to the state that is gone: they begin anew.
            self.sessions.close_all();
            self.feed.send(FeedItem {
                state: self.store.snapshot(),
                changes: None,
            });
            outputs.extend(results);
            return Ok(());
        }
        // Nodes first: what they are to run should not wait for anything else.
        for change in changes.iter() {
            self.sessions.notify(change);
        }
        self.feed.send(FeedItem {
            state: self.store.snapshot(),
            changes: Some(changes),
        });
        outputs.extend(results);
        Ok(())
    }

    fn snapshot(&self) -> StateImage {
        StateImage(self.store.snapshot())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        self.store
            .restore(reader)
            .map_err(|error| ApplyError::new(0, chain(&error)))?;
        self.sessions.notify_all();
        self.feed.send(FeedItem {
            state: self.store.snapshot(),
            changes: None,
        });
        Ok(())
    }
}

/// A state that is being written to a snapshot.
pub(crate) struct StateImage(State);

impl SnapshotWrite for StateImage {
    fn write_to(self, out: &mut dyn Write) -> std::io::Result<()> {
        self.0
            .save(out)
            .map_err(|error| std::io::Error::other(chain(&error)))
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
