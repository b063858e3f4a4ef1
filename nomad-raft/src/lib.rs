//! Consensus on raft-rs: a sans-I/O core and the async driver around it.
//!
//! **Layer:** L2. The only home of raft-rs and its old protobuf; outside, messages are opaque bytes.
//!
//! Read in this order:
//! - [`Core`]: inputs (tick, message, proposal, membership change, read) go in; one [`Output`] (messages, a batch to
//!   persist, committed entries) comes out. No thread, clock, socket or randomness.
//! - [`Raft`]: the handle that the rest of the program holds: `propose`, `read_barrier`, `leader_changes`.
//! - the driver: a task that owns the core, a thread that writes and syncs the log (many proposals share one sync),
//!   and a thread that applies committed entries to the [`StateMachine`].
//! - [`Transport`]: how frames reach another server, supplied by the caller.
//!
//! Invariants:
//! - An entry is acknowledged to a leader only when it is on stable storage; it is applied only when committed.
//! - Every server applies the same entries in the same order. One that cannot apply an entry stops with an error.
//! - A lease read is answered only while no other server can have been elected; see [`core`].
//! - Every queue and message has a limit in [`config`].
//!
//! Not here: what the entries mean (nomad-state), connections (nomad-server), storage formats (nomad-store).

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod config;
mod convert;
mod error;
mod logger;
mod storage;

pub mod core;

mod handle;
mod state_machine;
mod status;
mod transport;
mod wire;

mod driver;

pub use crate::core::{
    Change, Core, Leadership, Outgoing, Output, Payload, Persist, Progress, Role,
};
pub use config::{CoreConfig, RaftConfig};
pub use error::{ConfigError, CoreError, FatalError, RaftError};
pub use handle::{Applied, Raft, Stopped};
pub use nomad_store::{Membership, PeerInfo, SnapshotMeta};
pub use state_machine::{ApplyError, Committed, SnapshotWrite, StateMachine};
pub use status::{PeerStatus, Status};
pub use transport::{MemNetwork, MemTransport, NoTransport, Transport};
