//! Tables in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{KeyRange, KvBatch, KvOp, KvStore, MAX_SCAN};
use crate::types::Durability;
use crate::{Result, StoreError};

type Tables = BTreeMap<String, BTreeMap<Bytes, Bytes>>;

/// Tables in memory. Clones share the same content.
#[derive(Clone, Debug)]
pub struct MemKv {
    tables: Arc<RwLock<Tables>>,
}

impl MemKv {
    /// Empty tables with these names.
    pub fn new(tables: &[&str]) -> Self {
        Self {
            tables: Arc::new(RwLock::new(
                tables
                    .iter()
                    .map(|&t| (t.to_owned(), BTreeMap::new()))
                    .collect(),
            )),
        }
    }
}

fn unknown(table: &str) -> StoreError {
    StoreError::UnknownTable {
        table: table.into(),
    }
}

fn bounds(range: &KeyRange) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
    (
        range.start.as_ref().map(Vec::as_slice),
        range.end.as_ref().map(Vec::as_slice),
    )
}

impl KvStore for MemKv {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Bytes>> {
        let tables = self.tables.read();
        let rows = tables.get(table).ok_or_else(|| unknown(table))?;
        Ok(rows.get(key).cloned())
    }

    fn scan(&self, table: &str, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let tables = self.tables.read();
        let rows = tables.get(table).ok_or_else(|| unknown(table))?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        Ok(rows
            .range::<[u8], _>(bounds(range))
            .take(limit.min(MAX_SCAN))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }

    fn write(&self, batch: &KvBatch, _durability: Durability) -> Result<()> {
        let mut tables = self.tables.write();
        batch.check(|table| tables.contains_key(table))?;
        for op in &batch.ops {
            let rows = tables
                .get_mut(op.table())
                .ok_or_else(|| unknown(op.table()))?;
            match op {
                KvOp::Put(_, key, value) => {
                    rows.insert(key.clone(), value.clone());
                }
                KvOp::Delete(_, key) => {
                    rows.remove(key);
                }
                KvOp::DeleteRange(_, range) => {
                    if !range.is_empty() {
                        let keys: Vec<Bytes> = rows
                            .range::<[u8], _>(bounds(range))
                            .map(|(k, _)| k.clone())
                            .collect();
                        for key in keys {
                            rows.remove(&key);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
