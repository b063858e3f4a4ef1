//! Jobs as the cluster stores them: every scalar concrete, every default filled in.
//!
//! What users submit is [`crate::spec`]; its conversion makes these. Field names and null-versus-empty are those of
//! Nomad's HTTP API, and the same serialization (as MessagePack with named fields) lies in the log.

mod constraint;
mod group;
mod network;
mod policy;
mod service;
mod task;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::constraint::{Affinity, Constraint, Spread, SpreadTarget};
pub use self::group::{
    Consul, Disconnect, EphemeralDisk, ReconcileStrategy, ScalingPolicy, TaskGroup,
    VolumeMountOptions, VolumeRequest,
};
pub use self::network::{Cni, Dns, NetworkResource, Port};
pub use self::policy::{
    MigrateStrategy, ReschedulePolicy, RestartMode, RestartPolicy, UpdateStrategy,
};
pub use self::service::{CheckRestart, Service, ServiceCheck, ServiceWeights};
pub use self::task::{
    Action, Artifact, ChangeScript, CsiPluginConfig, DispatchPayload, LifecycleHook, LogConfig,
    Numa, RequestedDevice, Resources, Schedule, ScheduleCron, Secret, Task, TaskLifecycle,
    Template, Vault, VolumeMount, WaitConfig, WorkloadIdentity,
};
use crate::ids::{JobId, JobKey, Namespace};
use crate::time::{Nanos, Timestamp};
use crate::wire;

/// Free-form configuration, such as a task's `config`; keys keep the order they were written in.
pub type AnyMap = serde_json::Map<String, serde_json::Value>;

/// String to string, such as `meta` and `env`.
pub type StringMap = BTreeMap<String, String>;

/// Which scheduler places a job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum JobType {
    /// Runs until stopped.
    #[default]
    Service,
    /// Runs to completion.
    Batch,
    /// One allocation on every fitting node, until stopped.
    System,
    /// One allocation on every fitting node, to completion.
    Sysbatch,
    /// The server's own garbage collection; never a user's job.
    #[serde(rename = "_core")]
    Core,
}

impl JobType {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
            Self::System => "system",
            Self::Sysbatch => "sysbatch",
            Self::Core => "_core",
        }
    }

    /// Whether its allocations go to every fitting node.
    pub const fn is_system_like(self) -> bool {
        matches!(self, Self::System | Self::Sysbatch)
    }

    /// Whether its allocations are meant to end by themselves.
    pub const fn is_batch_like(self) -> bool {
        matches!(self, Self::Batch | Self::Sysbatch)
    }
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a job stands as a whole.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Registered, nothing runs yet.
    #[default]
    #[serde(alias = "")]
    Pending,
    /// Has work, or waits for launches (periodic, parameterized).
    Running,
    /// Stopped, or all work has ended.
    Dead,
}

impl JobStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A job. A version of it never changes once stored; allocations refer to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Job {
    /// Whether the user stopped it.
    pub stop: bool,
    /// Region it runs in.
    pub region: String,
    /// Namespace it lives in.
    pub namespace: Namespace,
    /// Id within the namespace.
    #[serde(rename = "ID")]
    pub id: JobId,
    /// Periodic or parameterized job it was launched from, or "".
    #[serde(rename = "ParentID")]
    pub parent_id: JobId,
    /// Name for people.
    pub name: String,
    /// Which scheduler places it.
    #[serde(rename = "Type")]
    pub job_type: JobType,
    /// 1 to the server's maximum; higher goes first and may preempt.
    pub priority: i32,
    /// Whether plans commit whole or not at all.
    pub all_at_once: bool,
    /// Datacenters it may run in; `*` globs.
    #[serde(with = "wire::null_if_empty")]
    pub datacenters: Vec<String>,
    /// Node pool it may run in; `all` is every pool.
    pub node_pool: String,
    #[serde(with = "wire::null_if_empty")]
    pub constraints: Vec<Constraint>,
    #[serde(with = "wire::null_if_empty")]
    pub affinities: Vec<Affinity>,
    #[serde(with = "wire::null_if_empty")]
    pub spreads: Vec<Spread>,
    #[serde(with = "wire::null_if_empty")]
    pub task_groups: Vec<TaskGroup>,
    /// Only stagger and max_parallel survive here; groups carry the whole strategy.
    #[serde(with = "wire::null_default")]
    pub update: UpdateStrategy,
    /// Always refused on submission (an Enterprise feature), kept for the JSON shape.
    pub multiregion: Option<serde_json::Value>,
    pub periodic: Option<Periodic>,
    pub parameterized_job: Option<Parameterized>,
    /// Whether it was dispatched from a parameterized job.
    pub dispatched: bool,
    pub dispatch_idempotency_token: String,
    /// Payload of a dispatched job, at most 16 KiB.
    #[serde(with = "wire::base64_bytes")]
    pub payload: Vec<u8>,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    pub consul_namespace: String,
    pub vault_namespace: String,
    /// Accessor of the ACL token that registered it.
    #[serde(rename = "NomadTokenID")]
    pub nomad_token_id: String,
    pub status: JobStatus,
    pub status_description: String,
    /// Whether a deployment of this version succeeded.
    pub stable: bool,
    pub version: u64,
    pub submit_time: Timestamp,
    pub create_index: u64,
    pub modify_index: u64,
    /// Index of the last change of its specification.
    pub job_modify_index: u64,
    #[serde(rename = "UI")]
    pub ui: Option<JobUi>,
    pub version_tag: Option<JobVersionTag>,
}

/// `ui`: what a web interface shows beside the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobUi {
    /// At most 1,000 bytes of Markdown.
    pub description: String,
    #[serde(with = "wire::null_if_empty")]
    pub links: Vec<JobUiLink>,
}

/// A link in `ui`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobUiLink {
    pub label: String,
    /// Stored jobs answer with `Url` where submissions say `URL`.
    #[serde(alias = "URL")]
    pub url: String,
}

/// A name given to one version of a job; a tagged version is never pruned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobVersionTag {
    pub name: String,
    pub description: String,
    pub tagged_time: Timestamp,
}

/// `periodic`: launches children by cron.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Periodic {
    pub enabled: bool,
    /// One cron expression (deprecated form).
    pub spec: String,
    /// Several cron expressions; the earliest next time wins.
    #[serde(with = "wire::null_if_empty")]
    pub specs: Vec<String>,
    /// Always `cron`.
    pub spec_type: String,
    pub prohibit_overlap: bool,
    /// IANA name; "" is UTC.
    pub time_zone: String,
}

/// `parameterized`: launches children by dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Parameterized {
    /// `optional`, `required` or `forbidden`.
    pub payload: String,
    #[serde(with = "wire::null_if_empty")]
    pub meta_required: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub meta_optional: Vec<String>,
}

impl Job {
    /// Namespace and id together.
    pub fn key(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.id.clone(),
        }
    }

    /// The group of that name.
    pub fn group(&self, name: &str) -> Option<&TaskGroup> {
        self.task_groups.iter().find(|group| group.name == name)
    }

    /// Whether children are launched from it by cron (even while disabled).
    pub fn is_periodic(&self) -> bool {
        self.periodic.is_some()
    }

    /// Whether launches by cron are on.
    pub fn is_periodic_active(&self) -> bool {
        self.periodic
            .as_ref()
            .is_some_and(|periodic| periodic.enabled)
            && !self.stopped()
            && !self.is_parameterized()
    }

    /// Whether children are launched from it by dispatch.
    pub fn is_parameterized(&self) -> bool {
        self.parameterized_job.is_some() && !self.dispatched
    }

    /// Whether the user stopped it.
    pub fn stopped(&self) -> bool {
        self.stop
    }

    /// Whether registering it makes an evaluation: periodic and parameterized jobs only launch children.
    pub fn is_evaluated(&self) -> bool {
        !self.is_periodic() && !self.is_parameterized()
    }

    /// The task's meta: the task's own over its group's over the job's.
    pub fn combined_task_meta(&self, group: &str, task: &str) -> StringMap {
        let mut meta = self.meta.clone();
        if let Some(group) = self.group(group) {
            meta.extend(group.meta.clone());
            if let Some(task) = group.task(task) {
                meta.extend(task.meta.clone());
            }
        }
        meta
    }

    /// Whether the two differ in anything a user wrote, so that storing `other` makes a new version.
    ///
    /// Source: job specification reference, "Versions and update kind".
    pub fn spec_changed(&self, other: &Self) -> bool {
        let bare = |job: &Self| {
            let mut job = job.clone();
            job.status = JobStatus::default();
            job.status_description = String::new();
            job.stable = false;
            job.version = 0;
            job.create_index = 0;
            job.modify_index = 0;
            job.job_modify_index = 0;
            job.submit_time = Timestamp::ZERO;
            job
        };
        bare(self) != bare(other)
    }

    /// Sum of the groups' counts.
    pub fn total_count(&self) -> i64 {
        self.task_groups.iter().map(|group| group.count).sum()
    }
}

impl Nanos {
    /// Whether a span that a user may leave at zero was set.
    pub fn is_set(self) -> bool {
        self != Self::ZERO
    }
}
