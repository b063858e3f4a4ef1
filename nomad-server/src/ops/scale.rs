//! Scaling a group of a job.
//!
//! Source: servers and scheduling reference, "Scaling"; HTTP API reference, "Scale".

use nomad_core::eval::EvalTrigger;
use nomad_core::job::{AnyMap, Job, JobType, TaskGroup};
use nomad_core::view::ClusterView as _;
use nomad_core::{EvalId, JobKey};
use nomad_state::command::{ScalingEvent, ScalingEventRegister};

use super::{RegisterJob, RegisterReply};
use crate::error::ServerError;
use crate::server::Server;

/// A change of a group's count, or a note about one.
#[derive(Debug, Clone, Default)]
pub struct ScaleJob {
    pub group: String,
    /// Absent: only the event is kept.
    pub count: Option<i64>,
    pub message: String,
    /// The event tells of an error; then there may be no count.
    pub error: bool,
    pub meta: AnyMap,
    /// 0 or what the job's JobModifyIndex must be.
    pub enforce_index: u64,
}

impl Server {
    /// Changes the count of a group and keeps the event.
    pub async fn scale_job(
        &self,
        key: JobKey,
        request: ScaleJob,
    ) -> Result<RegisterReply, ServerError> {
        let not_found = || ServerError::not_found(format!("job {:?} not found", &*key.id));
        let state = self.state();
        let job = state.job(&key).ok_or_else(not_found)?;
        let group = check(job, &request)?;
        let previous_count = group.count;
        let mut reply = RegisterReply {
            job_modify_index: job.modify_index,
            ..RegisterReply::default()
        };
        if let Some(count) = request.count {
            let active = state.latest_deployment(&key).is_some_and(|deployment| {
                deployment.active() && deployment.job_create_index == job.create_index
            });
            if active {
                return Err(ServerError::bad_request(
                    "job scaling blocked due to active deployment",
                ));
            }
            let mut scaled = Job::clone(job);
            for group in scaled
                .task_groups
                .iter_mut()
                .filter(|group| group.name == request.group)
            {
                group.count = count;
            }
            let limit = self.inner.config.job_max_count;
            let total = scaled.total_count();
            if limit > 0 && total > limit {
                let reason = format!(
                    "total count was greater than configured job_max_count: {total} > {limit}"
                );
                return Err(ServerError::bad_request(reason));
            }
            let enforce_index = (request.enforce_index != 0).then_some(request.enforce_index);
            let request = RegisterJob {
                job: scaled,
                enforce_index,
                ..RegisterJob::default()
            };
            reply = self.register_as(request, EvalTrigger::JobScaling).await?.0;
        } else {
            self.inner.wait_for_leader().await?;
        }
        let event = event(
            request,
            previous_count,
            reply.eval_id,
            self.inner.clock.now(),
        );
        let applied = self
            .write(ScalingEventRegister {
                key,
                group: event.0,
                event: event.1,
            })
            .await?;
        Ok(RegisterReply {
            index: applied.index,
            ..reply
        })
    }
}

fn event(
    request: ScaleJob,
    previous_count: i64,
    eval_id: Option<EvalId>,
    time: nomad_core::Timestamp,
) -> (String, ScalingEvent) {
    let event = ScalingEvent {
        time,
        count: request.count,
        previous_count,
        message: request.message,
        error: request.error,
        meta: request.meta,
        eval_id,
        create_index: 0,
    };
    (request.group, event)
}

fn check<'a>(job: &'a Job, request: &ScaleJob) -> Result<&'a TaskGroup, ServerError> {
    let bad = |reason: String| Err(ServerError::BadRequest { reason });
    if request.group.is_empty() {
        return bad("missing task group name for scaling action".to_owned());
    }
    if request.error && request.count.is_some() {
        return bad("scaling action should not contain count if error is true".to_owned());
    }
    if request.count.is_some_and(|count| count < 0) {
        return bad("scaling action count can't be negative".to_owned());
    }
    let Some(group) = job.group(&request.group) else {
        return bad(format!(
            "task group {:?} specified for scaling does not exist in job",
            request.group
        ));
    };
    let Some(count) = request.count else {
        return Ok(group);
    };
    if job.job_type == JobType::System && count > 1 {
        return bad(format!(
            "count of a system job can only be 0 or 1, got {count}"
        ));
    }
    if job.job_type == JobType::Sysbatch {
        return bad("jobs of type \"sysbatch\" cannot be scaled".to_owned());
    }
    if let Some(policy) = &group.scaling {
        if count > policy.max {
            let max = policy.max;
            return bad(format!(
                "group count was greater than scaling policy maximum: {count} > {max}"
            ));
        }
        if count < policy.min {
            let min = policy.min;
            return bad(format!(
                "group count was less than scaling policy minimum: {count} < {min}"
            ));
        }
    }
    Ok(group)
}
