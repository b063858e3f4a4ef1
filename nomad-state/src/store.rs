//! [`Store`]: the current state, its only writer, and those who wait for changes.

use std::io::{Read, Write};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::apply::{self, Applied, ApplyError, Reply};
use crate::command::Command;
use crate::events::{self, EventBatch, EventBuffer, EventRead};
use crate::snapshot::{self, SnapshotError};
use crate::state::State;
use crate::table::WatchKey;
use crate::tables::Txn;
use crate::watch::{Watch, WatchRegistry};

/// The current state. Shared by reference; one writer at a time.
#[derive(Debug, Default)]
pub struct Store {
    current: RwLock<State>,
    /// Serializes writers; readers never wait for it.
    writer: Mutex<()>,
    watches: Arc<WatchRegistry>,
    events: Mutex<EventBuffer>,
}

impl Store {
    /// An empty cluster: built-in node pools and the default namespace.
    pub fn new() -> Self {
        Self::default()
    }

    /// The newest state.
    pub fn snapshot(&self) -> State {
        self.current.read().clone()
    }

    /// Watches keys from now on. Make the watch first, read the snapshot after: no change is missed then.
    pub fn watch(&self, keys: Vec<WatchKey>) -> Watch {
        self.watches.watch(keys)
    }

    /// Applies one command at an index and wakes who waits for what changed.
    ///
    /// # Errors
    /// The command does not fit the state (unknown object, wrong index); the state stays as it was but for the index.
    pub fn apply(&self, index: u64, command: &Command) -> Result<Applied, ApplyError> {
        self.apply_batch(std::iter::once((index, command)))
            .pop()
            .unwrap_or(Err(ApplyError::Empty))
    }

    /// Applies commands in order and publishes once.
    pub fn apply_batch<'a>(
        &self,
        commands: impl IntoIterator<Item = (u64, &'a Command)>,
    ) -> Vec<Result<Applied, ApplyError>> {
        let _writer = self.writer.lock();
        let mut tables = (*self.current.read().0).clone();
        let mut results = Vec::new();
        let mut keys = Vec::new();
        let mut told = Vec::new();
        let mut restored = false;
        for (entry, command) in commands {
            let mut index = entry + tables.index_offset;
            let mut txn = Txn::new(tables.clone(), index);
            match apply::apply(&mut txn, command) {
                Ok(reply) => {
                    index = txn.index;
                    restored |= reply == Reply::Restored;
                    let events = events::events_of(command, &txn.changes, &tables, &txn.tables);
                    if !events.is_empty() {
                        told.push(EventBatch { index, events });
                    }
                    tables = txn.tables;
                    keys.extend(txn.changes.watch_keys());
                    results.push(Ok(Applied {
                        index,
                        changes: Arc::new(txn.changes),
                        reply,
                    }));
                }
                Err(error) => results.push(Err(error)),
            }
            tables.index = index;
        }
        *self.current.write() = State(Arc::new(tables));
        // After the state: who hears of an object finds it.
        if !told.is_empty() {
            let mut buffer = self.events.lock();
            for batch in told {
                buffer.push(batch);
            }
            keys.push(WatchKey::Events);
        }
        if restored {
            self.watches.notify_all();
        } else {
            self.watches.notify(&keys);
        }
        results
    }

    /// How many log entries the event stream keeps; 0 turns it off.
    pub fn keep_events(&self, batches: usize) {
        self.events.lock().resize(batches);
    }

    /// Where a subscriber that asks for `index` starts; see [`EventBuffer::start`].
    pub fn events_start(&self, index: u64) -> u64 {
        self.events.lock().start(index)
    }

    /// Events from a cursor on. Watch [`WatchKey::Events`] first, then read: nothing is missed then.
    pub fn events(&self, cursor: u64) -> EventRead {
        self.events.lock().read(cursor)
    }

    /// Writes a snapshot of the newest state.
    pub fn save(&self, writer: &mut dyn Write) -> Result<u64, SnapshotError> {
        let state = self.snapshot();
        snapshot::save(&state, writer)?;
        Ok(state.last_index())
    }

    /// Replaces the state by a snapshot and wakes everybody.
    ///
    /// # Errors
    /// The snapshot cannot be read; the state stays as it was.
    pub fn restore(&self, reader: &mut dyn Read) -> Result<u64, SnapshotError> {
        let state = snapshot::load(reader)?;
        let index = state.last_index();
        let _writer = self.writer.lock();
        *self.current.write() = state;
        self.watches.notify_all();
        Ok(index)
    }
}

impl State {
    /// Writes this snapshot.
    pub fn save(&self, writer: &mut dyn Write) -> Result<(), SnapshotError> {
        snapshot::save(self, writer)
    }

    /// Reads a snapshot that [`save`](Self::save) wrote.
    pub fn load(reader: &mut dyn Read) -> Result<Self, SnapshotError> {
        snapshot::load(reader)
    }

    /// This state with commands applied on top, for dry runs and for plans in flight; nobody else sees it.
    pub fn with(&self, index: u64, command: &Command) -> Result<(Self, Applied), ApplyError> {
        let mut txn = Txn::new((*self.0).clone(), index);
        let reply = apply::apply(&mut txn, command)?;
        txn.tables.index = index;
        Ok((
            Self(Arc::new(txn.tables)),
            Applied {
                index,
                changes: Arc::new(txn.changes),
                reply,
            },
        ))
    }
}
