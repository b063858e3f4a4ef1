//! Snapshots in memory, in the same format as files.

use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{ForeignSink, KEPT, OwnSink, SnapshotInfo, SnapshotSink, SnapshotStore, Stage};
use crate::types::{LogPosition, SnapshotMeta};
use crate::{Result, StoreError};

type Kept = Arc<Mutex<Vec<(SnapshotInfo, Bytes)>>>;

/// Snapshots in memory. Clones share the same content.
#[derive(Clone, Debug, Default)]
pub struct MemSnapshots {
    /// Newest first.
    kept: Kept,
}

impl MemSnapshots {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn stage(&self) -> MemStage {
        MemStage {
            bytes: Vec::new(),
            kept: Arc::clone(&self.kept),
        }
    }
}

struct MemStage {
    bytes: Vec<u8>,
    kept: Kept,
}

impl Write for MemStage {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stage for MemStage {
    fn reader(&mut self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self.bytes[..]))
    }

    fn publish(self: Box<Self>, meta: SnapshotMeta) -> Result<SnapshotInfo> {
        let info = SnapshotInfo {
            bytes: self.bytes.len() as u64,
            meta,
        };
        let mut kept = self.kept.lock();
        kept.retain(|(other, _)| other.meta.position() != info.meta.position());
        kept.push((info.clone(), self.bytes.into()));
        kept.sort_by_key(|(info, _)| std::cmp::Reverse(info.meta.position()));
        kept.truncate(KEPT);
        Ok(info)
    }
}

impl SnapshotStore for MemSnapshots {
    fn create(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>> {
        Ok(OwnSink::new(Box::new(self.stage()), meta, self.path())?)
    }

    fn receive(&self) -> Result<Box<dyn SnapshotSink>> {
        Ok(Box::new(ForeignSink {
            stage: Box::new(self.stage()),
            path: self.path().to_path_buf(),
        }))
    }

    fn list(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self
            .kept
            .lock()
            .iter()
            .map(|(info, _)| info.clone())
            .collect())
    }

    fn open(&self, position: LogPosition) -> Result<Box<dyn Read + Send>> {
        let kept = self.kept.lock();
        let (_, bytes) = kept
            .iter()
            .find(|(info, _)| info.meta.position() == position)
            .ok_or(StoreError::NoSnapshot {
                index: position.index,
                term: position.term,
            })?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }

    fn path(&self) -> &Path {
        Path::new("<memory>")
    }
}
