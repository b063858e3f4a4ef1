//! `/v1/search/fuzzy`: names that contain a text, whatever its case.
//!
//! Source: HTTP API reference, "Search".

use std::collections::BTreeMap;

use nomad_core::job::Job;
use nomad_state::State;

use super::listing::in_namespace;
use super::search::{CONTEXTS, MAX_MATCHES, check_context, find};
use super::{Call, RouteResult, json, read_headers};
use crate::error::ApiError;
use crate::query::QueryOptions;
use crate::types::{FuzzyMatch, FuzzySearchRequest, FuzzySearchResponse, QueryMeta};

/// Shortest text.
const MIN_CHARS: usize = 2;
/// Most matches of one context that are ranked.
const MAX_RANKED: usize = 10_000;
/// Contexts whose ids are searched by prefix here too, because they have no names.
const BY_PREFIX: [&str; 5] = [
    "deployment",
    "evals",
    "host_volumes",
    "scaling_policy",
    "volumes",
];

pub(super) async fn route(mut call: Call) -> RouteResult {
    call.expect_write()?;
    let request: FuzzySearchRequest = call.json().await?;
    let length = request.text.chars().count();
    if length < MIN_CHARS {
        return Err(ApiError::bad_request(format!(
            "fuzzy search query must be at least {MIN_CHARS} characters, got {length}"
        )));
    }
    check_context(&request.context)?;
    call.backend.read_barrier().await?;
    let state = call.backend.state();
    let options = &call.options;
    let wanted = |context: &str| request.context == "all" || request.context == context;
    let mut found = Found {
        text: request.text.to_lowercase(),
        ranked: BTreeMap::new(),
    };
    named(&state, options, wanted, &mut found);
    let mut response = FuzzySearchResponse::default();
    for (context, mut matches) in found.ranked {
        // An early match in a short name is the likeliest.
        matches.sort_by_cached_key(|(at, found)| (*at, found.id.len(), found.clone_key()));
        let truncated = matches.len() > MAX_MATCHES;
        matches.truncate(MAX_MATCHES);
        let matches = matches.into_iter().map(|(_, found)| found).collect();
        response.matches.insert(context.to_owned(), matches);
        response.truncations.insert(context.to_owned(), truncated);
    }
    for context in BY_PREFIX.into_iter().filter(|context| wanted(context)) {
        let mut ids = find(&state, options, context, &request.text);
        let truncated = ids.len() > MAX_MATCHES;
        ids.truncate(MAX_MATCHES);
        let matches = ids.into_iter().map(|id| FuzzyMatch {
            id,
            scope: Vec::new(),
        });
        response
            .matches
            .insert(context.to_owned(), matches.collect());
        response.truncations.insert(context.to_owned(), truncated);
    }
    for context in CONTEXTS.into_iter().filter(|context| wanted(context)) {
        response
            .truncations
            .entry(context.to_owned())
            .or_insert(false);
    }
    let leadership = call.backend.leadership();
    let index = state.last_index();
    response.meta = QueryMeta {
        index,
        known_leader: leadership.known_leader,
        ..QueryMeta::default()
    };
    let mut answer = json(&response)?;
    read_headers(&mut answer, index, &leadership, "");
    Ok(answer)
}

impl FuzzyMatch {
    fn clone_key(&self) -> (String, Vec<String>) {
        (self.id.clone(), self.scope.clone())
    }
}

/// Matches of each context with where in the name they begin.
struct Found {
    text: String,
    ranked: BTreeMap<&'static str, Vec<(usize, FuzzyMatch)>>,
}

impl Found {
    fn try_name(&mut self, context: &'static str, name: &str, scope: &[&str]) {
        let Some(at) = name.to_lowercase().find(&self.text) else {
            return;
        };
        let matches = self.ranked.entry(context).or_default();
        if matches.len() < MAX_RANKED {
            let scope = scope.iter().map(|part| (*part).to_owned()).collect();
            let id = name.to_owned();
            matches.push((at, FuzzyMatch { id, scope }));
        }
    }
}

/// Looks through everything that has a name.
fn named(state: &State, options: &QueryOptions, wanted: impl Fn(&str) -> bool, found: &mut Found) {
    if wanted("jobs") {
        for job in state.jobs() {
            if in_namespace(options, &job.namespace) {
                job_parts(job, found);
            }
        }
    }
    if wanted("allocs") {
        for alloc in state.allocs() {
            if in_namespace(options, &alloc.namespace) {
                let id = alloc.id.to_string();
                found.try_name("allocs", &alloc.name, &[&alloc.namespace, &id]);
            }
        }
    }
    if wanted("nodes") {
        for node in state.all_nodes() {
            let id = node.id.to_string();
            found.try_name("nodes", &node.name, &[&id]);
            found.try_name("classes", &node.node_class, &[&id]);
        }
    }
    if wanted("node_pools") {
        for pool in state.node_pools() {
            found.try_name("node_pools", &pool.name, &[&pool.name]);
        }
    }
    if wanted("namespaces") {
        for namespace in state.namespaces() {
            found.try_name("namespaces", &namespace.name, &[]);
        }
    }
}

fn job_parts(job: &Job, found: &mut Found) {
    let (namespace, id) = (job.namespace.as_ref(), job.id.as_ref());
    found.try_name("jobs", &job.name, &[namespace, id]);
    for group in &job.task_groups {
        found.try_name("groups", &group.name, &[namespace, id]);
        for service in &group.services {
            found.try_name("services", &service.name, &[namespace, id, &group.name]);
        }
        for task in &group.tasks {
            let scope = [namespace, id, group.name.as_str(), task.name.as_str()];
            found.try_name("tasks", &task.name, &scope[..3]);
            for service in &task.services {
                found.try_name("services", &service.name, &scope);
            }
            for (key, context) in [("image", "images"), ("command", "commands")] {
                if let Some(value) = task.config.get(key).and_then(|value| value.as_str()) {
                    found.try_name(context, value, &scope);
                }
            }
        }
    }
}
