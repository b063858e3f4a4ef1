//! The supervisor with real processes. This binary is its own supervisor: `node.rs` starts it again.

mod exec;
mod footprint;
mod lifecycle;
mod logs;
mod node;
mod restart;

/// Not a test of its own: the entry point of a supervisor started by the others.
#[test]
fn supervisor_entry() {
    nomad_supervisor::testing::serve_if_asked();
}
