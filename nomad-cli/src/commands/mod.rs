//! The verbs, one file each or one a family, and what several of them print alike.

pub mod shared;

pub mod agent;
pub mod status;
pub mod version;

pub mod job_change;
pub mod job_dispatch;
pub mod job_history;
pub mod job_init;
pub mod job_inspect;
pub mod job_lists;
pub mod job_plan;
pub mod job_restart;
pub mod job_run;
pub mod job_status;
pub mod job_stop;
pub mod job_validate;

mod alloc_target;
mod alloc_tasks;

pub mod alloc_change;
pub mod alloc_exec;
pub mod alloc_fs;
pub mod alloc_logs;
pub mod alloc_status;

pub mod deployment;
pub mod eval;
mod explain;

mod node_show;

pub mod node_change;
pub mod node_drain;
pub mod node_pool;
pub mod node_status;

pub mod catalog;
pub mod fmt;
pub mod keyring;
pub mod namespace;
pub mod operator;
pub mod operator_api;
pub mod operator_simulate;
pub mod operator_snapshot;
pub mod server_members;
pub mod system;

mod var;

pub mod var_lock;
pub mod var_verbs;
