//! Why each node would, or would not, take a placement: what `job plan -explain` and simulations show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocId, NodeId};
use crate::wire;

/// What all nodes say to the first placement of a group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupExplanation {
    pub task_group: String,
    /// Name that the allocation would get.
    pub name: String,
    /// Best first, then those that lack room, then those that are filtered.
    #[serde(with = "wire::null_default")]
    pub nodes: Vec<NodeVerdict>,
    /// Nodes that were judged too and are left out of the list.
    pub omitted: u64,
}

/// What one node says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeVerdict {
    #[serde(rename = "ID")]
    pub id: NodeId,
    pub name: String,
    /// `scored`, `exhausted` or `filtered`.
    pub verdict: String,
    /// Why it is filtered, or what is exhausted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Mean of the scores that count; the highest wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        with = "wire::null_default"
    )]
    pub scores: BTreeMap<String, f64>,
    /// Allocations that would be evicted.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "wire::null_default")]
    pub preemptions: Vec<AllocId>,
}
