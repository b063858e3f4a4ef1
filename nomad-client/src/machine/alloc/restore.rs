//! Going on after the agent was restarted.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocDeploymentStatus, AllocNetworkStatus, Allocation};
use nomad_core::task_state::{TaskRunState, TaskState, event_type};
use nomad_core::{Nanos, Timestamp};

use super::{Action, AllocMachine, AllocStage, Intent, MachineError, Phase};
use crate::machine::events;
use crate::machine::lifecycle::Coordinator;
use crate::machine::restart::RestartTracker;

/// What was stored of a task.
#[derive(Debug, Clone, Default)]
pub struct RestoredTask {
    /// Its state.
    pub state: TaskState,
    /// Its restarts.
    pub tracker: RestartTracker,
    /// Whether the driver may still have a process of it.
    pub has_handle: bool,
}

impl AllocMachine {
    /// The machine of a stored allocation, and what to do first.
    pub fn restored(
        alloc: Arc<Allocation>,
        tasks: BTreeMap<String, RestoredTask>,
        health: Option<AllocDeploymentStatus>,
        network: Option<AllocNetworkStatus>,
        max_kill_timeout: Nanos,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), MachineError> {
        let mut machine = Self::new(alloc, max_kill_timeout, now)?;
        machine.changed = super::Changed::default();
        if health.is_some() {
            machine.health = health;
        }
        if network.is_some() {
            machine.network = network;
        }
        let mut out = Vec::new();
        let mut begun = false;
        for name in machine.names() {
            let Some(stored) = tasks.get(&name) else {
                continue;
            };
            let dead = stored.state.state == TaskRunState::Dead;
            begun |= stored.has_handle
                || dead
                || stored
                    .state
                    .events
                    .iter()
                    .any(|event| event.kind != event_type::RECEIVED);
            machine.states.insert(name.clone(), stored.state.clone());
            if let Some(task) = machine.tasks.get_mut(&name) {
                task.tracker = stored.tracker.clone();
                task.phase = if dead {
                    Phase::Dead
                } else if stored.has_handle {
                    Phase::Recovering
                } else {
                    Phase::Gate
                };
            }
            if !dead && stored.has_handle {
                out.push(Action::Recover { task: name });
            }
        }
        if machine.is_terminal() {
            // Hooks that did not get to run when the agent ended.
            machine.stage = AllocStage::Postrun;
            out.push(Action::Postrun);
        } else if begun {
            machine.stage = AllocStage::Tasks;
            machine.coordinator = Coordinator::restored(machine.group(), &machine.states);
            machine.watch_health(now);
            if machine.alloc.server_terminal() {
                machine.plan_kill(super::KillReason::Server, now);
            }
        } else {
            machine.begin(now, &mut out);
        }
        machine.changed.report = true;
        Ok((machine, out))
    }

    pub(super) fn recovered(
        &mut self,
        name: &str,
        result: Result<(), String>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        if self.phase(name) != Phase::Recovering {
            return;
        }
        match result {
            Ok(()) => {
                self.set_phase(name, Phase::Running);
                let was_running = self
                    .states
                    .get(name)
                    .is_some_and(|state| state.state == TaskRunState::Running);
                if !was_running {
                    // The agent ended between the start and storing it.
                    self.append(name, Some(TaskRunState::Running), events::started(now));
                }
                if self.intent(name) == Intent::Kill {
                    let timeout = self.kill_timeout(name);
                    self.append(name, None, events::killing(now, timeout, ""));
                    self.stop_now(name, out);
                } else {
                    out.push(Action::Poststart {
                        task: name.to_owned(),
                    });
                }
            }
            Err(error) => {
                let text = format!(
                    "failed to restore task; will not run until server is contacted: {error}"
                );
                let event = events::with_message(event_type::RESTORE_FAILED, now, &text);
                self.append(name, Some(TaskRunState::Pending), event);
                out.push(Action::Exited {
                    task: name.to_owned(),
                });
                if self.intent(name) == Intent::Kill {
                    self.died(name, Some(events::killed(now, "")), now, out);
                } else {
                    let next = if self.servers_contacted {
                        Phase::Gate
                    } else {
                        Phase::WaitServers
                    };
                    self.set_phase(name, next);
                }
            }
        }
    }

    /// The agent ended when the task was about to be started: its turn comes as if nothing had been.
    pub(super) fn not_started(&mut self, name: &str, now: Timestamp, out: &mut Vec<Action>) {
        if self.phase(name) != Phase::Recovering {
            return;
        }
        if self.intent(name) == Intent::Kill {
            self.died(name, Some(events::killed(now, "")), now, out);
        } else {
            self.set_phase(name, Phase::Gate);
        }
    }

    pub(super) fn servers_contacted(&mut self) {
        self.servers_contacted = true;
        for task in self.tasks.values_mut() {
            if task.phase == Phase::WaitServers {
                task.phase = Phase::Gate;
            }
        }
    }
}
