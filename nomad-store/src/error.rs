//! What can go wrong with stored data, each with its place and a way out.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of a log, table or snapshot.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused an operation on a file.
    #[error("cannot {op} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another opener holds the directory.
    #[error(
        "data directory {path} is in use by {holder}; stop it first or choose another data_dir",
        path = path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it: process id and program name.
        holder: String,
    },
    /// The directory or file was not written by this program.
    #[error("{path} is not a nomad {kind}: {what}", path = path.display())]
    NotOurs {
        /// The directory or file.
        path: PathBuf,
        /// What was expected there: `log`, `kv store`, `snapshot`.
        kind: &'static str,
        /// What was found instead.
        what: String,
    },
    /// Written by a version whose format we do not know.
    #[error(
        "{path} has format {found}, this version reads up to {supported}; use the version that wrote it or a newer one",
        path = path.display()
    )]
    UnsupportedFormat {
        /// The directory or file.
        path: PathBuf,
        /// The format number found.
        found: u32,
        /// The newest number this program reads.
        supported: u32,
    },
    /// A log record is missing or damaged.
    #[error(
        "log {path} is damaged at index {index}: {what}; keep a copy of the directory, then move it away and let \
         this server rejoin its cluster, or restore the last snapshot with `nomad operator snapshot restore`",
        path = path.display()
    )]
    CorruptLog {
        /// The log's directory.
        path: PathBuf,
        /// The index of the record.
        index: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Something other than a log record is damaged.
    #[error(
        "{path} is damaged ({place}): {what}; keep a copy, then move it away and restore it from a snapshot or a \
         healthy server",
        path = path.display()
    )]
    Corrupt {
        /// The file or directory.
        path: PathBuf,
        /// Where in it: a key, an offset, a section.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// A write would leave a hole in the log or reach behind its start.
    #[error(
        "log write out of order: index {index} does not fit a log that holds {first} to {last}"
    )]
    OutOfOrder {
        /// The index of the write.
        index: u64,
        /// First index held.
        first: u64,
        /// Last index held.
        last: u64,
    },
    /// Entries were asked for that have been compacted away.
    #[error("log entry {index} was compacted; the log starts at {first}")]
    Compacted {
        /// The index asked for.
        index: u64,
        /// First index held.
        first: u64,
    },
    /// Entries were asked for that do not exist yet.
    #[error("log entry {index} does not exist; the log ends at {last}")]
    Unavailable {
        /// The index asked for.
        index: u64,
        /// Last index held.
        last: u64,
    },
    /// A value is larger than its limit.
    #[error("{what} of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A table that was not named when the store was opened.
    #[error("table {table:?} was not declared when the store was opened")]
    UnknownTable {
        /// The name used.
        table: String,
    },
    /// A snapshot that is not in the store.
    #[error("no snapshot at index {index}, term {term}")]
    NoSnapshot {
        /// Index asked for.
        index: u64,
        /// Term asked for.
        term: u64,
    },
    /// The storage engine failed for another reason.
    #[error("storage engine failed in {path}: {what}", path = path.display())]
    Engine {
        /// The directory.
        path: PathBuf,
        /// The engine's words.
        what: String,
    },
}

impl StoreError {
    /// Makes a closure that wraps an I/O error with what was done to which path.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { op, path, source }
    }

    /// True when the stored bytes are bad, as opposed to a failing disk or a wrong request.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::CorruptLog { .. } | Self::Corrupt { .. })
    }
}

/// Lets a store error travel through `Read` and `Write`.
impl From<StoreError> for std::io::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { source, op, path } => Self::new(
                source.kind(),
                format!("cannot {op} {}: {source}", path.display()),
            ),
            other => Self::new(std::io::ErrorKind::InvalidData, other),
        }
    }
}
