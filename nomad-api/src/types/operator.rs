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

/// How the consensus group stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AutopilotHealth {
    pub healthy: bool,
    /// Servers that may fail while the rest still is a majority.
    pub failure_tolerance: usize,
    /// Id of the leader.
    pub leader: String,
    /// Ids of the servers that vote.
    pub voters: Vec<String>,
    pub servers: Vec<ServerHealth>,
}

/// How one server stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServerHealth {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub address: String,
    pub serf_status: String,
    pub version: String,
    pub leader: bool,
    pub voter: bool,
    /// How long ago it was heard of, as a duration.
    pub last_contact: String,
    pub last_term: u64,
    pub last_index: u64,
    pub healthy: bool,
    /// Since when `healthy` has this value.
    #[serde(with = "nomad_core::wire::rfc3339")]
    pub stable_since: nomad_core::Timestamp,
}
