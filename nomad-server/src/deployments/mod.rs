//! The deployment watcher: follows the health of every active deployment, and moves it on.
//!
//! Source: servers and scheduling reference, "Deployments".

pub mod rollback;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::deployment::{Deployment, DeploymentState, DeploymentStatus};
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, DeploymentId, Timestamp};
use nomad_state::Change;

use crate::node::reports::reschedule_eligible;

/// What happens to deployments.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Rows were written. The view contains them.
    Changed {
        deployments: &'a [Change<Deployment>],
        allocs: &'a [Change<Allocation>],
    },
    /// What an action asked for was written, or could not be.
    Settled { id: DeploymentId, committed: bool },
    /// Leadership was gained: look at everything.
    Recover,
    /// Time went by.
    Tick,
}

/// Why a deployment fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    UnhealthyAllocs,
    ProgressDeadline,
}

impl Cause {
    /// The deployment's status description.
    pub fn description(self) -> &'static str {
        match self {
            Self::UnhealthyAllocs => "Failed due to unhealthy allocations",
            Self::ProgressDeadline => "Failed due to progress deadline",
        }
    }
}

/// What is to be done; answered by [`Event::Settled`] before the deployment's next action comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Let the scheduler look at the job again.
    Evaluate { id: DeploymentId },
    /// Let these failed allocations be replaced, and the scheduler look at the job again.
    Reschedule {
        id: DeploymentId,
        allocs: BTreeSet<AllocId>,
    },
    /// Promote all canaries.
    Promote { id: DeploymentId },
    /// It failed; `rollback` says whether to go back to the last stable version.
    Fail {
        id: DeploymentId,
        cause: Cause,
        rollback: bool,
    },
}

/// An active deployment.
#[derive(Debug, Default)]
struct Watched {
    /// When some group must have made progress.
    deadline: Option<Timestamp>,
    /// An action is being written.
    busy: bool,
    evaluate: bool,
    reschedule: BTreeSet<AllocId>,
    fail: Option<(Cause, bool)>,
}

/// The watcher. Lives on the leader, in memory.
#[derive(Debug, Default)]
pub struct DeploymentWatcher {
    watched: BTreeMap<DeploymentId, Watched>,
    deadlines: BTreeSet<(Timestamp, DeploymentId)>,
    /// Those that something happened to since they were last looked at.
    touched: BTreeSet<DeploymentId>,
}

impl DeploymentWatcher {
    /// No deployment yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event in, and says what is to be done.
    pub fn handle(
        &mut self,
        event: Event<'_>,
        view: &dyn ClusterView,
        now: Timestamp,
    ) -> Vec<Action> {
        match event {
            Event::Changed {
                deployments,
                allocs,
            } => {
                for change in deployments {
                    match (&change.new, &change.old) {
                        (Some(new), _) => self.deployment_written(new),
                        (None, Some(old)) => self.forget(old.id),
                        (None, None) => {}
                    }
                }
                for change in allocs {
                    if let Some(new) = &change.new {
                        self.alloc_written(change.old.as_deref(), new, view, now);
                    }
                }
            }
            Event::Settled { id, committed } => {
                if let Some(watched) = self.watched.get_mut(&id) {
                    watched.busy = false;
                    // What was not written is decided anew from the state.
                    watched.evaluate |= !committed;
                    self.touched.insert(id);
                }
            }
            Event::Recover => {}
            Event::Tick => self.run_deadlines(view, now),
        }
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .filter_map(|id| self.next_action(id, view))
            .collect()
    }

    /// Watches every active deployment of a list, as when leadership is gained.
    pub fn recover<'a>(
        &mut self,
        deployments: impl Iterator<Item = &'a Arc<Deployment>>,
        view: &dyn ClusterView,
        now: Timestamp,
    ) -> Vec<Action> {
        self.watched.clear();
        self.deadlines.clear();
        self.touched.clear();
        for deployment in deployments.filter(|deployment| deployment.active()) {
            self.deployment_written(deployment);
            for alloc in view.allocs_of_job(&deployment.job_key()) {
                if alloc.deployment_id == Some(deployment.id) && !alloc.terminal_for_good() {
                    self.unhealthy(deployment, alloc, now);
                }
            }
            // What happened while nobody watched is seen by the scheduler.
            if let Some(watched) = self.watched.get_mut(&deployment.id) {
                watched.evaluate = deployment.status == DeploymentStatus::Running;
            }
        }
        self.handle(Event::Recover, view, now)
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// How many deployments are watched.
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// Whether none is watched.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    fn deployment_written(&mut self, deployment: &Deployment) {
        let id = deployment.id;
        if !deployment.active() {
            self.forget(id);
            return;
        }
        let watched = self.watched.entry(id).or_default();
        let deadline = progress_deadline(deployment);
        if watched.deadline != deadline {
            if let Some(old) = watched.deadline {
                self.deadlines.remove(&(old, id));
            }
            watched.deadline = deadline;
            self.deadlines.extend(deadline.map(|at| (at, id)));
        }
        self.touched.insert(id);
    }

    fn forget(&mut self, id: DeploymentId) {
        self.touched.remove(&id);
        if let Some(Watched {
            deadline: Some(at), ..
        }) = self.watched.remove(&id)
        {
            self.deadlines.remove(&(at, id));
        }
    }

    fn alloc_written(
        &mut self,
        old: Option<&Allocation>,
        new: &Allocation,
        view: &dyn ClusterView,
        now: Timestamp,
    ) {
        let Some(id) = new.deployment_id else { return };
        let Some(watched) = self.watched.get_mut(&id) else {
            return;
        };
        let old = old.filter(|old| old.deployment_id == Some(id));
        if new.is_healthy() && !old.is_some_and(Allocation::is_healthy) {
            watched.evaluate = true;
            self.touched.insert(id);
        }
        if new.is_unhealthy()
            && !old.is_some_and(Allocation::is_unhealthy)
            && let Some(deployment) = view.deployment(id)
        {
            self.unhealthy(deployment, new, now);
        }
    }

    /// An unhealthy allocation is replaced, or the deployment has failed.
    fn unhealthy(&mut self, deployment: &Deployment, alloc: &Allocation, now: Timestamp) {
        if !alloc.is_unhealthy() || alloc.desired_transition.should_reschedule() {
            return;
        }
        let Some(group) = deployment.task_groups.get(&alloc.task_group) else {
            return;
        };
        let Some(watched) = self.watched.get_mut(&deployment.id) else {
            return;
        };
        self.touched.insert(deployment.id);
        if group.progress_deadline.is_zero() || !reschedule_eligible(alloc, now) {
            watched
                .fail
                .get_or_insert((Cause::UnhealthyAllocs, group.auto_revert));
        } else {
            watched.reschedule.insert(alloc.id);
        }
    }

    fn run_deadlines(&mut self, view: &dyn ClusterView, now: Timestamp) {
        while let Some((at, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, id));
            let Some(watched) = self.watched.get_mut(&id) else {
                continue;
            };
            watched.deadline = None;
            let Some(deployment) = view.deployment(id) else {
                continue;
            };
            let late: Vec<_> = deployment
                .task_groups
                .values()
                .filter(|group| group_deadline(group).is_some_and(|by| by <= now))
                .collect();
            if deployment.status != DeploymentStatus::Paused && !late.is_empty() {
                let rollback = late.iter().any(|group| group.auto_revert);
                watched
                    .fail
                    .get_or_insert((Cause::ProgressDeadline, rollback));
                self.touched.insert(id);
            }
        }
    }

    /// The most important thing to do for a deployment, one at a time.
    fn next_action(&mut self, id: DeploymentId, view: &dyn ClusterView) -> Option<Action> {
        let watched = self.watched.get_mut(&id)?;
        let deployment = view.deployment(id)?;
        if watched.busy {
            return None;
        }
        let action = if let Some((cause, rollback)) = watched.fail.take() {
            Action::Fail {
                id,
                cause,
                rollback,
            }
        } else if may_promote(deployment, view) {
            watched.evaluate = false;
            Action::Promote { id }
        } else if !watched.reschedule.is_empty() {
            watched.evaluate = false;
            Action::Reschedule {
                id,
                allocs: std::mem::take(&mut watched.reschedule),
            }
        } else if std::mem::take(&mut watched.evaluate) {
            Action::Evaluate { id }
        } else {
            return None;
        };
        watched.busy = true;
        Some(action)
    }
}

/// Whether all canaries are healthy and every group with canaries promotes them by itself.
fn may_promote(deployment: &Deployment, view: &dyn ClusterView) -> bool {
    let mut waiting = deployment
        .task_groups
        .values()
        .filter(|group| group.desired_canaries > 0 && !group.promoted)
        .peekable();
    waiting.peek().is_some()
        && deployment.has_auto_promote()
        && waiting.all(|group| {
            let healthy = group.placed_canaries.iter().filter(|id| {
                view.alloc(**id)
                    .is_some_and(|alloc| alloc.is_healthy() && !alloc.terminal())
            });
            healthy.count() as i64 >= group.desired_canaries
        })
}

/// When the first unfinished group must have made progress; never while nobody measures it.
fn progress_deadline(deployment: &Deployment) -> Option<Timestamp> {
    if deployment.status == DeploymentStatus::Paused {
        return None;
    }
    deployment
        .task_groups
        .values()
        .filter_map(group_deadline)
        .min()
}

/// When a group must have made progress, unless it has what it wants for now.
fn group_deadline(group: &DeploymentState) -> Option<Timestamp> {
    let wanted = if group.desired_canaries > 0 && !group.promoted {
        group.desired_canaries
    } else {
        group.desired_total
    };
    let by = group.require_progress_by;
    (group.healthy_allocs < wanted && !group.progress_deadline.is_zero() && !by.is_zero())
        .then_some(by)
}

/// Whether an allocation ended and was replaced.
trait Replaced {
    fn terminal_for_good(&self) -> bool;
}

impl Replaced for Allocation {
    fn terminal_for_good(&self) -> bool {
        self.server_terminal() || self.next_allocation.is_some()
    }
}
