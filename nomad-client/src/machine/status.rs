//! The status of an allocation, made of the states of its tasks.
//!
//! Source: client and drivers reference, section 2.6; the descriptions are as recorded.

use std::collections::BTreeMap;

use nomad_core::Timestamp;
use nomad_core::alloc::{AllocDeploymentStatus, ClientStatus};
use nomad_core::task_state::{TaskRunState, TaskState};

/// What is said of an allocation whose time is up.
pub const TIMED_OUT: &str = "Allocation ran longer than its max_run_duration";

/// Status and description.
pub fn client_status(states: &BTreeMap<String, TaskState>) -> (ClientStatus, &'static str) {
    let any = |holds: fn(&TaskState) -> bool| states.values().any(holds);
    if any(|state| state.state == TaskRunState::Dead && state.failed) {
        (ClientStatus::Failed, "Failed tasks")
    } else if any(|state| state.state == TaskRunState::Running) {
        (ClientStatus::Running, "Tasks are running")
    } else if any(|state| state.state == TaskRunState::Pending) {
        (ClientStatus::Pending, "No tasks have started")
    } else if states.is_empty() {
        (ClientStatus::Pending, "")
    } else {
        (ClientStatus::Complete, "All tasks have completed")
    }
}

/// Gives the tasks of an allocation that is over a time of end, where they have none.
pub fn finish(states: &mut BTreeMap<String, TaskState>, now: Timestamp) {
    for state in states.values_mut() {
        if state.finished_at.is_zero() {
            state.finished_at = now;
        }
    }
}

/// The health to report of an allocation that is over: a failed one in a deployment that had no verdict is unhealthy.
pub fn final_health(
    status: ClientStatus,
    in_deployment: bool,
    health: Option<AllocDeploymentStatus>,
    now: Timestamp,
) -> Option<AllocDeploymentStatus> {
    let undecided = health
        .as_ref()
        .is_none_or(|health| health.healthy.is_none());
    if status != ClientStatus::Failed || !in_deployment || !undecided {
        return health;
    }
    Some(AllocDeploymentStatus {
        healthy: Some(false),
        timestamp: now,
        ..health.unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(list: &[(TaskRunState, bool)]) -> BTreeMap<String, TaskState> {
        list.iter()
            .enumerate()
            .map(|(index, (state, failed))| {
                let task = TaskState {
                    state: *state,
                    failed: *failed,
                    ..TaskState::default()
                };
                (index.to_string(), task)
            })
            .collect()
    }

    #[test]
    fn failure_wins_then_running_then_pending() {
        use TaskRunState::{Dead, Pending, Running};
        for (tasks, wanted) in [
            (vec![(Dead, true), (Running, false)], ClientStatus::Failed),
            (
                vec![(Pending, false), (Running, false)],
                ClientStatus::Running,
            ),
            (vec![(Pending, false), (Dead, false)], ClientStatus::Pending),
            (vec![(Dead, false), (Dead, false)], ClientStatus::Complete),
            // Failed but about to be restarted: not dead yet.
            (vec![(Pending, true)], ClientStatus::Pending),
        ] {
            assert_eq!(client_status(&states(&tasks)).0, wanted, "{tasks:?}");
        }
    }

    #[test]
    fn a_failed_canary_without_verdict_is_unhealthy_and_stays_a_canary() {
        let before = AllocDeploymentStatus {
            canary: true,
            ..AllocDeploymentStatus::default()
        };
        let after = final_health(ClientStatus::Failed, true, Some(before), Timestamp(5)).unwrap();
        assert_eq!(after.healthy, Some(false));
        assert!(after.canary);
        assert_eq!(
            final_health(ClientStatus::Failed, false, None, Timestamp(5)),
            None
        );
        let healthy = Some(AllocDeploymentStatus {
            healthy: Some(true),
            ..AllocDeploymentStatus::default()
        });
        assert_eq!(
            final_health(ClientStatus::Failed, true, healthy.clone(), Timestamp(5)),
            healthy
        );
    }
}
