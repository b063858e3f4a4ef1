//! The agent: reads its configuration, builds server and client, and serves them.
//!
//! Layer 4, the composition root: it knows everybody, so that nobody else has to.
//!
//! Invariants:
//! - configuration mistakes are all named at once, with file and line, before anything is started;
//! - what is configured but not built yet is named in a warning, or refused where ignoring it would be unsafe;
//! - the wall clock and the process's environment are read here and nowhere below.
//!
//! Not here: what the parts do.

pub mod config;

mod backend;
mod banner;
mod build;
mod clock;
mod cluster;
mod dirs;
mod forward;
mod http;
mod local;
mod proxy;
mod run;
mod telemetry;

pub use self::run::run;
