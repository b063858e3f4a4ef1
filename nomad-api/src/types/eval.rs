//! Evaluations: answers and stubs.

use nomad_core::eval::Evaluation;
use nomad_core::{Timestamp, wire};
use serde::{Deserialize, Serialize};

use super::QueryMeta;

/// An evaluation beside a related one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvalStub {
    #[serde(rename = "ID")]
    pub id: String,
    pub namespace: String,
    pub priority: i32,
    #[serde(rename = "Type")]
    pub job_type: String,
    pub triggered_by: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    pub status: String,
    pub status_description: String,
    #[serde(with = "wire::rfc3339_or_null")]
    pub wait_until: Timestamp,
    pub next_eval: String,
    pub previous_eval: String,
    pub blocked_eval: String,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: Timestamp,
    pub modify_time: Timestamp,
}

impl From<&Evaluation> for EvalStub {
    fn from(eval: &Evaluation) -> Self {
        let text = |id: Option<String>| id.unwrap_or_default();
        Self {
            id: eval.id.to_string(),
            namespace: eval.namespace.to_string(),
            priority: eval.priority,
            job_type: eval.job_type.to_string(),
            triggered_by: eval.triggered_by.to_string(),
            job_id: eval.job_id.to_string(),
            node_id: text(eval.node_id.map(|id| id.to_string())),
            deployment_id: text(eval.deployment_id.map(|id| id.to_string())),
            status: eval.status.to_string(),
            status_description: eval.status_description.clone(),
            wait_until: eval.wait_until,
            next_eval: text(eval.next_eval.map(|id| id.to_string())),
            previous_eval: text(eval.previous_eval.map(|id| id.to_string())),
            blocked_eval: text(eval.blocked_eval.map(|id| id.to_string())),
            create_index: eval.create_index,
            modify_index: eval.modify_index,
            create_time: eval.create_time,
            modify_time: eval.modify_time,
        }
    }
}

/// Number of evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvalCountResponse {
    pub count: u64,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// Body of deleting evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EvalDeleteRequest {
    #[serde(rename = "EvalIDs", with = "wire::null_default")]
    pub eval_ids: Vec<String>,
    #[serde(rename = "Filter", with = "wire::null_default")]
    pub filter: String,
}

/// Answer to deleting evaluations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvalDeleteResponse {
    pub count: u64,
    pub index: u64,
}
