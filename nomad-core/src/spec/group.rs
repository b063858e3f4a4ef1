//! Task groups and what belongs to a group as a whole.

use std::collections::BTreeMap;

use super::constraint::{Affinity, Constraint, Spread};
use super::json::{AnyMap, StringList, StringMap, api_struct};
use super::network::NetworkResource;
use super::policy::{
    DisconnectStrategy, MigrateStrategy, ReschedulePolicy, RestartPolicy, UpdateStrategy,
};
use super::service::Service;
use super::task::Task;
use crate::time::Nanos;

api_struct! {
    /// Tasks that are placed together.
    pub struct TaskGroup {
        pub affinities: Option<Vec<Affinity>> = "Affinities",
        pub constraints: Option<Vec<Constraint>> = "Constraints",
        pub consul: Option<Consul> = "Consul",
        pub count: Option<i64> = "Count",
        pub disconnect: Option<DisconnectStrategy> = "Disconnect",
        pub ephemeral_disk: Option<EphemeralDisk> = "EphemeralDisk",
        /// Deprecated: read and dropped.
        pub max_client_disconnect: Option<Nanos> = "MaxClientDisconnect",
        pub max_run_duration: Option<Nanos> = "MaxRunDuration",
        pub meta: StringMap = "Meta",
        pub migrate: Option<MigrateStrategy> = "Migrate",
        pub name: Option<String> = "Name",
        pub networks: Option<Vec<NetworkResource>> = "Networks",
        /// Deprecated: read and dropped.
        pub prevent_reschedule_on_lost: Option<bool> = "PreventRescheduleOnLost",
        pub reschedule_policy: Option<ReschedulePolicy> = "ReschedulePolicy",
        pub restart_policy: Option<RestartPolicy> = "RestartPolicy",
        pub scaling: Option<ScalingPolicy> = "Scaling",
        pub services: Option<Vec<Service>> = "Services",
        pub shutdown_delay: Option<Nanos> = "ShutdownDelay",
        pub spreads: Option<Vec<Spread>> = "Spreads",
        /// Deprecated: read and dropped.
        pub stop_after_client_disconnect: Option<Nanos> = "StopAfterClientDisconnect",
        pub tasks: Option<Vec<Task>> = "Tasks",
        pub update: Option<UpdateStrategy> = "Update",
        pub volumes: Option<BTreeMap<String, VolumeRequest>> = "Volumes",
    }
}

api_struct! {
    /// The Consul cluster that a group or task uses.
    pub struct Consul {
        pub cluster: String = "Cluster",
        pub namespace: String = "Namespace",
        pub partition: String = "Partition",
    }
}

api_struct! {
    /// The disk that the tasks of an allocation share.
    pub struct EphemeralDisk {
        pub migrate: Option<bool> = "Migrate",
        pub size_mb: Option<i64> = "SizeMB",
        pub sticky: Option<bool> = "Sticky",
    }
}

api_struct! {
    /// A volume that a group asks for.
    pub struct VolumeRequest {
        pub access_mode: String = "AccessMode",
        pub attachment_mode: String = "AttachmentMode",
        pub mount_options: Option<MountOptions> = "MountOptions",
        pub name: String = "Name",
        pub per_alloc: bool = "PerAlloc",
        pub read_only: bool = "ReadOnly",
        pub source: String = "Source",
        pub sticky: bool = "Sticky",
        /// `host` or `csi`.
        pub volume_type: String = "Type",
    }
}

api_struct! {
    /// How a CSI volume is mounted.
    pub struct MountOptions {
        pub fs_type: String = "FSType",
        pub mount_flags: StringList = "MountFlags",
    }
}

api_struct! {
    /// Limits of a count or a resource for an autoscaler.
    pub struct ScalingPolicy {
        pub create_index: u64 = "CreateIndex",
        pub enabled: Option<bool> = "Enabled",
        pub id: String = "ID",
        pub max: Option<i64> = "Max",
        pub min: Option<i64> = "Min",
        pub modify_index: u64 = "ModifyIndex",
        pub namespace: String = "Namespace",
        pub policy: AnyMap = "Policy",
        pub target: StringMap = "Target",
        pub policy_type: String = "Type",
    }
}
