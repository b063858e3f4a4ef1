//! A task's log over all its files, followed across rotations.

use std::path::{Path, PathBuf};

use super::position::{LogFile, Origin, begin, index_of};
use super::stream::{FrameStream, Gone, Reader, Sender};
use super::watch::Watch;
use super::{FsError, SafeRoot};

/// Which output of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogKind {
    /// Reads the API's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            _ => None,
        }
    }

    /// The word in file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What is to be read of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    /// Task.
    pub task: String,
    /// Which output.
    pub kind: LogKind,
    /// Whether to wait for more at the end.
    pub follow: bool,
    /// Bytes from the origin.
    pub offset: u64,
    /// Which end the offset counts from.
    pub origin: Origin,
}

/// Directory of the logs below the allocation's.
const LOGS: &str = "alloc/logs";

/// Streams a log. Without `follow` the stream ends at what was there when it was reached.
///
/// # Errors
/// There is no log file yet and `follow` is not set, or the directory cannot be read.
pub fn follow_logs(root_path: &Path, request: LogRequest) -> Result<FrameStream, FsError> {
    let root = SafeRoot::open(root_path)?;
    let mut log = Log {
        prefix: format!("{}.{}.", request.task, request.kind.as_str()),
        dir: root_path.join(LOGS),
        root,
        request,
    };
    let files = log.files()?;
    if files.is_empty() && !log.request.follow {
        return Err(FsError::NotFound {
            action: "open",
            path: format!("{LOGS}/{}0", log.prefix),
        });
    }
    let (sender, frames) = Sender::new();
    tokio::spawn(async move {
        // The error is that the reader went away.
        let _: Result<(), Gone> = log.run(&sender).await;
    });
    Ok(frames)
}

struct Log {
    root: SafeRoot,
    dir: PathBuf,
    prefix: String,
    request: LogRequest,
}

impl Log {
    fn files(&self) -> Result<Vec<LogFile>, FsError> {
        let mut files: Vec<LogFile> = self
            .root
            .list(LOGS)?
            .into_iter()
            .filter(|info| !info.is_dir)
            .filter_map(|info| {
                Some(LogFile {
                    index: index_of(&info.name, &self.prefix)?,
                    size: u64::try_from(info.size).unwrap_or(0),
                })
            })
            .collect();
        files.sort_unstable();
        Ok(files)
    }

    fn open(&self, index: u64, at: u64) -> Result<Reader, FsError> {
        let name = format!("{LOGS}/{}{index}", self.prefix);
        Ok(Reader::new(self.root.read(&name)?, name, at))
    }

    async fn run(&mut self, to: &Sender) -> Result<(), Gone> {
        let mut watch = self.request.follow.then(|| Watch::dir(&self.dir));
        let mut current: Option<(u64, Reader)> = None;
        loop {
            let files = match self.files() {
                Ok(files) => files,
                // The allocation was removed: that is the end of its log.
                Err(FsError::NotFound { .. }) if current.is_some() => return Ok(()),
                Err(error) => {
                    to.fail(error).await;
                    return Ok(());
                }
            };
            let start = match &current {
                None => begin(&files, self.request.origin, self.request.offset),
                Some((index, _)) => files
                    .iter()
                    .find(|file| file.index > *index)
                    .map(|file| (file.index, 0)),
            };
            if let Some((_, reader)) = &mut current {
                // All of the old file before the first of the next: it is complete once its successor exists.
                reader.drain(to, None).await?;
            }
            if let Some((index, at)) = start {
                match self.open(index, at) {
                    Ok(mut reader) => {
                        reader.drain(to, None).await?;
                        current = Some((index, reader));
                        continue;
                    }
                    // Removed since it was listed: look again.
                    Err(FsError::NotFound { .. }) => continue,
                    Err(error) => {
                        to.fail(error).await;
                        return Ok(());
                    }
                }
            }
            let Some(watch) = &mut watch else {
                return Ok(());
            };
            tokio::select! {
                () = watch.changed() => {}
                () = to.closed() => return Ok(()),
            }
        }
    }
}
