//! Rollouts of system jobs: how many nodes may be updated at once, and which of them are canaries.
//!
//! Source: servers and scheduling reference, "System / sysbatch".

use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::deployment::{Deployment, DeploymentState, DeploymentStatus};
use nomad_core::job::{Job, JobType, TaskGroup};

use crate::reconcile::deployment::rolls;

/// What one group may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Destructive updates that may be made.
    pub(super) updates: usize,
    /// Whether they are canaries.
    pub(super) canary: bool,
}

/// Whether updates of the group go through a deployment.
pub(super) fn has_deployment(job: &Job, group: &TaskGroup) -> bool {
    job.job_type == JobType::System && rolls(group.update.as_ref())
}

/// Nodes that get the new version before it is promoted: a percentage of those that are updated.
pub(super) fn canaries(job: &Job, group: &TaskGroup, destructive: usize, existing: usize) -> i64 {
    let Some(update) = group.update.as_ref().filter(|update| update.canary > 0) else {
        return 0;
    };
    if job.version == 0 || destructive + existing == 0 {
        return 0;
    }
    let all = (destructive + existing) as i64;
    let share = (update.canary * all + 99) / 100;
    share.min(update.max_parallel)
}

/// How many of a group's destructive updates may be made now.
pub(super) fn allowance(
    group: &TaskGroup,
    state: &DeploymentState,
    deployment: Option<&Deployment>,
    members: &[&Arc<Allocation>],
    destructive: usize,
) -> Allowance {
    let Some(update) = group.update.as_ref() else {
        return Allowance {
            updates: destructive,
            canary: false,
        };
    };
    let none = Allowance {
        updates: 0,
        canary: false,
    };
    if let Some(deployment) = deployment
        && deployment.status != DeploymentStatus::Running
    {
        return none;
    }
    if state.desired_canaries > 0 && !state.promoted {
        let placed = members.iter().filter(|alloc| alloc.is_canary()).count() as i64;
        return Allowance {
            updates: usize::try_from(state.desired_canaries - placed)
                .unwrap_or(0)
                .min(destructive),
            canary: true,
        };
    }
    if members.iter().any(|alloc| alloc.is_unhealthy()) {
        return none;
    }
    let unsettled = members.iter().filter(|alloc| !alloc.is_healthy()).count() as i64;
    Allowance {
        updates: usize::try_from(update.max_parallel - unsettled)
            .unwrap_or(0)
            .min(destructive),
        canary: false,
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::job::UpdateStrategy;

    use super::*;

    fn group(max_parallel: i64, canary: i64) -> TaskGroup {
        TaskGroup {
            update: Some(UpdateStrategy {
                max_parallel,
                canary,
                ..UpdateStrategy::default()
            }),
            ..TaskGroup::default()
        }
    }

    #[test]
    fn canaries_are_a_percentage() {
        let mut job = Job {
            version: 1,
            ..Job::default()
        };
        assert_eq!(canaries(&job, &group(10, 20), 10, 0), 2);
        assert_eq!(canaries(&job, &group(10, 25), 10, 0), 3, "rounded up");
        assert_eq!(
            canaries(&job, &group(1, 50), 10, 0),
            1,
            "at most max_parallel"
        );
        assert_eq!(
            canaries(&job, &group(10, 20), 8, 2),
            2,
            "with those placed already"
        );
        assert_eq!(canaries(&job, &group(10, 0), 10, 0), 0);
        job.version = 0;
        assert_eq!(canaries(&job, &group(10, 20), 10, 0), 0);
    }

    #[test]
    fn updates_wait_for_health() {
        let member = |healthy: Option<bool>| {
            Arc::new(Allocation {
                deployment_status: Some(nomad_core::alloc::AllocDeploymentStatus {
                    healthy,
                    ..Default::default()
                }),
                ..Allocation::default()
            })
        };
        let running = Deployment::default();
        let state = DeploymentState::default();
        let allowed = |members: &[Arc<Allocation>]| {
            let members: Vec<_> = members.iter().collect();
            allowance(&group(2, 0), &state, Some(&running), &members, 5).updates
        };
        assert_eq!(allowed(&[]), 2);
        assert_eq!(allowed(&[member(Some(true))]), 2);
        assert_eq!(allowed(&[member(None)]), 1);
        assert_eq!(allowed(&[member(Some(false))]), 0);
    }
}
