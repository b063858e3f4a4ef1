//! How events change the state of a task, and that of an allocation made of tasks.
//!
//! Source: client and drivers reference, section 2.6.

use nomad_core::Timestamp;
use nomad_core::task_state::{TaskEvent, TaskRunState, TaskState, event_type};

/// Appends an event and, with `next`, moves the task to another state.
///
/// The state only leaves `dead` by [`revive`]; a move out of it is ignored.
pub fn apply(state: &mut TaskState, next: Option<TaskRunState>, event: TaskEvent) {
    let now = event.time;
    if event.fails_task() {
        state.failed = true;
    }
    if event.kind == event_type::RESTARTING {
        state.restarts += 1;
        state.last_restart = now;
    }
    push(state, event);
    if let Some(next) = next {
        enter(state, next, now);
    }
}

/// Appends an event, keeping the memory of the list at what the limit needs.
fn push(state: &mut TaskState, event: TaskEvent) {
    if state.events.capacity() == 0 {
        state.events.reserve_exact(4);
    }
    state.push_event(event);
}

/// Moves the task to another state without an event.
pub fn enter(state: &mut TaskState, next: TaskRunState, now: Timestamp) {
    if state.state == next || state.state == TaskRunState::Dead {
        return;
    }
    state.state = next;
    match next {
        TaskRunState::Running => state.started_at = now,
        TaskRunState::Dead => state.finished_at = now,
        TaskRunState::Pending => {}
    }
}

/// Brings a dead task back to pending, for a restart of all tasks.
pub fn revive(state: &mut TaskState) {
    state.state = TaskRunState::Pending;
    state.failed = false;
    state.finished_at = Timestamp::ZERO;
}

#[cfg(test)]
mod tests {
    use nomad_core::Nanos;

    use super::*;
    use crate::machine::events;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_life_with_one_restart() {
        let mut state = TaskState::default();
        apply(&mut state, None, events::received(at(1)));
        apply(
            &mut state,
            Some(TaskRunState::Running),
            events::started(at(2)),
        );
        assert_eq!(state.started_at, at(2));
        let exit = events::ExitReport {
            code: 7,
            ..Default::default()
        };
        apply(&mut state, None, events::terminated(at(3), &exit));
        apply(
            &mut state,
            Some(TaskRunState::Pending),
            events::restarting(at(3), Nanos::secs(1), events::REASON_WITHIN_POLICY),
        );
        assert_eq!((state.restarts, state.last_restart), (1, at(3)));
        apply(
            &mut state,
            Some(TaskRunState::Running),
            events::started(at(4)),
        );
        assert_eq!(state.started_at, at(4));
        apply(
            &mut state,
            Some(TaskRunState::Dead),
            events::not_restarting(at(5), "enough"),
        );
        assert!(state.failed);
        assert_eq!(state.finished_at, at(5));
        assert_eq!(state.state, TaskRunState::Dead);
    }

    #[test]
    fn dead_is_final_until_revived() {
        let mut state = TaskState::default();
        enter(&mut state, TaskRunState::Dead, at(1));
        enter(&mut state, TaskRunState::Running, at(2));
        assert_eq!(state.state, TaskRunState::Dead);
        assert_eq!(state.started_at, Timestamp::ZERO);
        revive(&mut state);
        assert_eq!(state.state, TaskRunState::Pending);
        assert_eq!(state.finished_at, Timestamp::ZERO);
    }
}
