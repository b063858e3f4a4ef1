//! `/v1/namespaces` and `/v1/namespace/:name`.
//!
//! Source: HTTP API reference, "Namespaces".

use http::Method;
use nomad_state::command::NamespaceRow;
use nomad_state::{State, Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::listing::page;
use super::{Call, RouteResult, empty, write_header};
use crate::error::ApiError;

pub(super) async fn route(call: Call, family: &str, rest: Option<&str>) -> RouteResult {
    match (family, rest) {
        ("namespaces", None) => list(call).await,
        ("namespace", None | Some("")) if call.is_write() => upsert(call, None).await,
        ("namespace", None | Some("")) => Err(ApiError::invalid_method()),
        ("namespace", Some(name)) => match *call.method() {
            Method::GET => one(call, name).await,
            Method::PUT | Method::POST => upsert(call, Some(name)).await,
            Method::DELETE => delete(call, name).await,
            _ => Err(ApiError::invalid_method()),
        },
        _ => Err(ApiError::no_route()),
    }
}

fn keys() -> Vec<WatchKey> {
    vec![WatchKey::Table(Table::Namespaces)]
}

/// The built-in namespace is as old as the state.
fn table_index(state: &State) -> u64 {
    state.table_index(Table::Namespaces).max(1)
}

async fn list(call: Call) -> RouteResult {
    call.expect_get()?;
    let options = call.options.clone();
    read_json(&call, keys, |state| {
        let rows = state
            .namespaces()
            .filter(|namespace| namespace.name.starts_with(&options.prefix));
        let page = page(
            &options,
            rows,
            |row| row.name.clone(),
            |token| (!token.is_empty()).then(|| token.to_owned()),
            |row| row.name.clone(),
            |row| NamespaceRow::clone(row),
        )?;
        Ok(Answer {
            index: table_index(state),
            value: page.rows,
            next_token: page.next_token,
        })
    })
    .await
}

async fn one(call: Call, name: &str) -> RouteResult {
    read_one(&call, "Namespace not found", keys, |state| {
        let row = state.namespace(name).map(|row| NamespaceRow::clone(row));
        let index = row
            .as_ref()
            .map_or_else(|| table_index(state), |row| row.modify_index);
        Ok(Answer::new(index, row))
    })
    .await
}

async fn upsert(mut call: Call, name: Option<&str>) -> RouteResult {
    let row: NamespaceRow = call.json().await?;
    if name.is_some_and(|name| name != row.name) {
        return Err(ApiError::bad_request(
            "Namespace name does not match request path",
        ));
    }
    let written = call.backend.upsert_namespace(row).await?;
    let mut response = empty();
    write_header(&mut response, written.index);
    Ok(response)
}

async fn delete(call: Call, name: &str) -> RouteResult {
    let written = call.backend.delete_namespace(name.to_owned()).await?;
    let mut response = empty();
    write_header(&mut response, written.index);
    Ok(response)
}
