//! The agent's own logs and metrics.

pub(crate) mod logs;
pub(crate) mod metrics;
