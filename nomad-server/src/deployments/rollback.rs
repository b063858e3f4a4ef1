//! Going back to the last stable version of a job when a deployment fails.

use nomad_core::deployment::{Deployment, DeploymentStatus, DeploymentStatusUpdate};
use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::job::Job;
use nomad_core::view::ClusterView as _;
use nomad_core::{EvalId, Timestamp};
use nomad_state::State;

/// A failed deployment's last row, and the job to go back to.
#[derive(Debug, Clone)]
pub struct Failure {
    pub update: DeploymentStatusUpdate,
    pub job: Option<Job>,
    /// Version that is gone back to.
    pub version: Option<u64>,
}

/// What to write when a deployment fails.
pub fn fail(
    state: &State,
    deployment: &Deployment,
    description: &str,
    rollback: bool,
    now: Timestamp,
) -> Failure {
    let update = |text: String| DeploymentStatusUpdate {
        deployment_id: deployment.id,
        status: DeploymentStatus::Failed,
        status_description: text,
        updated_at: now,
    };
    let stay = |text: String| Failure {
        update: update(text),
        job: None,
        version: None,
    };
    if !rollback {
        return stay(description.to_owned());
    }
    let key = deployment.job_key();
    let stable = state
        .job_versions(&key)
        .and_then(|versions| versions.iter().find(|job| job.stable))
        .cloned();
    let Some(stable) = stable else {
        return stay(format!(
            "{description} - no stable job version to auto revert to"
        ));
    };
    let version = stable.version;
    if state
        .job(&key)
        .is_none_or(|current| !current.spec_changed(&stable))
    {
        return stay(format!(
            "{description} - not rolling back to stable job version {version} as current job has same specification"
        ));
    }
    Failure {
        update: update(format!(
            "{description} - rolling back to job version {version}"
        )),
        job: Some(revertible(&stable)),
        version: Some(version),
    }
}

/// A copy of an old version, to be stored as the newest.
pub fn revertible(old: &Job) -> Job {
    Job {
        stable: false,
        version_tag: None,
        ..old.clone()
    }
}

/// The evaluation that follows a change of a deployment.
pub fn eval_for(state: &State, deployment: &Deployment, id: EvalId, now: Timestamp) -> Evaluation {
    let job = state.job(&deployment.job_key());
    let own = job.map_or(50, |job| job.priority);
    Evaluation {
        id,
        namespace: deployment.namespace.clone(),
        job_id: deployment.job_id.clone(),
        job_type: job.map(|job| job.job_type).unwrap_or_default(),
        priority: if deployment.eval_priority > 0 {
            deployment.eval_priority
        } else {
            own
        },
        triggered_by: EvalTrigger::DeploymentWatcher,
        deployment_id: Some(deployment.id),
        create_time: now,
        modify_time: now,
        ..Evaluation::default()
    }
}
