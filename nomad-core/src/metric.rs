//! Why a placement went where it went, or failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::job::Resources;
use crate::time::Nanos;
use crate::wire;

/// Counts and scores of one placement, shown with the allocation or the failed group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocMetric {
    pub nodes_evaluated: i64,
    pub nodes_filtered: i64,
    pub nodes_in_pool: i64,
    pub node_pool: String,
    /// Ready nodes per datacenter.
    #[serde(with = "wire::null_if_empty")]
    pub nodes_available: BTreeMap<String, i64>,
    #[serde(with = "wire::null_if_empty")]
    pub class_filtered: BTreeMap<String, i64>,
    #[serde(with = "wire::null_if_empty")]
    pub constraint_filtered: BTreeMap<String, i64>,
    pub nodes_exhausted: i64,
    #[serde(with = "wire::null_if_empty")]
    pub class_exhausted: BTreeMap<String, i64>,
    #[serde(with = "wire::null_if_empty")]
    pub dimension_exhausted: BTreeMap<String, i64>,
    #[serde(with = "wire::null_if_empty")]
    pub quota_exhausted: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub resources_exhausted: BTreeMap<String, Resources>,
    /// Legacy; always null.
    pub scores: Option<BTreeMap<String, f64>>,
    /// The best nodes with their parts, best first; neighbouring placements share most of them.
    #[serde(with = "wire::null_if_empty")]
    pub score_meta_data: Vec<Arc<NodeScoreMeta>>,
    pub allocation_time: Nanos,
    /// Further placements of the group that failed the same way.
    pub coalesced_failures: i64,
}

/// Scores of one node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeScoreMeta {
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    pub scores: BTreeMap<String, f64>,
    pub norm_score: f64,
}
