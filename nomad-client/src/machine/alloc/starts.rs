//! Preparing and starting tasks.

use nomad_core::Timestamp;
use nomad_core::task_state::TaskRunState;

use super::{Action, AllocMachine, AllocStage, Intent, Phase, StartError};
use crate::machine::events;
use crate::machine::restart::Ended;

impl AllocMachine {
    pub(super) fn prerun_done(&mut self, result: Result<(), String>, now: Timestamp) {
        if self.stage != AllocStage::Prerun {
            return;
        }
        self.stage = AllocStage::Tasks;
        match result {
            Ok(()) => {
                // Without a network of its own the status is there and empty.
                self.network.get_or_insert_default();
                // A stop may have come meanwhile; then there is nothing to watch.
                if self.kill.is_none() {
                    self.watch_health(now);
                }
            }
            Err(error) => {
                for name in self.names() {
                    let event = events::setup_failure(now, &error);
                    self.append(&name, Some(TaskRunState::Dead), event);
                    self.set_phase(&name, Phase::Dead);
                }
            }
        }
    }

    /// Starts the tasks whose stage has come.
    pub(super) fn open_gates(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        for name in self.names() {
            if self.phase(&name) != Phase::Gate || !self.coordinator.may_start(&name) {
                continue;
            }
            if self.forced.is_some() {
                // Its time is over: what has not run will not.
                self.enter(&name, TaskRunState::Dead, now);
                self.set_phase(&name, Phase::Dead);
                continue;
            }
            self.set_phase(&name, Phase::Starting);
            out.push(Action::Start { task: name });
        }
    }

    pub(super) fn started(&mut self, name: &str, now: Timestamp, out: &mut Vec<Action>) {
        if self.phase(name) != Phase::Starting {
            return;
        }
        self.append(name, Some(TaskRunState::Running), events::started(now));
        self.set_phase(name, Phase::Running);
        // Somebody may have asked for its end while it was being started.
        match self.tasks.get(name).map(|task| task.intent.clone()) {
            Some(Intent::Policy) | None => out.push(Action::Poststart {
                task: name.to_owned(),
            }),
            Some(_) => self.stop_now(name, out),
        }
    }

    pub(super) fn start_failed(
        &mut self,
        name: &str,
        error: StartError,
        now: Timestamp,
        jitter: f64,
        out: &mut Vec<Action>,
    ) {
        if self.phase(name) != Phase::Starting {
            return;
        }
        let ended = Ended::StartError {
            error: error.event.display_message.clone(),
            recoverable: error.recoverable,
        };
        let cancelled = self.intent(name) == Intent::Kill;
        if !cancelled {
            self.append(name, None, error.event);
        }
        out.push(Action::Exited {
            task: name.to_owned(),
        });
        self.decide(name, &ended, now, jitter, out);
    }

    /// Tasks whose delay is over.
    pub(super) fn wake_tasks(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        for name in self.names() {
            match self.phase(&name) {
                Phase::Backoff(at) if at <= now => self.set_phase(&name, Phase::Gate),
                Phase::Delaying(at) if at <= now => self.stop_now(&name, out),
                _ => {}
            }
        }
    }

    pub(super) fn intent(&self, name: &str) -> Intent {
        self.tasks
            .get(name)
            .map(|task| task.intent.clone())
            .unwrap_or_default()
    }
}
