//! Template rendering: engines, runner and the in-memory connection by which a runner talks to its agent.
//!
//! Layer L2: above nomad-core, below the client. What is here:
//!
//! - [`bufconn`]: [`BufferedConn`], an in-memory connection that holds no buffer while idle.

pub mod bufconn;

pub use bufconn::{BufferPool, BufferedConn, ConnConfig, Dialer, Listener};
