//! What may be written: one file for each kind of object.

mod job;

pub use job::{RegisterJob, RegisterReply};
