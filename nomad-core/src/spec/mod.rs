//! The job as it is submitted: what a job file or a request body says, before the server makes it concrete.
//!
//! Scalars that were not given are `None`, and stay distinct from zero until [`Job::canonicalize`] fills them in.
//! Reading and writing follow Go's JSON package (see [`json`]). The stored shape, in which every scalar is concrete,
//! is [`crate::job`]; `convert` leads from here to there.
//!
//! Source: jobspec.md §1, §3.2, §4.1 stage A.

pub mod json;

mod artifact;
mod canonicalize;
mod connect;
mod constraint;
mod convert;
mod gateway;
mod group;
mod job;
mod mutate;
mod network;
mod policy;
mod resources;
mod service;
mod syntax_error;
mod task;
mod vault;

pub use artifact::*;
pub use connect::*;
pub use constraint::*;
pub use convert::ConvertError;
pub use gateway::*;
pub use group::*;
pub use job::*;
pub use mutate::{MutateError, ServerDefaults, assign_scaling_ids};
pub use network::*;
pub use policy::*;
pub use resources::*;
pub use service::*;
pub use syntax_error::{DecodeError, decode};
pub use task::*;
pub use vault::*;

#[cfg(test)]
mod tests;
