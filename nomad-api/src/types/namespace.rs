//! Namespaces and scaling policies in lists.

use nomad_core::job::StringMap;
use nomad_core::wire;
use serde::{Deserialize, Serialize};

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamespaceInfo {
    pub name: String,
    #[serde(with = "wire::null_default")]
    pub description: String,
    #[serde(with = "wire::null_default")]
    pub quota: String,
    pub capabilities: Option<NamespaceCapabilities>,
    pub node_pool_configuration: Option<NamespaceChoice>,
    pub vault_configuration: Option<NamespaceChoice>,
    pub consul_configuration: Option<NamespaceChoice>,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub required_extra_claims: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub optional_extra_claims: StringMap,
    #[serde(with = "wire::null_default")]
    pub create_index: u64,
    #[serde(with = "wire::null_default")]
    pub modify_index: u64,
}

/// What jobs of a namespace may use; empty lists allow everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamespaceCapabilities {
    #[serde(with = "wire::null_if_empty")]
    pub enabled_task_drivers: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub disabled_task_drivers: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub enabled_network_modes: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub disabled_network_modes: Vec<String>,
}

/// Which of several pools or clusters a namespace uses. Not part of this edition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamespaceChoice {
    pub default: String,
    #[serde(with = "wire::null_if_empty")]
    pub allowed: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub denied: Vec<String>,
}

/// A scaling policy in lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingPolicyListStub {
    #[serde(rename = "ID")]
    pub id: String,
    pub enabled: bool,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(with = "wire::null_if_empty")]
    pub target: StringMap,
    pub create_index: u64,
    pub modify_index: u64,
}
