//! What users ask of a running allocation: restart, signal, statistics, commands in tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::Timestamp;
use nomad_core::task_state::TaskRunState;
use nomad_drivers::{
    Driver, DriverError, ExecRequest, ExecStream, ResourceUsage, TaskResourceUsage, WindowSize,
};
use serde::Serialize;

use super::AllocRunner;
use super::prepare::command_env;
use crate::machine::alloc::Event;
use crate::machine::events::{self, REASON_USER_RESTART};
use crate::signals;

/// Why a request about an allocation has no effect.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The allocation is not on this node.
    #[error("Unknown allocation \"{0}\"")]
    UnknownAlloc(String),
    /// It has no such task.
    #[error("Could not find task runner for task: {0}")]
    NoTaskRunner(String),
    /// It has no such task.
    #[error("Task not found")]
    TaskNotFound,
    /// The task does not run.
    #[error("Task not running")]
    NotRunning,
    /// A task and all tasks were asked for.
    #[error("task name cannot be set when restarting all tasks")]
    TaskAndAll,
    /// There is no such signal.
    #[error("invalid signal {0:?}")]
    UnknownSignal(String),
    /// Some tasks did not get the signal.
    #[error("{}", signal_errors(.0))]
    Signal(Vec<(String, String)>),
    /// Commands in tasks are switched off on this node.
    #[error("remote exec is disabled on this node")]
    ExecDisabled,
    /// No command was given.
    #[error("command is not present")]
    NoCommand,
    /// The task has never run.
    #[error("task {0:?} is not running.")]
    NotStarted(String),
    /// The driver refused.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Anything about files.
    #[error(transparent)]
    Fs(#[from] crate::fs::FsError),
    /// No such task in a request for logs.
    #[error("unknown task name {0:?}")]
    UnknownTask(String),
    /// A task that has not been started has no logs.
    #[error("task {0:?} not started yet. No logs available")]
    NoLogsYet(String),
}

fn signal_errors(errors: &[(String, String)]) -> String {
    let lines: Vec<String> = errors
        .iter()
        .map(|(task, error)| format!("Failed to signal task: {task}, err: {error}"))
        .collect();
    lines.join("; ")
}

/// What an allocation uses, in the shape of the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocUsage {
    /// The sum over its tasks.
    pub resource_usage: ResourceUsage,
    /// Each task that runs.
    pub tasks: BTreeMap<String, TaskResourceUsage>,
    /// When it was measured.
    pub timestamp: Timestamp,
}

impl AllocRunner {
    /// The driver of a task.
    pub(super) fn driver_of(&self, task: &str) -> Option<Arc<dyn Driver>> {
        let name =
            self.with(|machine| machine.group().task(task).map(|task| task.driver.clone()))?;
        self.shared.driver(&name)
    }

    /// Whether a task is kept from the machine's files.
    pub(crate) fn is_isolated(&self, task: &str) -> Option<bool> {
        let capabilities = self.driver_of(task)?.capabilities();
        Some(capabilities.file_isolation != nomad_drivers::FileIsolation::None)
    }

    /// Restarts one task, all that run (no task named), or every task from the first stage on (`all`).
    pub(crate) fn restart(self: &Arc<Self>, task: &str, all: bool) -> Result<(), CommandError> {
        if all && !task.is_empty() {
            return Err(CommandError::TaskAndAll);
        }
        let reason = REASON_USER_RESTART.to_owned();
        if all {
            self.dispatch(Event::RestartAll { reason });
            return Ok(());
        }
        let states = self.task_states();
        if task.is_empty() {
            for (name, state) in &states {
                if state.state == TaskRunState::Running {
                    self.dispatch(Event::Restart {
                        task: name.clone(),
                        reason: reason.clone(),
                        failure: false,
                    });
                }
            }
            return Ok(());
        }
        match states.get(task) {
            None => Err(CommandError::NoTaskRunner(task.to_owned())),
            Some(state) if state.state != TaskRunState::Running => Err(CommandError::NotRunning),
            Some(_) => {
                self.dispatch(Event::Restart {
                    task: task.to_owned(),
                    reason,
                    failure: false,
                });
                Ok(())
            }
        }
    }

    /// Sends a signal to one task, or to all (no task named).
    pub(crate) async fn signal(
        self: &Arc<Self>,
        task: &str,
        signal: &str,
    ) -> Result<(), CommandError> {
        let states = self.task_states();
        let tasks: Vec<String> = if task.is_empty() {
            states.keys().cloned().collect()
        } else if states.contains_key(task) {
            vec![task.to_owned()]
        } else {
            return Err(CommandError::TaskNotFound);
        };
        if signals::by_name(signal).is_none() {
            return Err(CommandError::UnknownSignal(signal.to_owned()));
        }
        let mut errors = Vec::new();
        for task in tasks {
            if let Err(error) = self.signal_one(&task, signal, "").await {
                errors.push((task, error.to_string()));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(CommandError::Signal(errors))
        }
    }

    /// Sends a signal to a running task and tells its events why.
    pub(crate) async fn signal_one(
        self: &Arc<Self>,
        task: &str,
        signal: &str,
        reason: &str,
    ) -> Result<(), CommandError> {
        let (Some(id), Some(driver)) = (self.driver_id(task), self.driver_of(task)) else {
            return Err(CommandError::NotRunning);
        };
        let event = events::signaling(self.shared.clock.now(), signal, reason);
        self.dispatch(Event::Told(task.to_owned(), event));
        Ok(driver.signal_task(&id, signal).await?)
    }

    /// Measures the tasks that run; `task` names one of them.
    pub(crate) async fn usage(&self, task: &str) -> AllocUsage {
        let running: Vec<(String, Arc<str>)> = {
            let inner = self.inner.lock();
            inner
                .tasks
                .iter()
                .filter(|(name, _)| task.is_empty() || *name == task)
                .filter_map(|(name, run)| Some((name.clone(), run.driver_id.clone()?)))
                .collect()
        };
        let mut usage = AllocUsage {
            timestamp: self.shared.clock.now(),
            ..AllocUsage::default()
        };
        for (name, id) in running {
            let Some(driver) = self.driver_of(&name) else {
                continue;
            };
            // A task that ended just now has no statistics.
            if let Ok(one) = driver.task_stats(&id).await {
                add(&mut usage.resource_usage, &one.resource_usage);
                usage.tasks.insert(name, one);
            }
        }
        usage.resource_usage.device_stats = Some(Vec::new());
        usage
    }

    /// Runs a command in a task.
    pub(crate) async fn exec(
        &self,
        task: &str,
        command: Vec<String>,
        tty: bool,
        window: Option<WindowSize>,
    ) -> Result<ExecStream, CommandError> {
        if self.shared.config.disable_remote_exec {
            return Err(CommandError::ExecDisabled);
        }
        if command.is_empty() {
            return Err(CommandError::NoCommand);
        }
        if !self.task_states().contains_key(task) {
            return Err(CommandError::TaskNotFound);
        }
        let (Some(id), Some(driver)) = (self.driver_id(task), self.driver_of(task)) else {
            return Err(CommandError::NotStarted(task.to_owned()));
        };
        let request = ExecRequest {
            command,
            env: command_env(self, task, &driver.capabilities()),
            tty,
            window,
        };
        Ok(driver.exec_stream(&id, request).await?)
    }
}

fn add(sum: &mut ResourceUsage, one: &ResourceUsage) {
    let (to, from) = (&mut sum.memory_stats, &one.memory_stats);
    to.rss += from.rss;
    to.cache += from.cache;
    to.swap += from.swap;
    to.mapped_file += from.mapped_file;
    to.usage += from.usage;
    to.max_usage += from.max_usage;
    to.kernel_usage += from.kernel_usage;
    to.kernel_max_usage += from.kernel_max_usage;
    to.measured.clone_from(&from.measured);
    let (to, from) = (&mut sum.cpu_stats, &one.cpu_stats);
    to.system_mode += from.system_mode;
    to.user_mode += from.user_mode;
    to.total_ticks += from.total_ticks;
    to.throttled_periods += from.throttled_periods;
    to.throttled_time += from.throttled_time;
    to.percent += from.percent;
    to.measured.clone_from(&from.measured);
}
