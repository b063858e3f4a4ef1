//! The way of a task's output: FIFO → rotated files, with no byte ever in this process's memory alone.

mod files;
mod rotate;
mod scratch;
mod stream;

pub(crate) use files::LogDir;
pub(crate) use scratch::Scratch;
pub(crate) use stream::{Moved, Stream, StreamError};
