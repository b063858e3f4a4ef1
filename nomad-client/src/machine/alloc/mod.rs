//! The life of one allocation as a machine: events in, actions out; nothing happens in between.
//!
//! The shell around it (`runner`) carries out the [`Action`]s, each of which is answered by an [`Event`] when it is
//! done, and wakes the machine at [`AllocMachine::next_wake`].
//!
//! Source: client and drivers reference, sections 2.1, 2.4, 2.6, 2.7.

mod exits;
mod kill;
mod report;
mod restore;
mod starts;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::{AllocDeploymentStatus, AllocNetworkStatus, Allocation, ClientStatus};
use nomad_core::job::{Job, JobType, RestartPolicy, Task, TaskGroup};
use nomad_core::task_state::{TaskEvent, TaskRunState, TaskState};
use nomad_core::{AllocId, Nanos, Timestamp};

use super::events::{self, ExitReport};
use super::health::{Checks, HealthTracker};
use super::lifecycle::Coordinator;
use super::restart::RestartTracker;
use super::task;

pub use self::kill::KillReason;
pub use self::restore::RestoredTask;

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the hooks before any task; answered by [`Event::PrerunDone`].
    Prerun,
    /// Prepare the task and start it; answered by [`Event::Started`] or [`Event::StartFailed`].
    Start {
        /// Task.
        task: String,
    },
    /// Give up preparing; the task is not to be started. Still answered as `Start` is.
    CancelStart {
        /// Task.
        task: String,
    },
    /// Find a task of before the agent's restart; answered by [`Event::Recovered`].
    Recover {
        /// Task.
        task: String,
    },
    /// Run the hooks after the start.
    Poststart {
        /// Task.
        task: String,
    },
    /// End the process; its end comes as [`Event::Exited`].
    Stop {
        /// Task.
        task: String,
        /// How long it may take before it is killed.
        timeout: Nanos,
    },
    /// Run the hooks before a kill or restart: services are no longer found.
    Prekill {
        /// Task.
        task: String,
    },
    /// The process has ended: free what the driver holds, run the hooks for it.
    Exited {
        /// Task.
        task: String,
    },
    /// The task is over for good.
    StopHooks {
        /// Task.
        task: String,
    },
    /// Run the hooks after all tasks; answered by [`Event::PostrunDone`].
    Postrun,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Begin.
    Begin,
    /// The time of [`AllocMachine::next_wake`] came.
    Wake,
    /// The hooks before the tasks are done, or one failed.
    PrerunDone(Result<(), String>),
    /// A hook or driver has something to tell about a task.
    Told(String, TaskEvent),
    /// A task runs.
    Started(String),
    /// A task could not be started.
    StartFailed(String, StartError),
    /// Whether a task of before was found.
    Recovered(String, Result<(), String>),
    /// A task of before did not come to its start.
    NotStarted(String),
    /// A task's process ended.
    Exited(String, ExitReport),
    /// The hooks after the tasks are done.
    PostrunDone,
    /// The servers have answered for the first time since the agent's start.
    ServersContacted,
    /// The servers changed the allocation.
    Update(Box<Allocation>),
    /// Restart a running task.
    Restart {
        /// Task.
        task: String,
        /// Told to the task's event.
        reason: String,
        /// Whether it counts under the restart policy.
        failure: bool,
    },
    /// Restart every task from the first stage on.
    RestartAll {
        /// Told to the tasks' events.
        reason: String,
    },
    /// Kill one task for a reason of its own, which fails it.
    FailTask {
        /// Task.
        task: String,
        /// What its event says.
        event: TaskEvent,
    },
    /// End everything.
    Kill(KillReason),
    /// Service checks changed.
    Checks(Checks),
    /// The network was set up.
    Network(Box<AllocNetworkStatus>),
    /// The servers hear from the node again after they took it for lost.
    Reconnected,
}

/// Why a task was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// The event to append.
    pub event: TaskEvent,
    /// Whether another try may do better.
    pub recoverable: bool,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Its stage has not come.
    Gate,
    /// Waits for the servers' first answer, because it could not be found again.
    WaitServers,
    /// Being prepared and started.
    Starting,
    /// Being looked for after the agent's restart.
    Recovering,
    /// Its process runs.
    Running,
    /// Its process runs and is to end when the shutdown delay is over.
    Delaying(Timestamp),
    /// Its process was asked to end.
    Stopping,
    /// To be started again at that time.
    Backoff(Timestamp),
    /// Over.
    Dead,
}

/// What shall happen to a task when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Intent {
    /// The restart policy decides.
    #[default]
    Policy,
    /// It stays dead.
    Kill,
    /// It is started again at once.
    Restart,
    /// It counts as failed under the policy although somebody stopped it.
    Unhealthy,
}

/// One task.
#[derive(Debug, Clone)]
struct TaskMachine {
    phase: Phase,
    intent: Intent,
    tracker: RestartTracker,
    success_is_final: bool,
}

/// One allocation.
#[derive(Debug, Clone)]
pub struct AllocMachine {
    alloc: Arc<Allocation>,
    job: Arc<Job>,
    group: usize,
    coordinator: Coordinator,
    tasks: BTreeMap<String, TaskMachine>,
    states: BTreeMap<String, TaskState>,
    health: Option<AllocDeploymentStatus>,
    tracker: Option<HealthTracker>,
    look_at: Option<Timestamp>,
    checks: Checks,
    network: Option<AllocNetworkStatus>,
    stage: AllocStage,
    kill: Option<kill::KillPlan>,
    forced: Option<(ClientStatus, &'static str)>,
    servers_contacted: bool,
    max_kill_timeout: Nanos,
    changed: Changed,
}

/// How far the allocation as a whole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AllocStage {
    New,
    Prerun,
    Tasks,
    Postrun,
    Done,
}

/// What has to be stored and reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Tasks whose state changed.
    pub tasks: BTreeSet<String>,
    /// Whether the servers have to be told.
    pub report: bool,
}

/// Why a machine cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The allocation came without its job.
    #[error("allocation {0} has no job")]
    NoJob(AllocId),
    /// Its job has no such group.
    #[error("allocation {alloc}: its job has no group {group:?}")]
    NoGroup {
        /// Allocation.
        alloc: AllocId,
        /// The missing group.
        group: String,
    },
}

impl AllocMachine {
    /// A fresh allocation. Its first event is [`Event::Begin`].
    pub fn new(
        alloc: Arc<Allocation>,
        max_kill_timeout: Nanos,
        now: Timestamp,
    ) -> Result<Self, MachineError> {
        let (job, group) = job_and_group(&alloc)?;
        let tasks = &job.task_groups[group].tasks;
        let mut machine = Self {
            coordinator: Coordinator::new(&job.task_groups[group]),
            tasks: tasks
                .iter()
                .map(|task| (task.name.clone(), TaskMachine::new(&job, task, now)))
                .collect(),
            states: tasks
                .iter()
                .map(|task| (task.name.clone(), TaskState::default()))
                .collect(),
            health: alloc.deployment_status.clone(),
            tracker: None,
            look_at: None,
            checks: Checks::None,
            network: alloc.network_status.clone(),
            stage: AllocStage::New,
            kill: None,
            forced: None,
            servers_contacted: false,
            max_kill_timeout,
            changed: Changed::default(),
            alloc,
            job,
            group,
        };
        for name in machine.names() {
            machine.append(&name, None, events::received(now));
        }
        Ok(machine)
    }

    /// The allocation as the servers last sent it.
    pub fn alloc(&self) -> &Arc<Allocation> {
        &self.alloc
    }

    /// Its job.
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// Its group.
    pub fn group(&self) -> &TaskGroup {
        &self.job.task_groups[self.group]
    }

    /// Its own network, if one was set up.
    pub fn network(&self) -> Option<&AllocNetworkStatus> {
        self.network.as_ref()
    }

    /// The states of its tasks.
    pub fn states(&self) -> &BTreeMap<String, TaskState> {
        &self.states
    }

    /// How often the policy has restarted a task, to be stored with it.
    pub fn tracker(&self, task: &str) -> Option<&RestartTracker> {
        self.tasks.get(task).map(|task| &task.tracker)
    }

    /// Whether all is over, hooks included.
    pub fn is_done(&self) -> bool {
        self.stage == AllocStage::Done
    }

    /// Whether no process of it runs and none will.
    pub fn is_terminal(&self) -> bool {
        self.tasks.values().all(|task| task.phase == Phase::Dead)
    }

    /// What changed since the last call.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Takes note of an event. `jitter` is at random in `[0, 1)`.
    pub fn handle(&mut self, event: Event, now: Timestamp, jitter: f64) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Begin => self.begin(now, &mut out),
            Event::Wake => {}
            Event::PrerunDone(result) => self.prerun_done(result, now),
            Event::Told(task, event) => self.append(&task, None, event),
            Event::Started(task) => self.started(&task, now, &mut out),
            Event::StartFailed(task, error) => {
                self.start_failed(&task, error, now, jitter, &mut out)
            }
            Event::Recovered(task, result) => self.recovered(&task, result, now, &mut out),
            Event::NotStarted(task) => self.not_started(&task, now, &mut out),
            Event::Exited(task, exit) => self.exited(&task, &exit, now, jitter, &mut out),
            Event::PostrunDone => self.stage = AllocStage::Done,
            Event::ServersContacted => self.servers_contacted(),
            Event::Update(alloc) => self.update(*alloc, now),
            Event::Restart {
                task,
                reason,
                failure,
            } => self.restart(&task, &reason, failure, now, &mut out),
            Event::RestartAll { reason } => self.restart_all(&reason, now, &mut out),
            Event::FailTask { task, event } => self.fail_task(&task, event, now, &mut out),
            Event::Kill(reason) => self.plan_kill(reason, now),
            Event::Checks(checks) => self.checks = checks,
            Event::Network(status) => {
                self.network = Some(*status);
                self.changed.report = true;
            }
            Event::Reconnected => {
                for name in self.names() {
                    self.append(&name, None, events::reconnected(now));
                }
            }
        }
        self.settle(now, &mut out);
        out
    }

    /// When to send [`Event::Wake`], if at all.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let of_tasks = self.tasks.values().filter_map(|task| match task.phase {
            Phase::Backoff(at) | Phase::Delaying(at) => Some(at),
            _ => None,
        });
        of_tasks
            .chain(self.look_at)
            .chain(self.kill.as_ref().and_then(|plan| plan.wakes_at()))
            .chain(self.time_is_up())
            .min()
    }

    fn begin(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.stage != AllocStage::New {
            return;
        }
        if self.alloc.server_terminal() {
            // It was stopped before this node heard of it: nothing is made or run.
            self.stage = AllocStage::Tasks;
            self.plan_kill(KillReason::Destroy, now);
        } else {
            self.stage = AllocStage::Prerun;
            out.push(Action::Prerun);
        }
    }

    /// Follows all consequences until nothing more happens.
    fn settle(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.stage != AllocStage::Tasks {
            return;
        }
        self.watch_duration(now);
        self.watch_siblings(now);
        self.wake_tasks(now, out);
        self.advance_kill(now, out);
        self.coordinator.update(&self.states);
        self.open_gates(now, out);
        self.judge_health(now);
        if self.is_terminal() {
            self.stage = AllocStage::Postrun;
            self.finish_report(now);
            out.push(Action::Postrun);
        }
    }

    fn names(&self) -> Vec<String> {
        self.tasks.keys().cloned().collect()
    }

    fn task(&self, name: &str) -> Option<&Task> {
        self.group().task(name)
    }

    fn policy(&self) -> RestartPolicy {
        self.group().restart_policy.clone().unwrap_or_default()
    }

    fn task_policy(&self, name: &str) -> RestartPolicy {
        self.task(name)
            .and_then(|task| task.restart_policy.clone())
            .unwrap_or_else(|| self.policy())
    }

    fn set_phase(&mut self, name: &str, phase: Phase) {
        if let Some(task) = self.tasks.get_mut(name) {
            task.phase = phase;
        }
    }

    fn phase(&self, name: &str) -> Phase {
        self.tasks
            .get(name)
            .map_or(Phase::Dead, |task| task.phase.clone())
    }

    /// Appends an event to a task's state and marks it for storing and reporting.
    fn append(&mut self, name: &str, next: Option<TaskRunState>, event: TaskEvent) {
        if let Some(state) = self.states.get_mut(name) {
            task::apply(state, next, event);
            self.touch(name);
        }
    }

    fn enter(&mut self, name: &str, next: TaskRunState, now: Timestamp) {
        if let Some(state) = self.states.get_mut(name) {
            task::enter(state, next, now);
            self.touch(name);
        }
    }

    fn touch(&mut self, name: &str) {
        self.changed.tasks.insert(name.to_owned());
        self.changed.report = true;
    }

    fn update(&mut self, alloc: Allocation, now: Timestamp) {
        let new_deployment = alloc.deployment_id != self.alloc.deployment_id;
        let alloc = Arc::new(alloc);
        // An update without its job keeps the one it has.
        if let Ok((job, group)) = job_and_group(&alloc) {
            self.job = job;
            self.group = group;
        }
        self.alloc = alloc;
        if new_deployment {
            let canary = self
                .alloc
                .deployment_status
                .as_ref()
                .is_some_and(|status| status.canary);
            self.health = canary.then(|| AllocDeploymentStatus {
                canary,
                ..AllocDeploymentStatus::default()
            });
            if self.stage == AllocStage::Tasks {
                self.watch_health(now);
            }
            self.changed.report = true;
        }
        if self.alloc.server_terminal() {
            self.plan_kill(KillReason::Server, now);
        }
    }
}

impl TaskMachine {
    fn new(job: &Job, task: &Task, now: Timestamp) -> Self {
        use super::lifecycle::Role;
        let role = Role::of(task);
        let batch = matches!(job.job_type, JobType::Batch | JobType::Sysbatch);
        Self {
            phase: Phase::Gate,
            intent: Intent::Policy,
            tracker: RestartTracker::new(now),
            success_is_final: role.is_ephemeral() || (batch && !role.is_sidecar()),
        }
    }
}

fn job_and_group(alloc: &Allocation) -> Result<(Arc<Job>, usize), MachineError> {
    let job = alloc.job.clone().ok_or(MachineError::NoJob(alloc.id))?;
    let group = job
        .task_groups
        .iter()
        .position(|group| group.name == alloc.task_group)
        .ok_or_else(|| MachineError::NoGroup {
            alloc: alloc.id,
            group: alloc.task_group.clone(),
        })?;
    Ok((job, group))
}
