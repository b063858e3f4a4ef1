//! What may be written: one file for each kind of object. Every write is answered once it is committed and applied here.

mod alloc;
mod cluster;
mod deployment;
mod dispatch;
mod eval;
mod job;
mod keyring;
mod namespaces;
mod node;
mod periodic;
mod pools;
mod scale;
mod system;
mod try_plan;
mod variables;
mod versions;

use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::job::Job;
use nomad_core::{EvalId, JobKey};
use nomad_state::{Applied, Command};

pub use self::deployment::DeploymentReply;
pub use self::dispatch::{DispatchJob, DispatchReply};
pub use self::job::{DeregisterReply, RegisterJob, RegisterReply};
pub(crate) use self::node::event as node_event;
pub use self::node::{DrainNode, DrainSpec, NodeReply};
pub(crate) use self::periodic::launch_child;
pub use self::scale::ScaleJob;
pub use self::try_plan::PlanReply;
pub use self::variables::{LockRequest, MAX_VARIABLE_BYTES, VariableReply, WriteVariable};
use crate::error::ServerError;
use crate::server::Server;

impl Server {
    /// Puts a command into the log of the leader that this server is; waits a while where nobody leads.
    async fn write(&self, command: impl Into<Command> + Send) -> Result<Applied, ServerError> {
        self.inner.wait_for_leader().await?;
        self.inner.propose(command).await
    }

    /// An evaluation of a job, as of now.
    fn eval_of(&self, job: &Job, triggered_by: EvalTrigger) -> Evaluation {
        let now = self.inner.clock.now();
        Evaluation {
            id: self.inner.ids.fresh(),
            namespace: job.namespace.clone(),
            job_id: job.id.clone(),
            job_type: job.job_type,
            priority: job.priority,
            job_modify_index: job.job_modify_index,
            triggered_by,
            create_time: now,
            modify_time: now,
            ..Evaluation::default()
        }
    }

    /// The newest version of a job, or the error that says that there is none.
    fn job_or_error(&self, key: &JobKey) -> Result<std::sync::Arc<Job>, ServerError> {
        use nomad_core::view::ClusterView as _;
        let state = self.state();
        state
            .job(key)
            .cloned()
            .ok_or_else(|| ServerError::refused("job not found"))
    }
}

/// Index at which an evaluation was created with a write; 0 where there is none.
fn created(eval: Option<EvalId>, applied: &Applied) -> u64 {
    if eval.is_some() { applied.index } else { 0 }
}
