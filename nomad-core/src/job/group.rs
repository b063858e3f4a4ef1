//! Task groups: the unit of placement, and what belongs to the whole group.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Affinity, AnyMap, Constraint, MigrateStrategy, NetworkResource, ReschedulePolicy,
    RestartPolicy, Service, Spread, StringMap, Task, UpdateStrategy,
};
use crate::time::Nanos;
use crate::wire;

/// Tasks that run together on one node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroup {
    pub name: String,
    /// How many allocations; for system jobs, per node.
    pub count: i64,
    pub update: Option<UpdateStrategy>,
    pub migrate: Option<MigrateStrategy>,
    #[serde(with = "wire::null_if_empty")]
    pub constraints: Vec<Constraint>,
    pub scaling: Option<ScalingPolicy>,
    pub restart_policy: Option<RestartPolicy>,
    pub disconnect: Option<Disconnect>,
    #[serde(with = "wire::null_if_empty")]
    pub tasks: Vec<Task>,
    pub ephemeral_disk: Option<EphemeralDisk>,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    pub reschedule_policy: Option<ReschedulePolicy>,
    #[serde(with = "wire::null_if_empty")]
    pub affinities: Vec<Affinity>,
    #[serde(with = "wire::null_if_empty")]
    pub spreads: Vec<Spread>,
    #[serde(with = "wire::null_if_empty")]
    pub networks: Vec<NetworkResource>,
    pub consul: Option<Consul>,
    #[serde(with = "wire::null_if_empty")]
    pub services: Vec<Service>,
    #[serde(with = "wire::null_if_empty")]
    pub volumes: BTreeMap<String, VolumeRequest>,
    pub shutdown_delay: Option<Nanos>,
    /// After this span the allocation is stopped and counts as failed; batch and sysbatch only.
    pub max_run_duration: Option<Nanos>,
    /// Always null: accepted on submission and dropped.
    pub stop_after_client_disconnect: Option<Nanos>,
    /// Always null: accepted on submission and dropped.
    pub max_client_disconnect: Option<Nanos>,
    /// Always false: accepted on submission and dropped.
    pub prevent_reschedule_on_lost: bool,
}

impl TaskGroup {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Disk asked for, MiB.
    pub fn disk_mb(&self) -> i64 {
        self.ephemeral_disk.as_ref().map_or(0, |disk| disk.size_mb)
    }

    /// How long an allocation may stay disconnected before it is lost; zero for not at all.
    pub fn lost_after(&self) -> Nanos {
        self.disconnect
            .as_ref()
            .map_or(Nanos::ZERO, |disconnect| disconnect.lost_after)
    }
}

/// Which of two allocations survives when a node comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconcileStrategy {
    #[default]
    #[serde(alias = "")]
    BestScore,
    LongestRunning,
    KeepOriginal,
    KeepReplacement,
}

/// `disconnect`: what happens to allocations of a node that is out of touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Disconnect {
    /// Span after which they are lost; zero at once.
    pub lost_after: Nanos,
    /// Span after which the client itself stops them.
    pub stop_on_client_after: Option<Nanos>,
    /// Whether replacements are placed meanwhile; null is true.
    pub replace: Option<bool>,
    pub reconcile: ReconcileStrategy,
}

/// `ephemeral_disk`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EphemeralDisk {
    /// Whether replacements should go to the same node.
    pub sticky: bool,
    #[serde(rename = "SizeMB")]
    pub size_mb: i64,
    /// Whether data moves along to another node.
    pub migrate: bool,
}

/// `consul` of a group or task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Consul {
    pub namespace: String,
    pub cluster: String,
    pub partition: String,
}

/// `scaling`: bounds and policy for an external autoscaler.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingPolicy {
    #[serde(rename = "ID")]
    pub id: String,
    /// `horizontal`, `vertical_cpu` or `vertical_mem`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `Namespace`, `Job`, `Group` (and `Task`).
    #[serde(with = "wire::null_if_empty")]
    pub target: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub policy: AnyMap,
    pub min: i64,
    pub max: i64,
    pub enabled: bool,
    pub create_index: u64,
    pub modify_index: u64,
}

/// A volume that a group asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeRequest {
    pub name: String,
    /// `host` or `csi`.
    #[serde(rename = "Type")]
    pub kind: String,
    pub source: String,
    pub read_only: bool,
    pub sticky: bool,
    pub access_mode: String,
    pub attachment_mode: String,
    pub mount_options: Option<VolumeMountOptions>,
    /// Whether `[index]` of the allocation is appended to the source.
    pub per_alloc: bool,
}

/// Options for mounting a CSI volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeMountOptions {
    #[serde(rename = "FSType")]
    pub fs_type: String,
    #[serde(rename = "MountFlags", with = "wire::null_if_empty")]
    pub mount_flags: Vec<String>,
}
