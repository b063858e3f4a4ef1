//! One task: its end, how it is killed, and how its traces are removed.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::state::{Client, Supervisor};
use crate::cgroup::TaskCgroup;
use crate::journal::{Record, TaskRecord};
use crate::logs::Stream;
use crate::sys::pidfd::{self, Ended};
use crate::sys::{unix_ns, watch};
use crate::types::{Event, ExitStatus, KillSpec, LogStream, TaskExit, TaskHandle, TaskInfo};
use crate::wire::{ErrorKind, Refusal, Reply};

/// How long the exit status of a process that is not our child may take to become known.
const STATUS_PATIENCE: Duration = Duration::from_secs(3);
/// How long after SIGKILL a process may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(15);
/// How long a cgroup may take to become empty after its processes were killed.
const EMPTY_PATIENCE: Duration = Duration::from_secs(2);

/// A started task, until it is removed.
pub(super) struct Task {
    record: TaskRecord,
    exit: Cell<Option<TaskExit>>,
    /// `None` for a process that was gone before we could open one.
    pidfd: Option<Rc<OwnedFd>>,
    pub(super) cgroup: Option<TaskCgroup>,
    adopted: bool,
    streams: RefCell<Vec<Rc<RefCell<Stream>>>>,
    pumps: RefCell<Vec<AbortHandle>>,
    ended: Notify,
    /// Requests to answer when it ends.
    waiters: RefCell<Vec<(Rc<Client>, u64)>>,
}

impl Task {
    pub(super) fn new(record: TaskRecord, pidfd: Option<Rc<OwnedFd>>, adopted: bool) -> Rc<Self> {
        let cgroup = record
            .cgroup
            .as_ref()
            .map(|(path, spec)| TaskCgroup::new(path.clone(), spec.foreign));
        Rc::new(Self {
            exit: Cell::new(record.exit),
            record,
            pidfd,
            cgroup,
            adopted,
            streams: RefCell::default(),
            pumps: RefCell::default(),
            ended: Notify::new(),
            waiters: RefCell::default(),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.record.id
    }

    pub(super) fn pid(&self) -> i32 {
        self.record.pid
    }

    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|pidfd| pidfd.as_fd())
    }

    /// Our ends of its FIFOs.
    pub(super) fn fifos(&self) -> Vec<(LogStream, Rc<OwnedFd>)> {
        let streams = self.streams.borrow();
        streams
            .iter()
            .map(|stream| stream.borrow())
            .map(|stream| (stream.kind, stream.fifo()))
            .collect()
    }

    pub(super) fn kill_spec(&self) -> KillSpec {
        self.record.kill
    }

    pub(super) fn exit(&self) -> Option<TaskExit> {
        self.exit.get()
    }

    pub(super) fn record(&self) -> TaskRecord {
        TaskRecord {
            exit: self.exit.get(),
            ..self.record.clone()
        }
    }

    pub(super) fn info(&self) -> TaskInfo {
        TaskInfo {
            handle: self.handle(),
            started_unix_ns: self.record.started_unix_ns,
            logs: self.record.logs.clone(),
            exit: self.exit.get(),
            adopted: self.adopted,
        }
    }

    pub(super) fn handle(&self) -> TaskHandle {
        TaskHandle {
            id: self.record.id.clone(),
            pid: self.record.pid,
            start_time_ticks: self.record.start_time_ticks,
            cgroup: self.record.cgroup.as_ref().map(|(path, _)| path.clone()),
            warnings: self.record.warnings.clone(),
        }
    }

    /// Whether it writes the same log files as a task with these settings.
    pub(super) fn shares_logs_with(&self, other: &crate::types::LogSpec) -> bool {
        !self.streams.borrow().is_empty()
            && self
                .record
                .logs
                .as_ref()
                .is_some_and(|l| l.dir == other.dir && l.task == other.task)
    }

    /// Puts the task in the table and begins to watch its process and its output.
    pub(super) fn attach(self: &Rc<Self>, supervisor: &Rc<Supervisor>, streams: Vec<Stream>) {
        supervisor
            .tasks
            .borrow_mut()
            .insert(Rc::from(self.id()), Rc::clone(self));
        for stream in streams {
            let stream = Rc::new(RefCell::new(stream));
            self.streams.borrow_mut().push(Rc::clone(&stream));
            let id: Rc<str> = Rc::from(self.id());
            let pump =
                tokio::task::spawn_local(super::pump::pump(Rc::clone(supervisor), id, stream));
            self.pumps.borrow_mut().push(pump.abort_handle());
        }
        if self.exit.get().is_none() {
            tokio::task::spawn_local(watch_process(Rc::clone(supervisor), Rc::clone(self)));
        }
        supervisor.changed.notify_one();
    }

    /// Answers when the task has ended.
    pub(super) fn answer_at_end(&self, client: &Rc<Client>, seq: u64) {
        match self.exit.get() {
            Some(exit) => client.reply(seq, Ok(Reply::Exit(exit))),
            None => self.waiters.borrow_mut().push((Rc::clone(client), seq)),
        }
    }

    /// Forgets the requests of a client that is gone.
    pub(super) fn forget(&self, client: &Rc<Client>) {
        self.waiters
            .borrow_mut()
            .retain(|(c, _)| !Rc::ptr_eq(c, client));
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> TaskExit {
        loop {
            let ended = self.ended.notified();
            if let Some(exit) = self.exit.get() {
                return exit;
            }
            ended.await;
        }
    }

    /// Sends a signal to the main process.
    pub(super) fn signal(&self, signal: i32) -> Result<(), Refusal> {
        let not_running = || {
            Refusal::new(
                ErrorKind::NotRunning,
                format!("task {:?} is not running", self.id()),
            )
        };
        if self.exit.get().is_some() {
            return Err(not_running());
        }
        let pidfd = self.pidfd.as_ref().ok_or_else(not_running)?;
        match pidfd::signal(pidfd.as_fd(), signal) {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_running()),
            Err(e) => Err(Refusal::new(
                ErrorKind::Invalid,
                format!("signal {signal} was not sent: {e}"),
            )),
        }
    }

    fn signal_group(&self, signal: i32) {
        let Some(pidfd) = &self.pidfd else { return };
        let leader_alive = self.exit.get().is_none();
        if let Err(error) = pidfd::signal_group(pidfd.as_fd(), self.pid(), signal, leader_alive) {
            tracing::debug!(id = self.id(), signal, %error, "the task's group was not signalled");
        }
    }

    /// Kills whatever is left of the task: its cgroup if it has one of its own, and its process group.
    pub(super) fn kill_all(&self) {
        if let Some(cgroup) = self.cgroup.as_ref().filter(|c| !c.is_foreign())
            && let Err(error) = cgroup.kill()
        {
            tracing::warn!(id = self.id(), %error, "the task's cgroup was not killed");
        }
        self.signal_group(libc::SIGKILL);
    }

    /// Asks the task to end, and makes it end when the time is over.
    pub(super) async fn kill(&self, signal: i32, timeout: Duration) -> Result<TaskExit, Refusal> {
        if self.exit.get().is_none() && !timeout.is_zero() {
            self.signal_group(signal);
            let _ = tokio::time::timeout(timeout, self.ended()).await;
        }
        // Also when the main process has obeyed: others of the task may not have.
        self.kill_all();
        tokio::time::timeout(KILL_PATIENCE, self.ended())
            .await
            .map_err(|_| {
                let seconds = KILL_PATIENCE.as_secs();
                Refusal::new(
                    ErrorKind::Timeout,
                    format!(
                        "task {:?} is still there {seconds} s after SIGKILL",
                        self.id()
                    ),
                )
            })
    }

    fn drain(&self, supervisor: &Supervisor) {
        for stream in &*self.streams.borrow() {
            let mut stream = stream.borrow_mut();
            if let Err(error) = stream.drain(&mut supervisor.scratch.borrow_mut()) {
                supervisor.emit(Event::LogError {
                    id: self.id().to_owned(),
                    stream: stream.kind,
                    message: error.to_string(),
                    dropped_bytes: 0,
                });
            }
        }
    }

    fn finish(&self, supervisor: &Supervisor, status: ExitStatus) {
        self.drain(supervisor);
        let oom_kills = self
            .cgroup
            .as_ref()
            .filter(|c| !c.is_foreign())
            .map_or(0, TaskCgroup::oom_kills);
        let exit = TaskExit {
            status,
            oom_killed: oom_kills > 0,
            at_unix_ns: unix_ns(),
        };
        self.exit.set(Some(exit));
        let id = self.id().to_owned();
        let _ = supervisor.record(&Record::Exited {
            id: id.clone(),
            exit,
        });
        if oom_kills > 0 {
            supervisor.emit(Event::OomKilled {
                id: id.clone(),
                count: oom_kills,
            });
        }
        supervisor.emit(Event::Exited { id, exit });
        for (client, seq) in self.waiters.take() {
            client.reply(seq, Ok(Reply::Exit(exit)));
        }
        self.ended.notify_waiters();
        supervisor.changed.notify_one();
    }

    /// Stops reading its output, after a last look, and lets go of the FIFOs.
    pub(super) fn close_streams(&self, supervisor: &Supervisor, unlink: bool) {
        self.drain(supervisor);
        self.pumps.take().iter().for_each(AbortHandle::abort);
        supervisor.let_go(self.id());
        for stream in self.streams.take() {
            if unlink {
                stream.borrow().unlink();
            }
        }
    }

    /// Removes an ended task with everything it left: processes, cgroup, FIFOs, journal entry.
    pub(super) async fn remove(&self, supervisor: &Supervisor) -> Result<(), Refusal> {
        if self.exit.get().is_none() {
            return Err(Refusal::new(
                ErrorKind::Running,
                format!("task {:?} is still running", self.id()),
            ));
        }
        self.kill_all();
        if let Some(cgroup) = self.cgroup.as_ref().filter(|c| !c.is_foreign()) {
            remove_cgroup(cgroup).await;
        }
        self.close_streams(supervisor, true);
        let _ = supervisor.record(&Record::Removed {
            id: self.id().to_owned(),
        });
        supervisor.tasks.borrow_mut().remove(self.id());
        supervisor.changed.notify_one();
        Ok(())
    }
}

/// Removes a cgroup whose processes have just been killed.
pub(super) async fn remove_cgroup(cgroup: &TaskCgroup) {
    let deadline = tokio::time::Instant::now() + EMPTY_PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        match cgroup.remove() {
            Ok(true) => return,
            Ok(false) if tokio::time::Instant::now() < deadline => {}
            Ok(false) => {
                tracing::warn!(path = %cgroup.path().display(), "the cgroup is not empty and stays");
                return;
            }
            Err(error) => {
                tracing::warn!(path = %cgroup.path().display(), %error, "the cgroup was not removed");
                return;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

async fn watch_process(supervisor: Rc<Supervisor>, task: Rc<Task>) {
    let status = match &task.pidfd {
        Some(pidfd) => end_of(pidfd, task.pid(), task.record.start_time_ticks).await,
        None => ExitStatus::Lost,
    };
    task.finish(&supervisor, status);
}

/// Waits for the end of a process.
pub(super) async fn end_of(pidfd: &Rc<OwnedFd>, pid: i32, start_time_ticks: u64) -> ExitStatus {
    let watched = match watch::watch(Rc::clone(pidfd), Interest::READABLE) {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(pid, %error, "the process cannot be watched");
            return ExitStatus::Lost;
        }
    };
    let mut deadline = None;
    loop {
        match pidfd::reap(pidfd.as_fd(), pid, start_time_ticks) {
            Ended::Status(status) => return status,
            Ended::No => match watched.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(error) => {
                    tracing::error!(pid, %error, "the process cannot be watched");
                    return ExitStatus::Lost;
                }
            },
            // Its new parent has not collected it yet, or the kernel does not keep its status.
            Ended::Unknown => {
                let now = tokio::time::Instant::now();
                let deadline = *deadline.get_or_insert(now + STATUS_PATIENCE);
                if now >= deadline || !pidfd::has_exit_info() {
                    return ExitStatus::Lost;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
