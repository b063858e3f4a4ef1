//! What changed between two versions of a job, and what the change asks of running allocations.
//!
//! [`job_diff`] gives the tree that plans and version lists show; [`annotate`] adds what a plan would do;
//! [`group_change`] decides whether allocations must be replaced.
//!
//! Source: jobspec.md §7.1 and §8; recorded answers of `/v1/job/:id/plan` and `/v1/job/:id/versions`.

mod annotate;
mod destructive;
mod fields;
mod group;
mod job;
mod objects;
mod service;
mod task;
#[cfg(test)]
mod tests;
mod types;

pub use self::annotate::annotate;
pub use self::destructive::{Change, group_change};
pub use self::job::job_diff;
pub use self::types::{DiffType, FieldDiff, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff};
