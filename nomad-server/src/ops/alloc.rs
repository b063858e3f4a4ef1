//! Stopping single allocations.

use nomad_core::alloc::DesiredTransition;
use nomad_core::eval::EvalTrigger;
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, EvalId};
use nomad_state::command::AllocTransitions;

use crate::error::ServerError;
use crate::server::Server;

impl Server {
    /// Stops an allocation; the scheduler places another one. Gives the evaluation and the index of the write.
    pub async fn stop_alloc(
        &self,
        id: AllocId,
        no_shutdown_delay: bool,
        reschedule: bool,
    ) -> Result<(EvalId, u64), ServerError> {
        let state = self.state();
        let alloc = state
            .alloc(id)
            .ok_or_else(|| ServerError::not_found("allocation not found"))?;
        let job = alloc
            .job
            .clone()
            .or_else(|| state.job(&alloc.job_key()).cloned());
        let job = job.ok_or_else(|| ServerError::refused("job not found"))?;
        let eval = self.eval_of(&job, EvalTrigger::AllocStop);
        let eval_id = eval.id;
        let transition = DesiredTransition {
            migrate: Some(true),
            reschedule: Some(reschedule),
            no_shutdown_delay: Some(no_shutdown_delay),
            ..DesiredTransition::default()
        };
        let command = AllocTransitions {
            transitions: [(id, transition)].into(),
            evals: vec![eval],
            now: self.inner.clock.now(),
        };
        let applied = self.write(command).await?;
        Ok((eval_id, applied.index))
    }
}
