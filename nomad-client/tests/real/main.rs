//! A client, a real supervisor and real processes; only the servers are missing.

mod footprint;
mod lives;
mod server;
mod stream;
mod world;

/// Not a test of its own: with a variable set, this binary is the supervisor of another test.
#[test]
fn supervise() {
    nomad_supervisor::testing::serve_if_asked();
}
