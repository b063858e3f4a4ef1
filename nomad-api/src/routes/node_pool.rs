//! `/v1/node/pools` and `/v1/node/pool/:name…`.
//!
//! Source: HTTP API reference, "Node pools".

use http::Method;
use nomad_core::node::{ALL_NODE_POOL, NodePool};
use nomad_core::view::ClusterView;
use nomad_state::{Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::listing::{in_namespace, page};
use super::{Call, RouteResult, empty, node, write_header};
use crate::error::ApiError;
use crate::types::JobListStub;

pub(super) async fn collection(call: Call) -> RouteResult {
    if call.is_write() {
        return upsert(call, None).await;
    }
    call.expect_get()?;
    let options = call.options.clone();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::NodePools)],
        |state| {
            let rows = state
                .node_pools()
                .filter(|pool| pool.name.starts_with(&options.prefix));
            let page = page(
                &options,
                rows,
                |pool| pool.name.clone(),
                |token| (!token.is_empty()).then(|| token.to_owned()),
                |pool| pool.name.clone(),
                |pool| NodePool::clone(pool),
            )?;
            Ok(Answer {
                index: state.table_index(Table::NodePools).max(1),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    match rest.split_once('/') {
        None => match *call.method() {
            Method::GET => one(call, rest).await,
            Method::PUT | Method::POST => upsert(call, Some(rest)).await,
            Method::DELETE => delete(call, rest).await,
            _ => Err(ApiError::invalid_method()),
        },
        Some((name, "nodes")) => {
            call.expect_get()?;
            let name = name.to_owned();
            node::list_where(
                call,
                |node| name == ALL_NODE_POOL || node.node_pool == name,
                &name,
            )
            .await
        }
        Some((name, "jobs")) => jobs(call, name).await,
        Some(_) => Err(ApiError::no_route()),
    }
}

async fn one(call: Call, name: &str) -> RouteResult {
    read_one(
        &call,
        "node pool not found",
        || vec![WatchKey::Table(Table::NodePools)],
        |state| {
            let pool = state.node_pool(name).map(|pool| NodePool::clone(pool));
            let index = pool.as_ref().map_or_else(
                || state.table_index(Table::NodePools),
                |pool| pool.modify_index,
            );
            Ok(Answer::new(index.max(1), pool))
        },
    )
    .await
}

async fn jobs(call: Call, name: &str) -> RouteResult {
    call.expect_get()?;
    if !call.options.prefix.is_empty() {
        return Err(ApiError::bad_request("prefix argument not allowed"));
    }
    let with_meta = call.query.flag("meta")?;
    let options = call.options.clone();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Jobs)],
        |state| {
            let rows = state.jobs().filter(|job| {
                in_namespace(&options, &job.namespace)
                    && (name == ALL_NODE_POOL || job.node_pool == name)
            });
            let page = page(
                &options,
                rows,
                |job| (job.namespace.to_string(), job.id.to_string()),
                |token| {
                    token
                        .split_once('.')
                        .map(|(ns, id)| (ns.to_owned(), id.to_owned()))
                },
                |job| format!("{}.{}", job.namespace, job.id),
                |job| JobListStub::new(job, state.job_summary(&job.key()).map(|s| &**s), with_meta),
            )?;
            Ok(Answer {
                index: state.table_index(Table::Jobs),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

async fn upsert(mut call: Call, name: Option<&str>) -> RouteResult {
    let pool: NodePool = call.json().await?;
    if name.is_some_and(|name| name != pool.name) {
        return Err(ApiError::bad_request(
            "Node pool name does not match request path",
        ));
    }
    let written = call.backend.upsert_node_pool(pool).await?;
    let mut answer = empty();
    write_header(&mut answer, written.index);
    Ok(answer)
}

async fn delete(call: Call, name: &str) -> RouteResult {
    let written = call.backend.delete_node_pool(name.to_owned()).await?;
    let mut answer = empty();
    write_header(&mut answer, written.index);
    Ok(answer)
}
