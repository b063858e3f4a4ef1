//! The agent's own logs and metrics.

pub(crate) mod endpoints;
pub(crate) mod logs;
pub(crate) mod metrics;
