//! `/v1/allocations` and `/v1/allocation/:id…`.

use http::Method;
use nomad_core::AllocId;
use nomad_core::view::ClusterView;
use nomad_state::{Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::listing::{in_namespace, index_token, page, uuid, uuid_prefix};
use super::{Call, RouteResult, client, json, write_header};
use crate::error::ApiError;
use crate::types::{AllocListStub, FullAllocation, StubFields};

pub(super) async fn list(call: Call) -> RouteResult {
    call.expect_get()?;
    let fields = StubFields {
        resources: call.query.flag("resources")?,
        task_states: call.query.boolean("task_states")?.unwrap_or(true),
    };
    let options = call.options.clone();
    uuid_prefix("alloc", &options.prefix)?;
    let by_id = !options.prefix.is_empty();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Allocs)],
        |state| {
            let rows = state
                .allocs_by_prefix(&options.prefix)
                .into_iter()
                .filter(|alloc| in_namespace(&options, &alloc.namespace))
                .map(|alloc| FilterRow(alloc));
            let page = page(
                &options,
                rows,
                |row| {
                    (
                        if by_id { 0 } else { row.0.create_index },
                        row.0.id.to_string(),
                    )
                },
                |token| {
                    if by_id {
                        (!token.is_empty()).then(|| (0, token.to_owned()))
                    } else {
                        index_token(token)
                    }
                },
                |row| {
                    if by_id {
                        row.0.id.to_string()
                    } else {
                        format!("{}.{}", row.0.create_index, row.0.id)
                    }
                },
                |row| AllocListStub::new(row.0, fields),
            )?;
            Ok(Answer {
                index: state.table_index(Table::Allocs),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

/// What filters see of an allocation: the whole object as the API shows it.
struct FilterRow<'a>(&'a nomad_core::alloc::Allocation);

impl serde::Serialize for FilterRow<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FullAllocation::new(self.0).serialize(serializer)
    }
}

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    let (id, suffix) = rest
        .split_once('/')
        .map_or((rest, None), |(id, suffix)| (id, Some(suffix)));
    match suffix {
        None => one(call, id).await,
        Some("stop") => stop(call, id).await,
        Some("checks") => client::checks(call, id).await,
        Some("services") => services(call, id).await,
        Some(_) => Err(ApiError::not_found("resource not found")),
    }
}

async fn one(call: Call, id: &str) -> RouteResult {
    call.expect_get()?;
    let id: AllocId = uuid("alloc", id)?;
    read_one(
        &call,
        "alloc not found",
        || vec![WatchKey::Alloc(id)],
        |state| {
            let alloc = state.alloc(id);
            let index = alloc.map_or_else(
                || state.table_index(Table::Allocs),
                |alloc| alloc.modify_index,
            );
            let value = alloc
                .map(|alloc| serde_json::to_value(FullAllocation::new(alloc)))
                .transpose()
                .map_err(|error| ApiError::internal(error.to_string()))?;
            Ok(Answer::new(index, value))
        },
    )
    .await
}

async fn stop(call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let no_shutdown_delay = call.query.flag("no_shutdown_delay")?;
    let reschedule = call.query.flag("reschedule")?;
    let id: AllocId = uuid("alloc", id)?;
    if call.backend.state().alloc(id).is_none() {
        return Err(ApiError::not_found("allocation not found"));
    }
    let response = call
        .backend
        .stop_alloc(id, no_shutdown_delay, reschedule)
        .await?;
    let mut answer = json(&response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

async fn services(call: Call, id: &str) -> RouteResult {
    if *call.method() != Method::GET {
        return Err(ApiError::invalid_method());
    }
    let id: AllocId = uuid("alloc", id)?;
    read_one(
        &call,
        "allocation not found",
        || vec![WatchKey::Alloc(id)],
        |state| {
            let alloc = state
                .alloc(id)
                .filter(|alloc| in_namespace(&call.options, &alloc.namespace));
            let index = alloc.map_or_else(
                || state.table_index(Table::Allocs),
                |alloc| alloc.modify_index,
            );
            let rows = alloc.map(|alloc| crate::services::of_alloc(state, alloc));
            Ok(Answer::new(index, rows))
        },
    )
    .await
}
