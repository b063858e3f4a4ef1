//! `/v1/vars` and `/v1/var/*path`.
//!
//! Source: HTTP API reference, "Variables and locks".

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use nomad_core::time::parse_go_duration;
use nomad_core::{Nanos, Uuid};
use nomad_state::variable::{VariableKey, VariableOp, VariableOutcome, VariableRow};
use nomad_state::{Table, WatchKey};

use super::answer::{self, Answer};
use super::blocking::{read, read_json};
use super::listing::page;
use super::{Call, RouteResult, empty, json, read_headers, write_header};
use crate::backend::{LockRequest, WriteVariable};
use crate::error::ApiError;
use crate::types::{Variable, VariableLock, VariableMetadata};

pub(super) async fn list(call: Call) -> RouteResult {
    call.expect_get()?;
    let options = call.options.clone();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Variables)],
        |state| {
            let rows: Vec<VariableMetadata> = match options.namespace.as_str() {
                "*" => state
                    .variables()
                    .filter(|row| row.key.path.starts_with(&options.prefix))
                    .map(|row| metadata(row))
                    .collect(),
                namespace => state
                    .variables_in(namespace, &options.prefix)
                    .map(|row| metadata(row))
                    .collect(),
            };
            let page = page(
                &options,
                rows.into_iter(),
                |row| (row.namespace.clone(), row.path.clone()),
                |token| {
                    let (namespace, path) = token.split_once('.')?;
                    Some((namespace.to_owned(), path.to_owned()))
                },
                |row| format!("{}.{}", row.namespace, row.path),
                VariableMetadata::clone,
            )?;
            Ok(Answer {
                index: state.table_index(Table::Variables).max(1),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

pub(super) async fn route(call: Call, path: &str) -> RouteResult {
    if path.is_empty() {
        return Err(ApiError::bad_request("missing variable path"));
    }
    match *call.method() {
        Method::GET => get(call, path).await,
        Method::PUT | Method::POST => write(call, path).await,
        Method::DELETE => delete(call, path).await,
        _ => Err(ApiError::bad_request("Invalid method")),
    }
}

async fn get(call: Call, path: &str) -> RouteResult {
    let key = VariableKey::new(call.options.namespace.as_str(), path);
    if key.namespace == "*" {
        return Err(wildcard());
    }
    let found = read(
        &call,
        || vec![WatchKey::Variable(key.clone())],
        |state| {
            let row = state.variable(&key).cloned();
            let index = row.as_ref().map_or_else(
                || state.table_index(Table::Variables),
                |row| row.modify_index,
            );
            Ok(Answer::new(index.max(1), row))
        },
    )
    .await?;
    let mut response = match &found.value {
        Some(row) => json(&opened(&call, row).await?)?,
        None => answer::error(&ApiError::not_found("variable not found")),
    };
    let leadership = call.backend.leadership();
    read_headers(&mut response, found.index, &leadership, "");
    Ok(response)
}

async fn delete(call: Call, path: &str) -> RouteResult {
    let op = cas(&call)?.map_or(VariableOp::Delete, VariableOp::DeleteCas);
    let request = WriteVariable {
        key: VariableKey::new(call.options.namespace.as_str(), path),
        op,
        ..WriteVariable::default()
    };
    submit(call, request).await
}

async fn write(mut call: Call, path: &str) -> RouteResult {
    let cas = cas(&call)?;
    let asked: Vec<&str> = ["lock-acquire", "lock-release", "lock-renew"]
        .into_iter()
        .filter(|name| call.query.get(name).is_some())
        .collect();
    if asked.len() > 1 {
        return Err(ApiError::bad_request("multiple lock operations"));
    }
    if cas.is_some() && !asked.is_empty() {
        return Err(ApiError::bad_request(
            "CAS can't be used with lock operations",
        ));
    }
    let body: Variable = call.json().await?;
    let namespace = match body.namespace.as_str() {
        "" => call.options.namespace.as_str(),
        namespace => namespace,
    };
    let key = VariableKey::new(namespace, path);
    let lock = body.lock.as_ref().map(lock_request).transpose()?;
    let op = match asked.first().copied() {
        Some("lock-renew") => return renew(call, key, lock).await,
        Some("lock-acquire") => VariableOp::LockAcquire,
        Some(_) => {
            if body.items.is_some_and(|items| !items.is_empty()) {
                let text = "RPC Error:: 400,lock release operation doesn't take variable items";
                return Ok(refused(&ApiError::bad_request(text)));
            }
            held_id(lock.as_ref())?;
            let request = WriteVariable {
                key,
                op: VariableOp::LockRelease,
                lock,
                ..WriteVariable::default()
            };
            return submit(call, request).await;
        }
        None if body.items.is_none() => {
            return Err(ApiError::bad_request(
                "variable missing required Items object",
            ));
        }
        None => cas.map_or(VariableOp::Set, VariableOp::Cas),
    };
    let acquires = op == VariableOp::LockAcquire;
    let request = WriteVariable {
        key,
        op,
        items: body.items.unwrap_or_default(),
        // To take a lock is to ask for one, even without saying anything about it.
        lock: lock.or_else(|| acquires.then(LockRequest::default)),
    };
    submit(call, request).await
}

/// Has a write done, and answers what became of it.
async fn submit(call: Call, request: WriteVariable) -> RouteResult {
    let (key, op) = (request.key.clone(), request.op);
    let (outcome, index) = match call.backend.write_variable(request).await {
        Ok(done) => done,
        Err(error) if error.status == StatusCode::BAD_REQUEST => return Ok(refused(&error)),
        Err(error) => return Err(error),
    };
    let locks = matches!(op, VariableOp::LockAcquire | VariableOp::LockRelease);
    match outcome {
        VariableOutcome::Done(None) => {
            let mut response = empty();
            *response.status_mut() = StatusCode::NO_CONTENT;
            write_header(&mut response, index);
            Ok(response)
        }
        VariableOutcome::Done(Some(row)) => {
            let variable = match op {
                VariableOp::LockRelease => shown(&row, BTreeMap::new()),
                _ => opened(&call, &row).await?,
            };
            let mut response = json(&variable)?;
            write_header(&mut response, index);
            Ok(response)
        }
        VariableOutcome::Conflict(Some(row)) => {
            conflict(&opened(&call, &row).await?, Some(row.modify_index))
        }
        VariableOutcome::Conflict(None) => conflict(&nothing(key), Some(0)),
        VariableOutcome::Locked => conflict(&nothing(key), (!locks).then_some(0)),
        VariableOutcome::UnexpectedLock => Ok(refused(&ApiError::bad_request(
            "RPC Error:: 400,RPC Error:: 400,variable should not contain lock definition",
        ))),
        VariableOutcome::NotLocked => Err(ApiError::internal("variable doesn't hold a lock")),
        VariableOutcome::Missing => Err(missing()),
    }
}

async fn renew(call: Call, key: VariableKey, lock: Option<LockRequest>) -> RouteResult {
    let id = held_id(lock.as_ref())?;
    match call.backend.renew_variable_lock(key, id).await? {
        VariableOutcome::Done(Some(row)) => json(&metadata(&row)),
        VariableOutcome::NotLocked => Err(ApiError::internal("variable doesn't hold a lock")),
        VariableOutcome::Missing | VariableOutcome::Done(None) => Err(missing()),
        VariableOutcome::Locked
        | VariableOutcome::Conflict(_)
        | VariableOutcome::UnexpectedLock => Err(ApiError::new(
            StatusCode::CONFLICT,
            "attempting to modify locked variable",
        )),
    }
}

fn missing() -> ApiError {
    ApiError::not_found("variable doesn't exist")
}

fn wildcard() -> ApiError {
    ApiError::bad_request("RPC Error:: 400,can not target wildcard (\"*\")namespace")
}

/// What the servers refused: such answers have the header of a write, without an index of one.
fn refused(error: &ApiError) -> Response<Body> {
    let mut response = answer::error(error);
    write_header(&mut response, 0);
    response
}

/// 409 with what is stored.
fn conflict(stored: &Variable, index: Option<u64>) -> RouteResult {
    let mut response = json(stored)?;
    *response.status_mut() = StatusCode::CONFLICT;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let Some(index) = index {
        write_header(&mut response, index);
    }
    Ok(response)
}

fn nothing(key: VariableKey) -> Variable {
    Variable {
        namespace: key.namespace,
        path: key.path,
        ..Variable::default()
    }
}

fn cas(call: &Call) -> Result<Option<u64>, ApiError> {
    let Some(text) = call.query.get("cas") else {
        return Ok(None);
    };
    let index = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "can not parse cas: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    });
    index.map(Some)
}

fn lock_request(lock: &VariableLock) -> Result<LockRequest, ApiError> {
    let span = |name: &str, text: &str| match text {
        "" => Ok(Nanos::ZERO),
        text => parse_go_duration(text)
            .ok_or_else(|| ApiError::bad_request(format!("invalid lock {name}: {text:?}"))),
    };
    let id = match lock.id.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| ApiError::bad_request("invalid lock ID: not a UUID"))?,
        ),
    };
    Ok(LockRequest {
        id,
        ttl: span("TTL", &lock.ttl)?,
        delay: span("delay", &lock.lock_delay)?,
    })
}

/// The lock that a caller says to hold.
fn held_id(lock: Option<&LockRequest>) -> Result<Uuid, ApiError> {
    lock.and_then(|lock| lock.id)
        .ok_or_else(|| ApiError::internal("lock operation: missing lock ID"))
}

async fn opened(call: &Call, row: &Arc<VariableRow>) -> Result<Variable, ApiError> {
    Ok(shown(row, call.backend.open_variable(row).await?))
}

fn shown(row: &VariableRow, items: BTreeMap<String, String>) -> Variable {
    let meta = metadata(row);
    Variable {
        namespace: meta.namespace,
        path: meta.path,
        lock: meta.lock,
        create_index: meta.create_index,
        create_time: meta.create_time,
        modify_index: meta.modify_index,
        modify_time: meta.modify_time,
        items: Some(items),
    }
}

/// A row without its items.
pub(super) fn metadata(row: &VariableRow) -> VariableMetadata {
    VariableMetadata {
        namespace: row.key.namespace.clone(),
        path: row.key.path.clone(),
        lock: row.lock.as_ref().map(|lock| VariableLock {
            ttl: lock.ttl.to_string(),
            lock_delay: lock.delay.to_string(),
            id: lock.id.to_string(),
        }),
        create_index: row.create_index,
        create_time: row.create_time.0,
        modify_index: row.modify_index,
        modify_time: row.modify_time.0,
    }
}
