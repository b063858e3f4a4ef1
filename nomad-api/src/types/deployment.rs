//! Deployments: requests and answers.

use nomad_core::wire;
use serde::{Deserialize, Serialize};

/// Body of pausing or resuming.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentPauseRequest {
    #[serde(rename = "DeploymentID", with = "wire::null_default")]
    pub deployment_id: String,
    #[serde(rename = "Pause", with = "wire::null_default")]
    pub pause: bool,
}

/// Body of promoting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentPromoteRequest {
    #[serde(rename = "DeploymentID", with = "wire::null_default")]
    pub deployment_id: String,
    #[serde(rename = "All", with = "wire::null_default")]
    pub all: bool,
    #[serde(rename = "Groups", with = "wire::null_default")]
    pub groups: Vec<String>,
}

/// Body of setting health.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentAllocHealthRequest {
    #[serde(rename = "DeploymentID", with = "wire::null_default")]
    pub deployment_id: String,
    #[serde(rename = "HealthyAllocationIDs", with = "wire::null_default")]
    pub healthy_allocation_ids: Vec<String>,
    #[serde(rename = "UnhealthyAllocationIDs", with = "wire::null_default")]
    pub unhealthy_allocation_ids: Vec<String>,
}

/// Answer to every change of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentUpdateResponse {
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub eval_create_index: u64,
    pub deployment_modify_index: u64,
    pub reverted_job_version: Option<u64>,
    pub index: u64,
}
