//! One scheduling attempt: what goes in, what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::eval::Evaluation;
use nomad_core::ids::{DeploymentId, IdSource};
use nomad_core::job::JobType;
use nomad_core::metric::AllocMetric;
use nomad_core::plan::{Plan, PlanAnnotations};
use nomad_core::time::Timestamp;
use nomad_core::view::ClusterView;

use crate::columns::NodeColumns;

/// Everything that an attempt depends on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The cluster as of some index.
    pub view: &'a dyn ClusterView,
    /// Columns that stand at the same index as `view`; built from it for this attempt where absent or of another
    /// index.
    pub columns: Option<&'a NodeColumns>,
    /// The evaluation that is processed.
    pub eval: &'a Evaluation,
    /// The time that rescheduling and disconnects are judged by.
    pub now: Timestamp,
    /// Decides ties and dynamic ports.
    pub seed: u64,
}

/// What an attempt proposes.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The change of the cluster; absent where nothing is to be changed.
    pub plan: Option<Plan>,
    /// What is to be written about evaluations once the plan is applied.
    pub finish: Finish,
}

/// What an attempt says about evaluations.
#[derive(Debug, Clone, Default)]
pub struct Finish {
    /// Groups that could not be placed whole, with the reasons.
    pub failed_tg_allocs: BTreeMap<String, AllocMetric>,
    /// Placements wanted per group, before what the plan achieves is taken off.
    pub queued_allocations: BTreeMap<String, i64>,
    /// Evaluations for later times; allocations of the plan refer to them, so they are written with it or before it.
    pub follow_ups: Vec<Evaluation>,
    /// Evaluations that wait for capacity: one for the job, or for system jobs one per exhausted node.
    pub blocked: Vec<Evaluation>,
    /// The evaluation itself goes back to waiting for capacity.
    pub reblock: Option<Evaluation>,
    /// Deployment that the job's placements belong to.
    pub deployment_id: Option<DeploymentId>,
    /// Counts per group, where the evaluation asks for them.
    pub annotations: Option<Arc<PlanAnnotations>>,
}

/// Why an evaluation cannot be processed at all; it is marked failed with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The job's scheduler does not answer to this trigger.
    #[error("scheduler cannot handle '{trigger}' evaluation reason")]
    Trigger { trigger: &'static str },
    /// Garbage collection is the server's own work.
    #[error("no scheduler for jobs of type '{job_type}'")]
    JobType { job_type: JobType },
}

/// One attempt: reads the view, proposes a plan. Pure: the same arguments give the same outcome.
pub fn schedule(input: &Input<'_>, ids: &mut dyn IdSource) -> Result<Outcome, ScheduleError> {
    crate::simple::schedule(input, ids)
}
