//! Deployments: the rollout of one job version.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocId, DeploymentId, JobId, JobKey, Namespace};
use crate::time::{Nanos, Timestamp};
use crate::wire;

/// Where a deployment stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentStatus {
    #[default]
    #[serde(alias = "")]
    Running,
    Paused,
    Failed,
    Successful,
    Cancelled,
    Initializing,
    Pending,
    Blocked,
    Unblocking,
}

impl DeploymentStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Successful => "successful",
            Self::Cancelled => "cancelled",
            Self::Initializing => "initializing",
            Self::Pending => "pending",
            Self::Blocked => "blocked",
            Self::Unblocking => "unblocking",
        }
    }

    /// Whether it still goes on.
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Running
                | Self::Paused
                | Self::Initializing
                | Self::Pending
                | Self::Blocked
                | Self::Unblocking
        )
    }
}

impl fmt::Display for DeploymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rollout of one job version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Deployment {
    #[serde(rename = "ID")]
    pub id: DeploymentId,
    pub namespace: Namespace,
    #[serde(rename = "JobID")]
    pub job_id: JobId,
    pub job_version: u64,
    pub job_modify_index: u64,
    pub job_spec_modify_index: u64,
    pub job_create_index: u64,
    pub is_multiregion: bool,
    #[serde(with = "wire::null_default")]
    pub task_groups: BTreeMap<String, DeploymentState>,
    pub status: DeploymentStatus,
    pub status_description: String,
    pub eval_priority: i32,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: Timestamp,
    pub modify_time: Timestamp,
}

impl Deployment {
    /// Namespace and id of its job.
    pub fn job_key(&self) -> JobKey {
        JobKey {
            namespace: self.namespace.clone(),
            id: self.job_id.clone(),
        }
    }

    /// Whether it still goes on.
    pub fn active(&self) -> bool {
        self.status.is_active()
    }

    /// Whether some group waits for its canaries to be promoted.
    pub fn requires_promotion(&self) -> bool {
        self.status == DeploymentStatus::Running
            && self
                .task_groups
                .values()
                .any(|group| group.desired_canaries > 0 && !group.promoted)
    }

    /// Whether every group with canaries promotes them by itself.
    pub fn has_auto_promote(&self) -> bool {
        self.status == DeploymentStatus::Running
            && self
                .task_groups
                .values()
                .filter(|group| group.desired_canaries > 0)
                .all(|group| group.auto_promote)
    }
}

/// One group of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentState {
    pub auto_revert: bool,
    pub auto_promote: bool,
    pub progress_deadline: Nanos,
    #[serde(with = "wire::rfc3339")]
    pub require_progress_by: Timestamp,
    pub promoted: bool,
    #[serde(with = "wire::null_if_empty")]
    pub placed_canaries: Vec<AllocId>,
    pub desired_canaries: i64,
    pub desired_total: i64,
    pub placed_allocs: i64,
    pub healthy_allocs: i64,
    pub unhealthy_allocs: i64,
}

/// A change of a deployment's status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentStatusUpdate {
    #[serde(rename = "DeploymentID")]
    pub deployment_id: DeploymentId,
    pub status: DeploymentStatus,
    pub status_description: String,
    pub updated_at: Timestamp,
}
