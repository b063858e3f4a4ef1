//! Ending tasks in order: the leader, the others, the sidecars; with the delays that jobs ask for.

use std::collections::VecDeque;

use nomad_core::task_state::{TaskEvent, TaskRunState, event_type};
use nomad_core::{Nanos, Timestamp};

use super::{Action, AllocMachine, AllocStage, Intent, Phase};
use crate::machine::events;
use crate::machine::lifecycle::Role;

/// What `kill_timeout` is where the job does not say.
const DEFAULT_KILL_TIMEOUT: Nanos = Nanos::secs(5);

/// Why everything ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillReason {
    /// The servers want it stopped.
    Server,
    /// A task's end takes the others along.
    Siblings,
    /// `max_run_duration` is over.
    TimeIsUp,
    /// The servers were not heard of for too long.
    Disconnected,
    /// The agent forgets the allocation.
    Destroy,
}

/// What is still to be killed.
#[derive(Debug, Clone)]
pub(super) struct KillPlan {
    waves: VecDeque<Vec<String>>,
    /// The group's shutdown delay.
    not_before: Option<Timestamp>,
    skip_delays: bool,
}

impl KillPlan {
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        self.not_before
    }
}

impl AllocMachine {
    /// Decides to end everything. A second reason changes nothing but delays.
    pub(super) fn plan_kill(&mut self, reason: KillReason, now: Timestamp) {
        let no_delay = self.alloc.desired_transition.should_skip_shutdown_delay()
            || matches!(reason, KillReason::Destroy);
        let poststop = if matches!(reason, KillReason::TimeIsUp | KillReason::Destroy) {
            self.poststop_tasks()
        } else {
            Vec::new()
        };
        if let Some(plan) = &mut self.kill {
            plan.skip_delays |= no_delay;
            plan.waves.push_back(poststop);
            if plan.skip_delays {
                plan.not_before = None;
                self.cut_delays(now);
            }
            return;
        }
        if reason == KillReason::TimeIsUp {
            self.forced = Some((
                nomad_core::alloc::ClientStatus::Complete,
                crate::machine::status::TIMED_OUT,
            ));
        }
        let delay = self.group().shutdown_delay.unwrap_or_default();
        let mut waves: VecDeque<Vec<String>> = self.coordinator.kill_order().into();
        waves.push_back(poststop);
        let not_before = (!no_delay && delay.is_set() && self.any_runs()).then(|| now + delay);
        self.kill = Some(KillPlan {
            waves,
            not_before,
            skip_delays: no_delay,
        });
        // No verdict on an allocation that is being stopped.
        if reason != KillReason::Siblings {
            self.tracker = None;
            self.look_at = None;
        }
    }

    fn poststop_tasks(&self) -> Vec<String> {
        self.names()
            .into_iter()
            .filter(|name| self.coordinator.role(name) == Role::Poststop)
            .collect()
    }

    fn any_runs(&self) -> bool {
        self.tasks.values().any(|task| task.phase == Phase::Running)
    }

    /// Kills the next tasks when those before them are dead.
    pub(super) fn advance_kill(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        loop {
            let Some(plan) = &mut self.kill else { return };
            if plan.not_before.is_some_and(|at| now < at) {
                return;
            }
            plan.not_before = None;
            let Some(wave) = plan.waves.front().cloned() else {
                return;
            };
            let skip_delays = plan.skip_delays;
            for name in &wave {
                self.kill_task(name, skip_delays, now, out);
            }
            if wave.iter().any(|name| self.phase(name) != Phase::Dead) {
                return;
            }
            if let Some(plan) = &mut self.kill {
                plan.waves.pop_front();
            }
        }
    }

    /// Kills one task, unless that is under way.
    fn kill_task(&mut self, name: &str, skip_delay: bool, now: Timestamp, out: &mut Vec<Action>) {
        let asked_before = self.intent(name) == Intent::Kill;
        match self.phase(name) {
            Phase::Dead => {}
            Phase::Gate | Phase::WaitServers => {
                // Never started, or between two runs: there is nothing to end.
                self.died(name, None, now, out);
            }
            Phase::Backoff(_) => {
                let timeout = self.kill_timeout(name);
                self.append(name, None, events::killing(now, timeout, ""));
                self.died(name, None, now, out);
            }
            Phase::Starting | Phase::Recovering if !asked_before => {
                self.intend_kill(name);
                out.push(Action::CancelStart {
                    task: name.to_owned(),
                });
            }
            Phase::Running if !asked_before => self.kill_running(name, skip_delay, now, out),
            // Asked to end for a restart: now it is a kill.
            Phase::Stopping if !asked_before => {
                self.intend_kill(name);
                let timeout = self.kill_timeout(name);
                self.append(name, None, events::killing(now, timeout, ""));
            }
            _ => {}
        }
    }

    fn kill_running(
        &mut self,
        name: &str,
        skip_delay: bool,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        self.intend_kill(name);
        let timeout = self.kill_timeout(name);
        self.append(name, None, events::killing(now, timeout, ""));
        out.push(Action::Prekill {
            task: name.to_owned(),
        });
        let delay = self
            .task(name)
            .map(|task| task.shutdown_delay)
            .unwrap_or_default();
        if !delay.is_set() {
            self.stop_now(name, out);
        } else if skip_delay {
            let text = "Skipping shutdown_delay";
            self.append(
                name,
                None,
                events::with_message(event_type::SKIPPED_SHUTDOWN_DELAY, now, text),
            );
            self.stop_now(name, out);
        } else {
            let text = format!("Waiting for shutdown_delay of {delay} before killing the task.");
            let event = events::with_message(event_type::WAITING_SHUTDOWN_DELAY, now, &text);
            self.append(name, Some(TaskRunState::Pending), event);
            self.set_phase(name, Phase::Delaying(now + delay));
        }
    }

    /// Ends the shutdown delays that run.
    fn cut_delays(&mut self, now: Timestamp) {
        for task in self.tasks.values_mut() {
            if matches!(task.phase, Phase::Delaying(_)) {
                task.phase = Phase::Delaying(now);
            }
        }
    }

    fn intend_kill(&mut self, name: &str) {
        if let Some(task) = self.tasks.get_mut(name) {
            task.intent = Intent::Kill;
        }
    }

    /// Asks the driver to end a running task.
    pub(super) fn stop_now(&mut self, name: &str, out: &mut Vec<Action>) {
        self.set_phase(name, Phase::Stopping);
        out.push(Action::Stop {
            task: name.to_owned(),
            timeout: self.kill_timeout(name),
        });
    }

    pub(super) fn kill_timeout(&self, name: &str) -> Nanos {
        let wanted = self
            .task(name)
            .map(|task| task.kill_timeout)
            .filter(|timeout| timeout.is_set())
            .unwrap_or(DEFAULT_KILL_TIMEOUT);
        wanted.min(self.max_kill_timeout)
    }

    /// A task that cannot go on: it fails, and takes the others along.
    pub(super) fn fail_task(
        &mut self,
        name: &str,
        event: TaskEvent,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        if self.stage != AllocStage::Tasks || self.phase(name) == Phase::Dead {
            return;
        }
        if let Some(state) = self.states.get_mut(name) {
            state.failed = true;
        }
        self.append(name, None, event);
        self.kill_task(name, true, now, out);
    }

    /// When `max_run_duration` is over.
    pub(super) fn time_is_up(&self) -> Option<Timestamp> {
        let span = self.group().max_run_duration?;
        let running = self.stage == AllocStage::Tasks && self.forced.is_none();
        let known = !self.alloc.create_time.is_zero();
        (span.is_set() && running && known).then(|| self.alloc.create_time + span)
    }

    pub(super) fn watch_duration(&mut self, now: Timestamp) {
        if self.time_is_up().is_some_and(|at| at <= now) {
            self.kill = None;
            self.plan_kill(KillReason::TimeIsUp, now);
        }
    }
}
