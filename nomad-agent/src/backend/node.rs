//! The client half as the routes see it.

use std::io::{Read, Seek, SeekFrom};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use nomad_api::backend::{
    ApiResult, ByteStream, ExecInput, ExecOutput, ExecSession, FrameStream, LogKind, NodeBackend,
    Origin,
};
use nomad_api::error::ApiError;
use nomad_api::types::*;
use nomad_client::fs::{self, FsError, LogRequest};
use nomad_client::{Client, CommandError, ExecOptions};
use nomad_core::{AllocId, NodeId};
use nomad_drivers::{ExecOutput as DriverOutput, WindowSize};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

/// Input waiting for a command.
const EXEC_QUEUE: usize = 64;
/// A file is read in pieces of this size.
const READ_CHUNK: usize = 64 << 10;

/// The client half of this agent.
pub(crate) struct LocalNode(pub(crate) Client);

impl LocalNode {
    pub(crate) fn node_id(&self) -> NodeId {
        self.0.node_id()
    }
}

/// The one table from the client's errors to answers.
fn api_error(error: CommandError) -> ApiError {
    let text = error.to_string();
    match error {
        CommandError::UnknownAlloc(_) | CommandError::NoLogsYet(_) => ApiError::not_found(text),
        CommandError::UnknownTask(_) | CommandError::UnknownSignal(_) | CommandError::NoCommand => {
            ApiError::bad_request(text)
        }
        CommandError::Fs(error) => fs_error(&error),
        CommandError::Signal(errors) => {
            let lines: Vec<String> = errors
                .iter()
                .map(|(task, error)| format!("Failed to signal task: {task}, err: {error}"))
                .collect();
            ApiError::internal(nomad_api::error::multi_error(&lines))
        }
        _ => ApiError::internal(text),
    }
}

fn fs_error(error: &FsError) -> ApiError {
    let text = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    match error {
        FsError::NotFound { .. } => ApiError::not_found(text),
        FsError::IsDirectory { .. } => ApiError::bad_request(text),
        FsError::Escapes | FsError::Prohibited { .. } => {
            ApiError::new(http::StatusCode::FORBIDDEN, text)
        }
        _ => ApiError::internal(text),
    }
}

/// From the client's type to the API's; both are written with the same keys.
fn reshape<T: DeserializeOwned>(value: &impl Serialize) -> ApiResult<T> {
    serde_json::to_value(value)
        .and_then(serde_json::from_value)
        .map_err(|error| ApiError::internal(format!("answer cannot be written: {error}")))
}

fn origin(origin: Origin) -> fs::Origin {
    match origin {
        Origin::Start => fs::Origin::Start,
        Origin::End => fs::Origin::End,
    }
}

fn frames(stream: fs::FrameStream) -> FrameStream {
    Box::pin(stream.map(|frame| {
        let frame = frame.map_err(|error| fs_error(&error))?;
        Ok(StreamFrame {
            data: frame.data.to_vec(),
            file: frame.file,
            file_event: frame.event.to_owned(),
            offset: i64::try_from(frame.offset).unwrap_or(i64::MAX),
        })
    }))
}

#[async_trait]
impl NodeBackend for LocalNode {
    fn id(&self) -> NodeId {
        self.node_id()
    }

    fn has_alloc(&self, id: AllocId) -> bool {
        self.0.alloc(id).is_some()
    }

    async fn restart(&self, id: AllocId, request: AllocRestartRequest) -> ApiResult<()> {
        self.0
            .restart_alloc(id, &request.task_name, request.all_tasks)
            .map_err(api_error)
    }

    async fn signal(&self, id: AllocId, request: AllocSignalRequest) -> ApiResult<()> {
        if !request.signal.is_empty() {
            nomad_drivers::signal::number(&request.signal)
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
        }
        self.0
            .signal_alloc(id, &request.task, &request.signal)
            .await
            .map_err(api_error)
    }

    async fn alloc_stats(&self, id: AllocId, task: &str) -> ApiResult<AllocResourceUsage> {
        reshape(&self.0.alloc_stats(id, task).await.map_err(api_error)?)
    }

    async fn host_stats(&self) -> ApiResult<HostStats> {
        reshape(&self.0.host_stats())
    }

    async fn collect(&self, id: Option<AllocId>) -> ApiResult<()> {
        match id {
            Some(id) => {
                self.0.gc(id).await;
            }
            None => {
                self.0.gc_all().await;
            }
        }
        Ok(())
    }

    async fn metadata(&self) -> ApiResult<NodeMetaResponse> {
        reshape(&self.0.node_meta())
    }

    async fn set_metadata(&self, request: NodeMetaRequest) -> ApiResult<NodeMetaResponse> {
        let changes = request.meta.unwrap_or_default();
        let view = self
            .0
            .apply_node_meta(changes)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        reshape(&view)
    }

    async fn list_files(&self, id: AllocId, path: &str) -> ApiResult<Vec<AllocFileInfo>> {
        reshape(&self.0.fs_list(id, path).await.map_err(api_error)?)
    }

    async fn stat_file(&self, id: AllocId, path: &str) -> ApiResult<AllocFileInfo> {
        reshape(&self.0.fs_stat(id, path).await.map_err(api_error)?)
    }

    async fn read_file(
        &self,
        id: AllocId,
        path: &str,
        offset: i64,
        limit: i64,
    ) -> ApiResult<ByteStream> {
        let mut file = self.0.fs_open(id, path).await.map_err(api_error)?;
        let (sender, chunks) = mpsc::channel(2);
        // Reading blocks; the channel holds the reader back when the caller is slow.
        tokio::task::spawn_blocking(move || {
            let failed = |error: std::io::Error| Err(ApiError::internal(error.to_string()));
            let start = u64::try_from(offset).unwrap_or(0);
            if let Err(error) = file.seek(SeekFrom::Start(start)) {
                let _ = sender.blocking_send(failed(error));
                return;
            }
            let mut left = u64::try_from(limit).unwrap_or(u64::MAX);
            while left > 0 {
                let mut chunk =
                    vec![0; usize::try_from(left).map_or(READ_CHUNK, |left| left.min(READ_CHUNK))];
                let sent = match file.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(count) => {
                        chunk.truncate(count);
                        left -= count as u64;
                        sender.blocking_send(Ok(Bytes::from(chunk)))
                    }
                    Err(error) => {
                        let _ = sender.blocking_send(failed(error));
                        return;
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(
            chunks,
        )))
    }

    async fn stream_file(
        &self,
        id: AllocId,
        path: &str,
        from: Origin,
        offset: i64,
        follow: bool,
    ) -> ApiResult<FrameStream> {
        let offset = u64::try_from(offset).unwrap_or(0);
        self.0
            .fs_stream(id, path, follow, origin(from), offset)
            .map(frames)
            .map_err(api_error)
    }

    async fn logs(
        &self,
        id: AllocId,
        task: &str,
        kind: LogKind,
        from: Origin,
        offset: i64,
        follow: bool,
    ) -> ApiResult<FrameStream> {
        let request = LogRequest {
            task: task.to_owned(),
            kind: match kind {
                LogKind::Stdout => fs::LogKind::Stdout,
                LogKind::Stderr => fs::LogKind::Stderr,
            },
            follow,
            offset: u64::try_from(offset).unwrap_or(0),
            origin: origin(from),
        };
        self.0.logs(id, request).map(frames).map_err(api_error)
    }

    async fn exec(
        &self,
        id: AllocId,
        task: &str,
        command: Vec<String>,
        tty: bool,
    ) -> ApiResult<ExecSession> {
        let options = ExecOptions {
            command,
            tty,
            window: None,
        };
        let running = self.0.exec(id, task, options).await.map_err(api_error)?;
        let (mut sink, source) = running.split();
        let (input, mut queue) = mpsc::channel(EXEC_QUEUE);
        tokio::spawn(async move {
            while let Some(item) = queue.recv().await {
                let done = match item {
                    ExecInput::Stdin(bytes) => sink.stdin(bytes).await,
                    ExecInput::StdinClosed => sink.close_stdin().await,
                    ExecInput::Resize { height, width } => {
                        sink.resize(WindowSize { height, width }).await
                    }
                };
                // The command is gone; its output tells how it ended.
                if done.is_err() {
                    return;
                }
            }
        });
        let output = futures::stream::unfold(Some(source), |source| async move {
            let mut source = source?;
            Some(match source.next().await {
                Ok(DriverOutput::Stdout(bytes)) => (ExecOutput::Stdout(bytes), Some(source)),
                Ok(DriverOutput::Stderr(bytes)) => (ExecOutput::Stderr(bytes), Some(source)),
                Ok(DriverOutput::Exited(exit)) => (
                    ExecOutput::Exited {
                        exit_code: exit.exit_code().unwrap_or(-1),
                    },
                    None,
                ),
                Err(error) => (
                    ExecOutput::Failed {
                        error: error.to_string(),
                    },
                    None,
                ),
            })
        });
        Ok(ExecSession {
            input,
            output: Box::pin(output),
        })
    }

    async fn checks(&self, _id: AllocId) -> ApiResult<serde_json::Value> {
        // No provider runs checks yet, so there is no result of one; that is written as null.
        Ok(serde_json::Value::Null)
    }
}
