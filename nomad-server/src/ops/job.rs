//! Registering, stopping and evaluating jobs.
//!
//! Source: servers and scheduling reference, "Job registration"; HTTP API reference, "Jobs".

use nomad_core::alloc::{ClientStatus, DesiredTransition};
use nomad_core::eval::EvalTrigger;
use nomad_core::job::{Job, JobType};
use nomad_core::validate::check_update;
use nomad_core::view::ClusterView as _;
use nomad_core::{EvalId, JobKey};
use nomad_state::command::{self, AllocTransitions, EvalUpsert, JobSubmission};
use nomad_state::{Applied, Reply};

use super::created;
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

/// What became of stopping a job; all zero where there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeregisterReply {
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
        let state = self.state();
        let stored = state.job(&request.job.key());
        // A wrong index is the first thing to say; apply says it.
        let fits = request
            .enforce_index
            .is_none_or(|index| index == stored.map_or(0, |job| job.job_modify_index));
        if fits {
            check_update(stored.map(|job| &**job), &request.job)
                .map_err(|error| ServerError::refused(error.to_string()))?;
        }
        self.register_as(request, EvalTrigger::JobRegister)
            .await
            .map(|(reply, _)| reply)
    }

    /// Registers a job; the trigger says why.
    pub(super) async fn register_as(
        &self,
        request: RegisterJob,
        trigger: EvalTrigger,
    ) -> Result<(RegisterReply, Applied), ServerError> {
        let job = request.job;
        let eval = job.is_evaluated().then(|| {
            let mut eval = self.eval_of(&job, trigger);
            if request.eval_priority != 0 {
                eval.priority = request.eval_priority;
            }
            eval
        });
        let eval_id = eval.as_ref().map(|eval| eval.id);
        let applied = self
            .write(command::JobRegister {
                job,
                submission: request.submission,
                eval,
                enforce_index: request.enforce_index,
                preserve_counts: request.preserve_counts,
                preserve_resources: request.preserve_resources,
                tracked_versions: self.inner.config.job_tracked_versions,
                now: self.inner.clock.now(),
            })
            .await?;
        let job_modify_index = match applied.reply {
            Reply::JobRegistered {
                job_modify_index, ..
            } => job_modify_index,
            _ => applied.index,
        };
        let reply = RegisterReply {
            eval_id,
            eval_create_index: created(eval_id, &applied),
            job_modify_index,
            index: applied.index,
        };
        Ok((reply, applied))
    }

    /// Stops a job; with `purge` it is forgotten at once. A job that does not exist is no error.
    pub async fn deregister_job(
        &self,
        key: JobKey,
        purge: bool,
        eval_priority: i32,
        no_shutdown_delay: bool,
    ) -> Result<DeregisterReply, ServerError> {
        let Some(job) = self.state().job(&key).cloned() else {
            self.inner.wait_for_leader().await?;
            return Ok(DeregisterReply::default());
        };
        let eval = job.is_evaluated().then(|| {
            let mut eval = self.eval_of(&job, EvalTrigger::JobDeregister);
            // Whatever the job was: the service scheduler stops all of it.
            eval.job_type = JobType::Service;
            if eval_priority != 0 {
                eval.priority = eval_priority;
            }
            eval
        });
        let eval_id = eval.as_ref().map(|eval| eval.id);
        let now = self.inner.clock.now();
        let command = command::JobDeregister {
            key,
            purge,
            eval,
            no_shutdown_delay,
            now,
        };
        let applied = self.write(command).await?;
        Ok(DeregisterReply {
            eval_id,
            eval_create_index: created(eval_id, &applied),
            job_modify_index: applied.index,
            index: applied.index,
        })
    }

    /// Lets the scheduler look at a job again; with `force_reschedule` failed allocations are replaced at once.
    pub async fn evaluate_job(
        &self,
        key: JobKey,
        force_reschedule: bool,
    ) -> Result<RegisterReply, ServerError> {
        let job = self.job_or_error(&key)?;
        if job.is_periodic() {
            return Err(ServerError::refused("can't evaluate periodic job"));
        }
        if job.is_parameterized() {
            return Err(ServerError::refused("can't evaluate parameterized job"));
        }
        let eval = self.eval_of(&job, EvalTrigger::JobRegister);
        let (eval_id, now) = (eval.id, self.inner.clock.now());
        let evals = vec![eval];
        let applied = if force_reschedule {
            let force = DesiredTransition {
                force_reschedule: Some(true),
                ..DesiredTransition::default()
            };
            let state = self.state();
            let transitions = state
                .allocs_of_job(&key)
                .filter(|alloc| {
                    let policy = alloc
                        .group()
                        .and_then(|group| group.reschedule_policy.as_ref());
                    alloc.client_status == ClientStatus::Failed
                        && !alloc.server_terminal()
                        && alloc.next_allocation.is_none()
                        && policy.is_some_and(|policy| policy.attempts > 0 || policy.unlimited)
                })
                .map(|alloc| (alloc.id, force.clone()))
                .collect();
            self.write(AllocTransitions {
                transitions,
                evals,
                now,
            })
            .await?
        } else {
            self.write(EvalUpsert { evals, now }).await?
        };
        Ok(RegisterReply {
            eval_id: Some(eval_id),
            eval_create_index: applied.index,
            job_modify_index: job.modify_index,
            index: applied.index,
        })
    }
}
