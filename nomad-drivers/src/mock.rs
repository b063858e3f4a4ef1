//! `mock_driver`: tasks that are only pretended, with every way to fail on order.
//!
//! Source: client and drivers reference, section 6.9.

mod output;
mod settings;
mod task;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use nomad_core::Timestamp;
use nomad_core::job::AnyMap;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::Instant;

pub use settings::MockConfig;
use settings::TaskSettings;
use task::{LogTarget, MockTask};

use crate::config::FieldError;
use crate::driver::{
    Capabilities, Driver, DriverError, DriverEvent, DriverNetwork, ExecRequest, ExecStream,
    Fingerprint, Health, Started,
};
use crate::signal;
use crate::task::{ExitResult, HANDLE_VERSION, TaskConfig, TaskHandle, TaskState, TaskStatus};
use crate::usage::TaskResourceUsage;

const NAME: &str = "mock_driver";
/// Events kept for a consumer that does not read.
const MAX_QUEUED_EVENTS: usize = 16;

/// The driver.
pub struct MockDriver {
    config: MockConfig,
    created: Instant,
    tasks: Mutex<HashMap<String, Arc<MockTask>>>,
    events: broadcast::Sender<DriverEvent>,
}

/// The driver's part of the handle: enough to go on pretending.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    started_unix_ns: i64,
    config: AnyMap,
    logs: Option<LogTarget>,
}

impl Default for MockDriver {
    fn default() -> Self {
        Self::new(MockConfig::default())
    }
}

impl MockDriver {
    /// The driver with the agent's configuration for it.
    pub fn new(config: MockConfig) -> Self {
        let (events, _) = broadcast::channel(MAX_QUEUED_EVENTS);
        Self {
            config,
            created: Instant::now(),
            tasks: Mutex::default(),
            events,
        }
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<String, Arc<MockTask>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self, id: &str) -> Result<Arc<MockTask>, DriverError> {
        self.tasks()
            .get(id)
            .cloned()
            .ok_or_else(|| DriverError::NotFound { id: id.to_owned() })
    }

    /// Whether it pretends to be shut down: each period so long after the last one ended.
    fn is_shut_down(&self) -> bool {
        let (after, duration) = (
            self.config.shutdown_periodic_after,
            self.config.shutdown_periodic_duration,
        );
        let period = after + duration;
        after > 0 && self.created.elapsed().as_secs() % period.max(1) >= after
    }
}

fn unix_ns() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn network(settings: &TaskSettings) -> Result<Option<DriverNetwork>, DriverError> {
    if settings.driver_ip.is_empty() && settings.driver_port_map.is_empty() {
        return Ok(None);
    }
    let mut port_map = BTreeMap::new();
    if let Some((label, port)) = settings.driver_port_map.split_once(':') {
        let bad = || DriverError::Start {
            message: format!("invalid port {port:?} in driver_port_map"),
            recoverable: false,
        };
        port_map.insert(label.to_owned(), port.parse().map_err(|_| bad())?);
    }
    Ok(Some(DriverNetwork {
        port_map,
        ip: settings.driver_ip.clone(),
        auto_advertise: settings.driver_advertise,
    }))
}

#[async_trait]
impl Driver for MockDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            send_signals: true,
            exec: true,
            file_isolation: self.config.fs_isolation,
            network_modes: &[],
            mounts: false,
            own_image: false,
        }
    }

    async fn fingerprint(&self) -> Fingerprint {
        if self.is_shut_down() {
            return Fingerprint {
                health: Health::Undetected,
                ..Fingerprint::undetected("mock is shut down")
            };
        }
        Fingerprint::healthy(NAME)
    }

    fn validate(&self, config: &AnyMap) -> Result<(), Vec<FieldError>> {
        TaskSettings::decode(config).map(|_| ())
    }

    async fn start_task(&self, config: TaskConfig) -> Result<Started, DriverError> {
        let settings = TaskSettings::decode(&config.config).map_err(DriverError::Config)?;
        tokio::time::sleep(settings.start_block_for).await;
        if !settings.start_error.is_empty() {
            let (message, recoverable) = (settings.start_error, settings.start_error_recoverable);
            return Err(DriverError::Start {
                message,
                recoverable,
            });
        }
        let network = network(&settings)?;
        let logs = config.logs.map(|l| LogTarget {
            dir: config.dirs.log_dir,
            task: config.task,
            settings: l,
        });
        let state = State {
            started_unix_ns: unix_ns(),
            config: config.config,
            logs,
        };
        let driver_state =
            serde_json::to_value(&state).map_err(|e| DriverError::Failed(e.to_string()))?;
        let task = MockTask::start(settings, state.logs, state.started_unix_ns, Duration::ZERO);
        self.tasks().insert(config.id.clone(), task);
        let handle = TaskHandle {
            version: HANDLE_VERSION,
            driver: NAME.to_owned(),
            task_id: config.id,
            driver_state,
        };
        Ok(Started {
            handle,
            network,
            warnings: Vec::new(),
        })
    }

    async fn recover_task(&self, handle: &TaskHandle) -> Result<(), DriverError> {
        let bad = |reason: String| DriverError::BadHandle {
            id: handle.task_id.clone(),
            reason,
        };
        if handle.driver != NAME {
            return Err(bad(format!("it is of driver {}", handle.driver)));
        }
        let state: State =
            serde_json::from_value(handle.driver_state.clone()).map_err(|e| bad(e.to_string()))?;
        let settings = TaskSettings::decode(&state.config).map_err(DriverError::Config)?;
        let mut tasks = self.tasks();
        if !tasks.contains_key(&handle.task_id) {
            // The output was written when it was started.
            let elapsed = u64::try_from(unix_ns() - state.started_unix_ns)
                .map_or(Duration::ZERO, Duration::from_nanos);
            tasks.insert(
                handle.task_id.clone(),
                MockTask::start(settings, None, state.started_unix_ns, elapsed),
            );
        }
        Ok(())
    }

    async fn wait_task(&self, id: &str) -> Result<ExitResult, DriverError> {
        self.task(id)?.wait().await
    }

    async fn stop_task(
        &self,
        id: &str,
        signal: &str,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        if !signal.is_empty() {
            signal::number(signal)?;
        }
        self.task(id)?.stop(timeout).await;
        Ok(())
    }

    async fn destroy_task(&self, id: &str, force: bool) -> Result<(), DriverError> {
        let Ok(task) = self.task(id) else {
            return Ok(());
        };
        if task.exit().is_none() {
            if !force {
                return Err(DriverError::Failed(
                    "cannot destroy running task".to_owned(),
                ));
            }
            task.stop(Duration::ZERO).await;
        }
        self.tasks().remove(id);
        Ok(())
    }

    async fn inspect_task(&self, id: &str) -> Result<TaskStatus, DriverError> {
        let task = self.task(id)?;
        let exit = task.exit();
        Ok(TaskStatus {
            id: id.to_owned(),
            state: if exit.is_some() {
                TaskState::Exited
            } else {
                TaskState::Running
            },
            started_at: Timestamp(task.started_unix_ns()),
            completed_at: exit.as_ref().map(|(_, at)| Timestamp(*at)),
            exit: exit.map(|(exit, _)| exit),
            attributes: BTreeMap::new(),
        })
    }

    async fn task_stats(&self, id: &str) -> Result<TaskResourceUsage, DriverError> {
        self.task(id)?;
        Ok(TaskResourceUsage {
            timestamp: Timestamp(unix_ns()),
            ..TaskResourceUsage::default()
        })
    }

    async fn signal_task(&self, id: &str, signal: &str) -> Result<(), DriverError> {
        let task = self.task(id)?;
        signal::number(signal)?;
        match task.settings().command.signal_error.as_str() {
            "" => Ok(()),
            error => Err(DriverError::Failed(error.to_owned())),
        }
    }

    async fn exec_stream(&self, id: &str, request: ExecRequest) -> Result<ExecStream, DriverError> {
        let task = self.task(id)?;
        if request.command.is_empty() {
            return Err(DriverError::Failed("command is not present".to_owned()));
        }
        match &task.settings().exec_command {
            Some(command) => Ok(output::exec(command.clone())),
            None => Err(DriverError::Failed(
                "no exec command is configured".to_owned(),
            )),
        }
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.events.subscribe()
    }
}
