//! One process per node that owns every task process, its cgroup, pipes and log files.
//!
//! Layer: L2. The agent talks to the supervisor with [`SupervisorClient`] over a unix socket in the client's
//! state directory; the supervisor itself is [`run`], started as `nomad supervisor --dir STATE_DIR`.
//!
//! Invariants:
//! - There is no helper process and no thread per task, and two processes per node. An idle task costs the supervisor a few KiB and no CPU time.
//! - Neither the death of the agent nor that of the supervisor stops a task or loses a byte of its log. Bytes leave
//!   a task's FIFO in the same system call that puts them into the log file, so there is no moment at which only the
//!   supervisor's memory holds them. What waits in a FIFO, and how a process ended, is kept by a second process that only
//!   holds descriptors (`fdstore`), also when agent and supervisor die at once.
//! - A task runs only after the journal knows its pid: a supervisor that dies in between leaves no unknown process. The
//!   next one knows whether it was released to run its program; one that was not is forgotten, as it never was.
//! - An exit code that nobody could learn is [`ExitStatus::Lost`], never success.
//! - One supervisor per directory, held by a lock on a file in it.
//!
//! What is not here: drivers and their task configuration (nomad-drivers), restart policies and everything else about
//! the life of an allocation (nomad-client), reading logs back.

pub mod cgroup;
mod client;
mod fdstore;
mod journal;
mod launch;
mod logs;
mod server;
mod sys;
mod types;
mod wire;

pub use client::{
    ClientOptions, ExecInput, ExecOutputs, ExecSession, Notice, SupervisorClient, SupervisorError,
};
pub use launch::Launch;
#[cfg(feature = "test-util")]
pub use launch::testing;
pub use server::{RunError, SupervisorConfig, run};
pub use types::{
    Capabilities, CgroupSpec, CpuStats, Credentials, Event, ExecOutput, ExecSpec, ExitStatus,
    KillSpec, Limits, LogSpec, LogStream, MAX_ID_BYTES, MemoryStats, PidStats, ResourceLimit,
    TaskExit, TaskHandle, TaskInfo, TaskSpec, TaskStats, WindowSize,
};
pub use wire::{ErrorKind, MAX_FRAME_BYTES, PROTOCOL, Refusal};

/// Name of the socket in the state directory.
pub const SOCKET_NAME: &str = "supervisor.sock";
/// Name of the journal in the state directory.
pub const JOURNAL_NAME: &str = "supervisor.journal";
/// Name of the lock file in the state directory.
pub const LOCK_NAME: &str = "supervisor.lock";
/// Name of the file that takes the supervisor's own messages.
pub const LOG_NAME: &str = "supervisor.log";

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
