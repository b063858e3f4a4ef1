//! Nodes as the server sees them: their streams, their status, and what they report.

pub mod evals;
pub(crate) mod registry;
pub(crate) mod reports;
pub(crate) mod session;
pub mod status;
pub(crate) mod tunnels;
