//! Allocations: a group placed on a node, and its life from there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocId, DeploymentId, EvalId, JobId, JobKey, Namespace, NodeId};
use crate::job::{Dns, Job, NetworkResource, Resources, TaskGroup, TaskLifecycle};
use crate::metric::AllocMetric;
use crate::task_state::TaskState;
use crate::time::{Nanos, Timestamp};
use crate::wire::{self, is_default};

/// What the servers want of an allocation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DesiredStatus {
    #[default]
    #[serde(alias = "")]
    Run,
    Stop,
    /// Stopped to make room for something more important.
    Evict,
}

impl DesiredStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stop => "stop",
            Self::Evict => "evict",
        }
    }
}

impl fmt::Display for DesiredStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the node reports of an allocation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    #[default]
    #[serde(alias = "")]
    Pending,
    Running,
    Complete,
    Failed,
    /// The node went down and is not coming back in time.
    Lost,
    /// The node is disconnected and the group may wait for it.
    Unknown,
}

impl ClientStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the node is done with it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Lost)
    }
}

impl fmt::Display for ClientStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A group placed on a node. Zero fields are left out of the JSON.
///
/// The API shows the job inside; storage and transport name it by version and send it once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    #[serde(rename = "ID")]
    pub id: AllocId,
    pub namespace: Namespace,
    #[serde(
        rename = "EvalID",
        with = "wire::opt_id",
        skip_serializing_if = "Option::is_none"
    )]
    pub eval_id: Option<EvalId>,
    /// `job.group[index]`.
    pub name: String,
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    /// The job version it was placed for; shared with the job tables. Absent only between decoding and attaching.
    #[serde(skip)]
    pub job: Option<Arc<Job>>,
    /// Version of that job.
    pub job_version: u64,
    pub task_group: String,
    #[serde(skip_serializing_if = "is_default", with = "wire::null_default")]
    pub allocated_resources: AllocatedResources,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Arc<AllocMetric>>,
    pub desired_status: DesiredStatus,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub desired_description: String,
    #[serde(skip_serializing_if = "is_default", with = "wire::null_default")]
    pub desired_transition: DesiredTransition,
    pub client_status: ClientStatus,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_description: String,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        with = "wire::null_default"
    )]
    pub task_states: BTreeMap<String, TaskState>,
    #[serde(skip_serializing_if = "Vec::is_empty", with = "wire::null_default")]
    pub alloc_states: Vec<AllocState>,
    #[serde(with = "wire::opt_id", skip_serializing_if = "Option::is_none")]
    pub previous_allocation: Option<AllocId>,
    #[serde(with = "wire::opt_id", skip_serializing_if = "Option::is_none")]
    pub next_allocation: Option<AllocId>,
    #[serde(
        rename = "DeploymentID",
        with = "wire::opt_id",
        skip_serializing_if = "Option::is_none"
    )]
    pub deployment_id: Option<DeploymentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_status: Option<AllocDeploymentStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reschedule_tracker: Option<RescheduleTracker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_status: Option<AllocNetworkStatus>,
    #[serde(
        rename = "FollowupEvalID",
        with = "wire::opt_id",
        skip_serializing_if = "Option::is_none"
    )]
    pub followup_eval_id: Option<EvalId>,
    #[serde(skip_serializing_if = "Vec::is_empty", with = "wire::null_default")]
    pub preempted_allocations: Vec<AllocId>,
    #[serde(with = "wire::opt_id", skip_serializing_if = "Option::is_none")]
    pub preempted_by_allocation: Option<AllocId>,
    #[serde(rename = "SigningKeyID", skip_serializing_if = "String::is_empty")]
    pub signing_key_id: String,
    pub create_index: u64,
    pub modify_index: u64,
    /// Index of the last change by the servers; a client ignores rows whose value it has seen.
    pub alloc_modify_index: u64,
    pub create_time: Timestamp,
    pub modify_time: Timestamp,
}

impl Allocation {
    /// Namespace and id of its job.
    pub fn job_key(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }

    /// Its group in the job version it was placed for.
    pub fn group(&self) -> Option<&TaskGroup> {
        self.job.as_ref()?.group(&self.task_group)
    }

    /// The `index` of its name `job.group[index]`.
    pub fn index(&self) -> Option<u64> {
        let open = self.name.rfind('[')?;
        self.name[open + 1..].strip_suffix(']')?.parse().ok()
    }

    /// Whether the servers want it gone.
    pub fn server_terminal(&self) -> bool {
        matches!(
            self.desired_status,
            DesiredStatus::Stop | DesiredStatus::Evict
        )
    }

    /// Whether the node is done with it.
    pub fn client_terminal(&self) -> bool {
        self.client_status.is_terminal()
    }

    /// Whether either side is done with it.
    pub fn terminal(&self) -> bool {
        self.server_terminal() || self.client_terminal()
    }

    /// Whether every task ended well.
    pub fn ran_successfully(&self) -> bool {
        self.client_status == ClientStatus::Complete
            && (self.task_states.is_empty() || self.task_states.values().all(TaskState::successful))
    }

    /// Whether it is a canary of its deployment.
    pub fn is_canary(&self) -> bool {
        self.deployment_status
            .as_ref()
            .is_some_and(|status| status.canary)
    }

    /// Whether its deployment found it healthy.
    pub fn is_healthy(&self) -> bool {
        self.deployment_status
            .as_ref()
            .is_some_and(|status| status.healthy == Some(true))
    }

    /// Whether its deployment found it unhealthy.
    pub fn is_unhealthy(&self) -> bool {
        self.deployment_status
            .as_ref()
            .is_some_and(|status| status.healthy == Some(false))
    }

    /// When the last of its tasks ended, or else when it was last modified.
    pub fn last_event_time(&self) -> Timestamp {
        let finished = self
            .task_states
            .values()
            .map(|state| state.finished_at)
            .max()
            .unwrap_or_default();
        if finished.is_zero() {
            self.modify_time
        } else {
            finished
        }
    }
}

/// The name of the allocation at an index of a group.
pub fn alloc_name(job: &str, group: &str, index: u64) -> String {
    format!("{job}.{group}[{index}]")
}

/// What an allocation was given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedResources {
    #[serde(with = "wire::null_default")]
    pub tasks: BTreeMap<String, AllocatedTaskResources>,
    /// Null for main tasks.
    #[serde(with = "wire::null_default")]
    pub task_lifecycles: BTreeMap<String, Option<TaskLifecycle>>,
    pub shared: AllocatedSharedResources,
}

/// What a task was given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedTaskResources {
    pub cpu: AllocatedCpu,
    pub memory: AllocatedMemory,
    #[serde(with = "wire::null_if_empty")]
    pub networks: Vec<NetworkResource>,
    #[serde(with = "wire::null_if_empty")]
    pub devices: Vec<AllocatedDevice>,
}

/// CPU of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedCpu {
    /// MHz.
    pub cpu_shares: i64,
    #[serde(with = "wire::null_if_empty")]
    pub reserved_cores: Vec<u16>,
}

/// Memory of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocatedMemory {
    /// MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: i64,
    /// MiB; 0 unset, -1 no limit.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mb: i64,
}

/// Devices of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocatedDevice {
    #[serde(rename = "Vendor")]
    pub vendor: String,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "DeviceIDs", with = "wire::null_if_empty")]
    pub device_ids: Vec<String>,
}

/// What the whole group shares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedSharedResources {
    #[serde(with = "wire::null_if_empty")]
    pub networks: Vec<NetworkResource>,
    /// MiB.
    #[serde(rename = "DiskMB")]
    pub disk_mb: i64,
    #[serde(with = "wire::null_if_empty")]
    pub ports: Vec<AllocatedPort>,
}

/// A port that was given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedPort {
    #[serde(skip_serializing_if = "is_default")]
    pub label: String,
    #[serde(skip_serializing_if = "is_default")]
    pub value: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub to: i64,
    #[serde(rename = "HostIP", skip_serializing_if = "is_default")]
    pub host_ip: String,
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_collision: bool,
}

impl AllocatedResources {
    /// The legacy sum that the API shows as `Resources`.
    pub fn legacy_total(&self) -> Resources {
        let mut total = self.legacy_shared();
        for task in self.tasks.values() {
            let one = task.legacy();
            total.cpu += one.cpu;
            total.cores += one.cores;
            total.memory_mb += one.memory_mb;
            total.memory_max_mb += if task.memory.memory_max_mb > 0 {
                task.memory.memory_max_mb
            } else {
                task.memory.memory_mb
            };
            total.networks.extend(one.networks);
        }
        total
    }

    /// The legacy form that the API shows as `SharedResources`.
    pub fn legacy_shared(&self) -> Resources {
        Resources {
            disk_mb: self.shared.disk_mb,
            networks: self.shared.networks.clone(),
            ..Resources::default()
        }
    }
}

impl AllocatedTaskResources {
    /// The legacy form that the API shows in `TaskResources`.
    pub fn legacy(&self) -> Resources {
        Resources {
            cpu: self.cpu.cpu_shares,
            cores: self.cpu.reserved_cores.len() as i64,
            memory_mb: self.memory.memory_mb,
            memory_max_mb: self.memory.memory_max_mb,
            networks: self.networks.clone(),
            ..Resources::default()
        }
    }
}

/// What the servers ask the scheduler to do with an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredTransition {
    /// Move it away: its node drains, or a user stopped it.
    pub migrate: Option<bool>,
    /// May be replaced if it failed (its deployment allows it).
    pub reschedule: Option<bool>,
    /// Replace it whatever the policy says.
    pub force_reschedule: Option<bool>,
    /// Stop without the shutdown delay.
    pub no_shutdown_delay: Option<bool>,
    /// Do not place a replacement when it migrates.
    pub migrate_disable_placement: Option<bool>,
}

impl DesiredTransition {
    /// Whether it is to be moved.
    pub fn should_migrate(&self) -> bool {
        self.migrate == Some(true)
    }

    /// Whether its deployment lets it be replaced.
    pub fn should_reschedule(&self) -> bool {
        self.reschedule == Some(true)
    }

    /// Whether it is to be replaced whatever the policy says.
    pub fn should_force_reschedule(&self) -> bool {
        self.force_reschedule == Some(true)
    }

    /// Whether the shutdown delay is left out.
    pub fn should_skip_shutdown_delay(&self) -> bool {
        self.no_shutdown_delay == Some(true)
    }

    /// Whether no replacement is placed.
    pub fn should_disable_migration_placement(&self) -> bool {
        self.migrate_disable_placement == Some(true)
    }

    /// Takes over what `other` sets.
    pub fn merge(&mut self, other: &Self) {
        self.migrate = other.migrate.or(self.migrate);
        self.reschedule = other.reschedule.or(self.reschedule);
        self.force_reschedule = other.force_reschedule.or(self.force_reschedule);
        self.no_shutdown_delay = other.no_shutdown_delay.or(self.no_shutdown_delay);
        self.migrate_disable_placement = other
            .migrate_disable_placement
            .or(self.migrate_disable_placement);
    }
}

/// A change of client status that the servers recorded (lost, unknown, reconnected).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocState {
    /// Which field changed: 0 is the client status.
    pub field: u8,
    pub value: String,
    #[serde(with = "wire::rfc3339")]
    pub time: Timestamp,
}

/// Health of an allocation within its deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocDeploymentStatus {
    /// Unknown until decided.
    pub healthy: Option<bool>,
    #[serde(with = "wire::rfc3339")]
    pub timestamp: Timestamp,
    pub canary: bool,
    pub modify_index: u64,
}

/// Past replacements of an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RescheduleTracker {
    #[serde(with = "wire::null_if_empty")]
    pub events: Vec<RescheduleEvent>,
    /// `ok`, `pending`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_reschedule: String,
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RescheduleEvent {
    #[serde(rename = "RescheduleTime")]
    pub reschedule_time: Timestamp,
    #[serde(rename = "PrevAllocID", with = "wire::opt_id")]
    pub prev_alloc_id: Option<AllocId>,
    #[serde(rename = "PrevNodeID", with = "wire::opt_id")]
    pub prev_node_id: Option<NodeId>,
    #[serde(rename = "Delay")]
    pub delay: Nanos,
}

/// Address of an allocation's own network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocNetworkStatus {
    pub interface_name: String,
    pub address: String,
    #[serde(rename = "AddressIPv6")]
    pub address_ipv6: String,
    #[serde(rename = "DNS")]
    pub dns: Option<Dns>,
}

/// What a client reports of an allocation; the servers merge it into the row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocClientUpdate {
    #[serde(rename = "ID")]
    pub id: AllocId,
    pub client_status: ClientStatus,
    pub client_description: String,
    pub task_states: BTreeMap<String, TaskState>,
    pub deployment_status: Option<AllocDeploymentStatus>,
    pub network_status: Option<AllocNetworkStatus>,
    pub modify_time: Timestamp,
}
