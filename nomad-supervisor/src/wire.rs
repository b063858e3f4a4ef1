//! Frames on the supervisor's socket: a length of four bytes (big endian), then MessagePack with named fields.

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

use crate::types::{
    Capabilities, Event, ExecSpec, TaskExit, TaskHandle, TaskInfo, TaskSpec, TaskStats, WindowSize,
};

/// Version of the messages. A client that meets another one replaces the supervisor.
pub const PROTOCOL: u32 = 1;

/// Largest frame either side accepts, in bytes. A task's arguments and environment have to fit.
pub const MAX_FRAME_BYTES: usize = 8 << 20;

/// Most output bytes in one exec frame.
pub(crate) const MAX_EXEC_CHUNK_BYTES: usize = 16 << 10;

/// From the client: a numbered request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RequestFrame {
    pub(crate) seq: u64,
    pub(crate) body: Request,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Must be first. With `events` the connection gets every event from now on.
    Hello {
        protocol: u32,
        events: bool,
    },
    Start(Box<TaskSpec>),
    /// Answered when the task ends.
    Wait {
        id: String,
    },
    Signal {
        id: String,
        signal: i32,
    },
    /// Answered when the task has ended.
    Kill {
        id: String,
        signal: Option<i32>,
        timeout_ms: Option<u64>,
    },
    Remove {
        id: String,
    },
    List,
    Inspect {
        id: String,
    },
    /// No ids: all tasks that run.
    Stats {
        ids: Vec<String>,
    },
    /// Turns the connection into an exec session after its reply.
    Exec(Box<ExecSpec>),
    Ping,
    /// Ends the supervisor; tasks go on unless `kill_tasks`.
    Shutdown {
        kill_tasks: bool,
    },
}

impl Request {
    /// Whether asking twice is as good as asking once, so that it may be sent again to a new supervisor.
    pub(crate) fn repeatable(&self) -> bool {
        matches!(
            self,
            Self::Wait { .. }
                | Self::Kill { .. }
                | Self::Remove { .. }
                | Self::List
                | Self::Inspect { .. }
                | Self::Stats { .. }
                | Self::Ping
        )
    }
}

/// From the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ServerFrame {
    Reply {
        seq: u64,
        result: Result<Reply, Refusal>,
    },
    Event(Event),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    Hello {
        capabilities: Capabilities,
        tasks: Vec<TaskInfo>,
    },
    Started(TaskHandle),
    Exit(TaskExit),
    Tasks(Vec<TaskInfo>),
    Task(Box<TaskInfo>),
    Stats(Vec<(String, TaskStats)>),
    ExecStarted {
        pid: i32,
    },
    Done,
}

/// What a client sends in an exec session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ExecFeed {
    Stdin(Bytes),
    CloseStdin,
    Resize(WindowSize),
    Signal(i32),
}

/// A request the supervisor did not carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of mistake.
    pub kind: ErrorKind,
    /// In words.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn not_found(id: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("no task {id:?}"))
    }
}

/// Kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// No such task.
    NotFound,
    /// A task of that id exists.
    AlreadyExists,
    /// The task has ended.
    NotRunning,
    /// The task has not ended.
    Running,
    /// The request makes no sense.
    Invalid,
    /// The program could not be started for a reason in the task: missing, not executable, no such directory.
    Start,
    /// It did not end in time.
    Timeout,
    /// This machine cannot do it.
    Unsupported,
    /// The supervisor failed.
    Internal,
}

/// Frames for both sides.
pub(crate) fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(4)
        .max_frame_length(MAX_FRAME_BYTES)
        .new_codec()
}

/// A message as the body of a frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Bytes, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(message).map(Bytes::from)
}

/// The message in a frame's body.
pub(crate) fn decode<T: DeserializeOwned>(body: &BytesMut) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(body)
}

/// The socket of a state directory by a path that is short enough for the kernel, however deep the directory lies.
pub(crate) struct SocketAddress {
    path: std::path::PathBuf,
    /// Keeps the short path good.
    _dir: Option<std::os::fd::OwnedFd>,
}

impl SocketAddress {
    /// The supervisor's.
    pub(crate) fn in_dir(dir: &std::path::Path) -> std::io::Result<Self> {
        Self::named(dir, crate::SOCKET_NAME)
    }

    /// A socket of this name.
    pub(crate) fn named(dir: &std::path::Path, name: &str) -> std::io::Result<Self> {
        /// `sun_path` has 108 bytes, one of them for the end.
        const MAX_PATH_BYTES: usize = 107;
        use std::os::fd::AsRawFd;

        let path = dir.join(name);
        if path.as_os_str().len() <= MAX_PATH_BYTES {
            return Ok(Self { path, _dir: None });
        }
        let flags =
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir, flags, rustix::fs::Mode::empty())?;
        let path = std::path::PathBuf::from(format!("/proc/self/fd/{}/{name}", fd.as_raw_fd()));
        Ok(Self {
            path,
            _dir: Some(fd),
        })
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}
