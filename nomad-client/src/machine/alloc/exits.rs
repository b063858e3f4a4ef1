//! Tasks that end, and what follows: restarts by policy, by users, by templates.

use nomad_core::Timestamp;
use nomad_core::task_state::{TaskEvent, TaskRunState};

use super::{Action, AllocMachine, AllocStage, Intent, Phase};
use crate::machine::events::{self, ExitReport};
use crate::machine::lifecycle::{KillOthers, Role};
use crate::machine::restart::{Ended, Verdict};
use crate::machine::task;

use super::kill::KillReason;

impl AllocMachine {
    pub(super) fn exited(
        &mut self,
        name: &str,
        exit: &ExitReport,
        now: Timestamp,
        jitter: f64,
        out: &mut Vec<Action>,
    ) {
        if !matches!(
            self.phase(name),
            Phase::Running | Phase::Delaying(_) | Phase::Stopping
        ) {
            return;
        }
        self.append(name, None, events::terminated(now, exit));
        out.push(Action::Exited {
            task: name.to_owned(),
        });
        let ended = Ended::Exited {
            success: exit.success(),
        };
        self.decide(name, &ended, now, jitter, out);
    }

    /// Applies what was intended for the task, or else its restart policy.
    pub(super) fn decide(
        &mut self,
        name: &str,
        ended: &Ended,
        now: Timestamp,
        jitter: f64,
        out: &mut Vec<Action>,
    ) {
        let policy = self.task_policy(name);
        let Some(machine) = self.tasks.get_mut(name) else {
            return;
        };
        let ended = match machine.intent {
            Intent::Policy => ended,
            Intent::Kill => &Ended::Killed,
            Intent::Restart => &Ended::RestartAsked,
            Intent::Unhealthy => &Ended::Unhealthy,
        };
        machine.intent = Intent::Policy;
        let verdict = machine
            .tracker
            .decide(&policy, ended, machine.success_is_final, now, jitter);
        match verdict {
            Verdict::Restart { delay, reason } => {
                let event = events::restarting(now, delay, &reason);
                self.append(name, Some(TaskRunState::Pending), event);
                self.set_phase(name, Phase::Backoff(now + delay));
            }
            Verdict::Killed => self.died(name, Some(events::killed(now, "")), now, out),
            Verdict::Done => self.died(name, None, now, out),
            Verdict::Failed { reason } => {
                self.died(name, Some(events::not_restarting(now, &reason)), now, out);
            }
        }
    }

    /// The task is over for good.
    pub(super) fn died(
        &mut self,
        name: &str,
        event: Option<TaskEvent>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        match event {
            Some(event) => self.append(name, Some(TaskRunState::Dead), event),
            None => self.enter(name, TaskRunState::Dead, now),
        }
        self.set_phase(name, Phase::Dead);
        out.push(Action::StopHooks {
            task: name.to_owned(),
        });
    }

    /// Kills the others when a task's end asks for it.
    pub(super) fn watch_siblings(&mut self, now: Timestamp) {
        if self.kill.is_some() {
            return;
        }
        let Some(why) = self.coordinator.kill_others(&self.states) else {
            return;
        };
        for name in self.names() {
            if self.coordinator.role(&name) == Role::Poststop || self.phase(&name) == Phase::Dead {
                continue;
            }
            let event = match &why {
                KillOthers::LeaderDead => events::leader_dead(now),
                KillOthers::SiblingFailed(sibling) => events::sibling_failed(now, sibling),
                KillOthers::MainDead => events::main_dead(now),
            };
            self.append(&name, None, event);
        }
        self.plan_kill(KillReason::Siblings, now);
    }

    pub(super) fn restart(
        &mut self,
        name: &str,
        reason: &str,
        failure: bool,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        if self.phase(name) != Phase::Running || self.intent(name) != Intent::Policy {
            return;
        }
        self.append(name, None, events::restart_signaled(now, reason));
        let intent = if failure {
            Intent::Unhealthy
        } else {
            Intent::Restart
        };
        if let Some(machine) = self.tasks.get_mut(name) {
            machine.intent = intent;
        }
        out.push(Action::Prekill {
            task: name.to_owned(),
        });
        self.stop_now(name, out);
    }

    /// Every task from the first stage on, the dead ones too.
    pub(super) fn restart_all(&mut self, reason: &str, now: Timestamp, out: &mut Vec<Action>) {
        if self.stage != AllocStage::Tasks || self.kill.is_some() {
            return;
        }
        self.coordinator.reset();
        for name in self.names() {
            match self.phase(&name) {
                Phase::Dead => {
                    if let Some(state) = self.states.get_mut(&name) {
                        task::revive(state);
                    }
                    self.append(&name, None, events::restart_signaled(now, reason));
                    self.append(
                        &name,
                        None,
                        events::restarting(now, nomad_core::Nanos::ZERO, ""),
                    );
                    self.set_phase(&name, Phase::Gate);
                }
                Phase::Running => self.restart(&name, reason, false, now, out),
                Phase::Backoff(_) => self.set_phase(&name, Phase::Gate),
                _ => {}
            }
        }
    }
}
