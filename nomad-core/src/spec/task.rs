//! Tasks.

use super::artifact::{Artifact, Template};
use super::constraint::{Affinity, Constraint};
use super::group::{Consul, ScalingPolicy};
use super::json::{AnyMap, StringList, StringMap, api_struct};
use super::policy::RestartPolicy;
use super::resources::Resources;
use super::service::Service;
use super::vault::{Secret, Vault, WorkloadIdentity};
use crate::time::Nanos;

api_struct! {
    /// One program that a driver runs.
    pub struct Task {
        pub actions: Option<Vec<Action>> = "Actions",
        pub affinities: Option<Vec<Affinity>> = "Affinities",
        pub artifacts: Option<Vec<Artifact>> = "Artifacts",
        pub csi_plugin_config: Option<CsiPluginConfig> = "CSIPluginConfig" [omit],
        pub config: AnyMap = "Config",
        pub constraints: Option<Vec<Constraint>> = "Constraints",
        pub consul: Option<Consul> = "Consul",
        pub dispatch_payload: Option<DispatchPayload> = "DispatchPayload",
        pub driver: String = "Driver",
        pub env: StringMap = "Env",
        pub identities: Option<Vec<WorkloadIdentity>> = "Identities",
        pub identity: Option<WorkloadIdentity> = "Identity",
        pub kill_signal: String = "KillSignal",
        pub kill_timeout: Option<Nanos> = "KillTimeout",
        pub kind: String = "Kind",
        pub leader: bool = "Leader",
        pub lifecycle: Option<Lifecycle> = "Lifecycle",
        pub log_config: Option<LogConfig> = "LogConfig",
        pub meta: StringMap = "Meta",
        pub name: String = "Name",
        pub resources: Option<Resources> = "Resources",
        pub restart_policy: Option<RestartPolicy> = "RestartPolicy",
        pub scaling_policies: Option<Vec<ScalingPolicy>> = "ScalingPolicies",
        pub schedule: Option<Schedule> = "Schedule",
        pub secrets: Option<Vec<Secret>> = "Secrets",
        pub services: Option<Vec<Service>> = "Services",
        pub shutdown_delay: Nanos = "ShutdownDelay",
        pub templates: Option<Vec<Template>> = "Templates",
        pub user: String = "User",
        pub vault: Option<Vault> = "Vault",
        pub volume_mounts: Option<Vec<VolumeMount>> = "VolumeMounts",
    }
}

api_struct! {
    /// A command that can be run inside a task by name.
    pub struct Action {
        pub args: StringList = "Args",
        pub command: String = "Command",
        pub name: String = "Name",
    }
}

api_struct! {
    /// Where the payload of a dispatched job is written.
    pub struct DispatchPayload {
        /// Relative to `local/`.
        pub file: String = "File",
    }
}

api_struct! {
    /// When a task runs relative to the main tasks.
    pub struct Lifecycle {
        /// `prestart`, `poststart` or `poststop`.
        pub hook: String = "Hook",
        pub sidecar: bool = "Sidecar",
    }
}

api_struct! {
    /// How much of a task's output is kept.
    pub struct LogConfig {
        pub disabled: Option<bool> = "Disabled",
        /// Read and ignored.
        pub enabled: Option<bool> = "Enabled",
        pub max_file_size_mb: Option<i64> = "MaxFileSizeMB",
        pub max_files: Option<i64> = "MaxFiles",
    }
}

api_struct! {
    /// Where a volume of the group is mounted in a task.
    pub struct VolumeMount {
        pub destination: Option<String> = "Destination",
        /// `private`, `host-to-task` or `bidirectional`.
        pub propagation_mode: Option<String> = "PropagationMode",
        pub read_only: Option<bool> = "ReadOnly",
        pub selinux_label: Option<String> = "SELinuxLabel",
        pub volume: Option<String> = "Volume",
    }
}

api_struct! {
    /// Says that the task is a CSI plugin.
    pub struct CsiPluginConfig {
        pub health_timeout: Nanos = "HealthTimeout",
        pub id: String = "ID",
        pub mount_dir: String = "MountDir",
        pub stage_publish_base_dir: String = "StagePublishBaseDir",
        /// `node`, `controller` or `monolith`.
        pub plugin_type: String = "Type",
    }
}

api_struct! {
    /// Hours in which a task runs.
    pub struct Schedule {
        pub cron: Option<ScheduleCron> = "Cron",
    }
}

api_struct! {
    /// Cron expressions between which a task runs.
    pub struct ScheduleCron {
        pub end: String = "End",
        pub start: String = "Start",
        pub timezone: String = "Timezone",
    }
}
