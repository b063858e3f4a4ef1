//! The agent itself: members, health.

use nomad_core::job::StringMap;
use serde::{Deserialize, Serialize};

/// A server as gossip knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentMember {
    pub name: String,
    pub addr: String,
    pub port: u16,
    pub tags: StringMap,
    /// `alive`, `leaving`, `left`, `failed` or `none`.
    pub status: String,
    pub protocol_min: u8,
    pub protocol_max: u8,
    pub protocol_cur: u8,
    pub delegate_min: u8,
    pub delegate_max: u8,
    pub delegate_cur: u8,
}

/// Every known server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServerMembersResponse {
    pub server_name: String,
    pub server_region: String,
    #[serde(rename = "ServerDC")]
    pub server_dc: String,
    pub members: Vec<AgentMember>,
}

/// Whether one half of the agent is well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthOfHalf {
    pub ok: bool,
    pub message: String,
}

/// Whether the agent is well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentHealth {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<HealthOfHalf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<HealthOfHalf>,
}
