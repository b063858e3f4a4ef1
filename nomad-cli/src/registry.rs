//! Every command and group there is.

use crate::command::Entry;
use crate::commands::*;

/// A group of commands.
pub struct Group {
    pub path: &'static str,
    pub synopsis: &'static str,
}

const fn group(path: &'static str, synopsis: &'static str) -> Group {
    Group { path, synopsis }
}

/// Groups, in no particular order.
pub static GROUPS: &[Group] = &[
    group("alloc", "Look at and act on allocations"),
    group("job", "Run, look at and change jobs"),
    group("node", "Look at and act on nodes"),
];

/// Commands; the longest path that begins a command line is the one that runs.
pub static COMMANDS: &[Entry] = &[
    Entry::new::<agent::Agent>("agent", "Run an agent: server, client or both"),
    Entry::new::<alloc_logs::AllocLogs>("alloc logs", "Show the output of a task"),
    Entry::new::<alloc_logs::AllocLogs>("logs", "Show the output of a task"),
    Entry::new::<alloc_status::AllocStatus>("alloc status", "Show an allocation"),
    Entry::new::<alloc_status::AllocStatus>("alloc-status", "Show an allocation").hidden(),
    Entry::new::<job_run::JobRun>("job run", "Run a new job, or a new version of one"),
    Entry::new::<job_run::JobRun>("run", "Run a new job, or a new version of one"),
    Entry::new::<job_status::JobStatus>("job status", "List jobs, or show one"),
    Entry::new::<job_stop::JobStop>("job stop", "Stop a job"),
    Entry::new::<job_stop::JobStop>("stop", "Stop a job"),
    Entry::new::<node_status::NodeStatus>("node status", "List nodes, or show one"),
    Entry::new::<node_status::NodeStatus>("node-status", "List nodes, or show one").hidden(),
    Entry::new::<version::Version>("version", "Show the version"),
];
