//! `/v1/nodes` and `/v1/node/:id…`.

use nomad_core::NodeId;
use nomad_core::node::Eligibility;
use nomad_core::view::ClusterView;
use nomad_state::{Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::listing::{page, uuid, uuid_prefix};
use super::{Call, RouteResult, json, node_pool, write_header};
use crate::error::ApiError;
use crate::query::Query;
use crate::types::{
    FullAllocation, FullNode, NodeDrainRequest, NodeDrainResponse, NodeEligibilityRequest,
    NodeListStub, NodeUpdateResponse,
};

pub(super) async fn list(call: Call) -> RouteResult {
    call.expect_get()?;
    list_where(call, |_| true, "").await
}

/// Lists the nodes that fit; `pool` is only named in errors.
pub(super) async fn list_where(
    call: Call,
    fits: impl Fn(&nomad_core::node::Node) -> bool,
    _pool: &str,
) -> RouteResult {
    let flag = |query: &Query, name: &str| {
        query.flag(name).map_err(|error| {
            ApiError::bad_request(format!("Failed to parse node list fields: {}", error.text))
        })
    };
    let (resources, os) = (flag(&call.query, "resources")?, flag(&call.query, "os")?);
    let options = call.options.clone();
    uuid_prefix("node", &options.prefix)?;
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Nodes)],
        |state| {
            let rows = state
                .nodes_by_prefix(&options.prefix)
                .into_iter()
                .filter(|node| fits(node));
            let page = page(
                &options,
                rows,
                |node| node.id.to_string(),
                |token| (!token.is_empty()).then(|| token.to_owned()),
                |node| node.id.to_string(),
                |node| NodeListStub::new(node, resources, os),
            )?;
            Ok(Answer {
                index: state.table_index(Table::Nodes),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    if rest == "pools" {
        return node_pool::collection(call).await;
    }
    if let Some(rest) = rest.strip_prefix("pool/") {
        return node_pool::route(call, rest).await;
    }
    match rest.split_once('/') {
        None => one(call, rest).await,
        Some((id, "allocations")) => allocations(call, id).await,
        Some((id, "evaluate")) => evaluate(call, id).await,
        Some((id, "drain")) => drain(call, id).await,
        Some((id, "eligibility")) => eligibility(call, id).await,
        Some((id, "purge")) => purge(call, id).await,
        Some(_) => Err(ApiError::no_route()),
    }
}

async fn one(call: Call, id: &str) -> RouteResult {
    call.expect_get()?;
    let id: NodeId = uuid("node", id)?;
    read_one(
        &call,
        "node not found",
        || vec![WatchKey::Node(id)],
        |state| {
            let node = state.node(id);
            let index =
                node.map_or_else(|| state.table_index(Table::Nodes), |node| node.modify_index);
            let value = node
                .map(|node| serde_json::to_value(FullNode::new(node)))
                .transpose()
                .map_err(|error| ApiError::internal(error.to_string()))?;
            Ok(Answer::new(index, value))
        },
    )
    .await
}

async fn allocations(call: Call, id: &str) -> RouteResult {
    call.expect_get()?;
    let id: NodeId = uuid("node", id)?;
    read_json(
        &call,
        || vec![WatchKey::NodeAllocs(id)],
        |state| {
            let index = state
                .allocs_of_node(id)
                .map(|alloc| alloc.modify_index)
                .max();
            let rows: Vec<serde_json::Value> = state
                .allocs_of_node(id)
                .filter_map(|alloc| serde_json::to_value(FullAllocation::new(alloc)).ok())
                .collect();
            Ok(Answer::new(
                index.unwrap_or_else(|| state.table_index(Table::Allocs).max(1)),
                rows,
            ))
        },
    )
    .await
}

/// A node that must exist for a write.
fn known(call: &Call, id: &str) -> Result<NodeId, ApiError> {
    let id: NodeId = uuid("node", id)?;
    call.backend
        .state()
        .node(id)
        .map(|node| node.id)
        .ok_or_else(|| ApiError::internal("node not found"))
}

fn updated(response: &NodeUpdateResponse) -> RouteResult {
    let mut answer = json(response)?;
    write_header(&mut answer, response.meta.index);
    Ok(answer)
}

fn drained(response: &NodeDrainResponse) -> RouteResult {
    let mut answer = json(response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

async fn evaluate(call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let id = known(&call, id)?;
    updated(&call.backend.evaluate_node(id).await?)
}

async fn purge(call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let id = known(&call, id)?;
    updated(&call.backend.purge_node(id).await?)
}

async fn drain(mut call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let request: NodeDrainRequest = call.json().await?;
    let id = known(&call, id)?;
    drained(&call.backend.drain_node(id, request).await?)
}

async fn eligibility(mut call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let request: NodeEligibilityRequest = call.json().await?;
    let id = if request.node_id.is_empty() {
        id
    } else {
        request.node_id.as_str()
    };
    let eligibility = match request.eligibility.as_str() {
        "eligible" => Eligibility::Eligible,
        "ineligible" => Eligibility::Ineligible,
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid scheduling eligibility {other:?}"
            )));
        }
    };
    let id = known(&call, id)?;
    drained(&call.backend.set_eligibility(id, eligibility).await?)
}
