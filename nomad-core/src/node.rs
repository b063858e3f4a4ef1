//! Nodes: what a machine offers, what it reports, and whether work may go there.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::job::{NetworkResource, StringMap};
use crate::time::{Nanos, Timestamp};
use crate::wire;

/// Node pool that every node without another belongs to.
pub const DEFAULT_NODE_POOL: &str = "default";
/// Pseudo pool that matches every node.
pub const ALL_NODE_POOL: &str = "all";
/// Lowest dynamic port where the node names none.
pub const DEFAULT_MIN_DYNAMIC_PORT: i64 = 20_000;
/// Highest dynamic port where the node names none.
pub const DEFAULT_MAX_DYNAMIC_PORT: i64 = 32_000;
/// Events kept per node.
pub const MAX_NODE_EVENTS: usize = 10;

/// Whether the servers hear from a node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Registered, no heartbeat yet.
    #[default]
    #[serde(rename = "initializing", alias = "", alias = "init")]
    Init,
    Ready,
    Down,
    /// Heartbeats stopped, but some allocation there may still be reconnected.
    Disconnected,
}

impl NodeStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "initializing",
            Self::Ready => "ready",
            Self::Down => "down",
            Self::Disconnected => "disconnected",
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether new work may be placed on a node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Eligibility {
    #[default]
    #[serde(alias = "")]
    Eligible,
    Ineligible,
}

impl Eligibility {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Ineligible => "ineligible",
        }
    }
}

impl fmt::Display for Eligibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A machine that runs allocations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: NodeId,
    /// Known only to the node and the servers; never shown.
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    pub datacenter: String,
    pub name: String,
    pub cgroup_parent: String,
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    #[serde(rename = "TLSEnabled")]
    pub tls_enabled: bool,
    #[serde(with = "wire::null_default")]
    pub attributes: StringMap,
    #[serde(with = "wire::null_default")]
    pub node_resources: NodeResources,
    #[serde(with = "wire::null_default")]
    pub reserved_resources: NodeReservedResources,
    #[serde(with = "wire::null_default")]
    pub links: StringMap,
    #[serde(with = "wire::null_default")]
    pub meta: StringMap,
    pub node_class: String,
    pub node_pool: String,
    /// Hash over what constraints can see apart from unique attributes; equal classes are equally feasible.
    pub computed_class: String,
    pub drain_strategy: Option<DrainStrategy>,
    pub scheduling_eligibility: Eligibility,
    pub status: NodeStatus,
    pub status_description: String,
    #[serde(rename = "IdentitySigningKeyID")]
    pub identity_signing_key_id: String,
    /// Seconds since the epoch.
    pub status_updated_at: i64,
    #[serde(with = "wire::null_default")]
    pub events: Vec<NodeEvent>,
    #[serde(with = "wire::null_default")]
    pub drivers: BTreeMap<String, DriverInfo>,
    #[serde(rename = "CSIControllerPlugins", with = "wire::null_default")]
    pub csi_controller_plugins: BTreeMap<String, serde_json::Value>,
    #[serde(rename = "CSINodePlugins", with = "wire::null_default")]
    pub csi_node_plugins: BTreeMap<String, CsiNodePlugin>,
    #[serde(with = "wire::null_default")]
    pub host_volumes: BTreeMap<String, HostVolume>,
    #[serde(rename = "GCVolumesOnNodeGC")]
    pub gc_volumes_on_node_gc: bool,
    #[serde(with = "wire::null_if_empty")]
    pub host_networks: BTreeMap<String, HostNetwork>,
    pub last_drain: Option<DrainMetadata>,
    /// Most allocations at once; 0 is no limit.
    pub node_max_allocs: i64,
    pub last_missed_heartbeat_index: u64,
    pub last_alloc_update_index: u64,
    pub create_index: u64,
    pub modify_index: u64,
}

impl Node {
    /// Whether work may be placed there now: ready, eligible, not draining.
    pub fn is_ready(&self) -> bool {
        self.status == NodeStatus::Ready
            && self.drain_strategy.is_none()
            && self.scheduling_eligibility == Eligibility::Eligible
    }

    /// Whether it counts as gone: what runs there is lost.
    pub fn is_down(&self) -> bool {
        self.status == NodeStatus::Down
    }

    /// Range of dynamic ports, both ends included.
    pub fn dynamic_ports(&self) -> (i64, i64) {
        let resources = &self.node_resources;
        let min = if resources.min_dynamic_port > 0 {
            resources.min_dynamic_port
        } else {
            DEFAULT_MIN_DYNAMIC_PORT
        };
        let max = if resources.max_dynamic_port > 0 {
            resources.max_dynamic_port
        } else {
            DEFAULT_MAX_DYNAMIC_PORT
        };
        (min, max)
    }
}

/// What a node has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeResources {
    pub cpu: NodeCpu,
    pub processors: NodeProcessors,
    pub memory: NodeMemory,
    pub disk: NodeDisk,
    #[serde(with = "wire::null_if_empty")]
    pub devices: Vec<NodeDevice>,
    #[serde(with = "wire::null_if_empty")]
    pub node_networks: Vec<NodeNetwork>,
    #[serde(with = "wire::null_if_empty")]
    pub networks: Vec<NetworkResource>,
    pub min_dynamic_port: i64,
    pub max_dynamic_port: i64,
}

/// A node's CPU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeCpu {
    /// MHz in all.
    pub cpu_shares: i64,
    pub total_cpu_cores: u32,
    #[serde(with = "wire::null_if_empty")]
    pub reservable_cpu_cores: Vec<u16>,
}

/// A node's processors in detail.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeProcessors {
    pub topology: Option<Topology>,
}

/// Sockets, NUMA nodes and cores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Topology {
    /// NUMA node ids: numbers in the API, base64 of bytes in some recordings.
    pub nodes: serde_json::Value,
    pub distances: serde_json::Value,
    #[serde(with = "wire::null_if_empty")]
    pub cores: Vec<Core>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus_associativity: Option<serde_json::Value>,
    pub override_total_compute: u64,
    pub override_withold_compute: u64,
}

/// One processor core.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Core {
    #[serde(rename = "SocketID")]
    pub socket_id: u8,
    #[serde(rename = "NodeID")]
    pub node_id: u8,
    #[serde(rename = "ID")]
    pub id: u16,
    /// True for a performance core.
    pub grade: bool,
    pub disable: bool,
    /// MHz.
    pub base_speed: u64,
    /// MHz.
    pub max_speed: u64,
    /// MHz.
    pub guess_speed: u64,
}

/// A node's memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeMemory {
    /// MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: i64,
}

/// A node's disk for allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDisk {
    /// MiB.
    #[serde(rename = "DiskMB")]
    pub disk_mb: i64,
}

/// A group of equal devices.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDevice {
    pub vendor: String,
    #[serde(rename = "Type")]
    pub kind: String,
    pub name: String,
    #[serde(with = "wire::null_if_empty")]
    pub instances: Vec<DeviceInstance>,
    #[serde(with = "wire::null_if_empty")]
    pub attributes: BTreeMap<String, DeviceAttribute>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceInstance {
    #[serde(rename = "ID")]
    pub id: String,
    pub healthy: bool,
    pub health_description: String,
    pub locality: Option<serde_json::Value>,
}

/// A typed attribute of a device; at most one of the values is set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceAttribute {
    #[serde(rename = "Float", skip_serializing_if = "Option::is_none")]
    pub float: Option<f64>,
    #[serde(rename = "Int", skip_serializing_if = "Option::is_none")]
    pub int: Option<i64>,
    #[serde(rename = "String", skip_serializing_if = "Option::is_none")]
    pub string: Option<String>,
    #[serde(rename = "Bool", skip_serializing_if = "Option::is_none")]
    pub boolean: Option<bool>,
    #[serde(rename = "Unit", skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// A network interface, or the bridge network, of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNetwork {
    pub mode: String,
    pub device: String,
    pub mac_address: String,
    pub speed: i64,
    #[serde(with = "wire::null_if_empty")]
    pub addresses: Vec<NodeNetworkAddress>,
}

/// An address of a node, known to jobs by its alias.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeNetworkAddress {
    /// `ipv4` or `ipv6`.
    pub family: String,
    pub alias: String,
    pub address: String,
    /// Ports never given out: `22,80,8000-9000`.
    pub reserved_ports: String,
    pub gateway: String,
}

/// What a node keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeReservedResources {
    pub cpu: ReservedCpu,
    pub memory: NodeMemory,
    pub disk: NodeDisk,
    pub networks: ReservedNetworks,
}

/// CPU that a node keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReservedCpu {
    pub cpu_shares: i64,
    #[serde(with = "wire::null_if_empty")]
    pub reserved_cpu_cores: Vec<u16>,
}

/// Ports that a node keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReservedNetworks {
    /// `22,80,8000-9000`.
    pub reserved_host_ports: String,
}

/// What a node says of a task driver.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverInfo {
    #[serde(with = "wire::null_default")]
    pub attributes: StringMap,
    pub detected: bool,
    pub healthy: bool,
    pub health_description: String,
    #[serde(with = "wire::rfc3339")]
    pub update_time: Timestamp,
}

/// A CSI plugin's node half on a node; only what scheduling reads is typed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CsiNodePlugin {
    #[serde(rename = "PluginID")]
    pub plugin_id: String,
    pub healthy: bool,
    pub requires_controller_plugin: bool,
    pub requires_topologies: bool,
    pub node_info: Option<CsiNodeInfo>,
}

/// What a CSI plugin says of its node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CsiNodeInfo {
    #[serde(rename = "ID")]
    pub id: String,
    /// Most volumes at once; 0 or less is no limit.
    pub max_volumes: i64,
    pub accessible_topology: Option<serde_json::Value>,
}

/// A directory (or dynamic volume) that a node offers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostVolume {
    pub name: String,
    pub path: String,
    pub read_only: bool,
    /// Set for dynamic host volumes.
    #[serde(rename = "ID")]
    pub id: String,
}

/// A named host network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostNetwork {
    pub name: String,
    #[serde(rename = "CIDR")]
    pub cidr: String,
    pub interface: String,
    pub reserved_ports: String,
}

/// How a node is being drained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainStrategy {
    /// Span after which what is left is stopped; negative is at once, 0 is never.
    pub deadline: Nanos,
    pub ignore_system_jobs: bool,
    #[serde(with = "wire::rfc3339")]
    pub force_deadline: Timestamp,
    #[serde(with = "wire::rfc3339")]
    pub started_at: Timestamp,
}

/// The last drain of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainMetadata {
    #[serde(with = "wire::rfc3339")]
    pub started_at: Timestamp,
    #[serde(with = "wire::rfc3339")]
    pub updated_at: Timestamp,
    /// `draining`, `complete` or `canceled`.
    pub status: String,
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeEvent {
    pub message: String,
    /// `Cluster`, `Drain`, `Heartbeat`, `Driver`, …
    pub subsystem: String,
    #[serde(with = "wire::null_if_empty")]
    pub details: StringMap,
    #[serde(with = "wire::rfc3339")]
    pub timestamp: Timestamp,
    pub create_index: u64,
}

/// How long a node's identity is valid where its pool says nothing else.
pub const DEFAULT_IDENTITY_TTL: Nanos = Nanos::hours(24);

/// A named set of nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodePool {
    pub name: String,
    pub description: String,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    pub scheduler_configuration: Option<NodePoolSchedulerConfig>,
    #[serde(rename = "NodeIdentityTTL")]
    pub node_identity_ttl: Nanos,
    #[serde(with = "wire::base64_bytes")]
    pub hash: Vec<u8>,
    pub create_index: u64,
    pub modify_index: u64,
}

/// What a node pool overrides of the scheduler configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodePoolSchedulerConfig {
    /// `binpack`, `spread` or "" for the cluster's.
    pub scheduler_algorithm: String,
    pub memory_oversubscription_enabled: Option<bool>,
}
