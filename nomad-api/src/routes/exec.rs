//! Commands inside tasks, over WebSocket.
//!
//! Source: HTTP API reference, "Exec and job action".

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use http::header;
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, JobKey};
use serde::Deserialize;
use serde_json::json;

use super::{Call, RouteResult};
use crate::backend::{ExecInput, ExecOutput, ExecSession};
use crate::error::ApiError;

/// Close codes: the caller is wrong, or we are.
const POLICY_VIOLATION: u16 = 1008;
const INTERNAL_ERROR: u16 = 1011;
/// Largest message of a caller.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A plain HTTP request to these routes is refused.
pub(super) fn require_websocket(call: &Call) -> Result<(), ApiError> {
    let upgrade = call.parts.headers.get(header::UPGRADE);
    if upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Ok(());
    }
    Err(ApiError::internal(
        "websocket connection not found in context",
    ))
}

/// What is to be run where.
struct Wanted {
    alloc: AllocId,
    task: String,
    command: Result<Vec<String>, ApiError>,
    tty: bool,
    handshake: bool,
}

/// `/v1/client/allocation/:id/exec` on the node itself.
pub(super) async fn alloc_exec(call: Call, alloc: AllocId) -> RouteResult {
    let text = call.query.text("command");
    let command = serde_json::from_str::<Vec<String>>(text).map_err(|error| {
        ApiError::internal(format!("failed to marshal command into json: {error}"))
    })?;
    let command = if command.is_empty() {
        Err(ApiError::bad_request("command is not present"))
    } else {
        Ok(command)
    };
    let wanted = Wanted {
        alloc,
        task: call.query.text("task").to_owned(),
        command,
        tty: call.query.flag("tty")?,
        handshake: call.query.flag("ws_handshake")?,
    };
    upgrade(call, wanted).await
}

/// `/v1/job/:id/action`: a command that the job file names.
pub(super) async fn job_action(call: Call, key: JobKey) -> RouteResult {
    require_websocket(&call)?;
    let (task, action) = (
        call.query.text("task").to_owned(),
        call.query.text("action").to_owned(),
    );
    let alloc: AllocId = call.query.text("allocID").parse().map_err(|_| {
        ApiError::not_found(format!(
            "Unknown allocation {:?}",
            call.query.text("allocID")
        ))
    })?;
    let state = call.backend.state();
    let row = state
        .alloc(alloc)
        .filter(|row| row.job_key() == key)
        .ok_or_else(|| {
            ApiError::not_found(format!("job {} does not have allocation {alloc}", key.id))
        })?;
    let found = row
        .group()
        .and_then(|group| group.task(&task))
        .and_then(|task| task.actions.iter().find(|known| known.name == action));
    let command = match found {
        Some(action) => Ok(std::iter::once(&action.command)
            .chain(&action.args)
            .cloned()
            .collect()),
        None => Err(ApiError::bad_request(format!(
            "action {action} not found in task {task}"
        ))),
    };
    let wanted = Wanted {
        alloc,
        task,
        command,
        tty: call.query.flag("tty")?,
        handshake: call.query.flag("ws_handshake")?,
    };
    upgrade(call, wanted).await
}

async fn upgrade(mut call: Call, wanted: Wanted) -> RouteResult {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &())
        .await
        .map_err(|_| ApiError::internal("websocket connection not found in context"))?;
    let backend = call.backend.clone();
    Ok(upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |mut socket| async move {
            if let Err(error) = run(&mut socket, &*backend, wanted).await {
                let code = if error.status.is_server_error() {
                    INTERNAL_ERROR
                } else {
                    POLICY_VIOLATION
                };
                // A reason longer than a control frame may carry would break the close itself.
                let reason: String = error.text.chars().take(100).collect();
                let _ = socket
                    .send(Message::Close(Some(CloseFrame {
                        code,
                        reason: reason.into(),
                    })))
                    .await;
            }
        }))
}

async fn run(
    socket: &mut WebSocket,
    backend: &dyn crate::backend::Backend,
    wanted: Wanted,
) -> Result<(), ApiError> {
    if wanted.handshake {
        handshake(socket).await?;
    }
    let command = wanted.command?;
    let node = backend
        .node()
        .ok_or_else(|| ApiError::internal("no client runs in this agent"))?;
    let session = node
        .exec(wanted.alloc, &wanted.task, command, wanted.tty)
        .await?;
    pump(socket, session).await;
    Ok(())
}

/// The first message names the protocol's version and may carry a token.
async fn handshake(socket: &mut WebSocket) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Handshake {
        version: i64,
    }
    let Some(Ok(message)) = socket.recv().await else {
        return Err(ApiError::bad_request(
            "connection closed before the handshake",
        ));
    };
    let handshake: Handshake = serde_json::from_slice(&message.into_data())
        .map_err(|error| ApiError::bad_request(format!("failed to decode handshake: {error}")))?;
    if handshake.version != 1 {
        return Err(ApiError::bad_request(format!(
            "unexpected handshake value: {}",
            handshake.version
        )));
    }
    Ok(())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Input {
    stdin: Option<Stdin>,
    tty_size: Option<TtySize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stdin {
    data: Option<String>,
    close: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TtySize {
    height: u16,
    width: u16,
}

/// Carries input and output until the command has ended or the caller is gone.
async fn pump(socket: &mut WebSocket, session: ExecSession) {
    let ExecSession { input, mut output } = session;
    loop {
        tokio::select! {
            message = socket.recv() => {
                let Some(Ok(message)) = message else { return };
                let Message::Text(text) = message else {
                    if matches!(message, Message::Close(_)) { return }
                    continue;
                };
                for item in read_input(&text) {
                    // The command may have ended; its last output is still on the way.
                    let _ = input.send(item).await;
                }
            }
            item = output.next() => {
                let Some(item) = item else { return };
                let last = matches!(item, ExecOutput::Exited { .. } | ExecOutput::Failed { .. });
                if socket.send(Message::Text(write_output(item).into())).await.is_err() || last {
                    return;
                }
            }
        }
    }
}

/// What a message asks for; malformed ones ask for nothing.
fn read_input(text: &str) -> Vec<ExecInput> {
    let Ok(input) = serde_json::from_str::<Input>(text) else {
        return Vec::new();
    };
    let mut items = Vec::new();
    if let Some(size) = input.tty_size {
        items.push(ExecInput::Resize {
            height: size.height,
            width: size.width,
        });
    }
    if let Some(stdin) = input.stdin {
        if let Some(data) = stdin
            .data
            .and_then(|data| BASE64_STANDARD.decode(data).ok())
        {
            items.push(ExecInput::Stdin(Bytes::from(data)));
        }
        if stdin.close {
            items.push(ExecInput::StdinClosed);
        }
    }
    items
}

fn write_output(output: ExecOutput) -> String {
    match output {
        ExecOutput::Stdout(data) => json!({"stdout": {"data": BASE64_STANDARD.encode(data)}}),
        ExecOutput::Stderr(data) => json!({"stderr": {"data": BASE64_STANDARD.encode(data)}}),
        ExecOutput::StdoutClosed => json!({"stdout": {"close": true}}),
        ExecOutput::StderrClosed => json!({"stderr": {"close": true}}),
        // An exit code of zero is left out, as every zero value of this message.
        ExecOutput::Exited { exit_code: 0 } => json!({"exited": true, "result": {}}),
        ExecOutput::Exited { exit_code } => {
            json!({"exited": true, "result": {"exit_code": exit_code}})
        }
        ExecOutput::Failed { error } => {
            json!({"exited": true, "result": {"exit_code": 1}, "error": error})
        }
    }
    .to_string()
}
