//! The server: evaluation broker, workers, plan applier and the leader's control loops.

pub mod blocked;
pub mod broker;
pub mod heartbeat;
