//! Doing what the deployment watcher says.

use nomad_core::DeploymentId;
use nomad_core::alloc::DesiredTransition;
use nomad_core::view::ClusterView as _;
use nomad_state::command::{
    AllocTransitions, DeploymentPromote, DeploymentStatusChange, EvalUpsert,
};

use super::proposals::Purpose;
use super::run::LeaderLoop;
use crate::deployments::rollback::{eval_for, fail};
use crate::deployments::{Action, Event};

impl LeaderLoop {
    pub(super) fn deployments(&mut self, event: Event<'_>) {
        let state = self.state.clone();
        let actions = self.deployments.handle(event, &state, self.now());
        self.follow_deployments(actions);
    }

    pub(super) fn follow_deployments(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.deployment_action(action);
        }
    }

    fn deployment_action(&mut self, action: Action) {
        let id = match &action {
            Action::Evaluate { id }
            | Action::Reschedule { id, .. }
            | Action::Promote { id }
            | Action::Fail { id, .. } => *id,
        };
        // It may have been collected; then its removal is on its way to the watcher.
        let Some(deployment) = self.state.deployment(id).cloned() else {
            return;
        };
        let now = self.now();
        let eval = eval_for(&self.state, &deployment, self.inner.ids.fresh(), now);
        let purpose = Purpose::Deployment { id };
        match action {
            Action::Evaluate { .. } => self.propose(
                purpose,
                EvalUpsert {
                    evals: vec![eval],
                    now,
                },
            ),
            Action::Reschedule { allocs, .. } => {
                let granted = DesiredTransition {
                    reschedule: Some(true),
                    ..DesiredTransition::default()
                };
                let transitions = allocs.into_iter().map(|id| (id, granted.clone())).collect();
                let command = AllocTransitions {
                    transitions,
                    evals: vec![eval],
                    now,
                };
                self.propose(purpose, command);
            }
            Action::Promote { .. } => {
                let command = DeploymentPromote {
                    id,
                    groups: None,
                    eval: Some(eval),
                    now,
                };
                self.propose(purpose, command);
            }
            Action::Fail {
                cause, rollback, ..
            } => {
                let failure = fail(&self.state, &deployment, cause.description(), rollback, now);
                tracing::info!(deployment = %id, job = %deployment.job_id, reason = failure.update.status_description, "deployment failed");
                let command = DeploymentStatusChange {
                    update: failure.update,
                    job: failure.job,
                    eval: Some(eval),
                    now,
                };
                self.propose(purpose, command);
            }
        }
    }

    pub(super) fn deployment_settled(&mut self, id: DeploymentId, committed: bool) {
        self.deployments(Event::Settled { id, committed });
    }
}
