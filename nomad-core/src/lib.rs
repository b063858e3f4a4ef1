//! The domain's words: jobs, nodes, allocations, evaluations, deployments and plans.
//!
//! Layer 0: everybody depends on this crate, and it depends on none of ours.
//!
//! Invariants:
//! - no input or output, no clock, no randomness, no async runtime: times and ids are handed in;
//! - the serialization of these types *is* the JSON of Nomad's HTTP API (field names, durations as integer
//!   nanoseconds, null versus empty), and the same shape as MessagePack with named fields lies in the log;
//! - Nomad's words name our types, and nothing else names the same things.
//!
//! Not here: how a job file is read (`nomad-jobspec`), how work is placed (`nomad-scheduler`), where things are kept
//! (`nomad-state`), list stubs and envelopes of the API (`nomad-api`).

pub mod ids;
pub mod time;
pub mod wire;

pub mod alloc;
pub mod deployment;
pub mod eval;
pub mod explain;
pub mod job;
pub mod metric;
pub mod node;
pub mod plan;
pub mod scheduler_config;
pub mod summary;
pub mod task_state;

pub mod diff;
#[cfg(feature = "test-util")]
pub mod memory_view;
pub mod spec;
pub mod validate;
pub mod view;

pub use self::ids::{
    AllocId, DEFAULT_NAMESPACE, DeploymentId, EvalId, IdSource, JobId, JobKey, Namespace, NodeId,
    Uuid,
};
pub use self::time::{Clock, Nanos, Timestamp};

/// The level of Nomad's API and job files that is answered: what clients and constraints compare.
pub const API_LEVEL: &str = "2.0.6";
