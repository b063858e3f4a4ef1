//! Commands inside tasks, over WebSocket.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::connect::Stream;
use super::options::encode;
use super::{Client, ClientError, QueryOptions};

/// What to run in which task.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    pub task: String,
    pub command: Vec<String>,
    /// Whether the command gets a terminal.
    pub tty: bool,
}

/// What comes back from a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    Stdout(Bytes),
    Stderr(Bytes),
    /// It ended; `error` says why it could not run.
    Exited {
        code: i32,
        error: Option<String>,
    },
}

/// The input side of a running command.
#[derive(Debug)]
pub struct ExecSender(SplitSink<WebSocketStream<Stream>, Message>);

/// The output side of a running command.
#[derive(Debug)]
pub struct ExecConnection(SplitStream<WebSocketStream<Stream>>);

impl Client {
    /// Runs a command in a task of a running allocation.
    ///
    /// # Errors
    /// The agent cannot be reached or refuses.
    pub async fn alloc_exec(
        &self,
        alloc: &str,
        request: &ExecRequest,
    ) -> Result<(ExecSender, ExecConnection), ClientError> {
        let options = QueryOptions::new()
            .param("task", &request.task)
            .param("tty", request.tty.to_string())
            .param("ws_handshake", "true")
            .param("command", json!(request.command).to_string());
        let path = format!("/v1/client/allocation/{}/exec", encode(alloc));
        self.exec(&path, &options).await
    }

    /// Runs an action of a job's task in an allocation.
    ///
    /// # Errors
    /// As [`alloc_exec`](Self::alloc_exec).
    pub async fn job_action(
        &self,
        job: &str,
        alloc: &str,
        group: &str,
        task: &str,
        action: &str,
        tty: bool,
    ) -> Result<(ExecSender, ExecConnection), ClientError> {
        let options = QueryOptions::new()
            .param("action", action)
            .param("allocID", alloc)
            .param("group", group)
            .param("task", task)
            .param("tty", tty.to_string())
            .param("ws_handshake", "true");
        let path = format!("/v1/job/{}/action", encode(job));
        self.exec(&path, &options).await
    }

    async fn exec(
        &self,
        path: &str,
        options: &QueryOptions,
    ) -> Result<(ExecSender, ExecConnection), ClientError> {
        let uri = self.inner.target.uri(path, &options.query(self.config()));
        let failed = |error: tokio_tungstenite::tungstenite::Error| match error {
            tokio_tungstenite::tungstenite::Error::Http(response) => ClientError::Status {
                status: response.status().as_u16(),
                body: response
                    .body()
                    .as_deref()
                    .map(|body| String::from_utf8_lossy(body).trim().to_owned())
                    .unwrap_or_default(),
            },
            other => ClientError::Exec(other.to_string()),
        };
        let mut request = uri
            .replacen("http://", "ws://", 1)
            .into_client_request()
            .map_err(failed)?;
        self.auth_headers(request.headers_mut())?;
        let stream = self
            .inner
            .target
            .connect()
            .await
            .map_err(|error| ClientError::Connect {
                method_path: uri,
                cause: error.to_string(),
            })?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .map_err(failed)?;
        let (mut sender, receiver) = socket.split();
        let hello = json!({"version": 1, "auth_token": self.config().token});
        sender
            .send(Message::text(hello.to_string()))
            .await
            .map_err(failed)?;
        Ok((ExecSender(sender), ExecConnection(receiver)))
    }
}

impl ExecSender {
    async fn send(&mut self, value: serde_json::Value) -> Result<(), ClientError> {
        self.0
            .send(Message::text(value.to_string()))
            .await
            .map_err(|error| ClientError::Exec(error.to_string()))
    }

    /// Sends input to the command.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn stdin(&mut self, data: &[u8]) -> Result<(), ClientError> {
        self.send(json!({"stdin": {"data": BASE64_STANDARD.encode(data)}}))
            .await
    }

    /// Says that no more input comes.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn close_stdin(&mut self) -> Result<(), ClientError> {
        self.send(json!({"stdin": {"close": true}})).await
    }

    /// Tells the size of the caller's terminal.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn resize(&mut self, width: u16, height: u16) -> Result<(), ClientError> {
        self.send(json!({"tty_size": {"height": height, "width": width}}))
            .await
    }

    /// Keeps the connection from looking idle.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn heartbeat(&mut self) -> Result<(), ClientError> {
        self.send(json!({})).await
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Output {
    stdout: Option<Piece>,
    stderr: Option<Piece>,
    exited: bool,
    result: Option<ExitResult>,
    error: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Piece {
    data: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ExitResult {
    exit_code: i32,
}

impl ExecConnection {
    /// The next thing that happened; `None` after the end.
    ///
    /// # Errors
    /// The connection broke, or the agent refused the command.
    pub async fn next(&mut self) -> Result<Option<ExecEvent>, ClientError> {
        loop {
            let message = match self.0.next().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Exec(error.to_string())),
                Some(Ok(message)) => message,
            };
            let text = match message {
                Message::Text(text) => text,
                Message::Close(None) => return Ok(None),
                Message::Close(Some(frame)) => {
                    let reason = frame.reason.to_string();
                    return Err(ClientError::Exec(if reason.is_empty() {
                        format!("connection closed with code {}", frame.code)
                    } else {
                        reason
                    }));
                }
                _ => continue,
            };
            let output: Output = serde_json::from_str(&text)
                .map_err(|error| ClientError::Exec(format!("unexpected message: {error}")))?;
            if let Some(event) = event(output)? {
                return Ok(Some(event));
            }
        }
    }
}

fn event(output: Output) -> Result<Option<ExecEvent>, ClientError> {
    let data = |piece: Option<Piece>| {
        let text = piece.and_then(|piece| piece.data)?;
        Some(
            BASE64_STANDARD
                .decode(text)
                .map(Bytes::from)
                .map_err(|error| ClientError::Exec(format!("unexpected output: {error}"))),
        )
    };
    if let Some(bytes) = data(output.stdout) {
        return Ok(Some(ExecEvent::Stdout(bytes?)));
    }
    if let Some(bytes) = data(output.stderr) {
        return Ok(Some(ExecEvent::Stderr(bytes?)));
    }
    if output.exited {
        return Ok(Some(ExecEvent::Exited {
            code: output.result.unwrap_or_default().exit_code,
            error: output.error.filter(|error| !error.is_empty()),
        }));
    }
    Ok(None)
}
