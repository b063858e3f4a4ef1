//! What changed between two versions of a job, and what the change asks of running allocations.

mod destructive;

pub use self::destructive::{Change, group_change};
