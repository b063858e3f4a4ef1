//! The agent's side: requests, notices, and a supervisor that is started again when it is gone.

mod exec;
mod link;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

pub use exec::{ExecInput, ExecOutputs, ExecSession};

use crate::launch::Launch;
use crate::types::{
    Capabilities, Event, ExecSpec, TaskExit, TaskHandle, TaskInfo, TaskSpec, TaskStats,
};
use crate::wire::{ErrorKind, Refusal, Reply, Request};
use link::{Command, Link};

/// Requests that may wait to be sent; callers wait beyond that.
const MAX_QUEUED_REQUESTS: usize = 1024;
/// Notices kept for a subscriber that does not read; it is told how many it missed.
const MAX_QUEUED_NOTICES: usize = 4096;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The supervisor refused it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The supervisor went away before it answered, and asking again might do it twice.
    #[error("the supervisor went away before it answered")]
    Disconnected,
    /// No supervisor could be reached or started.
    #[error("{action} {}", path.display())]
    Unreachable {
        /// What was tried, as a verb.
        action: &'static str,
        /// The program or the socket.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The supervisor answered something else than was asked.
    #[error("the supervisor's answer does not fit the request: {what}")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// The client was closed.
    #[error("the supervisor's client is closed")]
    Closed,
}

impl SupervisorError {
    /// The kind of refusal, if it is one.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused(refusal) => Some(refusal.kind),
            _ => None,
        }
    }
}

/// What subscribers hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something happened to a task.
    Task(Event),
    /// The connection is lost; a new one, and if need be a new supervisor, is on its way.
    Disconnected,
    /// Connected (again): all tasks that are not removed, as they are now. Events of the time between are not repeated.
    Connected(Vec<TaskInfo>),
}

/// Settings of a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// State directory, with the supervisor's socket.
    pub dir: PathBuf,
    /// How a missing supervisor is started; `None` only waits for one.
    pub launch: Option<Launch>,
    /// How long connecting, and starting a supervisor, may take.
    pub connect_timeout: Duration,
}

impl ClientOptions {
    /// Ten seconds to connect.
    pub fn new(dir: impl Into<PathBuf>, launch: Option<Launch>) -> Self {
        Self {
            dir: dir.into(),
            launch,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A connection to the node's supervisor. Clones share it. It mends itself: when the supervisor dies, a new one is
/// started, which finds all tasks again; requests that may be repeated are then asked again, so their callers only wait
/// a little longer.
#[derive(Clone)]
pub struct SupervisorClient {
    commands: mpsc::Sender<Command>,
    notices: broadcast::Sender<Notice>,
    capabilities: Arc<Capabilities>,
    dir: Arc<PathBuf>,
}

impl SupervisorClient {
    /// Connects to the supervisor of `dir`, starting `exe supervisor --dir DIR` if there is none.
    ///
    /// # Errors
    /// If none can be reached or started in ten seconds.
    pub async fn connect_or_spawn(
        exe: impl Into<PathBuf>,
        dir: &Path,
    ) -> Result<Self, SupervisorError> {
        Self::connect(ClientOptions::new(dir, Some(Launch::new(exe, dir)))).await
    }

    /// Connects as the options say.
    ///
    /// # Errors
    /// If no supervisor can be reached or started in time.
    pub async fn connect(options: ClientOptions) -> Result<Self, SupervisorError> {
        let (commands, queue) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let (notices, _) = broadcast::channel(MAX_QUEUED_NOTICES);
        let dir = Arc::new(options.dir.clone());
        let link = Link::establish(options, notices.clone()).await?;
        let capabilities = Arc::new(link.capabilities().clone());
        tokio::spawn(link.run(queue));
        Ok(Self {
            commands,
            notices,
            capabilities,
            dir,
        })
    }

    /// What the supervisor could do when this client first connected.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// All that happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    async fn ask(&self, request: Request) -> Result<Reply, SupervisorError> {
        let (answer, result) = oneshot::channel();
        let command = Command { request, answer };
        self.commands
            .send(command)
            .await
            .map_err(|_| SupervisorError::Closed)?;
        result.await.map_err(|_| SupervisorError::Closed)?
    }

    /// Starts a task; returns when its program runs. If the supervisor dies meanwhile, the new one is asked whether it
    /// knows the task, and only if not it is started now: a program never runs twice. One that was held back when the
    /// supervisor died is started by the new one.
    ///
    /// # Errors
    /// [`ErrorKind::Start`] when the program cannot be run, [`ErrorKind::AlreadyExists`], [`ErrorKind::Invalid`].
    pub async fn start_task(&self, spec: TaskSpec) -> Result<TaskHandle, SupervisorError> {
        const ATTEMPTS: usize = 10;
        let spec = Box::new(spec);
        for _ in 0..ATTEMPTS {
            match self.ask(Request::Start(spec.clone())).await {
                Ok(Reply::Started(handle)) => return Ok(handle),
                Ok(other) => return Err(unexpected(&other)),
                Err(SupervisorError::Disconnected) => match self.inspect(&spec.id).await {
                    Ok(info) => return Ok(info.handle),
                    Err(e) if e.kind() == Some(ErrorKind::NotFound) => {}
                    Err(e) => return Err(e),
                },
                Err(e) => return Err(e),
            }
        }
        Err(SupervisorError::Disconnected)
    }

    /// Waits for the end of a task.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a task that was never started or was removed.
    pub async fn wait(&self, id: &str) -> Result<TaskExit, SupervisorError> {
        into_exit(self.ask(Request::Wait { id: id.to_owned() }).await?)
    }

    /// Sends a signal to the task's main process.
    ///
    /// # Errors
    /// [`ErrorKind::NotRunning`], [`ErrorKind::Invalid`] for a signal that does not exist.
    pub async fn signal(&self, id: &str, signal: i32) -> Result<(), SupervisorError> {
        into_done(
            self.ask(Request::Signal {
                id: id.to_owned(),
                signal,
            })
            .await?,
        )
    }

    /// Ends a task: the signal goes to its process group; after `timeout` (0: at once) everything in its cgroup and
    /// group is killed. `None` takes what the task was started with. Returns when it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if it is there 15 seconds after SIGKILL.
    pub async fn kill(
        &self,
        id: &str,
        signal: Option<i32>,
        timeout: Option<Duration>,
    ) -> Result<TaskExit, SupervisorError> {
        let timeout_ms = timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        into_exit(
            self.ask(Request::Kill {
                id: id.to_owned(),
                signal,
                timeout_ms,
            })
            .await?,
        )
    }

    /// Removes an ended task with whatever it left behind: processes, cgroup, FIFOs. Its log files stay. Removing a task
    /// that is not there is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Running`] while it runs.
    pub async fn remove(&self, id: &str) -> Result<(), SupervisorError> {
        match self.ask(Request::Remove { id: id.to_owned() }).await {
            Err(e) if e.kind() == Some(ErrorKind::NotFound) => Ok(()),
            other => into_done(other?),
        }
    }

    /// All tasks that were started and not removed.
    ///
    /// # Errors
    /// Only if there is no supervisor.
    pub async fn list(&self) -> Result<Vec<TaskInfo>, SupervisorError> {
        match self.ask(Request::List).await? {
            Reply::Tasks(tasks) => Ok(tasks),
            other => Err(unexpected(&other)),
        }
    }

    /// One task.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn inspect(&self, id: &str) -> Result<TaskInfo, SupervisorError> {
        match self.ask(Request::Inspect { id: id.to_owned() }).await? {
            Reply::Task(info) => Ok(*info),
            other => Err(unexpected(&other)),
        }
    }

    /// What a running task uses.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`].
    pub async fn stats(&self, id: &str) -> Result<TaskStats, SupervisorError> {
        let not_running =
            || Refusal::new(ErrorKind::NotRunning, format!("task {id:?} is not running"));
        match self
            .ask(Request::Stats {
                ids: vec![id.to_owned()],
            })
            .await?
        {
            Reply::Stats(mut stats) => Ok(stats.pop().ok_or_else(not_running)?.1),
            other => Err(unexpected(&other)),
        }
    }

    /// What all running tasks use, in one sweep.
    ///
    /// # Errors
    /// Only if there is no supervisor.
    pub async fn stats_all(&self) -> Result<Vec<(String, TaskStats)>, SupervisorError> {
        match self.ask(Request::Stats { ids: Vec::new() }).await? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(unexpected(&other)),
        }
    }

    /// Runs a command beside a task, on a connection of its own.
    ///
    /// # Errors
    /// As for starting tasks; [`ErrorKind::NotRunning`].
    pub async fn exec(&self, spec: ExecSpec) -> Result<ExecSession, SupervisorError> {
        exec::open(&self.dir, spec).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// Only if there is no supervisor.
    pub async fn ping(&self) -> Result<(), SupervisorError> {
        into_done(self.ask(Request::Ping).await?)
    }

    /// Ends the supervisor, and with `kill_tasks` all tasks and their traces. Otherwise tasks go on, for the next supervisor
    /// to find. Any further request starts a new one.
    ///
    /// # Errors
    /// If a task cannot be killed.
    pub async fn shutdown(&self, kill_tasks: bool) -> Result<(), SupervisorError> {
        into_done(self.ask(Request::Shutdown { kill_tasks }).await?)
    }
}

fn into_exit(reply: Reply) -> Result<TaskExit, SupervisorError> {
    match reply {
        Reply::Exit(exit) => Ok(exit),
        other => Err(unexpected(&other)),
    }
}

fn into_done(reply: Reply) -> Result<(), SupervisorError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> SupervisorError {
    let what = match reply {
        Reply::Hello { .. } => "a greeting",
        Reply::Started(_) => "a started task",
        Reply::Exit(_) => "an exit",
        Reply::Tasks(_) => "a list of tasks",
        Reply::Task(_) => "a task",
        Reply::Stats(_) => "statistics",
        Reply::ExecStarted { .. } => "a started command",
        Reply::Done => "nothing",
    };
    SupervisorError::Protocol {
        what: what.to_owned(),
    }
}
