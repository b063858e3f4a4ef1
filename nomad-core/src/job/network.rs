//! Networks and ports, as asked for by jobs and as given to allocations.

use serde::{Deserialize, Serialize};

use super::StringMap;
use crate::wire::{self, is_default};

/// A network that is asked for, offered or assigned. Zero fields are left out of the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkResource {
    /// "" or `host`, `bridge`, `none`, `cni/<name>`.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: String,
    #[serde(skip_serializing_if = "is_default")]
    pub device: String,
    #[serde(rename = "CIDR", skip_serializing_if = "is_default")]
    pub cidr: String,
    #[serde(rename = "IP", skip_serializing_if = "is_default")]
    pub ip: String,
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
    #[serde(rename = "MBits", skip_serializing_if = "is_default")]
    pub mbits: i64,
    #[serde(rename = "DNS", skip_serializing_if = "is_default")]
    pub dns: Option<Dns>,
    /// Static ports.
    #[serde(skip_serializing_if = "is_default", with = "wire::null_default")]
    pub reserved_ports: Vec<Port>,
    /// Ports that the scheduler picks.
    #[serde(skip_serializing_if = "is_default", with = "wire::null_default")]
    pub dynamic_ports: Vec<Port>,
    #[serde(rename = "CNI", skip_serializing_if = "is_default")]
    pub cni: Option<Cni>,
}

impl NetworkResource {
    /// All ports, static ones first.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.reserved_ports.iter().chain(&self.dynamic_ports)
    }
}

/// A port of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Port {
    #[serde(skip_serializing_if = "is_default")]
    pub label: String,
    /// Port on the host; 0 until one is picked.
    #[serde(skip_serializing_if = "is_default")]
    pub value: i64,
    /// Port inside the network namespace; -1 is the same as on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub to: i64,
    /// Alias of the host network it is taken from.
    #[serde(skip_serializing_if = "is_default")]
    pub host_network: String,
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_collision: bool,
}

/// Name resolution inside the allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dns {
    #[serde(with = "wire::null_if_empty")]
    pub servers: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub searches: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub options: Vec<String>,
}

/// Arguments for CNI plugins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cni {
    #[serde(with = "wire::null_if_empty")]
    pub args: StringMap,
}
