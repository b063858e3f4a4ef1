//! `raw_exec`: a plain process of this machine, without isolation, in a cgroup where there are any.

mod command;
mod settings;
mod spec;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use nomad_core::Timestamp;
use nomad_core::job::AnyMap;
use nomad_supervisor::{
    Credentials, ErrorKind, Event, ExecSpec, Notice, Refusal, SupervisorClient, SupervisorError,
    TaskExit, TaskSpec,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use settings::RawExecConfig;
use settings::{Settings, TaskSettings};

use crate::config::FieldError;
use crate::driver::{
    Capabilities, Driver, DriverError, DriverEvent, ExecRequest, ExecStream, FileIsolation,
    Fingerprint, Started,
};
use crate::task::{ExitResult, HANDLE_VERSION, TaskConfig, TaskHandle, TaskState, TaskStatus};
use crate::usage::{Sample, TaskResourceUsage};
use crate::{signal, users};

const NAME: &str = "raw_exec";
/// Events kept for a consumer that does not read.
const MAX_QUEUED_EVENTS: usize = 256;

/// The driver.
pub struct RawExec {
    settings: Settings,
    supervisor: SupervisorClient,
    tasks: Arc<Mutex<HashMap<String, Task>>>,
    events: broadcast::Sender<DriverEvent>,
}

/// A task that was started or found again.
struct Task {
    state: State,
    /// The last measurement.
    sample: Sample,
}

/// The driver's part of the handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    /// The process; both are 0 in the handle of before the start.
    pid: i32,
    start_time_ticks: u64,
    /// Working directory, for commands run in the task.
    cwd: PathBuf,
    /// Where such commands are looked up first.
    task_dir: PathBuf,
    credentials: Option<Creds>,
    network_namespace: Option<PathBuf>,
    ticks_per_percent: f64,
}

/// User and groups, as they lie in the handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Creds {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl RawExec {
    /// The driver with the agent's configuration for it.
    ///
    /// # Errors
    /// Every mistake in the configuration.
    pub fn new(
        config: &RawExecConfig,
        supervisor: SupervisorClient,
    ) -> Result<Self, Vec<FieldError>> {
        let settings = Settings::new(config)?;
        let (events, _) = broadcast::channel(MAX_QUEUED_EVENTS);
        let tasks = Arc::new(Mutex::new(HashMap::new()));
        tokio::spawn(forward(
            supervisor.subscribe(),
            events.clone(),
            Arc::clone(&tasks),
        ));
        Ok(Self {
            settings,
            supervisor,
            tasks,
            events,
        })
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<String, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, id: &str) -> Result<State, DriverError> {
        self.tasks()
            .get(id)
            .map(|t| t.state.clone())
            .ok_or_else(|| DriverError::NotFound { id: id.to_owned() })
    }

    /// What the supervisor is asked to start, and what is kept of it; there is no process yet.
    async fn plan(&self, config: &TaskConfig) -> Result<(TaskSpec, State), DriverError> {
        if !self.settings.enabled() {
            let message = "driver raw_exec is disabled in the agent's configuration".to_owned();
            return Err(DriverError::Start {
                message,
                recoverable: false,
            });
        }
        let task = TaskSettings::decode(&config.config).map_err(DriverError::Config)?;
        let credentials = self.credentials(config).await?;
        let spec = spec::spec(&self.settings, config, &task, credentials)?;
        let state = State {
            pid: 0,
            start_time_ticks: 0,
            cwd: spec.cwd.clone(),
            task_dir: config.dirs.task_dir.clone(),
            credentials: spec.credentials.as_ref().map(|c| Creds {
                uid: c.uid,
                gid: c.gid,
                groups: c.groups.clone(),
            }),
            network_namespace: spec.network_namespace.clone(),
            ticks_per_percent: config.resources.ticks_per_percent,
        };
        Ok((spec, state))
    }

    /// Whom the task runs as: `None` if that is the agent's user.
    async fn credentials(&self, config: &TaskConfig) -> Result<Option<Credentials>, DriverError> {
        let found = match config.user.as_str() {
            "" => None,
            name => Some(users::find(name).await?),
        };
        self.settings
            .check_user(found.as_ref().unwrap_or(&users::current()))?;
        Ok(found)
    }
}

/// Passes on what the supervisor tells of our tasks. Ends with the driver.
async fn forward(
    mut notices: broadcast::Receiver<Notice>,
    events: broadcast::Sender<DriverEvent>,
    tasks: Arc<Mutex<HashMap<String, Task>>>,
) {
    loop {
        let event = match notices.recv().await {
            Ok(Notice::Task(event)) => event,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let (task_id, message, annotations) = match event {
            Event::OomKilled { id, count } => (
                id,
                "The kernel killed a process for want of memory".to_owned(),
                vec![("oom_kills", count.to_string())],
            ),
            Event::LogError {
                id,
                stream,
                message,
                dropped_bytes,
            } => (
                id,
                format!("Output to {} cannot be written: {message}", stream.as_str()),
                vec![("dropped_bytes", dropped_bytes.to_string())],
            ),
            Event::Started { .. } | Event::Exited { .. } => continue,
        };
        if tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&task_id)
        {
            let annotations = annotations
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect();
            let _ = events.send(DriverEvent {
                task_id,
                message,
                annotations,
            });
        }
    }
}

fn handle(id: &str, state: &State) -> Result<TaskHandle, DriverError> {
    let driver_state = serde_json::to_value(state)
        .map_err(|e| DriverError::Failed(format!("encode the handle of task {id:?}: {e}")))?;
    Ok(TaskHandle {
        version: HANDLE_VERSION,
        driver: NAME.to_owned(),
        task_id: id.to_owned(),
        driver_state,
    })
}

fn exit_result(exit: TaskExit) -> ExitResult {
    let error = "exit code unknown: the process ended while no supervisor watched it";
    let code = exit.status.exit_code();
    ExitResult {
        exit_code: code.unwrap_or(-1),
        signal: exit.status.signal(),
        oom_killed: exit.oom_killed,
        error: code.is_none().then(|| error.to_owned()),
    }
}

/// The supervisor's refusals in the driver's words.
fn refused(id: &str, error: SupervisorError) -> DriverError {
    match error.kind() {
        Some(ErrorKind::NotFound) => DriverError::NotFound { id: id.to_owned() },
        Some(ErrorKind::Start | ErrorKind::Invalid) => DriverError::Start {
            message: error.to_string(),
            recoverable: false,
        },
        _ => DriverError::Supervisor(error),
    }
}

#[async_trait]
impl Driver for RawExec {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            send_signals: true,
            exec: true,
            file_isolation: FileIsolation::None,
            network_modes: &["host", "group"],
            mounts: false,
            own_image: false,
        }
    }

    async fn fingerprint(&self) -> Fingerprint {
        if self.settings.enabled() {
            Fingerprint::healthy(NAME)
        } else {
            Fingerprint::undetected("disabled")
        }
    }

    fn validate(&self, config: &AnyMap) -> Result<(), Vec<FieldError>> {
        TaskSettings::decode(config).map(|_| ())
    }

    async fn handle_before_start(
        &self,
        config: &TaskConfig,
    ) -> Result<Option<TaskHandle>, DriverError> {
        let (_, state) = self.plan(config).await?;
        handle(&config.id, &state).map(Some)
    }

    async fn start_task(&self, config: TaskConfig) -> Result<Started, DriverError> {
        let (spec, state) = self.plan(&config).await?;
        let started = self
            .supervisor
            .start_task(spec)
            .await
            .map_err(|e| refused(&config.id, e))?;
        let state = State {
            pid: started.pid,
            start_time_ticks: started.start_time_ticks,
            ..state
        };
        let handle = handle(&config.id, &state)?;
        self.tasks().insert(
            config.id,
            Task {
                state,
                sample: Sample::default(),
            },
        );
        Ok(Started {
            handle,
            network: None,
            warnings: started.warnings,
        })
    }

    async fn recover_task(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        let id = &handle.task_id;
        let bad = |reason: String| DriverError::BadHandle {
            id: id.clone(),
            reason,
        };
        if handle.driver != NAME || handle.version != HANDLE_VERSION {
            return Err(bad(format!(
                "it is of driver {} version {}",
                handle.driver, handle.version
            )));
        }
        let state: State =
            serde_json::from_value(handle.driver_state.clone()).map_err(|e| bad(e.to_string()))?;
        let info = self
            .supervisor
            .inspect(id)
            .await
            .map_err(|e| refused(id, e))?;
        let process = (info.handle.pid, info.handle.start_time_ticks);
        if state.pid != 0 && process != (state.pid, state.start_time_ticks) {
            return Err(bad(format!(
                "the supervisor knows process {} by this id",
                info.handle.pid
            )));
        }
        let state = State {
            pid: process.0,
            start_time_ticks: process.1,
            ..state
        };
        self.tasks().insert(
            id.clone(),
            Task {
                state,
                sample: Sample::default(),
            },
        );
        Ok(())
    }

    async fn wait_task(&self, id: &str) -> Result<ExitResult, DriverError> {
        self.state(id)?;
        self.supervisor
            .wait(id)
            .await
            .map(exit_result)
            .map_err(|e| refused(id, e))
    }

    async fn stop_task(
        &self,
        id: &str,
        signal: &str,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        self.state(id)?;
        let signal = if signal.is_empty() {
            None
        } else {
            Some(signal::number(signal)?)
        };
        self.supervisor
            .kill(id, signal, Some(timeout))
            .await
            .map(|_| ())
            .map_err(|e| refused(id, e))
    }

    async fn destroy_task(&self, id: &str, force: bool) -> Result<(), DriverError> {
        if force {
            match self.supervisor.kill(id, None, Some(Duration::ZERO)).await {
                Err(e) if e.kind() != Some(ErrorKind::NotFound) => return Err(refused(id, e)),
                _ => {}
            }
        }
        match self.supervisor.remove(id).await {
            Err(e) if e.kind() == Some(ErrorKind::Running) => {
                return Err(DriverError::Failed(
                    "cannot destroy running task".to_owned(),
                ));
            }
            other => other.map_err(|e| refused(id, e))?,
        }
        self.tasks().remove(id);
        Ok(())
    }

    async fn inspect_task(&self, id: &str) -> Result<TaskStatus, DriverError> {
        self.state(id)?;
        let info = self
            .supervisor
            .inspect(id)
            .await
            .map_err(|e| refused(id, e))?;
        Ok(TaskStatus {
            id: id.to_owned(),
            state: if info.exit.is_some() {
                TaskState::Exited
            } else {
                TaskState::Running
            },
            started_at: Timestamp(info.started_unix_ns),
            completed_at: info.exit.map(|e| Timestamp(e.at_unix_ns)),
            exit: info.exit.map(exit_result),
            attributes: BTreeMap::from([("pid".to_owned(), info.handle.pid.to_string())]),
        })
    }

    async fn task_stats(&self, id: &str) -> Result<TaskResourceUsage, DriverError> {
        self.state(id)?;
        let stats = self
            .supervisor
            .stats(id)
            .await
            .map_err(|e| refused(id, e))?;
        let mut tasks = self.tasks();
        let task = tasks
            .get_mut(id)
            .ok_or_else(|| DriverError::NotFound { id: id.to_owned() })?;
        let ticks_per_percent = task.state.ticks_per_percent;
        Ok(task.sample.advance(stats, ticks_per_percent))
    }

    async fn signal_task(&self, id: &str, signal: &str) -> Result<(), DriverError> {
        self.state(id)?;
        self.supervisor
            .signal(id, signal::number(signal)?)
            .await
            .map_err(|e| refused(id, e))
    }

    async fn exec_stream(&self, id: &str, request: ExecRequest) -> Result<ExecStream, DriverError> {
        let state = self.state(id)?;
        let Some((program, args)) = request.command.split_first() else {
            return Err(DriverError::Failed("command is not present".to_owned()));
        };
        let command = command::find_in(
            program,
            &state.task_dir,
            request.env.get("PATH").map(String::as_str),
        )?;
        let spec = ExecSpec {
            id: id.to_owned(),
            command,
            args: args.to_vec(),
            env: request.env,
            cwd: state.cwd,
            credentials: state.credentials.map(|c| Credentials {
                uid: c.uid,
                gid: c.gid,
                groups: c.groups,
            }),
            network_namespace: state.network_namespace,
            tty: request.tty,
            window: request.window,
        };
        let session = self.supervisor.exec(spec).await.map_err(|e| match e {
            SupervisorError::Refused(Refusal {
                kind: ErrorKind::Start | ErrorKind::Invalid,
                message,
            }) => DriverError::Failed(message),
            other => refused(id, other),
        })?;
        Ok(ExecStream {
            input: Box::new(session.input),
            output: Box::new(session.output),
        })
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.events.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_exit_is_no_success() {
        let exit = TaskExit {
            status: nomad_supervisor::ExitStatus::Lost,
            oom_killed: false,
            at_unix_ns: 0,
        };
        let result = exit_result(exit);
        assert!(!result.successful());
        assert_eq!((result.exit_code, result.signal), (-1, 0));
    }
}
