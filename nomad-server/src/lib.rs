//! The server: evaluation broker, workers, plan applier and the leader's control loops.
