//! Harness and tests of the whole program, from outside: the real binary, its HTTP API, its processes and its files.
//!
//! Layer: beside the layers. It knows no library of the program, so a test cannot share a mistake with what it tests.
//!
//! Read in this order:
//! - [`Agent`]: an agent in a folder of its own, which can be killed and started again; dropping it leaves nothing.
//! - [`http`]: a client that can also send what no proper client sends.
//! - [`job`]: job files as JSON.
//! - [`process`]: finding and ending the processes of one agent, and only those.
//! - [`wait`]: waiting for conditions, with a deadline.
//!
//! Not here: tests of single crates, which stand in those crates.

mod agent;
pub mod http;
pub mod job;
pub mod process;
pub mod wait;

pub use agent::{Agent, Options, Role, binary};
pub use http::Response;
pub use wait::{LIMIT, until};
