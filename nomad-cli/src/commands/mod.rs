//! The verbs, one file each, and what several of them print alike.

pub mod shared;

pub mod agent;
mod alloc_target;
mod alloc_tasks;
pub mod alloc_logs;
pub mod alloc_status;
pub mod job_run;
pub mod job_status;
pub mod job_stop;
mod node_show;
pub mod node_status;
pub mod version;
