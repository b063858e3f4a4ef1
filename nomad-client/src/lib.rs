//! The node's half: fingerprints, allocation and task runners with their hooks, restore after a restart, status upward.
//!
//! Layer: L3.

pub mod config;
pub mod dir;
pub mod env;
pub mod fingerprint;
pub mod fs;
pub mod machine;
pub mod signals;
pub mod state;
