//! The log in RocksDB: one column family of records by index, one of small state.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rocksdb::{ColumnFamily, Direction, IteratorMode, ReadOptions, WriteBatch};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::mem::check_batch;
use super::{LogBatch, LogBounds, LogOp, LogStore, record};
use crate::dir::DataDir;
use crate::rocks::{Database, RocksOptions};
use crate::types::{Durability, HardState, LogEntry, LogPosition, Membership};
use crate::{Result, StoreError};

/// Column family of the records; keys are big-endian indices.
const RECORDS: &str = "log";
/// Keys of the default column family.
const HARD_STATE: &[u8] = b"hard_state";
const MEMBERSHIP: &[u8] = b"membership";
const BASE: &[u8] = b"base";

/// A log in a directory of its own.
pub struct RocksLog {
    db: Database,
    bounds: RwLock<LogBounds>,
    /// Held over a whole write, so that bounds and batches are in one order; readers do not wait for it.
    writing: Mutex<Vec<u8>>,
}

impl std::fmt::Debug for RocksLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksLog")
            .field("path", &self.db.path())
            .field("bounds", &*self.bounds.read())
            .finish_non_exhaustive()
    }
}

impl RocksLog {
    /// Opens the log in `path`, creating it when it is missing.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, RocksOptions::default())
    }

    /// [`RocksLog::open`] with other limits.
    pub fn open_with(path: &Path, options: RocksOptions) -> Result<Self> {
        let dir = DataDir::open(path, "log")?;
        let (db, lost) = Database::open(dir, &[RECORDS], options)?;
        let log = Self {
            db,
            bounds: RwLock::default(),
            writing: Mutex::default(),
        };
        let base: LogPosition = log.get_meta(BASE)?.unwrap_or_default();
        let last = log.find_last()?;
        let last = match last {
            Some(last) if last.index > base.index => {
                let first = base.index + 1;
                // The first record must be there too: a hole at the start is the usual trace of a lost file.
                log.read_record(first)?;
                last
            }
            _ => base,
        };
        if let Some(lost) = lost {
            return Err(StoreError::CorruptLog {
                path: path.to_path_buf(),
                index: last.index + 1,
                what: lost.what(),
            });
        }
        *log.bounds.write() = LogBounds { base, last };
        Ok(log)
    }

    fn records(&self) -> &ColumnFamily {
        self.db
            .family(RECORDS)
            .expect("was opened with this column family")
    }

    fn find_last(&self) -> Result<Option<LogPosition>> {
        let mut rows = self.db.db.iterator_cf(self.records(), IteratorMode::End);
        let Some(row) = rows.next() else {
            return Ok(None);
        };
        let (key, value) = row.map_err(self.db.fail("read the last entry of"))?;
        let entry = record::decode(
            self.db.path(),
            self.index_of(&key)?,
            Bytes::from(value.into_vec()),
        )?;
        Ok(Some(LogPosition {
            index: entry.index,
            term: entry.term,
        }))
    }

    fn index_of(&self, key: &[u8]) -> Result<u64> {
        let key: [u8; 8] = key.try_into().map_err(|_| StoreError::Corrupt {
            path: self.db.path().to_path_buf(),
            place: format!("record key {key:?}"),
            what: "is not an index".into(),
        })?;
        Ok(u64::from_be_bytes(key))
    }

    fn read_record(&self, index: u64) -> Result<LogEntry> {
        let value = self
            .db
            .db
            .get_cf(self.records(), index.to_be_bytes())
            .map_err(self.db.fail("read"))?;
        let Some(value) = value else {
            return Err(self.missing(index));
        };
        record::decode(self.db.path(), index, value.into())
    }

    fn missing(&self, index: u64) -> StoreError {
        StoreError::CorruptLog {
            path: self.db.path().to_path_buf(),
            index,
            what: "the record is missing".into(),
        }
    }

    /// Takes one record away, as a lost file would.
    #[cfg(test)]
    pub(super) fn remove_for_test(&self, index: u64) {
        self.db
            .db
            .delete_cf(self.records(), index.to_be_bytes())
            .expect("test database");
    }

    /// Changes one byte of a record.
    #[cfg(test)]
    pub(super) fn damage_for_test(&self, index: u64) {
        let key = index.to_be_bytes();
        let mut value = self
            .db
            .db
            .get_cf(self.records(), key)
            .expect("test database")
            .expect("is there");
        value[3] ^= 1;
        self.db
            .db
            .put_cf(self.records(), key, value)
            .expect("test database");
    }

    fn get_meta<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
        let Some(value) = self.db.db.get(key).map_err(self.db.fail("read"))? else {
            return Ok(None);
        };
        let bad = |what: String| StoreError::Corrupt {
            path: self.db.path().to_path_buf(),
            place: String::from_utf8_lossy(key).into_owned(),
            what,
        };
        let Some((body, crc)) = value.split_last_chunk::<4>() else {
            return Err(bad("is cut off".into()));
        };
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return Err(bad("checksum does not match".into()));
        }
        rmp_serde::from_slice(body)
            .map(Some)
            .map_err(|e| bad(e.to_string()))
    }
}

fn meta_value<T: Serialize>(value: &T) -> Vec<u8> {
    let mut body = rmp_serde::to_vec_named(value).expect("plain data in memory");
    let crc = crc32fast::hash(&body);
    body.extend_from_slice(&crc.to_be_bytes());
    body
}

/// The term of an entry that an earlier operation of the same batch appends.
fn term_in_batch(batch: &LogBatch, before: usize, index: u64) -> Option<u64> {
    batch.ops()[..before].iter().rev().find_map(|op| match op {
        LogOp::Append(entries) => entries.iter().find(|e| e.index == index).map(|e| e.term),
        _ => None,
    })
}

impl LogStore for RocksLog {
    fn bounds(&self) -> LogBounds {
        *self.bounds.read()
    }

    fn hard_state(&self) -> Result<HardState> {
        Ok(self.get_meta(HARD_STATE)?.unwrap_or_default())
    }

    fn membership(&self) -> Result<Membership> {
        Ok(self.get_meta(MEMBERSHIP)?.unwrap_or_default())
    }

    fn term(&self, index: u64) -> Result<u64> {
        let bounds = self.bounds();
        if index == bounds.base.index {
            return Ok(bounds.base.term);
        }
        if index == bounds.last.index {
            return Ok(bounds.last.term);
        }
        bounds.check_range(&(index..index + 1))?;
        Ok(self.read_record(index)?.term)
    }

    fn entries(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<LogEntry>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.bounds().check_range(&range)?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(range.end.to_be_bytes());
        let start = range.start.to_be_bytes();
        let rows = self.db.db.iterator_cf_opt(
            self.records(),
            options,
            IteratorMode::From(&start, Direction::Forward),
        );
        let mut out = Vec::new();
        let mut size = 0;
        let mut next = range.start;
        for row in rows {
            let (key, value) = row.map_err(self.db.fail("read"))?;
            let index = self.index_of(&key)?;
            if index != next {
                return Err(self.missing(next));
            }
            let entry = record::decode(self.db.path(), index, Bytes::from(value.into_vec()))?;
            size += entry.size();
            if size > max_bytes && !out.is_empty() {
                return Ok(out);
            }
            out.push(entry);
            next += 1;
        }
        if next != range.end {
            return Err(self.missing(next));
        }
        Ok(out)
    }

    fn write(&self, batch: &LogBatch, durability: Durability) -> Result<()> {
        let mut buffer = self.writing.lock();
        let mut bounds = self.bounds();
        check_batch(bounds, batch)?;
        let records = self.records();
        let mut out = WriteBatch::default();
        for (i, op) in batch.ops().iter().enumerate() {
            match op {
                LogOp::Append(entries) => {
                    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
                        continue;
                    };
                    if first.index <= bounds.last.index {
                        out.delete_range_cf(
                            records,
                            first.index.to_be_bytes(),
                            (bounds.last.index + 1).to_be_bytes(),
                        );
                    }
                    for entry in entries {
                        record::encode(entry, &mut buffer)?;
                        out.put_cf(records, entry.index.to_be_bytes(), &*buffer);
                    }
                    bounds.last = LogPosition {
                        index: last.index,
                        term: last.term,
                    };
                }
                LogOp::HardState(hard_state) => out.put(HARD_STATE, meta_value(hard_state)),
                LogOp::Membership(membership) => out.put(MEMBERSHIP, meta_value(membership)),
                LogOp::Reset(base) => {
                    out.delete_range_cf(records, [0; 8], [0xff; 8]);
                    out.put(BASE, meta_value(base));
                    bounds = LogBounds {
                        base: *base,
                        last: *base,
                    };
                }
                LogOp::Compact(to) => {
                    if *to <= bounds.base.index {
                        continue;
                    }
                    let term = match term_in_batch(batch, i, *to) {
                        Some(term) => term,
                        None => self.term(*to)?,
                    };
                    out.delete_range_cf(
                        records,
                        bounds.first_index().to_be_bytes(),
                        (*to + 1).to_be_bytes(),
                    );
                    bounds.base = LogPosition { index: *to, term };
                    out.put(BASE, meta_value(&bounds.base));
                }
            }
        }
        self.db.write(out, durability)?;
        *self.bounds.write() = bounds;
        // One large entry must not keep its buffer for good.
        buffer.shrink_to(64 * 1024);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.db.sync()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn path(&self) -> &Path {
        self.db.path()
    }
}
