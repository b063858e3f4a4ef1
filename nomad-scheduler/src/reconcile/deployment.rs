//! Which deployment counts, when one begins, and when it is done.
//!
//! Source: servers and scheduling reference, "Inputs" and "Stops, names, limits".

use nomad_core::deployment::{
    Deployment, DeploymentState, DeploymentStatus, DeploymentStatusUpdate,
};
use nomad_core::ids::IdSource;
use nomad_core::job::{Job, UpdateStrategy};
use nomad_core::time::Timestamp;

use super::Reconciler;

pub(crate) const RUNNING: &str = "Deployment is running";
pub(crate) const NEEDS_PROMOTION: &str = "Deployment is running but requires manual promotion";
pub(crate) const PROMOTES_ITSELF: &str = "Deployment is running pending automatic promotion";
const SUCCESSFUL: &str = "Deployment completed successfully";
const STOPPED_JOB: &str = "Cancelled because job is stopped";
const NEWER_JOB: &str = "Cancelled due to newer version of job";

/// Whether a strategy rolls out step by step.
pub(crate) fn rolls(update: Option<&UpdateStrategy>) -> bool {
    update.is_some_and(|update| update.max_parallel != 0)
}

/// A deployment of the job's version that has no groups yet.
pub(crate) fn begin(
    job: &Job,
    priority: i32,
    now: Timestamp,
    ids: &mut dyn IdSource,
) -> Deployment {
    Deployment {
        id: ids.next_uuid().into(),
        namespace: job.namespace.clone(),
        job_id: job.id.clone(),
        job_version: job.version,
        job_modify_index: job.modify_index,
        job_spec_modify_index: job.job_modify_index,
        job_create_index: job.create_index,
        status: DeploymentStatus::Running,
        status_description: RUNNING.to_owned(),
        eval_priority: priority,
        create_time: now,
        modify_time: now,
        ..Deployment::default()
    }
}

/// The state of a group whose rollout begins.
pub(crate) fn begin_group(update: Option<&UpdateStrategy>) -> DeploymentState {
    match update.filter(|update| update.max_parallel != 0) {
        None => DeploymentState::default(),
        Some(update) => DeploymentState {
            auto_revert: update.auto_revert,
            auto_promote: update.auto_promote,
            progress_deadline: update.progress_deadline,
            ..DeploymentState::default()
        },
    }
}

/// Sets the description that tells whether somebody has to promote.
pub(crate) fn describe(deployment: &mut Deployment) {
    if deployment.requires_promotion() {
        deployment.status_description = if deployment.has_auto_promote() {
            PROMOTES_ITSELF
        } else {
            NEEDS_PROMOTION
        }
        .to_owned();
    }
}

/// What becomes of the latest deployment before anything else: (the one that counts, the one that is over, a change).
pub(crate) fn choose(
    latest: Option<Deployment>,
    job: Option<&Job>,
    now: Timestamp,
) -> (
    Option<Deployment>,
    Option<Deployment>,
    Option<DeploymentStatusUpdate>,
) {
    let Some(latest) = latest else {
        return (None, None, None);
    };
    let cancel = |deployment: &Deployment, why: &str| {
        deployment.active().then(|| DeploymentStatusUpdate {
            deployment_id: deployment.id,
            status: DeploymentStatus::Cancelled,
            status_description: why.to_owned(),
            updated_at: now,
        })
    };
    let Some(job) = job.filter(|job| !job.stopped()) else {
        let update = cancel(&latest, STOPPED_JOB);
        return (None, Some(latest), update);
    };
    if latest.job_create_index != job.create_index || latest.job_version != job.version {
        let update = cancel(&latest, NEWER_JOB);
        return (None, Some(latest), update);
    }
    if latest.status == DeploymentStatus::Successful {
        return (None, Some(latest), None);
    }
    (Some(latest), None, None)
}

/// The change that ends a deployment well.
pub(crate) fn succeed(deployment: &Deployment, now: Timestamp) -> DeploymentStatusUpdate {
    DeploymentStatusUpdate {
        deployment_id: deployment.id,
        status: DeploymentStatus::Successful,
        status_description: SUCCESSFUL.to_owned(),
        updated_at: now,
    }
}

impl Reconciler<'_> {
    pub(super) fn cancel_deployments(&mut self) {
        let (current, old, update) =
            choose(self.deployment.take(), self.job.map(|job| &**job), self.now);
        self.deployment = current;
        self.old_deployment = old;
        self.results.deployment_updates.extend(update);
    }

    /// Attaches a group's rollout to the deployment that begins, making it first if need be.
    pub(super) fn begin_deployment(&mut self, group: &str, state: DeploymentState) {
        let Some(job) = self.job else {
            return;
        };
        if self.deployment.is_none() {
            let deployment = begin(job, self.eval.priority, self.now, self.ids);
            self.deployment = Some(deployment);
            self.results.deployment = self.deployment.clone();
        }
        if let Some(deployment) = &mut self.deployment {
            deployment.task_groups.insert(group.to_owned(), state);
        }
        // A deployment that existed before is not written by the plan.
        if self.results.deployment.is_some() {
            self.results.deployment.clone_from(&self.deployment);
        }
    }

    pub(super) fn finish_deployment(&mut self, complete: bool) {
        if let Some(deployment) = &mut self.results.deployment {
            describe(deployment);
            self.deployment = Some(deployment.clone());
        }
        if complete
            && let Some(deployment) = &self.deployment
            && deployment.active()
        {
            let update = succeed(deployment, self.now);
            self.results.deployment_updates.push(update);
        }
    }
}
