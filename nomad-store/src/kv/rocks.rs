//! Tables in RocksDB: a column family each.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions, WriteBatch};

use super::{KeyRange, KvBatch, KvOp, KvStore, MAX_KEY_BYTES, MAX_SCAN};
use crate::dir::DataDir;
use crate::rocks::{self, Database, RocksOptions};
use crate::types::Durability;
use crate::{Result, StoreError};

/// Tables in a directory of their own.
pub struct RocksKv {
    db: Database,
}

impl std::fmt::Debug for RocksKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksKv")
            .field("path", &self.db.path())
            .finish_non_exhaustive()
    }
}

impl RocksKv {
    /// Opens the tables in `path`, creating what is missing. Tables that an older version left there stay.
    pub fn open(path: &Path, tables: &[&str]) -> Result<Self> {
        Self::open_with(path, tables, RocksOptions::default())
    }

    /// [`RocksKv::open`] with other limits.
    pub fn open_with(path: &Path, tables: &[&str], options: RocksOptions) -> Result<Self> {
        let dir = DataDir::open(path, "kv store")?;
        let existing = if path.join("CURRENT").exists() {
            DB::list_cf(&rocksdb::Options::default(), path)
                .map_err(|e| rocks::error(path, "list the tables of", &e))?
        } else {
            Vec::new()
        };
        let names: BTreeSet<&str> = existing
            .iter()
            .map(String::as_str)
            .chain(tables.iter().copied())
            .filter(|&name| name != "default")
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let (db, lost) = Database::open(dir, &names, options)?;
        if let Some(lost) = lost {
            return Err(StoreError::Corrupt {
                path: path.to_path_buf(),
                place: "write-ahead log".into(),
                what: lost.what(),
            });
        }
        Ok(Self { db })
    }

    fn family(&self, table: &str) -> Result<&ColumnFamily> {
        self.db
            .family(table)
            .ok_or_else(|| StoreError::UnknownTable {
                table: table.into(),
            })
    }
}

/// The first key in a range, and the first one behind it (none: to the end).
fn edges(range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let next = |key: &[u8]| {
        let mut key = key.to_vec();
        key.push(0);
        key
    };
    let start = match &range.start {
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => next(key),
        Bound::Unbounded => Vec::new(),
    };
    let end = match &range.end {
        Bound::Included(key) => Some(next(key)),
        Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    (start, end)
}

impl KvStore for RocksKv {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self
            .db
            .db
            .get_cf(self.family(table)?, key)
            .map_err(self.db.fail("read"))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(&self, table: &str, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let family = self.family(table)?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let (start, end) = edges(range);
        let mut options = ReadOptions::default();
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        let rows = self.db.db.iterator_cf_opt(
            family,
            options,
            IteratorMode::From(&start, Direction::Forward),
        );
        let mut out = Vec::new();
        for row in rows.take(limit.min(MAX_SCAN)) {
            let (key, value) = row.map_err(self.db.fail("scan"))?;
            out.push((Bytes::from(key.into_vec()), Bytes::from(value.into_vec())));
        }
        Ok(out)
    }

    fn write(&self, batch: &KvBatch, durability: Durability) -> Result<()> {
        batch.check(|table| self.db.family(table).is_some())?;
        let mut out = WriteBatch::default();
        for op in &batch.ops {
            let family = self.family(op.table())?;
            match op {
                KvOp::Put(_, key, value) => out.put_cf(family, key, value),
                KvOp::Delete(_, key) => out.delete_cf(family, key),
                KvOp::DeleteRange(_, range) => {
                    if !range.is_empty() {
                        let (start, end) = edges(range);
                        // Longer than any key may be, so behind all of them.
                        let end = end.unwrap_or_else(|| vec![0xff; MAX_KEY_BYTES as usize + 1]);
                        out.delete_range_cf(family, start, end);
                    }
                }
            }
        }
        self.db.write(out, durability)
    }

    fn sync(&self) -> Result<()> {
        self.db.sync()
    }
}
