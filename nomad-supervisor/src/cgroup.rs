//! Writer and reader of cgroup v2 files.
//!
//! Where only a part of this is possible, only that part is done: on a machine with cgroup v1 beside an empty cgroup2
//! hierarchy processes can be tracked and killed as a group but not limited; without any writable cgroup2 hierarchy
//! there is no cgroup, and the caller falls back to process groups.
//! Source: kernel document "Control Group v2".

mod detect;
mod task;

pub use detect::{CgroupError, Cgroups};
pub use task::TaskCgroup;
