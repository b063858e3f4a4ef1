//! One scheduling attempt: what goes in, what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::ids::{DeploymentId, IdSource};
use nomad_core::job::JobType;
use nomad_core::metric::AllocMetric;
use nomad_core::plan::{Plan, PlanAnnotations};
use nomad_core::time::Timestamp;
use nomad_core::view::ClusterView;

use crate::columns::NodeColumns;
use crate::{service, system};

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
    /// Counts per group, as the evaluation shows them.
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
    accept(input.eval)?;
    let built;
    let columns = match input.columns {
        Some(columns) if columns.index() == input.view.index() => columns,
        _ => {
            built = NodeColumns::from_view(input.view);
            &built
        }
    };
    match input.eval.job_type {
        JobType::Service | JobType::Batch => Ok(service::schedule(input, columns, ids)),
        JobType::System | JobType::Sysbatch => Ok(system::schedule(input, columns, ids)),
        job_type @ JobType::Core => Err(ScheduleError::JobType { job_type }),
    }
}

/// Which triggers the scheduler of a job type answers to.
pub(crate) fn accept(eval: &Evaluation) -> Result<(), ScheduleError> {
    use EvalTrigger as Trigger;
    let accepted = match eval.job_type {
        JobType::Service | JobType::Batch => eval.triggered_by != Trigger::Scheduled,
        JobType::System | JobType::Sysbatch => match eval.triggered_by {
            Trigger::JobRegister
            | Trigger::JobDeregister
            | Trigger::NodeUpdate
            | Trigger::NodeDrain
            | Trigger::AllocStop
            | Trigger::RollingUpdate
            | Trigger::DeploymentWatcher
            | Trigger::FailedFollowUp
            | Trigger::QueuedAllocs
            | Trigger::Preemption
            | Trigger::JobScaling
            | Trigger::Reconnect => true,
            Trigger::PeriodicJob => eval.job_type == JobType::Sysbatch,
            Trigger::MaxPlanAttempts
            | Trigger::AllocFailure
            | Trigger::AllocReschedule
            | Trigger::MaxDisconnectTimeout
            | Trigger::Scheduled => false,
        },
        JobType::Core => true,
    };
    if accepted {
        Ok(())
    } else {
        Err(ScheduleError::Trigger {
            trigger: eval.triggered_by.as_str(),
        })
    }
}
