//! Evaluations: requests to look at a job again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{DeploymentId, EvalId, JobId, JobKey, Namespace, NodeId};
use crate::job::JobType;
use crate::metric::AllocMetric;
use crate::plan::PlanAnnotations;
use crate::time::{Nanos, Timestamp};
use crate::wire::{self, is_default};

/// Where an evaluation stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum EvalStatus {
    /// Waits for capacity.
    Blocked,
    #[default]
    #[serde(alias = "")]
    Pending,
    Complete,
    Failed,
    Canceled,
}

impl EvalStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Pending => "pending",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing more happens to it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Canceled)
    }
}

impl fmt::Display for EvalStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What made an evaluation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum EvalTrigger {
    #[default]
    #[serde(alias = "")]
    JobRegister,
    JobDeregister,
    PeriodicJob,
    NodeDrain,
    NodeUpdate,
    AllocStop,
    Scheduled,
    RollingUpdate,
    DeploymentWatcher,
    FailedFollowUp,
    MaxPlanAttempts,
    AllocFailure,
    AllocReschedule,
    QueuedAllocs,
    Preemption,
    JobScaling,
    MaxDisconnectTimeout,
    Reconnect,
}

impl EvalTrigger {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobRegister => "job-register",
            Self::JobDeregister => "job-deregister",
            Self::PeriodicJob => "periodic-job",
            Self::NodeDrain => "node-drain",
            Self::NodeUpdate => "node-update",
            Self::AllocStop => "alloc-stop",
            Self::Scheduled => "scheduled",
            Self::RollingUpdate => "rolling-update",
            Self::DeploymentWatcher => "deployment-watcher",
            Self::FailedFollowUp => "failed-follow-up",
            Self::MaxPlanAttempts => "max-plan-attempts",
            Self::AllocFailure => "alloc-failure",
            Self::AllocReschedule => "alloc-reschedule",
            Self::QueuedAllocs => "queued-allocs",
            Self::Preemption => "preemption",
            Self::JobScaling => "job-scaling",
            Self::MaxDisconnectTimeout => "max-disconnect-timeout",
            Self::Reconnect => "reconnect",
        }
    }
}

impl fmt::Display for EvalTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request to look at a job again. Zero fields are left out of the JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    #[serde(rename = "ID")]
    pub id: EvalId,
    pub namespace: Namespace,
    pub priority: i32,
    #[serde(rename = "Type")]
    pub job_type: JobType,
    pub triggered_by: EvalTrigger,
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    #[serde(skip_serializing_if = "is_default")]
    pub job_modify_index: u64,
    #[serde(
        rename = "NodeID",
        with = "wire::opt_id",
        skip_serializing_if = "Option::is_none"
    )]
    pub node_id: Option<NodeId>,
    #[serde(skip_serializing_if = "is_default")]
    pub node_modify_index: u64,
    #[serde(
        rename = "DeploymentID",
        with = "wire::opt_id",
        skip_serializing_if = "Option::is_none"
    )]
    pub deployment_id: Option<DeploymentId>,
    pub status: EvalStatus,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status_description: String,
    /// Legacy delay.
    #[serde(skip_serializing_if = "is_default")]
    pub wait: Nanos,
    /// Not before this time.
    #[serde(with = "wire::rfc3339", skip_serializing_if = "is_default")]
    pub wait_until: Timestamp,
    #[serde(with = "wire::opt_id", skip_serializing_if = "Option::is_none")]
    pub next_eval: Option<EvalId>,
    #[serde(with = "wire::opt_id", skip_serializing_if = "Option::is_none")]
    pub previous_eval: Option<EvalId>,
    #[serde(with = "wire::opt_id", skip_serializing_if = "Option::is_none")]
    pub blocked_eval: Option<EvalId>,
    #[serde(
        rename = "FailedTGAllocs",
        skip_serializing_if = "BTreeMap::is_empty",
        with = "wire::null_default"
    )]
    pub failed_tg_allocs: BTreeMap<String, AllocMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_annotations: Option<Arc<PlanAnnotations>>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        with = "wire::null_default"
    )]
    pub class_eligibility: BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub quota_limit_reached: String,
    #[serde(skip_serializing_if = "Vec::is_empty", with = "wire::null_default")]
    pub missing_non_node_resources: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub escaped_computed_class: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub annotate_plan: bool,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        with = "wire::null_default"
    )]
    pub queued_allocations: BTreeMap<String, i64>,
    #[serde(skip_serializing_if = "is_default")]
    pub snapshot_index: u64,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: Timestamp,
    pub modify_time: Timestamp,
}

impl Evaluation {
    /// Namespace and id of its job.
    pub fn job_key(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }

    /// Whether nothing more happens to it.
    pub fn terminal(&self) -> bool {
        self.status.is_terminal()
    }

    /// Whether the broker should queue it.
    pub fn should_enqueue(&self) -> bool {
        self.status == EvalStatus::Pending
    }

    /// Whether it waits for capacity.
    pub fn should_block(&self) -> bool {
        self.status == EvalStatus::Blocked
    }
}
