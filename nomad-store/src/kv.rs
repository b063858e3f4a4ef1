//! Named tables of ordered keys, for what must survive beside the log: client task state, event history.

mod mem;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(test)]
mod tests;

use std::ops::Bound;

use bytes::Bytes;

pub use mem::MemKv;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksKv;

use crate::types::Durability;
use crate::{Result, StoreError};

/// Most rows that one [`KvStore::scan`] returns.
pub const MAX_SCAN: usize = 65_536;
/// Longest key, in bytes.
pub(crate) const MAX_KEY_BYTES: u64 = 4096;
/// Largest value, in bytes.
pub(crate) const MAX_VALUE_BYTES: u64 = 64 * 1024 * 1024;

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Vec<u8>>,
    /// Where it ends.
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> Self {
        Self {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        // The first key behind the prefix: drop trailing 0xff, then add one.
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let end = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        Self {
            start: Bound::Included(prefix.to_vec()),
            end,
        }
    }

    /// The part of this range behind `key`, to read on after a page that ended with it.
    pub fn after(mut self, key: &[u8]) -> Self {
        self.start = Bound::Excluded(key.to_vec());
        self
    }

    /// True when no key can lie in it.
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Included(s), Bound::Included(e)) => s > e,
            (Bound::Included(s) | Bound::Excluded(s), Bound::Excluded(e))
            | (Bound::Excluded(s), Bound::Included(e)) => s >= e,
            _ => false,
        }
    }
}

/// One change of a [`KvBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KvOp {
    Put(String, Bytes, Bytes),
    Delete(String, Bytes),
    DeleteRange(String, KeyRange),
}

impl KvOp {
    pub(crate) fn table(&self) -> &str {
        match self {
            Self::Put(table, ..) | Self::Delete(table, ..) | Self::DeleteRange(table, ..) => table,
        }
    }
}

/// Changes to any tables that are written whole or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvBatch {
    pub(crate) ops: Vec<KvOp>,
}

impl KvBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(
        &mut self,
        table: &str,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> &mut Self {
        self.ops
            .push(KvOp::Put(table.into(), key.into(), value.into()));
        self
    }

    /// Removes a key; nothing happens when it is not there.
    pub fn delete(&mut self, table: &str, key: impl Into<Bytes>) -> &mut Self {
        self.ops.push(KvOp::Delete(table.into(), key.into()));
        self
    }

    /// Removes all keys of a range.
    pub fn delete_range(&mut self, table: &str, range: KeyRange) -> &mut Self {
        self.ops.push(KvOp::DeleteRange(table.into(), range));
        self
    }

    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Checks sizes and table names before anything is written.
    pub(crate) fn check(&self, known: impl Fn(&str) -> bool) -> Result<()> {
        for op in &self.ops {
            if !known(op.table()) {
                return Err(StoreError::UnknownTable {
                    table: op.table().into(),
                });
            }
            if let KvOp::Put(_, key, value) = op {
                for (what, size, limit) in [
                    ("key", key.len() as u64, MAX_KEY_BYTES),
                    ("value", value.len() as u64, MAX_VALUE_BYTES),
                ] {
                    if size > limit {
                        return Err(StoreError::TooLarge { what, size, limit });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Tables of ordered keys. Methods may be called from several threads.
pub trait KvStore: Send + Sync {
    /// The value of a key.
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Bytes>>;

    /// Rows of a range in key order, at most `limit` and never more than [`MAX_SCAN`].
    fn scan(&self, table: &str, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>>;

    /// Writes a batch atomically.
    fn write(&self, batch: &KvBatch, durability: Durability) -> Result<()>;

    /// Returns when all that was written before is on stable storage.
    fn sync(&self) -> Result<()>;

    /// Sets one key, buffered.
    fn put(&self, table: &str, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = KvBatch::new();
        batch.put(
            table,
            Bytes::copy_from_slice(key),
            Bytes::copy_from_slice(value),
        );
        self.write(&batch, Durability::Buffered)
    }

    /// Removes one key, buffered.
    fn delete(&self, table: &str, key: &[u8]) -> Result<()> {
        let mut batch = KvBatch::new();
        batch.delete(table, Bytes::copy_from_slice(key));
        self.write(&batch, Durability::Buffered)
    }
}
