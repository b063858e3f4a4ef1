//! Tasks: one process or container, and everything it is given.

use serde::{Deserialize, Serialize};

use super::{
    Affinity, AnyMap, Constraint, Consul, NetworkResource, RestartPolicy, ScalingPolicy, Service,
    StringMap,
};
use crate::time::Nanos;
use crate::wire;

/// One process, container or virtual machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    pub name: String,
    pub driver: String,
    pub user: String,
    /// The driver's own configuration.
    #[serde(with = "wire::null_if_empty")]
    pub config: AnyMap,
    #[serde(with = "wire::null_if_empty")]
    pub env: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub services: Vec<Service>,
    pub vault: Option<Vault>,
    #[serde(with = "wire::null_if_empty")]
    pub secrets: Vec<Secret>,
    pub consul: Option<Consul>,
    #[serde(with = "wire::null_if_empty")]
    pub templates: Vec<Template>,
    #[serde(with = "wire::null_if_empty")]
    pub constraints: Vec<Constraint>,
    #[serde(with = "wire::null_if_empty")]
    pub affinities: Vec<Affinity>,
    #[serde(with = "wire::null_default")]
    pub resources: Resources,
    pub restart_policy: Option<RestartPolicy>,
    pub dispatch_payload: Option<DispatchPayload>,
    pub lifecycle: Option<TaskLifecycle>,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    pub kill_timeout: Nanos,
    pub log_config: Option<LogConfig>,
    #[serde(with = "wire::null_if_empty")]
    pub artifacts: Vec<Artifact>,
    /// When the leader ends, the group's other tasks are stopped.
    pub leader: bool,
    pub shutdown_delay: Nanos,
    #[serde(with = "wire::null_if_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    #[serde(with = "wire::null_if_empty")]
    pub scaling_policies: Vec<ScalingPolicy>,
    pub kill_signal: String,
    pub kind: String,
    #[serde(rename = "CSIPluginConfig")]
    pub csi_plugin_config: Option<CsiPluginConfig>,
    /// The identity named `default`.
    pub identity: Option<WorkloadIdentity>,
    #[serde(with = "wire::null_if_empty")]
    pub identities: Vec<WorkloadIdentity>,
    #[serde(with = "wire::null_if_empty")]
    pub actions: Vec<Action>,
    pub schedule: Option<Schedule>,
}

impl Task {
    /// Whether it is a main task: one without a lifecycle hook.
    pub fn is_main(&self) -> bool {
        self.lifecycle.is_none()
    }

    /// Whether it runs before the main tasks and ends before they start.
    pub fn is_prestart(&self) -> bool {
        self.lifecycle.as_ref().is_some_and(|lifecycle| {
            lifecycle.hook == LifecycleHook::Prestart && !lifecycle.sidecar
        })
    }
}

/// `resources` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// MHz.
    #[serde(rename = "CPU")]
    pub cpu: i64,
    #[serde(rename = "Cores")]
    pub cores: i64,
    /// MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: i64,
    /// MiB; 0 unset, -1 no limit.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mb: i64,
    /// MiB.
    #[serde(rename = "DiskMB")]
    pub disk_mb: i64,
    #[serde(rename = "IOPS")]
    pub iops: i64,
    #[serde(rename = "Networks", with = "wire::null_if_empty")]
    pub networks: Vec<NetworkResource>,
    #[serde(rename = "Devices", with = "wire::null_if_empty")]
    pub devices: Vec<RequestedDevice>,
    #[serde(rename = "NUMA")]
    pub numa: Option<Numa>,
    /// MiB of the secrets directory.
    #[serde(rename = "SecretsMB")]
    pub secrets_mb: i64,
}

/// `numa` of a task's resources.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Numa {
    /// `none`, `prefer` or `require`.
    pub affinity: String,
    #[serde(with = "wire::null_if_empty")]
    pub devices: Vec<String>,
}

/// A device asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RequestedDevice {
    /// `type`, `vendor/type` or `vendor/type/model`.
    pub name: String,
    pub count: u64,
    #[serde(with = "wire::null_if_empty")]
    pub constraints: Vec<Constraint>,
    #[serde(with = "wire::null_if_empty")]
    pub affinities: Vec<Affinity>,
}

/// When a task with a lifecycle hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleHook {
    #[default]
    Prestart,
    Poststart,
    Poststop,
}

/// `lifecycle` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskLifecycle {
    pub hook: LifecycleHook,
    /// Whether it runs as long as the main tasks.
    pub sidecar: bool,
}

/// `logs` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    pub max_files: i64,
    /// MiB.
    #[serde(rename = "MaxFileSizeMB")]
    pub max_file_size_mb: i64,
    pub disabled: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            max_files: 10,
            max_file_size_mb: 10,
            disabled: false,
        }
    }
}

/// `dispatch_payload`: where a dispatched job's payload is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DispatchPayload {
    /// Path below the task's `local/`.
    pub file: String,
}

/// `artifact`: something fetched before the task starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Artifact {
    pub getter_source: String,
    #[serde(with = "wire::null_if_empty")]
    pub getter_options: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub getter_headers: StringMap,
    /// `any`, `file` or `dir`.
    pub getter_mode: String,
    pub getter_insecure: bool,
    pub relative_dest: String,
    pub chown: bool,
}

/// `template`: a file rendered for the task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Template {
    pub source_path: String,
    pub dest_path: String,
    pub embedded_tmpl: String,
    /// `noop`, `restart`, `signal` or `script`.
    pub change_mode: String,
    pub change_signal: String,
    pub change_script: Option<ChangeScript>,
    pub splay: Nanos,
    /// Octal text.
    pub perms: String,
    pub uid: Option<i64>,
    pub gid: Option<i64>,
    pub left_delim: String,
    pub right_delim: String,
    pub envvars: bool,
    pub vault_grace: Nanos,
    pub wait: Option<WaitConfig>,
    pub err_missing_key: bool,
    pub once: bool,
    /// `go` or `tera`; empty is `go`. Ours, absent from the JSON where it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub engine: String,
}

/// What a template's change runs inside the task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangeScript {
    pub command: String,
    #[serde(with = "wire::null_if_empty")]
    pub args: Vec<String>,
    pub timeout: Nanos,
    pub fail_on_error: bool,
    pub run_on_first_render: bool,
}

/// How long a template's data must be quiet before it is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WaitConfig {
    pub min: Option<Nanos>,
    pub max: Option<Nanos>,
}

/// `volume_mount` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeMount {
    pub volume: String,
    pub destination: String,
    pub read_only: bool,
    pub propagation_mode: String,
    #[serde(rename = "SELinuxLabel")]
    pub selinux_label: String,
}

/// `vault` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Vault {
    pub role: String,
    pub namespace: String,
    pub cluster: String,
    pub env: bool,
    pub disable_file: bool,
    pub change_mode: String,
    pub change_signal: String,
    pub allow_token_expiration: bool,
}

/// `secret` of a task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Secret {
    pub name: String,
    pub provider: String,
    pub path: String,
    #[serde(with = "wire::null_if_empty")]
    pub config: AnyMap,
    #[serde(with = "wire::null_if_empty")]
    pub env: StringMap,
}

/// `csi_plugin` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CsiPluginConfig {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Type")]
    pub kind: String,
    pub mount_dir: String,
    pub stage_publish_base_dir: String,
    pub health_timeout: Nanos,
}

/// `identity`: a signed token that a task gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WorkloadIdentity {
    pub name: String,
    #[serde(with = "wire::null_if_empty")]
    pub audience: Vec<String>,
    pub change_mode: String,
    pub change_signal: String,
    pub env: bool,
    pub file: bool,
    pub filepath: String,
    pub service_name: String,
    #[serde(rename = "TTL")]
    pub ttl: Nanos,
    #[serde(with = "wire::null_if_empty")]
    pub extra_claims: StringMap,
}

/// `action`: a command that users may run inside the task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Action {
    pub name: String,
    pub command: String,
    #[serde(with = "wire::null_if_empty")]
    pub args: Vec<String>,
}

/// `schedule` of a task (always refused on submission: an Enterprise feature).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Schedule {
    pub cron: Option<ScheduleCron>,
}

/// When a scheduled task may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleCron {
    pub start: String,
    pub end: String,
    pub timezone: String,
}
