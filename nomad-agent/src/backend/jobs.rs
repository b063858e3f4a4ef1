//! Jobs: admission, and the API's shapes around the server's writes.

use nomad_api::backend::{ApiResult, RegisterJob};
use nomad_api::error::ApiError;
use nomad_api::types::*;
use nomad_core::job::Job;
use nomad_core::validate::{AdmissionError, Admitted, NamespaceRules, Rules, admit, check_update};
use nomad_core::view::ClusterView;
use nomad_core::{Clock, Timestamp, spec};
use nomad_server::ops;
use nomad_server::periodic::{Schedule, is_time_zone};
use nomad_state::command::{self, NamespaceCapabilities};

use super::ServerHalf;
use super::errors::api_error;
use crate::clock::SystemClock;

impl ServerHalf {
    /// Completes, validates and converts a submitted job by the rules of this cluster.
    pub(super) fn admit(&self, job: spec::Job) -> Result<Admitted, AdmissionError> {
        let state = self.state();
        let namespace = job.namespace.clone().unwrap_or_default();
        let pool = job.node_pool.clone().unwrap_or_default();
        let config = self.server.config();
        let rules = Rules {
            max_priority: i64::from(config.job_max_priority),
            max_count: config.job_max_count,
            memory_oversubscription: state.scheduler_config().memory_oversubscription_enabled,
            vault_enabled: false,
            namespace: state
                .namespace(&namespace)
                .map(|row| rules_of(row.capabilities.as_ref())),
            node_pool_exists: pool.is_empty() || state.node_pool(&pool).is_some(),
            is_time_zone: &is_time_zone,
        };
        admit(job, &self.defaults, &rules, &mut self.ids.clone())
    }

    pub(super) async fn register_job(
        &self,
        request: RegisterJob,
    ) -> ApiResult<JobRegisterResponse> {
        if self.state().scheduler_config().reject_job_registration {
            return Err(ApiError::internal(
                "Job registration, dispatch, and scale are disabled by the scheduler configuration",
            ));
        }
        let admitted = self
            .admit(request.job)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let mut job = admitted.job;
        let mut warnings = admitted.warnings;
        let stored = self.state().job(&job.key()).cloned();
        check_update(stored.as_deref(), &job)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        self.fill_policy_ids(&mut job);
        let submission = request.submission.map(stored_submission).filter(|submission| {
            let flags: usize = submission.variable_flags.iter().map(|(key, value)| key.len() + value.len()).sum();
            let size = (submission.source.len() + submission.variables.len() + flags) as u64;
            let fits = size <= self.max_source_bytes;
            if !fits {
                warnings.add(format!(
                    "job source size of {size} bytes exceeds maximum of {} bytes and will be discarded",
                    self.max_source_bytes
                ));
            }
            fits
        });
        let reply = self
            .server
            .register_job(ops::RegisterJob {
                job,
                submission,
                enforce_index: request.enforce_index,
                preserve_counts: request.preserve_counts,
                preserve_resources: request.preserve_resources,
                eval_priority: request.eval_priority,
            })
            .await
            .map_err(api_error)?;
        Ok(JobRegisterResponse {
            warnings: warnings.warning_text(),
            ..registered(&reply)
        })
    }

    /// Every scaling policy has an id; stored ones win when the job is applied.
    fn fill_policy_ids(&self, job: &mut Job) {
        for group in &mut job.task_groups {
            let policies = group.scaling.iter_mut();
            for policy in policies.chain(
                group
                    .tasks
                    .iter_mut()
                    .flat_map(|task| &mut task.scaling_policies),
            ) {
                if policy.id.is_empty() {
                    policy.id = self.ids.fresh::<nomad_core::Uuid>().to_string();
                }
            }
        }
    }

    pub(super) fn validate_job(&self, job: spec::Job) -> ApiResult<JobValidateResponse> {
        let mut response = JobValidateResponse {
            driver_config_validated: true,
            ..JobValidateResponse::default()
        };
        match self.admit(job) {
            Ok(admitted) => response.warnings = admitted.warnings.warning_text(),
            Err(AdmissionError::Invalid(messages)) => {
                response.error = messages.error_text();
                response.validation_errors = messages.into_vec();
            }
            Err(other) => return Err(ApiError::internal(other.to_string())),
        }
        Ok(response)
    }

    pub(super) async fn plan_job(
        &self,
        job: spec::Job,
        with_diff: bool,
        explain: bool,
    ) -> ApiResult<JobPlanResponse> {
        let admitted = self
            .admit(job)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let job = admitted.job;
        let stored = self.state().job(&job.key()).cloned();
        check_update(stored.as_deref(), &job)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let next_periodic_launch = next_launch(&job, SystemClock.now());
        let request = ops::RegisterJob {
            job,
            ..ops::RegisterJob::default()
        };
        let reply = self.server.plan_job(request, explain).await;
        let reply = reply.map_err(api_error)?;
        let diff = with_diff
            .then(|| {
                let updates = reply
                    .annotations
                    .as_ref()
                    .map(|annotations| annotations.desired_tg_updates.clone())
                    .unwrap_or_default();
                super::diff::planned(reply.old.as_deref(), reply.new.as_deref(), &updates)
            })
            .transpose()?;
        Ok(JobPlanResponse {
            annotations: reply.annotations.map(|annotations| (*annotations).clone()),
            failed_tg_allocs: reply.failed_tg_allocs,
            job_modify_index: reply.job_modify_index,
            created_evals: reply.created_evals,
            diff,
            warnings: admitted.warnings.warning_text(),
            index: reply.index,
            next_periodic_launch,
            explanations: reply.explanations,
        })
    }
}

/// When a periodic job would start next; zero for all others, and for a schedule that never comes.
fn next_launch(job: &Job, now: Timestamp) -> Timestamp {
    let periodic = job.periodic.as_ref().filter(|periodic| periodic.enabled);
    let schedule = periodic.and_then(|periodic| Schedule::of(periodic).ok());
    let next = schedule.and_then(|schedule| schedule.next_after(now));
    next.unwrap_or(Timestamp::ZERO)
}

fn rules_of(capabilities: Option<&NamespaceCapabilities>) -> NamespaceRules<'_> {
    capabilities.map_or_else(NamespaceRules::default, |caps| NamespaceRules {
        enabled_drivers: &caps.enabled_task_drivers,
        disabled_drivers: &caps.disabled_task_drivers,
        enabled_network_modes: &caps.enabled_network_modes,
        disabled_network_modes: &caps.disabled_network_modes,
    })
}

fn stored_submission(submission: JobSubmission) -> command::JobSubmission {
    command::JobSubmission {
        source: submission.source,
        format: submission.format,
        variable_flags: submission.variable_flags,
        variables: submission.variables,
        ..command::JobSubmission::default()
    }
}

/// The answer to everything that registers a job.
pub(super) fn registered(reply: &ops::RegisterReply) -> JobRegisterResponse {
    JobRegisterResponse {
        eval_id: text(reply.eval_id),
        eval_create_index: reply.eval_create_index,
        job_modify_index: reply.job_modify_index,
        warnings: String::new(),
        meta: QueryMeta {
            index: reply.index,
            ..QueryMeta::default()
        },
    }
}

/// An id as text, "" for none.
pub(super) fn text<T: ToString>(id: Option<T>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
