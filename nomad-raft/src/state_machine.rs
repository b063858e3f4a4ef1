//! What committed entries are applied to; supplied by the caller.

use std::io::{Read, Write};

use bytes::Bytes;

/// A committed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Position in the log.
    pub index: u64,
    /// Term of the leader that proposed it.
    pub term: u64,
    /// What was proposed; empty for entries of consensus itself.
    pub data: Bytes,
}

/// Why an entry or snapshot cannot be applied. It stops the server: going on would let it differ from the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log entry {index}: {reason}")]
pub struct ApplyError {
    /// Index of the entry.
    pub index: u64,
    /// A sentence for the operator.
    pub reason: String,
}

impl ApplyError {
    /// An error at `index`.
    pub fn new(index: u64, reason: impl Into<String>) -> Self {
        Self {
            index,
            reason: reason.into(),
        }
    }
}

/// The replicated state. All servers see the same calls of `apply` in the same order, and must come to the same
/// state and outputs.
pub trait StateMachine: Send + 'static {
    /// What a proposal gives back to its proposer.
    type Output: Send + 'static;
    /// An image of the state that no longer changes.
    type Snapshot: SnapshotWrite;

    /// Applies entries in order and pushes one output for each. They come in batches, so that the result may be
    /// published once for all of them; their data is never empty.
    ///
    /// # Errors
    ///
    /// An entry that is unknown or cannot be decoded. It stops this server.
    fn apply(
        &mut self,
        entries: &[Committed],
        outputs: &mut Vec<Self::Output>,
    ) -> Result<(), ApplyError>;

    /// Takes an image of the state. Must be cheap: nothing is applied meanwhile.
    fn snapshot(&self) -> Self::Snapshot;

    /// Replaces the state by one that [`SnapshotWrite::write_to`] wrote. Every byte read has been checked.
    ///
    /// # Errors
    ///
    /// A state that cannot be decoded. It stops this server.
    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError>;
}

/// An image of the state that can be written, on another thread.
pub trait SnapshotWrite: Send + 'static {
    /// Writes it.
    fn write_to(self, out: &mut dyn Write) -> std::io::Result<()>;
}
