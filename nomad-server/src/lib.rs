//! The server: evaluation broker, workers, plan applier and the leader's control loops.
//!
//! **Layer:** L3. Knows the state, the scheduler, consensus and storage; the agent puts it together with the rest.
//!
//! Read in this order:
//! - [`Server`]: the handle; what may be written is in [`ops`];
//! - the control loops, each a struct with `handle(event, now) -> actions` that knows neither tasks nor clocks:
//!   [`broker`], [`blocked`], [`heartbeat`], [`deployments`], [`drain`], [`gc`],
//!   [`periodic`], [`locks`];
//! - [`keyring`]: the keys that encrypt Variables, and when they change;
//! - [`plan`]: verification of plans (pure), and the thread that commits them;
//! - `leader`: the tasks that feed the loops while this server leads;
//! - `worker`: the threads that schedule;
//! - [`node`]: the streams of nodes, what follows from their reports;
//! - `rpc`: the services that nodes and other servers call.
//!
//! Invariants:
//! - the state changes only by commands in the log, and a command carries every id and time that applying it needs;
//! - the leader's loops are in memory only, and are rebuilt from the state when leadership is gained;
//! - nothing on the way from a job's registration to its allocations at the node waits for a clock;
//! - every queue has a limit in [`config`], beyond it callers are told to come back later, or wait themselves.
//!
//! Not here: HTTP (nomad-api), the node's half (nomad-client), listeners and TLS (nomad-agent).

mod feed;
mod fsm;
mod ids;
mod leader;
mod rpc;
mod server;
mod telemetry;
mod worker;

pub mod blocked;
pub mod broker;
pub mod config;
pub mod deployments;
pub mod drain;
pub mod error;
pub mod gc;
pub mod heartbeat;
pub mod keyring;
pub mod locks;
pub mod node;
pub mod ops;
pub mod periodic;
pub mod plan;

pub use config::{ServerConfig, Storage};
pub use error::{ServerError, StartError};
pub use feed::FeedItem;
pub use ids::{RandomIds, SharedIds};
pub use leader::LeaderStats;
pub use server::{ForwardHandler, Server};
