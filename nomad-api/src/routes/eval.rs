//! `/v1/evaluations…` and `/v1/evaluation/:id…`.

use std::sync::Arc;

use http::Method;
use nomad_core::EvalId;
use nomad_core::eval::Evaluation;
use nomad_state::{State, Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read, read_json, read_one};
use super::listing::{in_namespace, index_token, page, uuid, uuid_prefix};
use super::{Call, RouteResult, json, read_headers, write_header};
use crate::error::ApiError;
use crate::filter::Filter;
use crate::query::QueryOptions;
use crate::types::{
    AllocListStub, EvalCountResponse, EvalDeleteRequest, EvalDeleteResponse, EvalStub, QueryMeta,
    StubFields,
};

/// Most evaluations that one request deletes.
const MAX_DELETED: usize = 7281;

pub(super) async fn collection(call: Call, rest: Option<&str>) -> RouteResult {
    match (rest, call.method()) {
        (None, &Method::GET) => list(call).await,
        (None, &Method::DELETE) => delete(call).await,
        (Some("count"), &Method::GET) => count(call).await,
        (None | Some("count"), _) => Err(ApiError::invalid_method()),
        _ => Err(ApiError::no_route()),
    }
}

fn rows<'a>(
    state: &'a State,
    options: &'a QueryOptions,
) -> impl Iterator<Item = &'a Arc<Evaluation>> {
    state
        .evals_by_prefix(&options.prefix)
        .into_iter()
        .filter(|eval| in_namespace(options, &eval.namespace))
}

async fn list(call: Call) -> RouteResult {
    let options = call.options.clone();
    uuid_prefix("eval", &options.prefix)?;
    let (job, status) = (
        call.query.text("job").to_owned(),
        call.query.text("status").to_owned(),
    );
    let legacy = !job.is_empty() || !status.is_empty();
    if legacy && !options.filter.is_empty() {
        return Err(ApiError::bad_request(
            "Filter expression cannot be used with other filter parameters",
        ));
    }
    let by_id = !options.prefix.is_empty();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Evals)],
        |state| {
            let rows = rows(state, &options).filter(|eval| {
                (job.is_empty() || eval.job_id == job.as_str())
                    && (status.is_empty() || eval.status.as_str() == status)
            });
            let page = page(
                &options,
                rows,
                |eval| {
                    (
                        if by_id { 0 } else { eval.create_index },
                        eval.id.to_string(),
                    )
                },
                |token| {
                    if by_id {
                        (!token.is_empty()).then(|| (0, token.to_owned()))
                    } else {
                        index_token(token)
                    }
                },
                |eval| {
                    if by_id {
                        eval.id.to_string()
                    } else {
                        format!("{}.{}", eval.create_index, eval.id)
                    }
                },
                |eval| Evaluation::clone(eval),
            )?;
            Ok(Answer {
                index: state.table_index(Table::Evals),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

async fn count(call: Call) -> RouteResult {
    let filter = Filter::parse(&call.options.filter)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    let answer = read(
        &call,
        || vec![WatchKey::Table(Table::Evals)],
        |state| {
            let mut count = 0;
            for eval in rows(state, &call.options) {
                let fits = filter
                    .matches(&**eval)
                    .map_err(|error| ApiError::internal(error.to_string()))?;
                count += u64::from(fits);
            }
            Ok(Answer::new(state.table_index(Table::Evals), count))
        },
    )
    .await?;
    let leadership = call.backend.leadership();
    let meta = QueryMeta {
        index: answer.index,
        known_leader: leadership.known_leader,
        ..QueryMeta::default()
    };
    let mut response = json(&EvalCountResponse {
        count: answer.value,
        meta,
    })?;
    read_headers(&mut response, answer.index, &leadership, "");
    Ok(response)
}

async fn delete(mut call: Call) -> RouteResult {
    let request: EvalDeleteRequest = call.json().await?;
    let ids: Vec<EvalId> = match (request.eval_ids.is_empty(), request.filter.is_empty()) {
        (true, true) => {
            return Err(ApiError::bad_request(
                "evals must be deleted by either ID or filter",
            ));
        }
        (false, false) => {
            return Err(ApiError::bad_request(
                "evals cannot be deleted by both ID and filter",
            ));
        }
        (false, true) if request.eval_ids.len() > MAX_DELETED => {
            return Err(ApiError::bad_request(format!(
                "request includes {} evaluation IDs, must be {MAX_DELETED} or fewer",
                request.eval_ids.len()
            )));
        }
        (false, true) => request
            .eval_ids
            .iter()
            .map(|id| uuid("eval", id))
            .collect::<Result<_, _>>()?,
        (true, false) => {
            let filter = Filter::parse(&request.filter)
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
            let state = call.backend.state();
            let mut ids = Vec::new();
            for eval in rows(&state, &call.options).filter(|eval| eval.terminal()) {
                if filter
                    .matches(&**eval)
                    .map_err(|error| ApiError::bad_request(error.to_string()))?
                {
                    ids.push(eval.id);
                }
            }
            ids
        }
    };
    let count = ids.len() as u64;
    let written = call.backend.delete_evals(ids).await?;
    let mut answer = json(&EvalDeleteResponse {
        count,
        index: written.index,
    })?;
    write_header(&mut answer, written.index);
    Ok(answer)
}

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    call.expect_get()?;
    match rest.split_once('/') {
        None => one(call, rest).await,
        Some((id, "allocations")) => allocations(call, id).await,
        Some(_) => Err(ApiError::no_route()),
    }
}

fn eval_id(text: &str) -> Result<EvalId, ApiError> {
    uuid("eval", text)
        .map_err(|error| ApiError::internal(format!("failed to lookup eval: {}", error.text)))
}

async fn one(call: Call, id: &str) -> RouteResult {
    let id = eval_id(id)?;
    let related = call.query.flag("related")?;
    read_one(
        &call,
        "eval not found",
        || vec![WatchKey::Eval(id)],
        |state| {
            let eval = state.eval(id);
            let index =
                eval.map_or_else(|| state.table_index(Table::Evals), |eval| eval.modify_index);
            let value = eval
                .map(|eval| with_related(state, eval, related))
                .transpose()?;
            Ok(Answer::new(index, value))
        },
    )
    .await
}

/// The evaluation, with stubs of those it is linked with where they were asked for.
fn with_related(
    state: &State,
    eval: &Evaluation,
    related: bool,
) -> Result<serde_json::Value, ApiError> {
    let mut value =
        serde_json::to_value(eval).map_err(|error| ApiError::internal(error.to_string()))?;
    if related {
        let stubs: Vec<EvalStub> = linked(state, eval)
            .iter()
            .map(|eval| (&**eval).into())
            .collect();
        if !stubs.is_empty() {
            value["RelatedEvals"] = serde_json::to_value(stubs)
                .map_err(|error| ApiError::internal(error.to_string()))?;
        }
    }
    Ok(value)
}

/// Every evaluation reachable over previous, next and blocked links.
fn linked(state: &State, eval: &Evaluation) -> Vec<Arc<Evaluation>> {
    let mut found: Vec<Arc<Evaluation>> = Vec::new();
    let links = |eval: &Evaluation| [eval.previous_eval, eval.next_eval, eval.blocked_eval];
    let mut open: Vec<EvalId> = links(eval).into_iter().flatten().collect();
    while let Some(id) = open.pop() {
        if id == eval.id || found.iter().any(|known| known.id == id) {
            continue;
        }
        if let Some(next) = state.eval(id) {
            open.extend(links(next).into_iter().flatten());
            found.push(Arc::clone(next));
        }
    }
    found.sort_by_key(|eval| (eval.create_index, eval.id));
    found
}

async fn allocations(call: Call, id: &str) -> RouteResult {
    let id = eval_id(id)?;
    read_json(
        &call,
        || vec![WatchKey::EvalAllocs(id)],
        |state| {
            let stubs: Vec<_> = state
                .allocs_of_eval(id)
                .map(|alloc| AllocListStub::new(alloc, StubFields::default()))
                .collect();
            Ok(Answer::new(state.table_index(Table::Allocs), stubs))
        },
    )
    .await
}
