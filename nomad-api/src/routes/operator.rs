//! `/v1/operator/…`.

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Method, Response, StatusCode, header};
use nomad_core::scheduler_config::{SchedulerAlgorithm, SchedulerConfiguration};
use nomad_core::view::ClusterView;
use nomad_state::{Table, WatchKey};
use serde::Deserialize;

use super::answer::Answer;
use super::blocking::read;
use super::keyring;
use super::{Call, MAX_SNAPSHOT_BYTES, RouteResult, empty, json, read_headers, write_header};
use crate::error::ApiError;
use crate::types::{QueryMeta, SchedulerConfigurationResponse};

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    if let Some(rest) = rest.strip_prefix("keyring/") {
        return keyring::route(call, rest).await;
    }
    match (rest, call.method()) {
        ("scheduler/configuration", &Method::GET) => scheduler_config(call).await,
        ("scheduler/configuration", &Method::PUT | &Method::POST) => {
            set_scheduler_config(call).await
        }
        ("raft/configuration", &Method::GET) => json(&call.backend.raft_configuration().await?),
        ("autopilot/health", &Method::GET) => autopilot_health(call).await,
        ("snapshot", &Method::GET) => snapshot_save(call).await,
        ("snapshot", &Method::PUT | &Method::POST) => snapshot_restore(call).await,
        ("license", &Method::GET) => {
            let mut response = empty();
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        ("license", &Method::PUT) | ("utilization", &Method::POST) => {
            Err(ApiError::other_edition())
        }
        ("scheduler/configuration" | "raft/configuration" | "autopilot/health" | "snapshot", _) => {
            Err(ApiError::invalid_method())
        }
        _ => Err(ApiError::no_route()),
    }
}

async fn scheduler_config(call: Call) -> RouteResult {
    let answer = read(
        &call,
        || vec![WatchKey::Table(Table::SchedulerConfig)],
        |state| {
            Ok(Answer::new(
                state.table_index(Table::SchedulerConfig),
                state.scheduler_config().clone(),
            ))
        },
    )
    .await?;
    let leadership = call.backend.leadership();
    let meta = QueryMeta {
        index: answer.index,
        known_leader: leadership.known_leader,
        ..QueryMeta::default()
    };
    let mut response = json(&SchedulerConfigurationResponse {
        scheduler_config: answer.value,
        meta,
    })?;
    read_headers(&mut response, answer.index, &leadership, "");
    Ok(response)
}

/// The body, with the algorithm still as text so that a bad one can be named.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigBody {
    scheduler_algorithm: String,
    preemption_config: PreemptionBody,
    memory_oversubscription_enabled: bool,
    reject_job_registration: bool,
    pause_eval_broker: bool,
    node_limit_for_feasibility_checks: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PreemptionBody {
    system_scheduler_enabled: bool,
    sys_batch_scheduler_enabled: bool,
    batch_scheduler_enabled: bool,
    service_scheduler_enabled: bool,
}

async fn set_scheduler_config(mut call: Call) -> RouteResult {
    let body: ConfigBody = call.json().await?;
    let scheduler_algorithm = match body.scheduler_algorithm.as_str() {
        "" | "binpack" => SchedulerAlgorithm::Binpack,
        "spread" => SchedulerAlgorithm::Spread,
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid scheduler algorithm: {other}"
            )));
        }
    };
    let config = SchedulerConfiguration {
        scheduler_algorithm,
        preemption_config: nomad_core::scheduler_config::PreemptionConfig {
            system_scheduler_enabled: body.preemption_config.system_scheduler_enabled,
            sys_batch_scheduler_enabled: body.preemption_config.sys_batch_scheduler_enabled,
            batch_scheduler_enabled: body.preemption_config.batch_scheduler_enabled,
            service_scheduler_enabled: body.preemption_config.service_scheduler_enabled,
        },
        memory_oversubscription_enabled: body.memory_oversubscription_enabled,
        reject_job_registration: body.reject_job_registration,
        pause_eval_broker: body.pause_eval_broker,
        node_limit_for_feasibility_checks: body.node_limit_for_feasibility_checks,
        ..SchedulerConfiguration::default()
    };
    let cas =
        match call.query.text("cas") {
            "" => None,
            text => Some(text.parse().map_err(|error| {
                ApiError::bad_request(format!("Error parsing cas value: {error}"))
            })?),
        };
    let response = call.backend.set_scheduler_config(config, cas).await?;
    let mut answer = json(&response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

/// 429 where the group is not healthy, so that a probe needs no more than the status.
async fn autopilot_health(call: Call) -> RouteResult {
    let health = call.backend.autopilot_health().await?;
    let mut response = json(&health)?;
    if !health.healthy {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    Ok(response)
}

async fn snapshot_save(call: Call) -> RouteResult {
    let archive = call.backend.snapshot_save().await?;
    let digest = format!("sha-256={}", BASE64_STANDARD.encode(sha256(&archive)));
    let mut response = Response::new(Body::from(archive));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-gzip"),
    );
    if let Ok(digest) = HeaderValue::try_from(digest) {
        headers.insert("digest", digest);
    }
    Ok(response)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}

async fn snapshot_restore(mut call: Call) -> RouteResult {
    let archive = call.bytes(MAX_SNAPSHOT_BYTES).await?;
    call.backend.snapshot_restore(archive).await?;
    Ok(empty())
}
