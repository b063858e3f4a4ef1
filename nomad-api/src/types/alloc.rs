//! Allocations: answers and list stubs.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{
    AllocDeploymentStatus, AllocNetworkStatus, AllocatedResources, Allocation, ClientStatus,
    DesiredTransition, RescheduleTracker,
};
use nomad_core::job::Job;
use nomad_core::task_state::TaskState;
use nomad_core::{Timestamp, wire};
use serde::{Deserialize, Serialize};

/// An allocation in lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocListStub {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub name: String,
    pub namespace: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub node_name: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub job_type: String,
    pub job_version: u64,
    pub task_group: String,
    pub allocated_resources: Option<AllocatedResources>,
    pub desired_status: String,
    pub desired_description: String,
    pub client_status: String,
    pub client_description: String,
    #[serde(with = "wire::null_default")]
    pub desired_transition: DesiredTransition,
    pub task_states: Option<BTreeMap<String, TaskState>>,
    pub deployment_status: Option<AllocDeploymentStatus>,
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    pub next_allocation: String,
    pub reschedule_tracker: Option<RescheduleTracker>,
    #[serde(with = "wire::null_if_empty")]
    pub preempted_allocations: Vec<String>,
    pub preempted_by_allocation: String,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: Timestamp,
    pub modify_time: Timestamp,
}

/// What a stub shows beyond the standard.
#[derive(Debug, Clone, Copy)]
pub struct StubFields {
    pub resources: bool,
    pub task_states: bool,
}

impl Default for StubFields {
    fn default() -> Self {
        Self {
            resources: false,
            task_states: true,
        }
    }
}

impl AllocListStub {
    /// The stub of an allocation.
    pub fn new(alloc: &Allocation, fields: StubFields) -> Self {
        let text = |id: Option<String>| id.unwrap_or_default();
        Self {
            id: alloc.id.to_string(),
            eval_id: text(alloc.eval_id.map(|id| id.to_string())),
            name: alloc.name.clone(),
            namespace: alloc.namespace.to_string(),
            node_id: alloc.node_id.to_string(),
            node_name: alloc.node_name.clone(),
            job_id: alloc.job_id.to_string(),
            job_type: alloc
                .job
                .as_ref()
                .map(|job| job.job_type.to_string())
                .unwrap_or_default(),
            job_version: alloc
                .job
                .as_ref()
                .map_or(alloc.job_version, |job| job.version),
            task_group: alloc.task_group.clone(),
            allocated_resources: fields.resources.then(|| alloc.allocated_resources.clone()),
            desired_status: alloc.desired_status.to_string(),
            desired_description: alloc.desired_description.clone(),
            client_status: alloc.client_status.to_string(),
            client_description: alloc.client_description.clone(),
            desired_transition: alloc.desired_transition.clone(),
            task_states: (fields.task_states && !alloc.task_states.is_empty())
                .then(|| alloc.task_states.clone()),
            deployment_status: alloc.deployment_status.clone(),
            followup_eval_id: text(alloc.followup_eval_id.map(|id| id.to_string())),
            next_allocation: text(alloc.next_allocation.map(|id| id.to_string())),
            reschedule_tracker: alloc.reschedule_tracker.clone(),
            preempted_allocations: alloc
                .preempted_allocations
                .iter()
                .map(ToString::to_string)
                .collect(),
            preempted_by_allocation: text(alloc.preempted_by_allocation.map(|id| id.to_string())),
            create_index: alloc.create_index,
            modify_index: alloc.modify_index,
            create_time: alloc.create_time,
            modify_time: alloc.modify_time,
        }
    }
}

/// An allocation as the API shows it alone: with its job and the legacy resource fields.
#[derive(Debug, Clone, Serialize)]
pub struct FullAllocation<'a> {
    #[serde(flatten)]
    row: AllocRow<'a>,
    #[serde(rename = "Job", skip_serializing_if = "Option::is_none")]
    job: Option<&'a Arc<Job>>,
    #[serde(rename = "Resources")]
    resources: nomad_core::job::Resources,
    #[serde(rename = "SharedResources")]
    shared_resources: nomad_core::job::Resources,
    #[serde(rename = "TaskResources")]
    task_resources: BTreeMap<&'a str, nomad_core::job::Resources>,
}

/// The stored row without what only storage needs.
#[derive(Debug, Clone)]
struct AllocRow<'a>(&'a Allocation);

impl Serialize for AllocRow<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(self.0).map_err(serde::ser::Error::custom)?;
        if let Some(object) = value.as_object_mut() {
            object.remove("JobVersion");
            // Written even when empty.
            object
                .entry("SigningKeyID")
                .or_insert_with(|| self.0.signing_key_id.as_str().into());
            // A node that has reported and gave no network of its own gave an empty one.
            if self.0.network_status.is_none() && self.0.client_status != ClientStatus::Pending {
                let empty = serde_json::to_value(AllocNetworkStatus::default());
                object.insert(
                    "NetworkStatus".to_owned(),
                    empty.map_err(serde::ser::Error::custom)?,
                );
            }
        }
        value.serialize(serializer)
    }
}

impl<'a> FullAllocation<'a> {
    /// The API's shape of a row.
    pub fn new(alloc: &'a Allocation) -> Self {
        Self {
            row: AllocRow(alloc),
            job: alloc.job.as_ref(),
            resources: alloc.allocated_resources.legacy_total(),
            shared_resources: alloc.allocated_resources.legacy_shared(),
            task_resources: alloc
                .allocated_resources
                .tasks
                .iter()
                .map(|(name, task)| (name.as_str(), task.legacy()))
                .collect(),
        }
    }
}

/// Answer to stopping an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocStopResponse {
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub index: u64,
}
