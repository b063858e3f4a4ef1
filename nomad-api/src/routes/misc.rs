//! Small families: system, status, regions, metrics, scaling policies, services.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use nomad_core::alloc::Allocation;
use nomad_core::job::ScalingPolicy;
use nomad_state::{Table, WatchKey};
use serde_json::json;

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::listing::in_namespace;
use super::{Call, RouteResult, empty, json as json_answer, read_headers};
use crate::error::ApiError;

pub(super) async fn system(call: Call, rest: &str) -> RouteResult {
    if !matches!(rest, "gc" | "reconcile/summaries") {
        return Err(ApiError::no_route());
    }
    if *call.method() != Method::PUT {
        return Err(ApiError::invalid_method());
    }
    if rest == "gc" {
        call.backend.garbage_collect().await?;
    } else {
        call.backend.reconcile_summaries().await?;
    }
    Ok(empty())
}

pub(super) async fn status(call: Call, rest: &str) -> RouteResult {
    call.expect_get()?;
    match rest {
        "leader" => json_answer(&call.backend.leadership().leader_addr),
        "peers" => {
            let config = call.backend.raft_configuration().await?;
            json_answer(
                &config
                    .servers
                    .iter()
                    .map(|server| server.address.clone())
                    .collect::<Vec<_>>(),
            )
        }
        _ => Err(ApiError::no_route()),
    }
}

pub(super) async fn regions(call: Call) -> RouteResult {
    call.expect_get()?;
    json_answer(&[call.backend.identity().region.clone()])
}

pub(super) async fn metrics(call: Call) -> RouteResult {
    call.expect_get()?;
    let prometheus = call.query.text("format") == "prometheus";
    let Some(body) = call.backend.metrics(prometheus) else {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Prometheus is not enabled",
        ));
    };
    let kind = if prometheus {
        "text/plain; version=0.0.4; charset=utf-8"
    } else {
        "application/json"
    };
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn stub(policy: &ScalingPolicy) -> serde_json::Value {
    json!({
        "ID": policy.id, "Enabled": policy.enabled, "Type": policy.kind, "Target": policy.target,
        "CreateIndex": policy.create_index, "ModifyIndex": policy.modify_index,
    })
}

pub(super) async fn scaling(call: Call, rest: &str) -> RouteResult {
    call.expect_get()?;
    let keys = || vec![WatchKey::Table(Table::ScalingPolicies)];
    if rest == "policies" {
        let (job, kind) = (
            call.query.text("job").to_owned(),
            call.query.text("type").to_owned(),
        );
        let options = call.options.clone();
        return read_json(&call, keys, |state| {
            let rows: Vec<_> = state
                .scaling_policies()
                .filter(|policy| {
                    let target = |name: &str| policy.target.get(name).map_or("", String::as_str);
                    in_namespace(&options, target("Namespace"))
                        && (job.is_empty() || target("Job") == job)
                        && policy.kind.starts_with(&kind)
                        && policy.id.starts_with(&options.prefix)
                })
                .map(|policy| stub(policy))
                .collect();
            Ok(Answer::new(state.table_index(Table::ScalingPolicies), rows))
        })
        .await;
    }
    let Some(id) = rest.strip_prefix("policy/") else {
        return Err(ApiError::no_route());
    };
    read_one(&call, "policy not found", keys, |state| {
        let policy = state.scaling_policies().find(|policy| policy.id == id);
        let index = policy.map_or_else(
            || state.table_index(Table::ScalingPolicies),
            |policy| policy.modify_index,
        );
        Ok(Answer::new(
            index,
            policy.map(|policy| ScalingPolicy::clone(policy)),
        ))
    })
    .await
}

/// `/v1/services`: names and tags by namespace.
pub(super) async fn services(call: Call) -> RouteResult {
    call.expect_get()?;
    let options = call.options.clone();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Allocs)],
        |state| {
            let mut names: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
            let fits = |alloc: &Allocation| in_namespace(&options, &alloc.namespace);
            for row in crate::services::all(state, fits) {
                let of_namespace = names.entry(row.namespace).or_default();
                of_namespace
                    .entry(row.service_name)
                    .or_default()
                    .extend(row.tags);
            }
            let rows: Vec<_> = names
                .into_iter()
                .map(|(namespace, services)| {
                    let services: Vec<_> = services
                        .into_iter()
                        .map(|(name, tags)| json!({"ServiceName": name, "Tags": sorted(tags)}))
                        .collect();
                    json!({"Namespace": namespace, "Services": services})
                })
                .collect();
            Ok(Answer::new(state.table_index(Table::Allocs), rows))
        },
    )
    .await
}

fn sorted(tags: BTreeSet<String>) -> Vec<String> {
    tags.into_iter().collect()
}

/// `/v1/service/:name`: the instances, or those that belong to a key.
pub(super) async fn service(call: Call, name: &str) -> RouteResult {
    call.expect_get()?;
    let options = call.options.clone();
    let choose = match call.query.text("choose") {
        "" => None,
        text => Some(parse_choose(text)?),
    };
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Allocs)],
        |state| {
            let fits = |alloc: &Allocation| in_namespace(&options, &alloc.namespace);
            let mut rows = crate::services::all(state, fits);
            rows.retain(|row| row.service_name == name);
            if let Some((count, key)) = &choose {
                rows = crate::services::choose(rows, key, *count);
            }
            Ok(Answer::new(state.table_index(Table::Allocs), rows))
        },
    )
    .await
}

/// `COUNT|KEY`.
fn parse_choose(text: &str) -> Result<(usize, String), ApiError> {
    text.split_once('|')
        .and_then(|(count, key)| Some((count.parse().ok().filter(|n| *n > 0)?, key.to_owned())))
        .ok_or_else(|| {
            ApiError::bad_request(format!("invalid choose parameter {text:?}: want COUNT|KEY"))
        })
}

/// Catalogues that exist but hold nothing until volumes and plugins are built.
pub(super) async fn not_yet_lists(call: Call) -> RouteResult {
    call.expect_get()?;
    let mut response = json_answer::<[(); 0]>(&[])?;
    read_headers(
        &mut response,
        call.backend.state().last_index().min(1),
        &call.backend.leadership(),
        "",
    );
    Ok(response)
}
