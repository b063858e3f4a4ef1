//! Putting a snapshot in place of the state, as an operator asked for: it comes through the log in chunks, so that every
//! server takes it at the same entry.
//!
//! The chunks wait in the state until the last one is there; only then is anything replaced, all at once. Indexes go on
//! upwards: where the snapshot has seen more than this log, all later indexes are moved up by the difference.

use std::io::Read;
use std::sync::Arc;

use imbl::Vector;

use super::{ApplyError, Reply};
use crate::command::SnapshotChunk;
use crate::snapshot;
use crate::table::{ChangeSet, TABLE_COUNT};
use crate::tables::Txn;

/// Largest chunk, in bytes.
pub const MAX_CHUNK_BYTES: usize = 2 << 20;
/// Largest snapshot that is restored, in bytes of its content.
pub const MAX_RESTORE_BYTES: u64 = 1 << 30;

/// A snapshot that is coming in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restoring {
    /// Tells one restore from another.
    pub(crate) id: String,
    pub(crate) chunks: Vector<Arc<[u8]>>,
    pub(crate) bytes: u64,
}

pub(super) fn chunk(txn: &mut Txn, command: &SnapshotChunk) -> Result<Reply, ApplyError> {
    let refuse = |reason: &str| {
        Err(ApplyError::Refused {
            reason: reason.to_owned(),
        })
    };
    let mut restoring = match &txn.tables.restoring {
        _ if command.number == 0 => Restoring {
            id: command.id.clone(),
            ..Restoring::default()
        },
        Some(restoring)
            if restoring.id == command.id
                && restoring.chunks.len() as u64 == u64::from(command.number) =>
        {
            restoring.clone()
        }
        _ => {
            return refuse("another restore began meanwhile, or a part of the snapshot is missing");
        }
    };
    restoring.bytes += command.data.len() as u64;
    if restoring.bytes > MAX_RESTORE_BYTES || command.data.len() > MAX_CHUNK_BYTES {
        return refuse("the snapshot, or a part of it, is too large");
    }
    restoring
        .chunks
        .push_back(Arc::from(command.data.as_slice()));
    if !command.last {
        txn.tables.restoring = Some(restoring);
        return Ok(Reply::Done);
    }
    let mut reader = Chunks {
        chunks: restoring.chunks,
        at: 0,
    };
    let loaded = snapshot::load(&mut reader).map_err(|error| ApplyError::Refused {
        reason: format!("the snapshot cannot be read: {error}"),
    })?;
    let mut tables = (*loaded.0).clone();
    let entry = txn.index - txn.tables.index_offset;
    let index = txn.index.max(tables.index + 1);
    tables.index = index;
    tables.index_offset = index - entry;
    // Every table may differ now, and whoever waits for one must see it move on.
    tables.table_index = [index; TABLE_COUNT];
    tables.restoring = None;
    if tables.cluster_id.is_none() {
        tables.cluster_id.clone_from(&txn.tables.cluster_id);
    }
    txn.tables = tables;
    txn.index = index;
    txn.changes = ChangeSet {
        index,
        ..ChangeSet::default()
    };
    for table in snapshot::TABLES {
        txn.changes.touch(table);
    }
    Ok(Reply::Restored)
}

/// The chunks as one stream; each is let go when it was read.
struct Chunks {
    chunks: Vector<Arc<[u8]>>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while let Some(front) = self.chunks.front() {
            let rest = &front[self.at..];
            if rest.is_empty() {
                self.chunks.pop_front();
                self.at = 0;
                continue;
            }
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            self.at += count;
            return Ok(count);
        }
        Ok(0)
    }
}
