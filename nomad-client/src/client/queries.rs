//! What the agent asks of its client, for users here and on servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nomad_core::alloc::{AllocClientUpdate, Allocation, ClientStatus};
use nomad_core::node::Node;
use nomad_core::task_state::TaskRunState;
use nomad_core::{AllocId, NodeId};
use nomad_drivers::driver::{ExecSink, ExecSource};
use nomad_drivers::{DriverError, ExecOutput, WindowSize};

use super::Client;
use crate::fs::{
    FileInfo, FrameStream, FsError, LogRequest, Origin, SafeRoot, follow_logs, stream_file,
};
use crate::metrics::RequestTimer;
use crate::runner::{AllocRunner, AllocUsage, CommandError};

/// Addresses of servers kept for the time when none of those that the servers named answers.
const MAX_SEEDS: usize = 64;

/// A command to run in a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// First size of the terminal.
    pub window: Option<WindowSize>,
}

/// A command that runs in a task. Dropping it ends the command.
pub struct RunningExec {
    input: Box<dyn ExecSink>,
    output: Box<dyn ExecSource>,
}

impl RunningExec {
    /// The two sides, to be used at the same time.
    pub fn split(self) -> (Box<dyn ExecSink>, Box<dyn ExecSource>) {
        (self.input, self.output)
    }

    /// Feeds standard input.
    ///
    /// # Errors
    /// The command is gone.
    pub async fn stdin(&mut self, bytes: Bytes) -> Result<(), DriverError> {
        self.input.stdin(bytes).await
    }

    /// Ends standard input.
    ///
    /// # Errors
    /// The command is gone.
    pub async fn close_stdin(&mut self) -> Result<(), DriverError> {
        self.input.close_stdin().await
    }

    /// Changes the size of the terminal.
    ///
    /// # Errors
    /// The command is gone.
    pub async fn resize(&mut self, size: WindowSize) -> Result<(), DriverError> {
        self.input.resize(size).await
    }

    /// The next output; [`ExecOutput::Exited`] is the last.
    ///
    /// # Errors
    /// The supervisor or the driver is gone.
    pub async fn next(&mut self) -> Result<ExecOutput, DriverError> {
        self.output.next().await
    }
}

impl Client {
    /// This node, its secret included.
    pub fn node(&self) -> Arc<Node> {
        self.core.node.load_full()
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.core.node_id()
    }

    /// Whether a server has this node registered now.
    pub fn is_registered(&self) -> bool {
        *self.core.registered.borrow()
    }

    /// Returns when a server has this node registered.
    pub async fn wait_registered(&self) {
        let mut registered = self.core.registered.subscribe();
        // The sender lives as long as this client.
        let _ = registered.wait_for(|registered| *registered).await;
    }

    /// RPC addresses of the servers that are known.
    pub fn servers(&self) -> Vec<String> {
        self.core.servers.lock().clone()
    }

    /// Tells of further servers.
    pub fn add_servers(&self, addresses: impl IntoIterator<Item = String>) {
        let mut servers = self.core.servers.lock();
        let mut seeds = self.core.seeds.lock();
        for address in addresses {
            if !seeds.contains(&address) && seeds.len() < MAX_SEEDS {
                seeds.push(address.clone());
            }
            if !servers.contains(&address) {
                servers.push(address);
            }
        }
        drop((servers, seeds));
        self.core.servers_changed.notify_one();
    }

    /// When a heartbeat was last answered.
    pub fn last_heartbeat(&self) -> nomad_core::Timestamp {
        self.core.heartbeats.lock().last_good()
    }

    /// The allocations on this node.
    pub fn alloc_ids(&self) -> Vec<AllocId> {
        self.core.shared.allocs.lock().keys().copied().collect()
    }

    /// An allocation as the servers last sent it.
    pub fn alloc(&self, id: AllocId) -> Option<Arc<Allocation>> {
        Some(self.core.shared.runner(&id)?.alloc())
    }

    /// What this node says of an allocation.
    pub fn alloc_state(&self, id: AllocId) -> Option<AllocClientUpdate> {
        Some(self.core.shared.runner(&id)?.client_update())
    }

    /// How many allocations are in each status.
    pub fn alloc_counts(&self) -> BTreeMap<ClientStatus, usize> {
        let mut counts = BTreeMap::new();
        for runner in self.core.shared.runners() {
            *counts.entry(runner.client_status()).or_default() += 1;
        }
        counts
    }

    fn runner(&self, id: AllocId) -> Result<Arc<AllocRunner>, CommandError> {
        self.core
            .shared
            .runner(&id)
            .ok_or_else(|| CommandError::UnknownAlloc(id.to_string()))
    }

    /// Restarts a task, all tasks that run (no task named), or every task from the first stage on (`all`).
    ///
    /// # Errors
    /// No such allocation or task, or it does not run.
    pub fn restart_alloc(&self, id: AllocId, task: &str, all: bool) -> Result<(), CommandError> {
        let _timer = RequestTimer::new("nomad.client.allocations.restart");
        self.runner(id)?.restart(task, all)
    }

    /// Sends a signal, by name, to a task or to all tasks (no task named).
    ///
    /// # Errors
    /// No such allocation, task or signal, or the task does not run.
    pub async fn signal_alloc(
        &self,
        id: AllocId,
        task: &str,
        signal: &str,
    ) -> Result<(), CommandError> {
        let _timer = RequestTimer::new("nomad.client.allocations.signal");
        self.runner(id)?.signal(task, signal).await
    }

    /// What an allocation uses now; `task` names one of its tasks.
    ///
    /// # Errors
    /// No such allocation.
    pub async fn alloc_stats(&self, id: AllocId, task: &str) -> Result<AllocUsage, CommandError> {
        let _timer = RequestTimer::new("nomad.client.allocations.stats");
        Ok(self.runner(id)?.usage(task).await)
    }

    /// Runs a command in a task.
    ///
    /// # Errors
    /// No such allocation or task, it does not run, or exec is switched off.
    pub async fn exec(
        &self,
        id: AllocId,
        task: &str,
        options: ExecOptions,
    ) -> Result<RunningExec, CommandError> {
        let _timer = RequestTimer::new("nomad.client.allocations.exec");
        let stream = self
            .runner(id)?
            .exec(task, options.command, options.tty, options.window)
            .await?;
        Ok(RunningExec {
            input: stream.input,
            output: stream.output,
        })
    }

    /// Whether the driver of a task keeps it from the machine's files.
    ///
    /// # Errors
    /// No such allocation or task.
    pub fn task_is_isolated(&self, id: AllocId, task: &str) -> Result<bool, CommandError> {
        self.runner(id)?
            .is_isolated(task)
            .ok_or(CommandError::TaskNotFound)
    }

    /// Lists a directory of an allocation.
    ///
    /// # Errors
    /// No such allocation or directory, or the path leads out of it.
    pub async fn fs_list(&self, id: AllocId, path: &str) -> Result<Vec<FileInfo>, CommandError> {
        let _timer = RequestTimer::new("nomad.client.file_system.list");
        let path = path.to_owned();
        self.in_dir(id, move |root| root.list(&path)).await
    }

    /// Tells about a file or directory of an allocation.
    ///
    /// # Errors
    /// No such allocation or file, or the path leads out of it.
    pub async fn fs_stat(&self, id: AllocId, path: &str) -> Result<FileInfo, CommandError> {
        let _timer = RequestTimer::new("nomad.client.file_system.stat");
        let path = path.to_owned();
        self.in_dir(id, move |root| root.stat(&path)).await
    }

    /// Opens a file of an allocation for reading.
    ///
    /// # Errors
    /// No such allocation or file, it is secret, or the path leads out of it.
    pub async fn fs_open(&self, id: AllocId, path: &str) -> Result<std::fs::File, CommandError> {
        let path = path.to_owned();
        self.in_dir(id, move |root| root.read(&path)).await
    }

    /// Streams a file of an allocation.
    ///
    /// # Errors
    /// As for [`fs_open`](Self::fs_open).
    pub fn fs_stream(
        &self,
        id: AllocId,
        path: &str,
        follow: bool,
        origin: Origin,
        offset: u64,
    ) -> Result<FrameStream, CommandError> {
        let _timer = RequestTimer::new("nomad.client.file_system.stream");
        let runner = self.runner(id)?;
        let root = runner.dir().root();
        Ok(stream_file(root, path, follow, origin, offset)?)
    }

    /// Streams the log of a task.
    ///
    /// # Errors
    /// No such allocation or task, or the task was not started yet.
    pub fn logs(&self, id: AllocId, request: LogRequest) -> Result<FrameStream, CommandError> {
        let _timer = RequestTimer::new("nomad.client.file_system.logs");
        let runner = self.runner(id)?;
        let states = runner.task_states();
        let Some(state) = states.get(&request.task) else {
            return Err(CommandError::UnknownTask(request.task));
        };
        let never_ran = state.started_at.is_zero() && state.state == TaskRunState::Pending;
        if never_ran && !request.follow {
            return Err(CommandError::NoLogsYet(request.task));
        }
        Ok(follow_logs(runner.dir().root(), request)?)
    }

    async fn in_dir<T: Send + 'static>(
        &self,
        id: AllocId,
        work: impl FnOnce(&SafeRoot) -> Result<T, FsError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let path = self.runner(id)?.dir().root().to_owned();
        let result =
            tokio::task::spawn_blocking(move || SafeRoot::open(&path).and_then(|root| work(&root)))
                .await
                .map_err(|error| {
                    let source = std::io::Error::other(error);
                    FsError::io("read", "the allocation's directory", source)
                })?;
        Ok(result?)
    }
}
