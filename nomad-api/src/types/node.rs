//! Nodes and node pools: requests, answers, list stubs.

use std::collections::BTreeMap;

use nomad_core::job::StringMap;
use nomad_core::node::{
    DrainMetadata, DriverInfo, HostVolume, Node, NodeReservedResources, NodeResources,
};
use nomad_core::{Nanos, wire};
use serde::{Deserialize, Serialize};

use super::QueryMeta;

/// A node in lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeListStub {
    pub address: String,
    #[serde(rename = "ID")]
    pub id: String,
    pub attributes: Option<StringMap>,
    pub datacenter: String,
    pub name: String,
    pub node_pool: String,
    pub node_class: String,
    pub version: String,
    pub drain: bool,
    pub scheduling_eligibility: String,
    pub status: String,
    pub status_description: String,
    #[serde(with = "wire::null_default")]
    pub drivers: BTreeMap<String, DriverInfo>,
    #[serde(with = "wire::null_default")]
    pub host_volumes: BTreeMap<String, HostVolume>,
    pub node_resources: Option<NodeResources>,
    pub reserved_resources: Option<NodeReservedResources>,
    pub last_drain: Option<DrainMetadata>,
    pub create_index: u64,
    pub modify_index: u64,
}

impl NodeListStub {
    /// The stub of a node; resources and the operating system's name only where asked for.
    pub fn new(node: &Node, resources: bool, os: bool) -> Self {
        let os_name = || {
            let name = node.attributes.get("os.name").cloned().unwrap_or_default();
            StringMap::from([("os.name".to_owned(), name)])
        };
        Self {
            address: node
                .http_addr
                .rsplit_once(':')
                .map_or(node.http_addr.as_str(), |(host, _)| host)
                .to_owned(),
            id: node.id.to_string(),
            attributes: os.then(os_name),
            datacenter: node.datacenter.clone(),
            name: node.name.clone(),
            node_pool: node.node_pool.clone(),
            node_class: node.node_class.clone(),
            version: node
                .attributes
                .get("nomad.version")
                .cloned()
                .unwrap_or_default(),
            drain: node.drain_strategy.is_some(),
            scheduling_eligibility: node.scheduling_eligibility.to_string(),
            status: node.status.to_string(),
            status_description: node.status_description.clone(),
            drivers: node.drivers.clone(),
            host_volumes: node.host_volumes.clone(),
            node_resources: resources.then(|| node.node_resources.clone()),
            reserved_resources: resources.then(|| node.reserved_resources.clone()),
            last_drain: node.last_drain.clone(),
            create_index: node.create_index,
            modify_index: node.modify_index,
        }
    }
}

/// A node as the API shows it alone: without its secret, with `Drain`.
#[derive(Debug, Clone, Serialize)]
pub struct FullNode {
    #[serde(flatten)]
    node: Node,
    #[serde(rename = "Drain")]
    drain: bool,
}

impl FullNode {
    /// The API's shape of a row.
    pub fn new(node: &Node) -> Self {
        let drain = node.drain_strategy.is_some();
        Self {
            node: Node {
                secret_id: String::new(),
                ..node.clone()
            },
            drain,
        }
    }
}

/// What an operator asks of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainSpec {
    /// Negative is at once, 0 never.
    #[serde(with = "wire::null_default")]
    pub deadline: Nanos,
    #[serde(with = "wire::null_default")]
    pub ignore_system_jobs: bool,
}

/// Body of `drain`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDrainRequest {
    #[serde(rename = "NodeID", with = "wire::null_default")]
    pub node_id: String,
    /// Null takes the drain back.
    pub drain_spec: Option<DrainSpec>,
    #[serde(with = "wire::null_default")]
    pub mark_eligible: bool,
    #[serde(with = "wire::null_default")]
    pub meta: StringMap,
}

/// Answer to `drain`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDrainResponse {
    pub node_modify_index: u64,
    #[serde(rename = "EvalIDs", with = "wire::null_if_empty")]
    pub eval_ids: Vec<String>,
    pub eval_create_index: u64,
    pub index: u64,
}

/// Body of `eligibility`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeEligibilityRequest {
    #[serde(rename = "NodeID", with = "wire::null_default")]
    pub node_id: String,
    #[serde(with = "wire::null_default")]
    pub eligibility: String,
}

/// Answer to `evaluate` and `purge`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeUpdateResponse {
    #[serde(rename = "HeartbeatTTL")]
    pub heartbeat_ttl: Nanos,
    #[serde(rename = "EvalIDs", with = "wire::null_if_empty")]
    pub eval_ids: Vec<String>,
    pub eval_create_index: u64,
    pub node_modify_index: u64,
    pub features: Option<serde_json::Value>,
    #[serde(rename = "LeaderRPCAddr")]
    pub leader_rpc_addr: String,
    pub num_nodes: u64,
    #[serde(with = "wire::null_if_empty")]
    pub servers: Vec<serde_json::Value>,
    pub scheduling_eligibility: String,
    pub signed_identity: Option<String>,
    #[serde(flatten)]
    pub meta: QueryMeta,
}
