//! `/v1/client/…`: answered by the node that holds the allocation; elsewhere the request is sent on to it.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Response, header};
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, NodeId};

use super::{Call, RouteResult, empty, exec, json};
use crate::backend::{FrameStream, LogKind, NodeBackend, Origin};
use crate::error::ApiError;
use crate::types::{AllocRestartRequest, AllocSignalRequest, NodeMetaRequest, WriteMeta};

/// Silence after which a stream sends `{}`.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(1);

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    if let Some(rest) = rest.strip_prefix("fs/") {
        return files(call, rest).await;
    }
    if let Some(rest) = rest.strip_prefix("allocation/") {
        return allocation(call, rest).await;
    }
    match rest {
        "stats" | "gc" | "metadata" => node_wide(call, rest).await,
        _ => Err(ApiError::no_route()),
    }
}

/// The local client, if the node asked for is this one; otherwise the node to send the request to.
async fn node_wide(mut call: Call, what: &str) -> RouteResult {
    let mut wanted = call.query.text("node_id").to_owned();
    let mut meta_request = NodeMetaRequest::default();
    let mut body = Bytes::new();
    if what == "metadata" && *call.method() == Method::POST {
        body = call.bytes(super::MAX_BODY_BYTES).await?;
        meta_request = nomad_core::spec::decode(&body, super::MAX_BODY_BYTES)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        if !meta_request.node_id.is_empty() {
            wanted.clone_from(&meta_request.node_id);
        }
    } else if what == "metadata" && *call.method() != Method::GET {
        return Err(ApiError::invalid_method());
    }
    let local = call.backend.node().map(NodeBackend::id);
    let target = match (wanted.as_str(), local) {
        ("", Some(local)) => local,
        ("", None) => {
            return Err(ApiError::bad_request(
                "No local Node and node_id not provided",
            ));
        }
        (id, _) => id.parse().map_err(|_| unknown_node(what, id))?,
    };
    if local != Some(target) {
        *call.body.get_mut() = Body::from(body);
        if call.backend.state().node(target).is_none() {
            return Err(unknown_node(what, &target.to_string()));
        }
        return send_on(call, target).await;
    }
    let backend = call.backend.clone();
    let node = backend
        .node()
        .ok_or_else(|| ApiError::bad_request("No local Node and node_id not provided"))?;
    match what {
        "stats" => json(&node.host_stats().await?),
        "gc" => {
            node.collect(None).await?;
            Ok(empty())
        }
        _ if *call.method() == Method::GET => json(&node.metadata().await?),
        _ => {
            if meta_request.meta.is_none() {
                return Err(ApiError::bad_request("missing required Meta object"));
            }
            json(&node.set_metadata(meta_request).await?)
        }
    }
}

fn unknown_node(what: &str, id: &str) -> ApiError {
    let text = format!("Unknown node {id}");
    if what == "gc" {
        ApiError::internal(text)
    } else {
        ApiError::not_found(text)
    }
}

/// Sends the request to the node's own agent.
async fn send_on(call: Call, node: NodeId) -> RouteResult {
    let backend = call.backend.clone();
    let request = Request::from_parts(call.parts, call.body.into_inner());
    backend.proxy_to_node(node, request).await
}

/// Where an allocation's requests are answered.
enum Place {
    Here,
    There(NodeId),
}

fn place(call: &Call, id: AllocId) -> Result<Place, ApiError> {
    if let Some(node) = call.backend.node()
        && node.has_alloc(id)
    {
        return Ok(Place::Here);
    }
    let state = call.backend.state();
    let alloc = state
        .alloc(id)
        .ok_or_else(|| ApiError::not_found(format!("Unknown allocation \"{id}\"")))?;
    if call
        .backend
        .node()
        .is_some_and(|node| node.id() == alloc.node_id)
    {
        return Err(ApiError::not_found(format!("Unknown allocation \"{id}\"")));
    }
    Ok(Place::There(alloc.node_id))
}

fn parse_alloc(id: &str) -> Result<AllocId, ApiError> {
    id.parse()
        .map_err(|_| ApiError::not_found(format!("Unknown allocation {id:?}")))
}

/// `/v1/allocation/:id/checks` and the node's own form of it.
pub(super) async fn checks(call: Call, id: &str) -> RouteResult {
    let id = parse_alloc(id)?;
    match place(&call, id)? {
        Place::There(node) => send_on(call, node).await,
        Place::Here => {
            let backend = call.backend.clone();
            match backend.node() {
                Some(node) => json(&node.checks(id).await?),
                None => Err(ApiError::internal("no client runs in this agent")),
            }
        }
    }
}

async fn allocation(mut call: Call, rest: &str) -> RouteResult {
    let Some((id, what)) = rest.split_once('/') else {
        return Err(ApiError::not_found("resource not found"));
    };
    match what {
        "stats" | "restart" | "gc" | "exec" | "checks" => {}
        "signal" => call.expect_write()?,
        "pause" => return Err(ApiError::internal("Enterprise only")),
        _ => return Err(ApiError::not_found("resource not found")),
    }
    if what == "exec" {
        exec::require_websocket(&call)?;
    }
    let id = parse_alloc(id)?;
    if let Place::There(node) = place(&call, id)? {
        return send_on(call, node).await;
    }
    let backend = call.backend.clone();
    let node = backend
        .node()
        .ok_or_else(|| ApiError::internal("no client runs in this agent"))?;
    match what {
        "stats" => json(&node.alloc_stats(id, call.query.text("task")).await?),
        "checks" => json(&node.checks(id).await?),
        "restart" => {
            let request: AllocRestartRequest = call
                .json_or_default()
                .await
                .map_err(|error| ApiError::internal(error.text))?;
            if request.all_tasks && !request.task_name.is_empty() {
                return Err(ApiError::internal(
                    "task name cannot be set when restarting all tasks",
                ));
            }
            node.restart(id, request).await?;
            json(&WriteMeta { index: 0 })
        }
        "signal" => {
            let request: AllocSignalRequest = call.json().await.map_err(|error| {
                ApiError::bad_request(format!("Failed to decode body: {}", error.text))
            })?;
            node.signal(id, request).await?;
            json(&WriteMeta { index: 0 })
        }
        "gc" => {
            node.collect(Some(id)).await?;
            Ok(empty())
        }
        _ => exec::alloc_exec(call, id).await,
    }
}

/// A number that a stream route takes; `text` is what is wrong with it.
fn number(call: &Call, name: &str) -> Result<Option<i64>, String> {
    match call.query.text(name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            format!("error parsing {name}: strconv.ParseInt: parsing {text:?}: invalid syntax")
        }),
    }
}

fn origin(call: &Call) -> Result<Origin, ApiError> {
    match call.query.text("origin") {
        "" | "start" => Ok(Origin::Start),
        "end" => Ok(Origin::End),
        _ => Err(ApiError::bad_request("origin must be start or end")),
    }
}

async fn files(call: Call, rest: &str) -> RouteResult {
    let (what, id) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(what, "ls" | "stat" | "cat" | "readat" | "stream" | "logs") {
        return Err(ApiError::no_route());
    }
    if id.is_empty() {
        return Err(ApiError::bad_request("must provide a valid alloc id"));
    }
    let path = match (what, call.query.text("path")) {
        ("ls", "") => "/".to_owned(),
        ("logs", _) => String::new(),
        (_, "") => return Err(ApiError::bad_request("must provide a file name")),
        (_, path) => path.to_owned(),
    };
    if what == "logs" {
        check_logs(&call)?;
    }
    let id = parse_alloc(id)?;
    if let Place::There(node) = place(&call, id)? {
        return send_on(call, node).await;
    }
    let backend = call.backend.clone();
    let node = backend
        .node()
        .ok_or_else(|| ApiError::internal("no client runs in this agent"))?;
    match what {
        "ls" => json(&node.list_files(id, &path).await?),
        "stat" => json(&node.stat_file(id, &path).await?),
        "cat" => read_file(node, id, &path, 0, -1).await,
        "readat" => {
            let offset = number(&call, "offset")
                .map_err(ApiError::internal)?
                .unwrap_or(0);
            let limit = number(&call, "limit")
                .map_err(ApiError::internal)?
                .unwrap_or(-1);
            read_file(node, id, &path, offset, limit).await
        }
        "stream" => {
            let follow = call.query.boolean("follow")?.unwrap_or(true);
            let offset = number(&call, "offset")
                .map_err(ApiError::internal)?
                .unwrap_or(0);
            let frames = node
                .stream_file(id, &path, origin(&call)?, offset, follow)
                .await?;
            Ok(frame_body(frames, "text/plain; charset=utf-8"))
        }
        _ => logs(&call, node, id).await,
    }
}

fn log_kind(call: &Call) -> Result<LogKind, ApiError> {
    match call.query.text("type") {
        "stdout" => Ok(LogKind::Stdout),
        "stderr" => Ok(LogKind::Stderr),
        _ => Err(ApiError::bad_request(
            "must provide log type (stdout/stderr)",
        )),
    }
}

fn check_logs(call: &Call) -> Result<(), ApiError> {
    if call.query.text("task").is_empty() {
        return Err(ApiError::bad_request("must provide task name"));
    }
    log_kind(call)?;
    origin(call)?;
    for flag in ["follow", "plain"] {
        call.query
            .boolean(flag)
            .map_err(|error| ApiError::bad_request(error.text))?;
    }
    number(call, "offset").map_err(ApiError::bad_request)?;
    Ok(())
}

async fn logs(call: &Call, node: &dyn NodeBackend, id: AllocId) -> RouteResult {
    let follow = call.query.flag("follow")?;
    let offset = number(call, "offset")
        .map_err(ApiError::bad_request)?
        .unwrap_or(0);
    let frames = node
        .logs(
            id,
            call.query.text("task"),
            log_kind(call)?,
            origin(call)?,
            offset,
            follow,
        )
        .await?;
    if !call.query.flag("plain")? {
        return Ok(frame_body(frames, "application/json"));
    }
    let bytes = frames.map(|frame| frame.map(|frame| Bytes::from(frame.data)));
    let mut response = Response::new(Body::from_stream(bytes));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Frames back to back, with a heartbeat in silence; an error ends the body.
fn frame_body(frames: FrameStream, content_type: &'static str) -> Response<Body> {
    let stream = futures::stream::unfold(frames, |mut frames| async move {
        let bytes = match tokio::time::timeout(HEARTBEAT, frames.next()).await {
            Err(_) => Bytes::from_static(b"{}"),
            Ok(Some(Ok(frame))) => Bytes::from(serde_json::to_vec(&frame).unwrap_or_default()),
            Ok(Some(Err(_)) | None) => return None,
        };
        Some((Ok::<_, Infallible>(bytes), frames))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A file's bytes, with the error of opening it as the answer's status.
async fn read_file(
    node: &dyn NodeBackend,
    id: AllocId,
    path: &str,
    offset: i64,
    limit: i64,
) -> RouteResult {
    let mut stream = node.read_file(id, path, offset, limit).await?;
    let first = match stream.next().await {
        None => return Ok(empty()),
        Some(Err(error)) => return Err(error),
        Some(Ok(first)) => first,
    };
    let kind = if std::str::from_utf8(&first).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    let rest = futures::stream::once(async { Ok(first) }).chain(stream);
    let mut response = Response::new(Body::from_stream(rest));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::X_XSS_PROTECTION,
        HeaderValue::from_static("1; mode=block"),
    );
    Ok(response)
}
