//! The real binary: agents, jobs, tasks, logs, bad input.

mod agents;
mod bad_input;
mod cluster;
mod jobs;
mod restarts;
mod snapshots;
mod tasks;
mod templates;
mod variables;

/// The program under test, or the end of a test that cannot run without it.
macro_rules! binary {
    () => {
        match tests::binary() {
            Some(binary) => binary,
            None => return,
        }
    };
}
use binary;
