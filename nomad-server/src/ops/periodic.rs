//! Children of periodic jobs.

use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::job::Job;
use nomad_core::{EvalId, JobKey, Timestamp};
use nomad_state::ApplyError;
use nomad_state::command::{JobRegister, PeriodicLaunches};

use super::dispatch::launched;
use crate::error::ServerError;
use crate::periodic::child_id;
use crate::server::{Inner, Server};

impl Server {
    /// Launches a child of a periodic job now, whatever its schedule; gives the evaluation and its index.
    pub async fn force_periodic(&self, key: JobKey) -> Result<(Option<EvalId>, u64), ServerError> {
        let job = self.job_or_error(&key)?;
        if !job.is_periodic() {
            return Err(ServerError::refused("can't force launch non-periodic job"));
        }
        if job.stopped() {
            return Err(ServerError::refused("can't force launch a stopped job"));
        }
        self.inner.wait_for_leader().await?;
        launch_child(&self.inner, &job, self.inner.clock.now()).await
    }
}

/// Registers the child for an instant, and notes the launch. A child that exists already is left alone: so an instant
/// is launched once, however often it is tried.
pub(crate) async fn launch_child(
    inner: &Inner,
    parent: &Job,
    at: Timestamp,
) -> Result<(Option<EvalId>, u64), ServerError> {
    let now = inner.clock.now();
    let mut child = launched(parent, child_id(&parent.id, at));
    child.periodic = None;
    let eval = child.is_evaluated().then(|| Evaluation {
        id: inner.ids.fresh(),
        namespace: child.namespace.clone(),
        job_id: child.id.clone(),
        job_type: child.job_type,
        priority: child.priority,
        triggered_by: EvalTrigger::PeriodicJob,
        create_time: now,
        modify_time: now,
        ..Evaluation::default()
    });
    let eval_id = eval.as_ref().map(|eval| eval.id);
    let register = JobRegister {
        job: child,
        eval,
        enforce_index: Some(0),
        tracked_versions: inner.config.job_tracked_versions,
        now,
        ..JobRegister::default()
    };
    let (eval_id, index) = match inner.propose(register).await {
        Ok(applied) => (eval_id, applied.index),
        Err(ServerError::State(ApplyError::EnforceIndex { .. })) => (None, 0),
        Err(error) => return Err(error),
    };
    let launches = vec![(parent.key(), at)];
    let noted = inner.propose(PeriodicLaunches { launches }).await?;
    Ok((eval_id, index.max(noted.index)))
}
