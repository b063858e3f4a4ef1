//! Files as streams of frames, followed while they grow.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::position::Origin;
use super::watch::Watch;
use super::{FsError, MAX_FRAME_BYTES, SafeRoot};

/// Frames that wait for a slow reader.
const QUEUE: usize = 4;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Its bytes.
    pub data: Bytes,
    /// Path of the file below the allocation's directory.
    pub file: String,
    /// Position behind the bytes.
    pub offset: u64,
    /// `file deleted` or `file truncated`, or "".
    pub event: &'static str,
}

/// Frames, ending where the file ends or the reader goes away.
pub type FrameStream = ReceiverStream<Result<Frame, FsError>>;

/// The sending side; sending fails when the reader went away.
pub(super) struct Sender {
    frames: mpsc::Sender<Result<Frame, FsError>>,
}

/// The reader went away.
pub(super) struct Gone;

impl Sender {
    pub(super) fn new() -> (Self, FrameStream) {
        let (frames, receiver) = mpsc::channel(QUEUE);
        (Self { frames }, ReceiverStream::new(receiver))
    }

    pub(super) async fn send(&self, frame: Frame) -> Result<(), Gone> {
        self.frames.send(Ok(frame)).await.map_err(|_| Gone)
    }

    pub(super) async fn fail(&self, error: FsError) {
        // Nobody is left to be told when this fails.
        let _ = self.frames.send(Err(error)).await;
    }

    /// Returns when the reader went away.
    pub(super) async fn closed(&self) {
        self.frames.closed().await;
    }
}

/// A file being read, and where.
pub(super) struct Reader {
    file: std::sync::Arc<File>,
    pub(super) name: String,
    pub(super) at: u64,
}

impl Reader {
    pub(super) fn new(file: File, name: String, at: u64) -> Self {
        Self {
            file: std::sync::Arc::new(file),
            name,
            at,
        }
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether no name leads to the file any more.
    fn is_deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    /// Sends all there is up to the end or, if given, to `until`. Notes when the file became shorter.
    pub(super) async fn drain(&mut self, to: &Sender, until: Option<u64>) -> Result<(), Gone> {
        match self.size() {
            Ok(size) if size < self.at => {
                self.at = 0;
                to.send(self.frame(Bytes::new(), "file truncated")).await?;
            }
            _ => {}
        }
        loop {
            let left = until.map_or(u64::MAX, |until| until.saturating_sub(self.at));
            let wanted = (MAX_FRAME_BYTES as u64).min(left) as usize;
            let data = match self.chunk(wanted).await {
                Ok(data) => data,
                Err(source) => {
                    to.fail(FsError::io("read", &self.name, source)).await;
                    return Err(Gone);
                }
            };
            if data.is_empty() {
                return Ok(());
            }
            self.at += data.len() as u64;
            to.send(self.frame(data, "")).await?;
        }
    }

    async fn chunk(&self, wanted: usize) -> io::Result<Bytes> {
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let (file, at) = (self.file.clone(), self.at);
        let read = move || {
            let available = file.metadata()?.len().saturating_sub(at);
            let mut data = vec![0_u8; wanted.min(usize::try_from(available).unwrap_or(wanted))];
            let count = file.read_at(&mut data, at)?;
            data.truncate(count);
            Ok(Bytes::from(data))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?
    }

    fn frame(&self, data: Bytes, event: &'static str) -> Frame {
        Frame {
            data,
            file: self.name.clone(),
            offset: self.at,
            event,
        }
    }
}

/// Streams one file of an allocation, and follows it if asked.
///
/// # Errors
/// As for [`SafeRoot::read`]; later errors come in the stream.
pub fn stream_file(
    root_path: &Path,
    path: &str,
    follow: bool,
    origin: Origin,
    offset: u64,
) -> Result<FrameStream, FsError> {
    let root = SafeRoot::open(root_path)?;
    let file = root.read(path)?;
    let size = file
        .metadata()
        .map_err(|error| FsError::io("stat", path, error))?
        .len();
    let at = match origin {
        Origin::Start => offset.min(size),
        Origin::End => size.saturating_sub(offset),
    };
    let name = path.trim_start_matches('/').to_owned();
    let parent: PathBuf = root_path
        .join(&name)
        .parent()
        .map_or_else(|| root_path.to_owned(), Path::to_owned);
    let (sender, frames) = Sender::new();
    let mut reader = Reader::new(file, name, at);
    tokio::spawn(async move {
        // Watch first: what is written between reading and watching must wake us.
        let mut watch = follow.then(|| Watch::dir(&parent));
        loop {
            if reader.drain(&sender, None).await.is_err() {
                return;
            }
            let Some(watch) = &mut watch else { return };
            if reader.is_deleted() {
                let gone = reader.frame(Bytes::new(), "file deleted");
                // The stream ends here whether or not it is read.
                let _ = sender.send(gone).await;
                return;
            }
            tokio::select! {
                () = watch.changed() => {}
                () = sender.closed() => return,
            }
        }
    });
    Ok(frames)
}
