//! How a task is run on this machine: the driver contract, `raw_exec` and `mock_driver`.
//!
//! Layer: L2.
//!
//! Invariants:
//! - A driver names every mistake of a task's `config` at once, each with its place, before anything is started.
//! - A [`TaskHandle`] is all that is needed to find a running task again after the agent was restarted.
//! - An exit that nobody could learn is an error in the [`ExitResult`], never a success.
//!
//! What is not here: processes, cgroups and log files themselves (nomad-supervisor), restarts, hooks and task events
//! (nomad-client), interpolation of the configuration (it arrives interpolated).

pub mod config;
pub mod driver;
pub mod signal;
pub mod task;
pub mod usage;

mod glob;
mod users;

pub mod mock;
pub mod raw_exec;
mod registry;

pub use config::{FieldError, Kind, Schema};
pub use driver::{
    Capabilities, Driver, DriverError, DriverEvent, DriverNetwork, ExecCapture, ExecOutput,
    ExecRequest, ExecStream, FINGERPRINT_INTERVAL, FileIsolation, Fingerprint, Health, Started,
    WindowSize,
};
pub use registry::Registry;
pub use task::{
    ExitResult, HANDLE_VERSION, LogSettings, TaskConfig, TaskDirs, TaskHandle, TaskResources,
    TaskState, TaskStatus,
};
pub use usage::{CpuStats, MemoryStats, ResourceUsage, TaskResourceUsage};
pub use users::UserError;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
