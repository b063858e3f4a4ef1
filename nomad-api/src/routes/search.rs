//! `/v1/search`: ids by prefix.
//!
//! Source: HTTP API reference, "Search".

use std::collections::BTreeMap;

use nomad_state::{State, Table};

use super::listing::in_namespace;
use super::{Call, RouteResult, json, read_headers};
use crate::error::ApiError;
use crate::query::QueryOptions;
use crate::types::{QueryMeta, SearchRequest, SearchResponse};

/// Most ids of one context in an answer.
pub(super) const MAX_MATCHES: usize = 20;

/// Contexts that may be searched, in the order of the error text.
pub(super) const CONTEXTS: [&str; 12] = [
    "allocs",
    "jobs",
    "nodes",
    "node_pools",
    "evals",
    "deployment",
    "plugins",
    "volumes",
    "scaling_policy",
    "vars",
    "namespaces",
    "host_volumes",
];

pub(super) async fn route(mut call: Call, rest: Option<&str>) -> RouteResult {
    match rest {
        None => {}
        Some("fuzzy") => return super::fuzzy::route(call).await,
        Some(_) => return Err(ApiError::no_route()),
    }
    call.expect_write()?;
    let request: SearchRequest = call.json().await?;
    check_context(&request.context)?;
    call.backend.read_barrier().await?;
    let state = call.backend.state();
    let mut matches = BTreeMap::new();
    let mut truncations = BTreeMap::new();
    for context in CONTEXTS {
        if request.context != "all" && request.context != context {
            continue;
        }
        let mut ids = find(&state, &call.options, context, &request.prefix);
        let truncated = ids.len() > MAX_MATCHES;
        ids.truncate(MAX_MATCHES);
        matches.insert(context.to_owned(), (!ids.is_empty()).then_some(ids));
        truncations.insert(context.to_owned(), truncated);
    }
    let leadership = call.backend.leadership();
    let index = state.max_index(&[
        Table::Allocs,
        Table::Jobs,
        Table::Nodes,
        Table::Evals,
        Table::Deployments,
    ]);
    let meta = QueryMeta {
        index,
        known_leader: leadership.known_leader,
        ..QueryMeta::default()
    };
    let mut response = json(&SearchResponse {
        matches,
        truncations,
        meta,
    })?;
    read_headers(&mut response, index, &leadership, "");
    Ok(response)
}

/// Whether the context is one that may be searched.
pub(super) fn check_context(context: &str) -> Result<(), ApiError> {
    if context == "all" || CONTEXTS.contains(&context) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "context must be one of [{}] or 'all' for all contexts; got {context:?}",
        CONTEXTS.join(" "),
    )))
}

/// Ids of a context that start with the prefix; one more than are shown, to know of the rest.
pub(super) fn find(
    state: &State,
    options: &QueryOptions,
    context: &str,
    prefix: &str,
) -> Vec<String> {
    let most = MAX_MATCHES + 1;
    let names = |all: &mut dyn Iterator<Item = String>| -> Vec<String> {
        all.filter(|name| name.starts_with(prefix))
            .take(most)
            .collect()
    };
    match context {
        "jobs" => names(
            &mut state
                .jobs()
                .filter(|job| in_namespace(options, &job.namespace))
                .map(|job| job.id.to_string()),
        ),
        "node_pools" => names(&mut state.node_pools().map(|pool| pool.name.clone())),
        "namespaces" => names(&mut state.namespaces().map(|namespace| namespace.name.clone())),
        "scaling_policy" => names(&mut state.scaling_policies().map(|policy| policy.id.clone())),
        "vars" => names(
            &mut state
                .variables()
                .filter(|row| in_namespace(options, &row.key.namespace))
                .map(|row| row.key.path.clone()),
        ),
        "allocs" => state
            .allocs_by_prefix(prefix)
            .into_iter()
            .filter(|alloc| in_namespace(options, &alloc.namespace))
            .map(|alloc| alloc.id.to_string())
            .take(most)
            .collect(),
        "evals" => state
            .evals_by_prefix(prefix)
            .into_iter()
            .filter(|eval| in_namespace(options, &eval.namespace))
            .map(|eval| eval.id.to_string())
            .take(most)
            .collect(),
        "deployment" => state
            .deployments_by_prefix(prefix)
            .into_iter()
            .filter(|deployment| in_namespace(options, &deployment.namespace))
            .map(|deployment| deployment.id.to_string())
            .take(most)
            .collect(),
        "nodes" => state
            .nodes_by_prefix(prefix)
            .into_iter()
            .map(|node| node.id.to_string())
            .take(most)
            .collect(),
        // Volumes, plugins and variables are not built yet: nothing of theirs can match.
        _ => Vec::new(),
    }
}
