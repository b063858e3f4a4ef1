//! The health of an allocation during a deployment or a migration.
//!
//! Source: client and drivers reference, section 2.4; servers and scheduling, section 6.3.

use std::collections::BTreeMap;

use nomad_core::job::{JobType, TaskGroup};
use nomad_core::task_state::{TaskRunState, TaskState};
use nomad_core::{Nanos, Timestamp};

use super::lifecycle::Role;

/// Type of the event that tells a task that it kept its allocation from being healthy.
pub const ALLOC_UNHEALTHY: &str = "Alloc Unhealthy";

/// How the service checks of an allocation stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// There are none to wait for.
    None,
    /// All have passed since then.
    PassingSince(Timestamp),
    /// Some did not pass, or were not run yet.
    NotPassing,
}

/// What the tracker knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Look again at that time, or when a task or a check changes.
    Undecided {
        /// When.
        look_at: Timestamp,
    },
    /// It is healthy.
    Healthy,
    /// It is not, and these tasks are told why.
    Unhealthy {
        /// Task and message of its event.
        events: Vec<(String, String)>,
    },
}

/// Watches one allocation until its health is decided.
#[derive(Debug, Clone)]
pub struct HealthTracker {
    roles: BTreeMap<String, Role>,
    min_healthy: Nanos,
    deadline_after: Nanos,
    deadline: Timestamp,
    use_checks: bool,
}

impl HealthTracker {
    /// A tracker, unless the allocation's health is nobody's concern: batch jobs, `health_check = "manual"`.
    pub fn new(
        group: &TaskGroup,
        job_type: JobType,
        in_deployment: bool,
        now: Timestamp,
    ) -> Option<Self> {
        if job_type.is_batch_like() {
            return None;
        }
        let (method, min_healthy, deadline_after) = if in_deployment {
            let update = group.update.as_ref()?;
            let spans = (update.min_healthy_time, update.healthy_deadline);
            (update.health_check.as_str(), spans.0, spans.1)
        } else {
            match &group.migrate {
                Some(migrate) => (
                    migrate.health_check.as_str(),
                    migrate.min_healthy_time,
                    migrate.healthy_deadline,
                ),
                None => ("checks", Nanos::secs(10), Nanos::mins(5)),
            }
        };
        if method == "manual" {
            return None;
        }
        Some(Self {
            roles: group
                .tasks
                .iter()
                .map(|task| (task.name.clone(), Role::of(task)))
                .collect(),
            min_healthy,
            deadline_after,
            deadline: now + deadline_after,
            use_checks: method != "task_states",
        })
    }

    /// Whether service checks count.
    pub fn uses_checks(&self) -> bool {
        self.use_checks
    }

    /// Judges what is known now.
    pub fn judge(
        &self,
        states: &BTreeMap<String, TaskState>,
        checks: Checks,
        now: Timestamp,
    ) -> Health {
        let mut latest_start = Timestamp::ZERO;
        let mut waiting = Vec::new();
        let mut failed = Vec::new();
        for (name, role) in &self.roles {
            if *role == Role::Poststop {
                continue;
            }
            let Some(state) = states.get(name) else {
                waiting.push(name);
                continue;
            };
            let ends_well = matches!(role, Role::Prestart | Role::Poststart);
            match state.state {
                _ if state.failed => failed.push(name),
                TaskRunState::Dead if ends_well => {}
                TaskRunState::Dead => failed.push(name),
                TaskRunState::Pending => waiting.push(name),
                TaskRunState::Running if ends_well => waiting.push(name),
                TaskRunState::Running => latest_start = latest_start.max(state.started_at),
            }
        }
        if !failed.is_empty() {
            let text = "Unhealthy because of failed task";
            return Health::Unhealthy {
                events: tell(failed, text),
            };
        }
        let checks_since = match checks {
            Checks::PassingSince(since) if self.use_checks => Some(since),
            Checks::NotPassing if self.use_checks => None,
            _ => Some(Timestamp::ZERO),
        };
        if waiting.is_empty()
            && let Some(since) = checks_since
        {
            let healthy_at = latest_start.max(since) + self.min_healthy;
            if now >= healthy_at {
                return Health::Healthy;
            }
            if now < self.deadline {
                return Health::Undecided {
                    look_at: healthy_at.min(self.deadline),
                };
            }
        }
        if now < self.deadline {
            return Health::Undecided {
                look_at: self.deadline,
            };
        }
        let running = || self.running(states);
        let (tasks, text) = if !waiting.is_empty() {
            let text = format!(
                "Task not running by healthy_deadline of {}",
                self.deadline_after
            );
            (waiting, text)
        } else if checks_since.is_none() {
            let text = format!(
                "Services not healthy by healthy_deadline of {}",
                self.deadline_after
            );
            (running(), text)
        } else {
            let text = format!(
                "Task not running for min_healthy_time of {} by healthy_deadline of {}",
                self.min_healthy, self.deadline_after
            );
            (running(), text)
        };
        Health::Unhealthy {
            events: tell(tasks, &text),
        }
    }

    fn running<'a>(&'a self, states: &BTreeMap<String, TaskState>) -> Vec<&'a String> {
        self.roles
            .keys()
            .filter(|name| {
                states
                    .get(*name)
                    .is_some_and(|state| state.state == TaskRunState::Running)
            })
            .collect()
    }
}

fn tell(tasks: Vec<&String>, text: &str) -> Vec<(String, String)> {
    tasks
        .into_iter()
        .map(|task| (task.clone(), text.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use nomad_core::job::{LifecycleHook, Task, TaskLifecycle, UpdateStrategy};

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn group() -> TaskGroup {
        let init = Task {
            name: "init".to_owned(),
            lifecycle: Some(TaskLifecycle {
                hook: LifecycleHook::Prestart,
                sidecar: false,
            }),
            ..Task::default()
        };
        let web = Task {
            name: "web".to_owned(),
            ..Task::default()
        };
        TaskGroup {
            tasks: vec![init, web],
            update: Some(UpdateStrategy {
                health_check: "task_states".to_owned(),
                min_healthy_time: Nanos::secs(10),
                healthy_deadline: Nanos::secs(60),
                ..UpdateStrategy::default()
            }),
            ..TaskGroup::default()
        }
    }

    fn states(init: TaskRunState, web: TaskRunState, started: i64) -> BTreeMap<String, TaskState> {
        let task = |state, started| TaskState {
            state,
            started_at: at(started),
            ..TaskState::default()
        };
        BTreeMap::from([
            ("init".to_owned(), task(init, 1)),
            ("web".to_owned(), task(web, started)),
        ])
    }

    use TaskRunState::{Dead, Pending, Running};

    #[test]
    fn healthy_after_the_latest_start_plus_the_minimum() {
        let tracker = HealthTracker::new(&group(), JobType::Service, true, at(0)).unwrap();
        let running = states(Dead, Running, 5);
        assert_eq!(
            tracker.judge(&running, Checks::NotPassing, at(14)),
            Health::Undecided { look_at: at(15) }
        );
        assert_eq!(
            tracker.judge(&running, Checks::NotPassing, at(15)),
            Health::Healthy
        );
    }

    #[test]
    fn tasks_that_fail_or_end_are_unhealthy_at_once() {
        let tracker = HealthTracker::new(&group(), JobType::Service, true, at(0)).unwrap();
        assert!(matches!(
            tracker.judge(&states(Dead, Dead, 5), Checks::None, at(6)),
            Health::Unhealthy { .. }
        ));
        let mut failed = states(Pending, Pending, 0);
        failed.get_mut("init").unwrap().failed = true;
        assert_eq!(
            tracker.judge(&failed, Checks::None, at(6)),
            Health::Unhealthy {
                events: vec![(
                    "init".to_owned(),
                    "Unhealthy because of failed task".to_owned()
                )]
            }
        );
    }

    #[test]
    fn the_deadline_ends_the_wait() {
        let tracker = HealthTracker::new(&group(), JobType::Service, true, at(0)).unwrap();
        assert_eq!(
            tracker.judge(&states(Running, Pending, 0), Checks::None, at(59)),
            Health::Undecided { look_at: at(60) }
        );
        let Health::Unhealthy { events } =
            tracker.judge(&states(Running, Pending, 0), Checks::None, at(60))
        else {
            panic!("must be unhealthy at the deadline");
        };
        assert_eq!(events.len(), 2);
        let late = tracker.judge(&states(Dead, Running, 55), Checks::None, at(60));
        assert!(matches!(late, Health::Unhealthy { .. }));
    }

    #[test]
    fn checks_count_when_the_method_says_so() {
        let mut group = group();
        group.update.as_mut().unwrap().health_check = "checks".to_owned();
        let tracker = HealthTracker::new(&group, JobType::Service, true, at(0)).unwrap();
        let running = states(Dead, Running, 5);
        assert!(matches!(
            tracker.judge(&running, Checks::NotPassing, at(30)),
            Health::Undecided { .. }
        ));
        assert_eq!(
            tracker.judge(&running, Checks::PassingSince(at(25)), at(30)),
            Health::Undecided { look_at: at(35) }
        );
        assert_eq!(
            tracker.judge(&running, Checks::PassingSince(at(25)), at(35)),
            Health::Healthy
        );
    }

    #[test]
    fn batch_jobs_and_manual_checks_are_not_watched() {
        assert!(HealthTracker::new(&group(), JobType::Batch, true, at(0)).is_none());
        let mut manual = group();
        manual.update.as_mut().unwrap().health_check = "manual".to_owned();
        assert!(HealthTracker::new(&manual, JobType::Service, true, at(0)).is_none());
        assert!(HealthTracker::new(&manual, JobType::Service, false, at(0)).is_some());
    }
}
