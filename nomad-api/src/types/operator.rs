//! Operator routes: scheduler configuration, raft configuration.

use nomad_core::scheduler_config::SchedulerConfiguration;
use serde::{Deserialize, Serialize};

use super::QueryMeta;

/// The scheduler configuration with its index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchedulerConfigurationResponse {
    pub scheduler_config: SchedulerConfiguration,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// Whether a configuration was set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SchedulerSetResponse {
    pub updated: bool,
    pub index: u64,
}

/// The consensus group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RaftConfiguration {
    pub servers: Vec<RaftServer>,
    pub index: u64,
}

/// A member of the consensus group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RaftServer {
    #[serde(rename = "ID")]
    pub id: String,
    pub node: String,
    pub address: String,
    pub leader: bool,
    pub voter: bool,
    pub raft_protocol: String,
}
