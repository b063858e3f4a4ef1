//! The node's half: fingerprints, allocation and task runners with their hooks, restore after a restart, status upward.
//!
//! Layer: L3.

pub mod env;
pub mod machine;
