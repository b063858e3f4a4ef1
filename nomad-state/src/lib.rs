//! Tables of immutable values, deterministic apply, snapshots and watches.
