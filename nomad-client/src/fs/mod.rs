//! Reading an allocation's files for users: never outside its directory, never its secrets.
//!
//! Source: HTTP API reference, sections 3.1 and 3.2.

mod info;
mod logs;
mod position;
mod root;
mod sniff;
mod stream;
mod watch;

#[cfg(test)]
mod tests;

use std::io;

pub use self::info::FileInfo;
pub use self::logs::{LogKind, LogRequest, follow_logs};
pub use self::position::Origin;
pub use self::root::SafeRoot;
pub use self::stream::{Frame, FrameStream, stream_file};

/// Largest piece of a file in one frame, in bytes.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The path leads out of the allocation's directory.
    #[error("Path escapes the alloc directory")]
    Escapes,
    /// It lies in a directory that is not shown.
    #[error("Reading {what} file prohibited: {path}")]
    Prohibited {
        /// `secret` or `private`.
        what: &'static str,
        /// As it was asked for.
        path: String,
    },
    /// There is none.
    #[error("{action} {path}: no such file or directory")]
    NotFound {
        /// `open` or `stat`.
        action: &'static str,
        /// As it was asked for.
        path: String,
    },
    /// It is a directory.
    #[error("file {path:?} is a directory")]
    IsDirectory {
        /// As it was asked for.
        path: String,
    },
    /// Anything else.
    #[error("{action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// As it was asked for.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl FsError {
    pub(crate) fn io(action: &'static str, path: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::NotFound { action, path }
            }
            io::ErrorKind::IsADirectory => Self::IsDirectory { path },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}
