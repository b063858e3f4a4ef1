//! Bodies that go on: logs, files, the agent's log, events.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{AllocFileInfo, StreamFrame};

/// Largest single JSON value in a stream.
const MAX_VALUE_BYTES: usize = 64 << 20;

/// Pieces of a body, as they arrive.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>;
/// Frames of a log or file; heartbeats are left out.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<StreamFrame, ClientError>> + Send>>;

/// Which of a task's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    Stdout,
    Stderr,
}

impl LogSource {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Which part of a log is wanted.
#[derive(Debug, Clone)]
pub struct LogRequest {
    pub task: String,
    pub source: LogSource,
    /// Whether `offset` counts from the end.
    pub from_end: bool,
    /// Bytes.
    pub offset: i64,
    /// Go on with what is written from now on.
    pub follow: bool,
}

impl Client {
    /// A task's log.
    ///
    /// # Errors
    /// There is no such allocation or task, or its node cannot be reached.
    pub async fn alloc_logs(
        &self,
        alloc: &str,
        request: &LogRequest,
    ) -> Result<FrameStream, ClientError> {
        let options = QueryOptions::new()
            .param("task", &request.task)
            .param("type", request.source.as_str())
            .param("origin", if request.from_end { "end" } else { "start" })
            .param("offset", request.offset.to_string())
            .param("follow", request.follow.to_string());
        let path = format!("/v1/client/fs/logs/{}", encode(alloc));
        self.frames(&path, &options).await
    }

    /// What is in a directory of an allocation.
    ///
    /// # Errors
    /// There is no such allocation or directory, or its node cannot be reached.
    pub async fn alloc_list_files(
        &self,
        alloc: &str,
        path: &str,
    ) -> Result<Vec<AllocFileInfo>, ClientError> {
        let route = format!("/v1/client/fs/ls/{}", encode(alloc));
        let options = QueryOptions::new().param("path", path);
        Ok(self
            .get::<Option<Vec<AllocFileInfo>>>(&route, &options)
            .await?
            .0
            .unwrap_or_default())
    }

    /// A file or directory of an allocation.
    ///
    /// # Errors
    /// As [`alloc_list_files`](Self::alloc_list_files).
    pub async fn alloc_stat_file(
        &self,
        alloc: &str,
        path: &str,
    ) -> Result<AllocFileInfo, ClientError> {
        let route = format!("/v1/client/fs/stat/{}", encode(alloc));
        let options = QueryOptions::new().param("path", path);
        Ok(self.get(&route, &options).await?.0)
    }

    /// The bytes of a file of an allocation from `offset`, at most `limit` (-1 is all).
    ///
    /// # Errors
    /// As [`alloc_list_files`](Self::alloc_list_files).
    pub async fn alloc_read_file(
        &self,
        alloc: &str,
        path: &str,
        offset: i64,
        limit: i64,
    ) -> Result<ByteStream, ClientError> {
        let route = format!("/v1/client/fs/readat/{}", encode(alloc));
        let options = QueryOptions::new()
            .param("path", path)
            .param("offset", offset.to_string())
            .param("limit", limit.to_string());
        self.bytes(&route, &options).await
    }

    /// A file of an allocation that is read on as it grows.
    ///
    /// # Errors
    /// As [`alloc_list_files`](Self::alloc_list_files).
    pub async fn alloc_stream_file(
        &self,
        alloc: &str,
        path: &str,
        from_end: bool,
        offset: i64,
    ) -> Result<FrameStream, ClientError> {
        let route = format!("/v1/client/fs/stream/{}", encode(alloc));
        let options = QueryOptions::new()
            .param("path", path)
            .param("origin", if from_end { "end" } else { "start" })
            .param("offset", offset.to_string());
        self.frames(&route, &options).await
    }

    /// The body of a read, as it arrives.
    ///
    /// # Errors
    /// The agent cannot be reached, or answers an error.
    pub async fn bytes(
        &self,
        path: &str,
        options: &QueryOptions,
    ) -> Result<ByteStream, ClientError> {
        let response = self.send(Method::GET, path, options, Bytes::new()).await?;
        Ok(body_stream(response))
    }

    /// The frames of a read.
    pub(super) async fn frames(
        &self,
        path: &str,
        options: &QueryOptions,
    ) -> Result<FrameStream, ClientError> {
        let bytes = self.bytes(path, options).await?;
        let frames = values::<StreamFrame>(path, bytes).filter(|frame| {
            let keep = !matches!(frame, Ok(frame) if *frame == StreamFrame::default());
            futures::future::ready(keep)
        });
        Ok(Box::pin(frames))
    }
}

/// The pieces of an answer's body.
pub(super) fn body_stream(response: Response<Incoming>) -> ByteStream {
    let pieces = response.into_body().into_data_stream().map(|piece| {
        piece.map_err(|error| ClientError::Body {
            cause: error.to_string(),
        })
    });
    Box::pin(pieces)
}

/// Reads JSON values that stand back to back, with or without blanks between them.
pub(super) fn values<T: DeserializeOwned + Send + 'static>(
    path: &str,
    bytes: ByteStream,
) -> impl Stream<Item = Result<T, ClientError>> + Send + use<T> {
    struct State<T> {
        bytes: ByteStream,
        buffer: BytesMut,
        ready: VecDeque<T>,
        path: String,
        ended: bool,
        /// What ended it, told after the values before it.
        failure: Option<ClientError>,
    }
    let state = State {
        bytes,
        buffer: BytesMut::new(),
        ready: VecDeque::new(),
        path: path.to_owned(),
        ended: false,
        failure: None,
    };
    futures::stream::unfold(state, |mut state: State<T>| async move {
        loop {
            if let Some(value) = state.ready.pop_front() {
                return Some((Ok(value), state));
            }
            if state.ended {
                return state.failure.take().map(|error| (Err(error), state));
            }
            match state.bytes.next().await {
                None => state.ended = true,
                Some(Err(error)) => {
                    state.ended = true;
                    return Some((Err(error), state));
                }
                Some(Ok(piece)) => {
                    state.buffer.extend_from_slice(&piece);
                    let limit = MAX_VALUE_BYTES;
                    if let Err(source) = take_values(&mut state.buffer, &mut state.ready) {
                        state.ended = true;
                        let path = state.path.clone();
                        state.failure = Some(ClientError::Decode { path, source });
                    } else if state.buffer.len() > limit {
                        state.ended = true;
                        state.failure = Some(ClientError::TooLarge { limit });
                    }
                }
            }
        }
    })
}

/// Moves the whole values at the front of the buffer out of it.
fn take_values<T: DeserializeOwned>(
    buffer: &mut BytesMut,
    ready: &mut VecDeque<T>,
) -> Result<(), serde_json::Error> {
    let used = {
        let mut values = serde_json::Deserializer::from_slice(buffer).into_iter::<T>();
        loop {
            match values.next() {
                Some(Ok(value)) => ready.push_back(value),
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        values.byte_offset()
    };
    let _ = buffer.split_to(used);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn values_are_found_across_pieces() {
        let pieces = ["{}{\"Offset\":", "3}\n{", "}{\"File\":\"x\"}", "{\"Offs"]
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let stream: ByteStream = Box::pin(futures::stream::iter(pieces));
        let frames: Vec<StreamFrame> = values("/x", stream)
            .map(|frame| frame.unwrap())
            .collect()
            .await;
        let offsets: Vec<i64> = frames.iter().map(|frame| frame.offset).collect();
        assert_eq!(offsets, [0, 3, 0, 0]);
        assert_eq!(frames[3].file, "x");
    }

    #[tokio::test]
    async fn broken_streams_are_an_error() {
        let stream: ByteStream =
            Box::pin(futures::stream::iter([Ok(Bytes::from_static(b"{}nope"))]));
        let frames: Vec<_> = values::<StreamFrame>("/x", stream).collect().await;
        assert!(frames.last().unwrap().is_err());
    }
}
