//! Nomad's HTTP shape: types, a typed client, and (feature `server`) the routes.
//!
//! Layer 2. The client half needs only `nomad-core`, so that tools can embed it; the routes read `nomad-state`
//! snapshots and reach everything else through [`backend::Backend`], which the agent implements.
//!
//! Invariants:
//! - this crate never names the server or the client crate;
//! - errors become status codes in one place ([`error`]);
//! - every body is bounded, every answer to a read carries its index.
//!
//! Not here: how anything is decided or stored; listeners and TLS (`nomad-agent`).

pub mod types;

#[cfg(feature = "server")]
pub mod backend;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod error;
#[cfg(feature = "server")]
pub mod filter;
#[cfg(feature = "server")]
mod parse;
#[cfg(feature = "server")]
pub mod query;
#[cfg(feature = "server")]
pub mod routes;
#[cfg(feature = "server")]
pub mod services;

#[cfg(feature = "client")]
pub use self::client::{Client, ClientError};
