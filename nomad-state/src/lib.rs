//! The cluster's state: tables of immutable values, deterministic apply of commands, snapshots and watches.
//!
//! Layer 1, pure: knows `nomad-core` only. No async runtime, clock, randomness, files or sockets: a command carries
//! every id and time that applying it needs, so that each server computes the same state from the same log.
//!
//! Invariants:
//! - values are never changed in place: a write puts a new `Arc` into persistent maps, so [`State`] (a snapshot) is a
//!   pointer copy and stays valid forever;
//! - state changes only through [`Store::apply`];
//! - every table remembers the index of its last change, and [`Store::watch`] wakes exactly those who wait for a
//!   changed key;
//! - a job version is stored once, and allocations point to it.
//!
//! Not here: the Raft log and files (`nomad-store`, `nomad-raft`), deciding what to change (`nomad-scheduler`,
//! `nomad-server`), JSON envelopes (`nomad-api`).

pub mod command;
pub mod events;
pub mod namespace;
pub mod table;
pub mod variable;

mod apply;
mod snapshot;
mod state;
mod store;
mod tables;
mod watch;

pub use self::apply::{Applied, ApplyError, MAX_CHUNK_BYTES, MAX_RESTORE_BYTES, Reply};
pub use self::command::{Command, CommandError};
pub use self::events::{Event, EventBatch, EventBuffer, EventPayload, EventRead};
pub use self::snapshot::SnapshotError;
pub use self::state::State;
pub use self::store::Store;
pub use self::table::{Change, ChangeSet, Table, WatchKey};
pub use self::watch::Watch;
