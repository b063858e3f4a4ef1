//! Writing jobs.
//!
//! Source: servers and scheduling reference, "Job registration"; HTTP API reference, "Jobs".

use nomad_core::EvalId;
use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::job::Job;
use nomad_core::view::ClusterView as _;
use nomad_state::Reply;
use nomad_state::command::{self, JobSubmission};

use crate::error::ServerError;
use crate::server::Server;

/// A job to be registered.
#[derive(Debug, Clone, Default)]
pub struct RegisterJob {
    /// Canonical and validated.
    pub job: Job,
    /// The text that it was made from.
    pub submission: Option<JobSubmission>,
    /// 0: must not exist; otherwise must be its JobModifyIndex.
    pub enforce_index: Option<u64>,
    /// Existing counts win over the submitted ones.
    pub preserve_counts: bool,
    /// Existing task resources win over the submitted ones.
    pub preserve_resources: bool,
    /// Priority of the evaluation; 0 is the job's own.
    pub eval_priority: i32,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegisterReply {
    /// Absent for jobs that only launch others.
    pub eval_id: Option<EvalId>,
    /// 0 where there is no evaluation.
    pub eval_create_index: u64,
    pub job_modify_index: u64,
    /// Index of the write.
    pub index: u64,
}

impl Server {
    /// Registers a job, or a new version of it.
    pub async fn register_job(&self, request: RegisterJob) -> Result<RegisterReply, ServerError> {
        let now = self.inner.clock.now();
        let job = request.job;
        let priority = if request.eval_priority == 0 {
            job.priority
        } else {
            request.eval_priority
        };
        let eval = job.is_evaluated().then(|| Evaluation {
            id: self.inner.ids.fresh(),
            namespace: job.namespace.clone(),
            job_id: job.id.clone(),
            job_type: job.job_type,
            priority,
            triggered_by: EvalTrigger::JobRegister,
            create_time: now,
            modify_time: now,
            ..Evaluation::default()
        });
        let eval_id = eval.as_ref().map(|eval| eval.id);
        let key = job.key();
        let applied = self
            .inner
            .propose(command::JobRegister {
                job,
                submission: request.submission,
                eval,
                enforce_index: request.enforce_index,
                preserve_counts: request.preserve_counts,
                preserve_resources: request.preserve_resources,
                tracked_versions: self.inner.config.job_tracked_versions,
                now,
            })
            .await?;
        let job_modify_index = match applied.reply {
            Reply::JobRegistered {
                job_modify_index, ..
            } => job_modify_index,
            _ => self
                .state()
                .job(&key)
                .map_or(applied.index, |job| job.job_modify_index),
        };
        Ok(RegisterReply {
            eval_id,
            eval_create_index: if eval_id.is_some() { applied.index } else { 0 },
            job_modify_index,
            index: applied.index,
        })
    }
}
