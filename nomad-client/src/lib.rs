//! The node's half: fingerprints, allocation and task runners with their hooks, restore after a restart, status upward.
//!
//! **Layer:** L3. [`Client`] is the whole of it; the agent starts one and asks it for logs, files and commands.
//!
//! Invariants:
//! - decisions are in [`machine`], as plain functions of events and time; what carries them out is around it;
//! - what the servers were told, and what runs, is stored first: after a restart of the agent the same processes are
//!   found again, no restart is counted, and an end that nobody saw is never taken for success;
//! - no path given by a user or a task leads out of an allocation's directory, or to its secrets;
//! - an idle allocation has no thread, no timer, no channel and no helper process.
//!
//! Not here: processes and their log files (nomad-supervisor), drivers (nomad-drivers), what a server does with
//! what it is told (nomad-server), HTTP (nomad-api), the listener behind [`LocalApi`] (nomad-agent).

pub mod config;

pub mod env;
pub mod machine;

pub mod fingerprint;
mod host_stats;
pub mod signals;
mod users;

pub mod dir;
pub mod fs;
pub mod state;

mod conn;
mod metrics;
mod runner;

mod client;

pub use client::{
    Assignment, Client, Deps, DriverFactory, ExecOptions, MetaError, NodeMetaView, RunningExec,
    StartError,
};
pub use config::ClientConfig;
pub use conn::{Connector, LocalApi, NoServer, PlainConnector};
pub use host_stats::{HostCpu, HostDisk, HostMemory, HostStats};
pub use runner::{AllocUsage, CommandError};
