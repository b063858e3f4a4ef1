//! `/v1/agent/…`.

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use super::{Call, RouteResult, empty, json as json_answer, json_value};
use crate::error::ApiError;
use crate::types::StreamFrame;

/// Levels that `monitor` knows.
const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    match rest {
        "self" => {
            call.expect_get()?;
            json_value(&call.backend.agent_self())
        }
        "members" => {
            call.expect_get()?;
            json_answer(&call.backend.members().await?)
        }
        "health" => health(&call),
        "servers" => servers(&call),
        "host" => {
            call.expect_get()?;
            json_value(&call.backend.host_data())
        }
        "schedulers" => schedulers(&call),
        "schedulers/config" => schedulers_config(&call),
        "monitor" => monitor(call).await,
        "join" => join(&call),
        "force-leave" => force_leave(&call),
        "reload" => {
            call.expect_write()?;
            Ok(empty())
        }
        _ => Err(ApiError::no_route()),
    }
}

fn health(call: &Call) -> RouteResult {
    call.expect_get()?;
    let mut health = call.backend.health();
    let wanted: Vec<&str> = call.query.all("type").collect();
    if !wanted.is_empty() {
        let missing = |half: &str| crate::types::HealthOfHalf {
            ok: false,
            message: format!("{half} not enabled"),
        };
        if wanted.contains(&"client") {
            health.client.get_or_insert_with(|| missing("client"));
        } else {
            health.client = None;
        }
        if wanted.contains(&"server") {
            health.server.get_or_insert_with(|| missing("server"));
        } else {
            health.server = None;
        }
    }
    let well = [&health.client, &health.server]
        .into_iter()
        .flatten()
        .all(|half| half.ok);
    if well {
        return json_answer(&health);
    }
    let text =
        serde_json::to_string(&health).map_err(|error| ApiError::internal(error.to_string()))?;
    Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text))
}

fn servers(call: &Call) -> RouteResult {
    if !call.backend.identity().client {
        return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, "Invalid method"));
    }
    if call.is_write() {
        return match call.query.get("address") {
            None => Err(ApiError::bad_request("missing server address")),
            // The list follows the servers' own by itself.
            Some(_) => Ok(empty()),
        };
    }
    call.expect_get()?;
    json_answer(&call.backend.client_servers())
}

fn join(call: &Call) -> RouteResult {
    call.expect_write()?;
    if !call.backend.identity().server {
        return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, "Invalid method"));
    }
    if call.query.get("address").is_none() {
        return Err(ApiError::bad_request("missing address to join"));
    }
    json_answer(
        &json!({"num_joined": 0, "error": "joining is not possible with a single server", "warning": ""}),
    )
}

fn force_leave(call: &Call) -> RouteResult {
    call.expect_write()?;
    match call.query.get("node") {
        None => Err(ApiError::bad_request("missing node to force leave")),
        Some(_) => Ok(empty()),
    }
}

/// Types of schedulers, in the order they are shown.
const SCHEDULERS: [&str; 5] = ["service", "batch", "system", "sysbatch", "_core"];

fn server_only(call: &Call) -> Result<(), ApiError> {
    if call.backend.identity().server {
        Ok(())
    } else {
        Err(ApiError::bad_request("Server only endpoint"))
    }
}

fn schedulers(call: &Call) -> RouteResult {
    call.expect_get()?;
    server_only(call)?;
    let stats = call.backend.agent_self();
    let workers = stats["stats"]["schedulers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let server_id = stats["stats"]["nomad"]["server_id"].clone();
    json_answer(&json!({"schedulers": workers, "server_id": server_id}))
}

fn schedulers_config(call: &Call) -> RouteResult {
    server_only(call)?;
    if *call.method() != Method::GET {
        return Err(ApiError::bad_request("Invalid request"));
    }
    let stats = call.backend.agent_self();
    let workers = stats["stats"]["schedulers"].as_array().map_or(0, Vec::len);
    json_answer(&json!({
        "enabled_schedulers": SCHEDULERS,
        "num_schedulers": workers,
        "server_id": stats["stats"]["nomad"]["server_id"],
    }))
}

async fn monitor(call: Call) -> RouteResult {
    call.expect_get()?;
    let level = match call.query.text("log_level") {
        "" => "INFO".to_owned(),
        level => level.to_ascii_uppercase(),
    };
    if !LEVELS.contains(&level.as_str()) {
        return Err(ApiError::bad_request(format!(
            "Unknown log level: {}",
            call.query.text("log_level")
        )));
    }
    let flag = |name: &str| {
        call.query
            .flag(name)
            .map_err(|error| ApiError::bad_request(error.text))
    };
    let (plain, as_json) = (flag("plain")?, flag("log_json")?);
    if call.query.get("node_id").is_some() && call.query.get("server_id").is_some() {
        return Err(ApiError::bad_request(
            "Cannot target node and server simultaneously",
        ));
    }
    let lines = call.backend.monitor(&level, as_json)?;
    if plain {
        return Ok(Response::new(Body::from_stream(lines)));
    }
    let frames = lines.map(|line| {
        line.map(|line| {
            let frame = StreamFrame {
                data: line.to_vec(),
                file_event: "log".to_owned(),
                ..StreamFrame::default()
            };
            Bytes::from(serde_json::to_vec(&frame).unwrap_or_default())
        })
    });
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
