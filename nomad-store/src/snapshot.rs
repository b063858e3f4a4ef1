//! Snapshot files: a whole state at one log index, in a format that checks itself while it streams.
//!
//! The same bytes lie on disk, travel to a lagging server and leave through `nomad operator snapshot save`.
//! [`SnapshotWriter`] and [`SnapshotReader`] work over any `Write` and `Read`; see [`mod@format`] for the layout.

mod file;
pub mod format;
mod mem;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::Path;

pub use file::FileSnapshots;
pub use format::{SnapshotReader, SnapshotWriter, inspect};
pub use mem::MemSnapshots;

use crate::Result;
use crate::types::{LogPosition, SnapshotMeta};

/// How many snapshots a store keeps; older ones are removed when a new one is complete.
pub const KEPT: usize = 2;

/// A complete snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// What it contains.
    pub meta: SnapshotMeta,
    /// Size of the whole file in bytes.
    pub bytes: u64,
}

/// A snapshot that is being written. Dropping it unfinished removes what was written.
pub trait SnapshotSink: Write + Send {
    /// Completes it: checks it, makes it durable, lists it and removes those that are too old.
    fn commit(self: Box<Self>) -> Result<SnapshotInfo>;
}

/// Where a server keeps its snapshots.
pub trait SnapshotStore: Send + Sync {
    /// Begins a snapshot of our own state; the sink takes the state's bytes.
    fn create(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>>;

    /// Begins a snapshot that comes from elsewhere; the sink takes the bytes of the file format, which
    /// `commit` verifies.
    fn receive(&self) -> Result<Box<dyn SnapshotSink>>;

    /// All complete snapshots, newest first.
    fn list(&self) -> Result<Vec<SnapshotInfo>>;

    /// The bytes of one, in the file format.
    fn open(&self, position: LogPosition) -> Result<Box<dyn Read + Send>>;

    /// Where they lie, for messages.
    fn path(&self) -> &Path;
}

/// Opens the newest snapshot whose bytes verify, with a reader of its state. Damaged ones are passed over with a
/// warning, because an older one and the log may still be enough; the caller checks that the log reaches back to it.
pub fn open_newest(
    store: &dyn SnapshotStore,
) -> Result<Option<SnapshotReader<Box<dyn Read + Send>>>> {
    for info in store.list()? {
        let position = info.meta.position();
        match inspect(store.open(position)?, store.path()) {
            Ok(_) => return SnapshotReader::new(store.open(position)?, store.path()).map(Some),
            Err(error) => {
                tracing::warn!(index = position.index, %error, "snapshot is damaged, trying an older one");
            }
        }
    }
    Ok(None)
}

/// Something a sink writes into before it is complete: a temporary file or a buffer.
trait Stage: Write + Send {
    /// Reads back what was written so far.
    fn reader(&mut self) -> Result<Box<dyn Read + '_>>;
    /// Makes it durable and lists it.
    fn publish(self: Box<Self>, meta: SnapshotMeta) -> Result<SnapshotInfo>;
}

/// A sink for our own state.
struct OwnSink {
    writer: SnapshotWriter<Box<dyn Stage>>,
    meta: SnapshotMeta,
}

impl OwnSink {
    fn new(stage: Box<dyn Stage>, meta: &SnapshotMeta, path: &Path) -> Result<Box<Self>> {
        Ok(Box::new(Self {
            writer: SnapshotWriter::new(stage, meta, path)?,
            meta: meta.clone(),
        }))
    }
}

impl Write for OwnSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl SnapshotSink for OwnSink {
    fn commit(self: Box<Self>) -> Result<SnapshotInfo> {
        let meta = self.meta;
        self.writer.finish()?.publish(meta)
    }
}

/// A sink for a snapshot file that was made elsewhere.
struct ForeignSink {
    stage: Box<dyn Stage>,
    path: std::path::PathBuf,
}

impl Write for ForeignSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stage.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stage.flush()
    }
}

impl SnapshotSink for ForeignSink {
    fn commit(mut self: Box<Self>) -> Result<SnapshotInfo> {
        let meta = inspect(self.stage.reader()?, &self.path)?.meta;
        self.stage.publish(meta)
    }
}
