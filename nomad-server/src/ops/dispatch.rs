//! Dispatching parameterized jobs.
//!
//! Source: servers and scheduling reference, "Parameterized"; HTTP API reference, "Dispatch".

use nomad_core::eval::EvalTrigger;
use nomad_core::job::{Job, JobStatus, StringMap};
use nomad_core::validate::check_dispatch;
use nomad_core::view::ClusterView as _;
use nomad_core::{EvalId, JobId, JobKey, Timestamp, Uuid};

use super::RegisterJob;
use crate::error::ServerError;
use crate::server::Server;

/// Arguments of a parameterized job.
#[derive(Debug, Clone, Default)]
pub struct DispatchJob {
    pub payload: Vec<u8>,
    pub meta: StringMap,
    /// Becomes part of the new job's id.
    pub id_prefix: String,
    /// 0 is the parent's.
    pub priority: i32,
    /// While a job that was dispatched with the same token exists, that one is the answer.
    pub idempotency_token: String,
}

/// What became of a dispatch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DispatchReply {
    pub dispatched_job_id: JobId,
    /// Absent where the job existed already, or only launches others.
    pub eval_id: Option<EvalId>,
    pub eval_create_index: u64,
    pub job_create_index: u64,
    pub index: u64,
}

impl Server {
    /// Launches a job from a parameterized one.
    pub async fn dispatch_job(
        &self,
        key: JobKey,
        request: DispatchJob,
    ) -> Result<DispatchReply, ServerError> {
        let state = self.state();
        let parent = state
            .job(&key)
            .ok_or_else(|| ServerError::refused("parameterized job not found"))?;
        let max_priority = self.inner.config.job_max_priority;
        check_dispatch(
            parent,
            &request.payload,
            &request.meta,
            i64::from(request.priority),
            i64::from(max_priority),
        )
        .map_err(|error| ServerError::refused(error.to_string()))?;
        if !request.idempotency_token.is_empty() {
            let same = state
                .job_children(&key)
                .find(|child| child.dispatch_idempotency_token == request.idempotency_token);
            if let Some(same) = same {
                return Ok(DispatchReply {
                    dispatched_job_id: same.id.clone(),
                    job_create_index: same.create_index,
                    index: same.modify_index,
                    ..DispatchReply::default()
                });
            }
        }
        let child = child(
            parent,
            request,
            self.inner.clock.now(),
            self.inner.ids.fresh(),
        );
        let dispatched_job_id = child.id.clone();
        let register = RegisterJob {
            job: child,
            ..RegisterJob::default()
        };
        let (reply, _) = self.register_as(register, EvalTrigger::JobRegister).await?;
        Ok(DispatchReply {
            dispatched_job_id,
            eval_id: reply.eval_id,
            eval_create_index: reply.eval_create_index,
            job_create_index: reply.job_modify_index,
            index: reply.index,
        })
    }
}

/// The job that a dispatch makes.
fn child(parent: &Job, request: DispatchJob, now: Timestamp, unique: Uuid) -> Job {
    let prefix = match request.id_prefix.as_str() {
        "" => String::new(),
        prefix => format!("{prefix}-"),
    };
    let id = format!(
        "{}/dispatch-{prefix}{}-{}",
        parent.id,
        now.as_secs(),
        unique.short()
    );
    let mut child = launched(parent, id);
    child.dispatched = true;
    child.dispatch_idempotency_token = request.idempotency_token;
    child.payload = request.payload;
    child.meta.extend(request.meta);
    if request.priority != 0 {
        child.priority = request.priority;
    }
    child
}

/// A copy of a periodic or parameterized job that stands for one launch.
pub(crate) fn launched(parent: &Job, id: String) -> Job {
    Job {
        id: id.clone().into(),
        name: id,
        parent_id: parent.id.clone(),
        status: JobStatus::Pending,
        status_description: String::new(),
        stable: false,
        version: 0,
        version_tag: None,
        create_index: 0,
        modify_index: 0,
        job_modify_index: 0,
        ..parent.clone()
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::job::Parameterized;

    use super::*;

    fn parent(payload: &str) -> Job {
        Job {
            id: "work".into(),
            parameterized_job: Some(Parameterized {
                payload: payload.to_owned(),
                meta_required: vec!["who".to_owned()],
                meta_optional: vec!["why".to_owned()],
            }),
            meta: [("who".to_owned(), "nobody".to_owned())].into(),
            priority: 50,
            ..Job::default()
        }
    }

    fn request(meta: &[&str], payload: usize) -> DispatchJob {
        DispatchJob {
            meta: meta
                .iter()
                .map(|key| ((*key).to_owned(), "x".to_owned()))
                .collect(),
            payload: vec![1; payload],
            ..DispatchJob::default()
        }
    }

    #[test]
    fn children_are_named_after_the_launch() {
        let request = DispatchJob {
            id_prefix: "nightly".to_owned(),
            ..request(&["who"], 3)
        };
        let child = child(
            &parent(""),
            request,
            Timestamp::from_secs(7),
            Uuid([0xab; 16]),
        );
        assert_eq!(&*child.id, "work/dispatch-nightly-7-abababab");
        assert_eq!(child.name, &*child.id);
        assert!(child.dispatched && !child.is_parameterized() && child.is_evaluated());
        assert_eq!(child.meta["who"], "x");
        assert_eq!(child.payload, [1, 1, 1]);
    }
}
