//! The contract between the client and a driver.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use nomad_core::job::AnyMap;
use nomad_supervisor::{ErrorKind, ExecInput, ExecOutputs, SupervisorError};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use nomad_supervisor::{ExecOutput, WindowSize};

use crate::config::FieldError;
use crate::signal::UnknownSignal;
use crate::task::{ExitResult, TaskConfig, TaskHandle, TaskStatus};
use crate::usage::TaskResourceUsage;
use crate::users::UserError;

/// How often a driver is asked how it is.
pub const FINGERPRINT_INTERVAL: Duration = Duration::from_secs(30);
/// Output of a captured command that is kept per stream, in bytes: the last of it.
pub const MAX_CAPTURE_BYTES: usize = 4 << 10;

/// Whether a driver can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is not there; tasks are not placed for it.
    Undetected,
    /// It is there and does not work.
    Unhealthy,
    /// It works.
    Healthy,
}

/// How a driver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Node attributes, for example `driver.raw_exec`.
    pub attributes: BTreeMap<String, String>,
    /// Whether it can be used.
    pub health: Health,
    /// Why, for people.
    pub description: String,
}

impl Fingerprint {
    /// A working driver with the attribute `driver.NAME`.
    pub fn healthy(name: &str) -> Self {
        Self {
            attributes: BTreeMap::from([(format!("driver.{name}"), "true".to_owned())]),
            health: Health::Healthy,
            description: "Healthy".to_owned(),
        }
    }

    /// A driver that is not there.
    pub fn undetected(description: &str) -> Self {
        Self {
            attributes: BTreeMap::new(),
            health: Health::Undetected,
            description: description.to_owned(),
        }
    }
}

/// How a driver keeps a task from the machine's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileIsolation {
    /// Not at all.
    #[default]
    None,
    /// A directory tree of its own.
    Chroot,
    /// An image of its own.
    Image,
}

/// What a driver can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Tasks can be sent signals.
    pub send_signals: bool,
    /// Commands can be run in tasks.
    pub exec: bool,
    /// How it keeps tasks from the machine's files.
    pub file_isolation: FileIsolation,
    /// Network modes for groups: `host`, `group`, `task`.
    pub network_modes: &'static [&'static str],
    /// Volumes can be mounted.
    pub mounts: bool,
    /// Whether it brings its own file system, so that the agent's environment is not passed on.
    pub own_image: bool,
}

/// A network that a driver made for a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverNetwork {
    /// Label to port.
    pub port_map: BTreeMap<String, u16>,
    /// Address of the task.
    pub ip: String,
    /// Whether services announce this address by default.
    pub auto_advertise: bool,
}

/// A started task.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// To find it again.
    pub handle: TaskHandle,
    /// Its network, if the driver made one.
    pub network: Option<DriverNetwork>,
    /// What could not be done as asked, in words.
    pub warnings: Vec<String>,
}

/// A command to run in a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The task's environment.
    pub env: BTreeMap<String, String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// First size of the terminal.
    pub window: Option<WindowSize>,
}

/// A command that runs in a task. Dropping it ends the command.
pub struct ExecStream {
    /// Towards the command.
    pub input: Box<dyn ExecSink>,
    /// From the command.
    pub output: Box<dyn ExecSource>,
}

/// What can be sent to a running command.
#[async_trait]
pub trait ExecSink: Send {
    /// Feeds standard input.
    async fn stdin(&mut self, bytes: bytes::Bytes) -> Result<(), DriverError>;
    /// Ends standard input.
    async fn close_stdin(&mut self) -> Result<(), DriverError>;
    /// Changes the size of the terminal.
    async fn resize(&mut self, size: WindowSize) -> Result<(), DriverError>;
}

/// What a running command gives back.
#[async_trait]
pub trait ExecSource: Send {
    /// The next output; [`ExecOutput::Exited`] is the last.
    async fn next(&mut self) -> Result<ExecOutput, DriverError>;
}

#[async_trait]
impl ExecSink for ExecInput {
    async fn stdin(&mut self, bytes: bytes::Bytes) -> Result<(), DriverError> {
        Ok(Self::stdin(self, bytes).await?)
    }

    async fn close_stdin(&mut self) -> Result<(), DriverError> {
        Ok(Self::close_stdin(self).await?)
    }

    async fn resize(&mut self, size: WindowSize) -> Result<(), DriverError> {
        Ok(Self::resize(self, size).await?)
    }
}

#[async_trait]
impl ExecSource for ExecOutputs {
    async fn next(&mut self) -> Result<ExecOutput, DriverError> {
        Ok(Self::next(self).await?)
    }
}

/// Result of a command whose output was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecCapture {
    /// The last [`MAX_CAPTURE_BYTES`] of standard output.
    pub stdout: Vec<u8>,
    /// The last [`MAX_CAPTURE_BYTES`] of standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: ExitResult,
}

/// Something that happened to a task, for its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverEvent {
    /// Id of its [`TaskConfig`].
    pub task_id: String,
    /// In words.
    pub message: String,
    /// Further facts.
    pub annotations: BTreeMap<String, String>,
}

/// Why a driver did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The task's `config` has mistakes.
    #[error("{}", list(.0))]
    Config(Vec<FieldError>),
    /// The driver does not know the task (any more).
    #[error("task not found for given id {id:?}")]
    NotFound {
        /// The task's id.
        id: String,
    },
    /// The task could not be started.
    #[error("{message}")]
    Start {
        /// Why.
        message: String,
        /// Whether trying again may help.
        recoverable: bool,
    },
    /// The driver cannot do this.
    #[error("driver {driver} does not support {what}")]
    Unsupported {
        /// The driver.
        driver: String,
        /// What it cannot do.
        what: &'static str,
    },
    /// The user is unknown or forbidden.
    #[error(transparent)]
    User(#[from] UserError),
    /// There is no such signal.
    #[error(transparent)]
    Signal(#[from] UnknownSignal),
    /// The task's handle was not made by this driver or this version of it.
    #[error("the handle of task {id:?} cannot be used: {reason}")]
    BadHandle {
        /// The task's id.
        id: String,
        /// Why.
        reason: String,
    },
    /// A command in the task did not end in time.
    #[error("timed out after {seconds} s")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// The driver was told to fail, or failed inside.
    #[error("{0}")]
    Failed(String),
    /// The supervisor refused or is not there.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
}

impl DriverError {
    /// Whether a start that failed so may succeed later.
    pub fn recoverable(&self) -> bool {
        match self {
            Self::Start { recoverable, .. } => *recoverable,
            Self::Supervisor(SupervisorError::Refused(refusal)) => {
                refusal.kind == ErrorKind::Internal
            }
            Self::Supervisor(_) => true,
            _ => false,
        }
    }
}

fn list(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// A way to run tasks.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The word in job files, for example `raw_exec`.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// How it is, now. Asked again every [`FINGERPRINT_INTERVAL`].
    async fn fingerprint(&self) -> Fingerprint;

    /// Checks a task's `config` without starting anything.
    ///
    /// # Errors
    /// Every mistake.
    fn validate(&self, config: &AnyMap) -> Result<(), Vec<FieldError>>;

    /// The handle by which a task would be found that this configuration was used to start, if its processes outlive
    /// the agent: kept before the start, so that a start whose end the agent does not live to see is not made twice.
    /// [`Driver::recover_task`] answers [`DriverError::NotFound`] if it did not come to the start.
    async fn handle_before_start(
        &self,
        _config: &TaskConfig,
    ) -> Result<Option<TaskHandle>, DriverError> {
        Ok(None)
    }

    /// Starts a task; returns when it runs.
    async fn start_task(&self, config: TaskConfig) -> Result<Started, DriverError>;

    /// Finds a task again by the handle of its start. One that has ended meanwhile is found, too.
    async fn recover_task(&self, handle: &TaskHandle) -> Result<(), DriverError>;

    /// Waits for its end.
    async fn wait_task(&self, id: &str) -> Result<ExitResult, DriverError>;

    /// Ends it: the signal (empty: the driver's default), then force after the timeout. Returns when it has ended.
    async fn stop_task(&self, id: &str, signal: &str, timeout: Duration)
    -> Result<(), DriverError>;

    /// Forgets it with all it left behind. A running task is refused unless `force`, which kills it. That there is no
    /// such task is no error.
    async fn destroy_task(&self, id: &str, force: bool) -> Result<(), DriverError>;

    /// What is known of it.
    async fn inspect_task(&self, id: &str) -> Result<TaskStatus, DriverError>;

    /// What it uses.
    async fn task_stats(&self, id: &str) -> Result<TaskResourceUsage, DriverError>;

    /// Sends it a signal, by name.
    async fn signal_task(&self, id: &str, signal: &str) -> Result<(), DriverError>;

    /// Runs a command in it, with streams.
    async fn exec_stream(&self, id: &str, request: ExecRequest) -> Result<ExecStream, DriverError>;

    /// What happens to tasks from now on.
    fn events(&self) -> broadcast::Receiver<DriverEvent>;

    /// Runs a command in it and keeps the end of its output.
    async fn exec_task(
        &self,
        id: &str,
        request: ExecRequest,
        timeout: Duration,
    ) -> Result<ExecCapture, DriverError> {
        let stream = self.exec_stream(id, request).await?;
        let seconds = timeout.as_secs();
        tokio::time::timeout(timeout, capture(stream))
            .await
            .map_err(|_| DriverError::Timeout { seconds })?
    }
}

/// Reads a command to its end.
async fn capture(mut stream: ExecStream) -> Result<ExecCapture, DriverError> {
    let mut kept = ExecCapture::default();
    // A command that has ended already has no use for this.
    let _ = stream.input.close_stdin().await;
    loop {
        match stream.output.next().await? {
            ExecOutput::Stdout(bytes) => keep_last(&mut kept.stdout, &bytes),
            ExecOutput::Stderr(bytes) => keep_last(&mut kept.stderr, &bytes),
            ExecOutput::Exited(status) => {
                kept.exit = ExitResult {
                    exit_code: status.exit_code().unwrap_or(-1),
                    signal: status.signal(),
                    ..ExitResult::default()
                };
                return Ok(kept);
            }
        }
    }
}

fn keep_last(kept: &mut Vec<u8>, more: &[u8]) {
    kept.extend_from_slice(more);
    kept.drain(..kept.len().saturating_sub(MAX_CAPTURE_BYTES));
}
