//! Durable storage: the consensus log, key-value tables and snapshot files.
//!
//! **Layer:** L2. The only home of RocksDB (feature `rocksdb`, off by default).
//!
//! Three traits, each with an in-memory and an on-disk implementation that pass the same contract tests:
//!
//! | trait | what it holds | in memory | on disk |
//! |---|---|---|---|
//! | [`LogStore`] | log entries, hard state, membership of one server | [`MemLog`] | `RocksLog` |
//! | [`KvStore`] | named tables of ordered keys | [`MemKv`] | `RocksKv` |
//! | [`SnapshotStore`] | whole-state images with a checked file format | [`MemSnapshots`] | [`FileSnapshots`] |
//!
//! Invariants:
//! - A [`LogBatch`] or [`KvBatch`] is written whole or not at all, also across a power cut.
//! - Every record, snapshot chunk and directory has a checksum and a format number. Damage is an error that names
//!   the path, the place and what to do; it is never skipped.
//! - Only one process opens a directory; a second one is told who holds it.
//!
//! Not here: consensus (nomad-raft), the state itself (nomad-state), any thread, clock or async runtime.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod error;
mod types;

mod log;

mod kv;

pub mod snapshot;

mod dir;
#[cfg(feature = "rocksdb")]
mod rocks;

pub use error::{Result, StoreError};
#[cfg(feature = "rocksdb")]
pub use kv::RocksKv;
pub use kv::{KeyRange, KvBatch, KvStore, MAX_SCAN, MemKv};
#[cfg(feature = "rocksdb")]
pub use log::RocksLog;
pub use log::{LogBatch, LogBounds, LogOp, LogStore, MemLog, verify_log};
#[cfg(feature = "rocksdb")]
pub use rocks::RocksOptions;
pub use snapshot::{
    FileSnapshots, MemSnapshots, SnapshotInfo, SnapshotReader, SnapshotSink, SnapshotStore,
    SnapshotWriter,
};
pub use types::{
    Durability, EntryKind, HardState, LogEntry, LogPosition, MAX_ENTRY_BYTES, Membership, PeerInfo,
    SnapshotMeta,
};
