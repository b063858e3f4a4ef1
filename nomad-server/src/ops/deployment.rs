//! What operators do with deployments.
//!
//! Source: HTTP API reference, "Deployments".

use std::sync::Arc;

use nomad_core::deployment::{Deployment, DeploymentStatus, DeploymentStatusUpdate};
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, DeploymentId, EvalId};
use nomad_state::ApplyError;
use nomad_state::command::{DeploymentAllocHealth, DeploymentPromote, DeploymentStatusChange};

use super::created;
use crate::deployments::Cause;
use crate::deployments::rollback::{eval_for, fail};
use crate::error::ServerError;
use crate::server::Server;

/// What became of a write about a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeploymentReply {
    pub eval_id: Option<EvalId>,
    pub eval_create_index: u64,
    pub deployment_modify_index: u64,
    /// Version that the job went back to.
    pub reverted_job_version: Option<u64>,
    pub index: u64,
}

impl Server {
    /// Promotes the canaries of some groups, or of all.
    pub async fn promote_deployment(
        &self,
        id: DeploymentId,
        groups: Option<Vec<String>>,
    ) -> Result<DeploymentReply, ServerError> {
        let deployment = self.active_deployment(id, "can't promote terminal deployment")?;
        let now = self.inner.clock.now();
        let eval = eval_for(&self.state(), &deployment, self.inner.ids.fresh(), now);
        let eval_id = Some(eval.id);
        let command = DeploymentPromote {
            id,
            groups,
            eval: Some(eval),
            now,
        };
        let applied = self.write(command).await.map_err(|error| match error {
            ServerError::State(ApplyError::NotPromotable { reasons }) => several(&reasons),
            other => other,
        })?;
        Ok(reply(eval_id, &applied, None))
    }

    /// Pauses a deployment, or lets it go on.
    pub async fn pause_deployment(
        &self,
        id: DeploymentId,
        pause: bool,
    ) -> Result<DeploymentReply, ServerError> {
        let verb = if pause { "pause" } else { "resume" };
        let deployment =
            self.active_deployment(id, &format!("can't {verb} terminal deployment"))?;
        let now = self.inner.clock.now();
        // The scheduler has something to do only when it goes on.
        let eval =
            (!pause).then(|| eval_for(&self.state(), &deployment, self.inner.ids.fresh(), now));
        let eval_id = eval.as_ref().map(|eval| eval.id);
        let (status, description) = if pause {
            (DeploymentStatus::Paused, "Deployment is paused")
        } else {
            (DeploymentStatus::Running, "Deployment is running")
        };
        let update = DeploymentStatusUpdate {
            deployment_id: id,
            status,
            status_description: description.to_owned(),
            updated_at: now,
        };
        let command = DeploymentStatusChange {
            update,
            job: None,
            eval,
            now,
        };
        Ok(reply(eval_id, &self.write(command).await?, None))
    }

    /// Ends a deployment as failed; groups with auto_revert take the job back to its last stable version.
    pub async fn fail_deployment(&self, id: DeploymentId) -> Result<DeploymentReply, ServerError> {
        let deployment = self.active_deployment(id, "can't fail terminal deployment")?;
        let now = self.inner.clock.now();
        let state = self.state();
        let rollback = deployment
            .task_groups
            .values()
            .any(|group| group.auto_revert);
        let failure = fail(
            &state,
            &deployment,
            "Deployment marked as failed",
            rollback,
            now,
        );
        let eval = eval_for(&state, &deployment, self.inner.ids.fresh(), now);
        let eval_id = Some(eval.id);
        let command = DeploymentStatusChange {
            update: failure.update,
            job: failure.job,
            eval: Some(eval),
            now,
        };
        Ok(reply(eval_id, &self.write(command).await?, failure.version))
    }

    /// Says which allocations of a deployment are healthy and which are not.
    pub async fn set_alloc_health(
        &self,
        id: DeploymentId,
        healthy: Vec<AllocId>,
        unhealthy: Vec<AllocId>,
    ) -> Result<DeploymentReply, ServerError> {
        let terminal = "can't set health of allocations for a terminal deployment";
        let deployment = self.active_deployment(id, terminal)?;
        if healthy.is_empty() && unhealthy.is_empty() {
            return Err(ServerError::refused(
                "must specify at least one healthy/unhealthy allocation ID",
            ));
        }
        let state = self.state();
        for alloc in healthy.iter().chain(&unhealthy) {
            if state.alloc(*alloc).is_none() {
                let reason = format!("unknown alloc {:?}", alloc.to_string());
                return Err(ServerError::refused(reason));
            }
        }
        let now = self.inner.clock.now();
        let failing = unhealthy
            .iter()
            .filter_map(|alloc| deployment.task_groups.get(&state.alloc(*alloc)?.task_group))
            .find(|group| group.auto_revert || group.progress_deadline.is_zero());
        let failure = failing.map(|group| {
            let description = Cause::UnhealthyAllocs.description();
            fail(&state, &deployment, description, group.auto_revert, now)
        });
        let version = failure.as_ref().and_then(|failure| failure.version);
        let eval = eval_for(&state, &deployment, self.inner.ids.fresh(), now);
        let eval_id = Some(eval.id);
        let (update, job) =
            failure.map_or((None, None), |failure| (Some(failure.update), failure.job));
        let command = DeploymentAllocHealth {
            id,
            healthy,
            unhealthy,
            update,
            job,
            eval: Some(eval),
            now,
        };
        Ok(reply(eval_id, &self.write(command).await?, version))
    }

    fn active_deployment(
        &self,
        id: DeploymentId,
        terminal: &str,
    ) -> Result<Arc<Deployment>, ServerError> {
        let state = self.state();
        let deployment = state
            .deployment(id)
            .ok_or_else(|| ServerError::refused("deployment not found"))?;
        if deployment.active() {
            Ok(Arc::clone(deployment))
        } else {
            Err(ServerError::refused(terminal))
        }
    }
}

fn reply(
    eval_id: Option<EvalId>,
    applied: &nomad_state::Applied,
    reverted_job_version: Option<u64>,
) -> DeploymentReply {
    DeploymentReply {
        eval_id,
        eval_create_index: created(eval_id, applied),
        deployment_modify_index: applied.index,
        reverted_job_version,
        index: applied.index,
    }
}

fn several(reasons: &[String]) -> ServerError {
    let count = match reasons.len() {
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    };
    let items = reasons.join("\n\t* ");
    ServerError::Refused {
        reason: format!("{count} occurred:\n\t* {items}\n\n"),
    }
}
