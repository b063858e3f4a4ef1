//! Jobs: requests, answers, list stubs.

use std::collections::BTreeMap;

use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::explain::GroupExplanation;
use nomad_core::job::{AnyMap, Job, StringMap};
use nomad_core::metric::AllocMetric;
use nomad_core::plan::PlanAnnotations;
use nomad_core::summary::JobSummary;
use nomad_core::{Timestamp, spec, wire};
use serde::{Deserialize, Serialize};

use super::QueryMeta;

/// A job in lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobListStub {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    pub name: String,
    pub namespace: String,
    #[serde(with = "wire::null_if_empty")]
    pub datacenters: Vec<String>,
    pub node_pool: String,
    pub multiregion: Option<serde_json::Value>,
    #[serde(rename = "Type")]
    pub job_type: String,
    pub priority: i32,
    pub periodic: bool,
    pub parameterized_job: bool,
    pub stop: bool,
    pub status: String,
    pub status_description: String,
    pub job_summary: Option<JobSummary>,
    pub create_index: u64,
    pub modify_index: u64,
    pub job_modify_index: u64,
    pub submit_time: Timestamp,
    /// Only where it was asked for.
    pub meta: Option<StringMap>,
}

impl JobListStub {
    /// The stub of a job.
    pub fn new(job: &Job, summary: Option<&JobSummary>, with_meta: bool) -> Self {
        Self {
            id: job.id.to_string(),
            parent_id: job.parent_id.to_string(),
            name: job.name.clone(),
            namespace: job.namespace.to_string(),
            datacenters: job.datacenters.clone(),
            node_pool: job.node_pool.clone(),
            multiregion: job.multiregion.clone(),
            job_type: job.job_type.to_string(),
            priority: job.priority,
            periodic: job.is_periodic(),
            parameterized_job: job.is_parameterized(),
            stop: job.stop,
            status: job.status.to_string(),
            status_description: job.status_description.clone(),
            job_summary: summary.cloned(),
            create_index: job.create_index,
            modify_index: job.modify_index,
            job_modify_index: job.job_modify_index,
            submit_time: job.submit_time,
            meta: (with_meta && !job.meta.is_empty()).then(|| job.meta.clone()),
        }
    }
}

/// The text that a job was made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobSubmission {
    pub source: String,
    /// `hcl2`, `json` or `hcl1`.
    pub format: String,
    #[serde(with = "wire::null_default")]
    pub variable_flags: StringMap,
    pub variables: String,
    pub namespace: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub version: u64,
    pub job_modify_index: u64,
}

/// Body of a registration. Decoded with [`spec::decode`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobRegisterRequest {
    pub job: Option<spec::Job>,
    pub submission: Option<JobSubmission>,
    #[serde(with = "wire::null_default")]
    pub enforce_index: bool,
    #[serde(with = "wire::null_default")]
    pub job_modify_index: u64,
    #[serde(with = "wire::null_default")]
    pub policy_override: bool,
    #[serde(with = "wire::null_default")]
    pub preserve_counts: bool,
    #[serde(with = "wire::null_default")]
    pub preserve_resources: bool,
    /// 1 to 100; 0 is the job's own.
    #[serde(with = "wire::null_default")]
    pub eval_priority: i32,
    #[serde(with = "wire::null_default")]
    pub region: String,
    #[serde(with = "wire::null_default")]
    pub namespace: String,
}

/// Answer to everything that registers a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobRegisterResponse {
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub eval_create_index: u64,
    pub job_modify_index: u64,
    pub warnings: String,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// Answer to stopping a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDeregisterResponse {
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub eval_create_index: u64,
    pub job_modify_index: u64,
    #[serde(rename = "VolumeEvalID")]
    pub volume_eval_id: String,
    pub volume_eval_index: u64,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// Body of `plan`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobPlanRequest {
    pub job: Option<spec::Job>,
    #[serde(with = "wire::null_default")]
    pub diff: bool,
    #[serde(with = "wire::null_default")]
    pub policy_override: bool,
    #[serde(with = "wire::null_default")]
    pub namespace: String,
    /// Also say what each node says to the placements; ours alone, so it is left out unless asked for.
    #[serde(with = "wire::null_default", skip_serializing_if = "wire::is_default")]
    pub explain: bool,
}

/// Answer to `plan`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobPlanResponse {
    pub annotations: Option<PlanAnnotations>,
    #[serde(rename = "FailedTGAllocs", with = "wire::null_if_empty")]
    pub failed_tg_allocs: BTreeMap<String, AllocMetric>,
    pub job_modify_index: u64,
    #[serde(with = "wire::null_if_empty")]
    pub created_evals: Vec<Evaluation>,
    /// A job diff, where it was asked for.
    pub diff: Option<serde_json::Value>,
    #[serde(with = "wire::rfc3339_or_null")]
    pub next_periodic_launch: Timestamp,
    pub warnings: String,
    pub index: u64,
    /// What each node says to the first placement of each group, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "wire::null_default")]
    pub explanations: Vec<GroupExplanation>,
}

/// Body of `parse`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobsParseRequest {
    #[serde(
        rename = "JobHCL",
        alias = "JobHcl",
        alias = "jobhcl",
        with = "wire::null_default"
    )]
    pub job_hcl: String,
    #[serde(rename = "Variables", alias = "variables", with = "wire::null_default")]
    pub variables: String,
    #[serde(
        rename = "Canonicalize",
        alias = "canonicalize",
        with = "wire::null_default"
    )]
    pub canonicalize: bool,
}

/// Answer to `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobValidateResponse {
    pub driver_config_validated: bool,
    #[serde(with = "wire::null_if_empty")]
    pub validation_errors: Vec<String>,
    pub error: String,
    pub warnings: String,
}

/// Body of `evaluate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobEvaluateRequest {
    #[serde(rename = "JobID", with = "wire::null_default")]
    pub job_id: String,
    #[serde(rename = "EvalOptions", with = "wire::null_default")]
    pub eval_options: EvalOptions,
}

/// Options of `evaluate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EvalOptions {
    #[serde(with = "wire::null_default")]
    pub force_reschedule: bool,
}

/// Body of `revert`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobRevertRequest {
    #[serde(rename = "JobID", with = "wire::null_default")]
    pub job_id: String,
    #[serde(rename = "JobVersion", with = "wire::null_default")]
    pub job_version: u64,
    #[serde(rename = "EnforcePriorVersion")]
    pub enforce_prior_version: Option<u64>,
}

/// Body of `stable`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStabilityRequest {
    #[serde(rename = "JobID", with = "wire::null_default")]
    pub job_id: String,
    #[serde(rename = "JobVersion", with = "wire::null_default")]
    pub job_version: u64,
    #[serde(rename = "Stable", with = "wire::null_default")]
    pub stable: bool,
}

/// Body of `dispatch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobDispatchRequest {
    #[serde(rename = "JobID", with = "wire::null_default")]
    pub job_id: String,
    #[serde(rename = "Payload", with = "wire::base64_bytes")]
    pub payload: Vec<u8>,
    #[serde(rename = "Meta", with = "wire::null_default")]
    pub meta: StringMap,
    #[serde(rename = "IdPrefixTemplate", with = "wire::null_default")]
    pub id_prefix_template: String,
    #[serde(rename = "Priority", with = "wire::null_default")]
    pub priority: i32,
}

/// Answer to `dispatch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDispatchResponse {
    #[serde(rename = "DispatchedJobID")]
    pub dispatched_job_id: String,
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub eval_create_index: u64,
    pub job_create_index: u64,
    pub index: u64,
}

/// Answer to `periodic/force`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PeriodicForceResponse {
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub eval_create_index: u64,
    pub index: u64,
}

/// Body of `scale`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingRequest {
    pub count: Option<i64>,
    #[serde(with = "wire::null_default")]
    pub target: StringMap,
    #[serde(with = "wire::null_default")]
    pub message: String,
    #[serde(with = "wire::null_default")]
    pub error: bool,
    #[serde(with = "wire::null_default")]
    pub meta: AnyMap,
    #[serde(with = "wire::null_default")]
    pub policy_override: bool,
    #[serde(with = "wire::null_default")]
    pub job_modify_index: u64,
}

/// Scale of a job's groups.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobScaleStatus {
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub namespace: String,
    pub job_create_index: u64,
    pub job_modify_index: u64,
    pub job_stopped: bool,
    pub task_groups: BTreeMap<String, TaskGroupScaleStatus>,
}

/// Scale of one group; canaries are not counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroupScaleStatus {
    pub desired: i64,
    pub placed: i64,
    pub running: i64,
    pub healthy: i64,
    pub unhealthy: i64,
    #[serde(with = "wire::null_if_empty")]
    pub events: Vec<serde_json::Value>,
}

/// Kept versions of a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobVersionsResponse {
    /// Newest first.
    pub versions: Vec<Job>,
    #[serde(with = "wire::null_if_empty")]
    pub diffs: Vec<serde_json::Value>,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// Body of tagging a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobTagRequest {
    #[serde(with = "wire::null_default")]
    pub version: u64,
    #[serde(with = "wire::null_default")]
    pub latest: bool,
    #[serde(with = "wire::null_default")]
    pub description: String,
}

/// Answer to tagging a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobTagResponse {
    pub name: String,
    pub description: String,
    pub tagged_time: Timestamp,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// An action of a job's task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobAction {
    pub name: String,
    pub command: String,
    #[serde(with = "wire::null_if_empty")]
    pub args: Vec<String>,
    pub task_name: String,
    pub task_group_name: String,
}

/// A job with its allocations, for overview pages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatusesJob {
    #[serde(rename = "ID")]
    pub id: String,
    pub namespace: String,
    pub name: String,
    #[serde(rename = "Type")]
    pub job_type: String,
    pub node_pool: String,
    #[serde(with = "wire::null_if_empty")]
    pub datacenters: Vec<String>,
    pub priority: i32,
    pub version: u64,
    pub submit_time: Timestamp,
    pub modify_index: u64,
    pub allocs: Vec<JobStatusesAlloc>,
    pub group_count_sum: i64,
    pub child_statuses: Option<Vec<String>>,
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    pub latest_deployment: Option<JobStatusesDeployment>,
    pub stop: bool,
    pub is_pack: bool,
    pub status: String,
}

/// An allocation of a [`JobStatusesJob`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatusesAlloc {
    #[serde(rename = "ID")]
    pub id: String,
    pub group: String,
    pub client_status: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub deployment_status: JobStatusesHealth,
    pub job_version: u64,
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    pub has_paused_task: bool,
}

/// Health of a [`JobStatusesAlloc`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatusesHealth {
    pub canary: bool,
    pub healthy: Option<bool>,
}

/// Latest deployment of a [`JobStatusesJob`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatusesDeployment {
    #[serde(rename = "ID")]
    pub id: String,
    pub is_active: bool,
    pub job_version: u64,
    pub status: String,
    pub status_description: String,
    pub all_auto_promote: bool,
    pub requires_promotion: bool,
}

impl From<&Deployment> for JobStatusesDeployment {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.to_string(),
            is_active: deployment.active(),
            job_version: deployment.job_version,
            status: deployment.status.to_string(),
            status_description: deployment.status_description.clone(),
            all_auto_promote: deployment.has_auto_promote(),
            requires_promotion: deployment.requires_promotion(),
        }
    }
}
