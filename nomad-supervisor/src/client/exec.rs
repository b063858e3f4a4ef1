//! A command beside a task, seen from the agent.

use std::path::Path;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{SupervisorError, link};
use crate::types::{ExecOutput, ExecSpec, WindowSize};
use crate::wire::{
    self, ExecFeed, MAX_EXEC_CHUNK_BYTES, Reply, Request, RequestFrame, ServerFrame,
};

type Socket = Framed<UnixStream, LengthDelimitedCodec>;

/// A running command. Dropping it kills the command.
pub struct ExecSession {
    /// Its process id.
    pub pid: i32,
    /// What can be sent to it.
    pub input: ExecInput,
    /// What it gives back.
    pub output: ExecOutputs,
}

/// The side towards the command.
pub struct ExecInput(SplitSink<Socket, Bytes>);

/// The side from the command.
pub struct ExecOutputs(SplitStream<Socket>);

impl ExecInput {
    async fn send(&mut self, feed: &ExecFeed) -> Result<(), SupervisorError> {
        let body = wire::encode(feed).map_err(|e| SupervisorError::Protocol {
            what: e.to_string(),
        })?;
        self.0
            .send(body)
            .await
            .map_err(|_| SupervisorError::Disconnected)
    }

    /// Feeds standard input.
    ///
    /// # Errors
    /// If the command or the supervisor is gone.
    pub async fn stdin(&mut self, mut bytes: Bytes) -> Result<(), SupervisorError> {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(MAX_EXEC_CHUNK_BYTES));
            self.send(&ExecFeed::Stdin(chunk)).await?;
        }
        Ok(())
    }

    /// Ends standard input; a terminal gets the end-of-transmission character.
    ///
    /// # Errors
    /// If the command or the supervisor is gone.
    pub async fn close_stdin(&mut self) -> Result<(), SupervisorError> {
        self.send(&ExecFeed::CloseStdin).await
    }

    /// Changes the size of the terminal.
    ///
    /// # Errors
    /// If the command or the supervisor is gone.
    pub async fn resize(&mut self, size: WindowSize) -> Result<(), SupervisorError> {
        self.send(&ExecFeed::Resize(size)).await
    }

    /// Sends a signal to the command.
    ///
    /// # Errors
    /// If the command or the supervisor is gone.
    pub async fn signal(&mut self, signal: i32) -> Result<(), SupervisorError> {
        self.send(&ExecFeed::Signal(signal)).await
    }
}

impl ExecOutputs {
    /// The next output; [`ExecOutput::Exited`] is the last.
    ///
    /// # Errors
    /// If the supervisor is gone.
    pub async fn next(&mut self) -> Result<ExecOutput, SupervisorError> {
        let body = match self.0.next().await {
            Some(Ok(body)) => body,
            Some(Err(_)) | None => return Err(SupervisorError::Disconnected),
        };
        wire::decode(&body).map_err(|e| SupervisorError::Protocol {
            what: e.to_string(),
        })
    }
}

/// Starts the command on a connection of its own.
pub(super) async fn open(dir: &Path, spec: ExecSpec) -> Result<ExecSession, SupervisorError> {
    let broken = |_| SupervisorError::Disconnected;
    let mut socket = link::open(dir).await.map_err(broken)?;
    let request = RequestFrame {
        seq: 0,
        body: Request::Exec(Box::new(spec)),
    };
    let body = wire::encode(&request).map_err(|e| SupervisorError::Protocol {
        what: e.to_string(),
    })?;
    socket.send(body).await.map_err(broken)?;
    match link::next(&mut socket).await.map_err(broken)? {
        ServerFrame::Reply {
            result: Ok(Reply::ExecStarted { pid }),
            ..
        } => {
            let (input, output) = socket.split();
            Ok(ExecSession {
                pid,
                input: ExecInput(input),
                output: ExecOutputs(output),
            })
        }
        ServerFrame::Reply {
            result: Err(refusal),
            ..
        } => Err(refusal.into()),
        _ => Err(SupervisorError::Protocol {
            what: "no started command".into(),
        }),
    }
}
