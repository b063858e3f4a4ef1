//! The runner of a task's templates: when to render, where to write, what a change sets off.
//!
//! [`Machine`] decides and does nothing else: events in, actions out, time and chance
//! handed in. [`Runner`] is the task that performs what it decides.

mod env_file;
mod machine;
mod render;
mod shell;
mod spec;

pub use env_file::{EnvFileError, parse_env_file};
pub use machine::{Action, Event, Machine, Outcome};
pub use shell::{Runner, RunnerConfig, RunnerEvent, RunnerShared};
pub use spec::{ChangeMode, ChangeScript, ClientSettings, SpecError, TaskTemplate, Wait};

#[cfg(test)]
mod tests;
