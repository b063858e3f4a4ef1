//! What nodes answer for themselves: files, statistics, metadata.

use std::collections::BTreeMap;

use nomad_core::job::StringMap;
use nomad_core::{Timestamp, wire};
use serde::{Deserialize, Serialize};

/// A file or directory of an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocFileInfo {
    pub name: String,
    pub is_dir: bool,
    pub size: i64,
    /// `-rw-r--r--`.
    pub file_mode: String,
    #[serde(with = "wire::rfc3339")]
    pub mod_time: Timestamp,
    pub content_type: String,
}

/// A piece of a log or file; zero fields are left out, `{}` is a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StreamFrame {
    #[serde(with = "wire::base64_bytes", skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<u8>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// `file deleted` or `file truncated`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file_event: String,
    /// Position after the data.
    #[serde(skip_serializing_if = "wire::is_default")]
    pub offset: i64,
}

/// Body of restarting tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocRestartRequest {
    #[serde(with = "wire::null_default")]
    pub task_name: String,
    #[serde(with = "wire::null_default")]
    pub all_tasks: bool,
}

/// Body of signalling tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocSignalRequest {
    #[serde(with = "wire::null_default")]
    pub task: String,
    #[serde(with = "wire::null_default")]
    pub signal: String,
}

/// Body of setting a node's dynamic metadata; null deletes a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeMetaRequest {
    #[serde(rename = "NodeID", with = "wire::null_default")]
    pub node_id: String,
    pub meta: Option<BTreeMap<String, Option<String>>>,
}

/// A node's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeMetaResponse {
    /// Merged view.
    pub meta: StringMap,
    /// Null masks a static key.
    pub dynamic: Option<BTreeMap<String, Option<String>>>,
    /// From the configuration.
    #[serde(rename = "Static")]
    pub fixed: StringMap,
}

/// Resources used by an allocation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocResourceUsage {
    pub resource_usage: ResourceUsage,
    pub tasks: BTreeMap<String, TaskResourceUsage>,
    pub timestamp: i64,
}

/// Resources used by one task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskResourceUsage {
    pub resource_usage: ResourceUsage,
    pub timestamp: i64,
    pub pids: Option<BTreeMap<String, ResourceUsage>>,
}

/// Memory, CPU and devices in use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceUsage {
    pub memory_stats: MemoryStats,
    pub cpu_stats: CpuStats,
    #[serde(with = "wire::null_default")]
    pub device_stats: Vec<serde_json::Value>,
}

/// Memory in use, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MemoryStats {
    #[serde(rename = "RSS")]
    pub rss: u64,
    pub cache: u64,
    pub swap: u64,
    pub mapped_file: u64,
    pub usage: u64,
    pub max_usage: u64,
    pub kernel_usage: u64,
    pub kernel_max_usage: u64,
    /// Which of these were measured.
    #[serde(with = "wire::null_default")]
    pub measured: Vec<String>,
}

/// CPU in use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CpuStats {
    pub system_mode: f64,
    pub user_mode: f64,
    /// MHz.
    pub total_ticks: f64,
    pub throttled_periods: u64,
    pub throttled_time: u64,
    pub percent: f64,
    /// Which of these were measured.
    #[serde(with = "wire::null_default")]
    pub measured: Vec<String>,
}

/// A node's memory, processors and disks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStats {
    #[serde(rename = "Memory")]
    pub memory: HostMemoryStats,
    #[serde(rename = "CPU")]
    pub cpu: Vec<HostCpuStats>,
    #[serde(rename = "DiskStats")]
    pub disk_stats: Vec<HostDiskStats>,
    #[serde(rename = "AllocDirStats")]
    pub alloc_dir_stats: Option<HostDiskStats>,
    #[serde(rename = "DeviceStats", with = "wire::null_default")]
    pub device_stats: Vec<serde_json::Value>,
    /// Seconds.
    #[serde(rename = "Uptime")]
    pub uptime: u64,
    #[serde(rename = "CPUTicksConsumed")]
    pub cpu_ticks_consumed: f64,
    /// Nanoseconds.
    #[serde(rename = "Timestamp")]
    pub timestamp: i64,
}

/// A node's memory, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostMemoryStats {
    pub total: u64,
    pub available: u64,
    pub used: u64,
    pub free: u64,
}

/// One processor, percent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostCpuStats {
    #[serde(rename = "CPU")]
    pub cpu: String,
    pub user: f64,
    pub system: f64,
    pub idle: f64,
    pub total_percent: f64,
    pub total_ticks: f64,
}

/// One file system, bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostDiskStats {
    pub device: String,
    pub mountpoint: String,
    pub size: u64,
    pub used: u64,
    pub available: u64,
    pub used_percent: f64,
    pub inodes_used_percent: f64,
}
