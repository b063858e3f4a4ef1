//! Carries out what the machine of an allocation decides: hooks, drivers, timers, storing and reporting.
//!
//! An idle allocation costs one [`AllocRunner`] and one waiting future per running task; there is no thread, no timer
//! and no channel of its own.

mod commands;
mod hooks;
mod ops;
mod prepare;
mod shared;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use nomad_core::alloc::{AllocClientUpdate, Allocation, ClientStatus};
use nomad_core::task_state::TaskState;
use nomad_core::{AllocId, Timestamp};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::commands::{AllocUsage, CommandError};
pub(crate) use self::shared::{Reporter, Shared};

use self::hooks::template::Templates;

use crate::dir::AllocDir;
use crate::machine::alloc::{Action, AllocMachine, Event, MachineError, RestoredTask};
use crate::state::{AllocRow, HandleRow, Stored, TaskRow};

/// One allocation on this node.
pub(crate) struct AllocRunner {
    id: AllocId,
    shared: Arc<Shared>,
    dir: AllocDir,
    inner: Mutex<Inner>,
}

struct Inner {
    machine: AllocMachine,
    tasks: BTreeMap<String, TaskRun>,
    timer: Option<(Timestamp, AbortHandle)>,
    prerun: CancellationToken,
    /// What was reported last, to count changes of status.
    reported: Option<ClientStatus>,
    /// Nothing more is to be done: the agent ends, or the allocation was removed.
    detached: bool,
}

/// What is held of a task beside its state.
#[derive(Default)]
struct TaskRun {
    /// By which its driver knows it while it is started.
    driver_id: Option<Arc<str>>,
    /// Ends its preparation.
    cancel: Option<CancellationToken>,
    /// Waits for its end.
    waiting: Option<AbortHandle>,
    /// Frees what its last run left behind; the next start waits for it.
    cleanup: Option<JoinHandle<()>>,
    /// Renders its templates while it is not dead.
    templates: Option<Arc<Templates>>,
}

impl AllocRunner {
    /// The runner of an allocation that is new to this node. [`begin`](Self::begin) starts it.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        alloc: Allocation,
        now: Timestamp,
    ) -> Result<Arc<Self>, MachineError> {
        let machine = AllocMachine::new(Arc::new(alloc), shared.config.max_kill_timeout, now)?;
        Ok(Self::with_machine(shared, machine))
    }

    fn with_machine(shared: &Arc<Shared>, machine: AllocMachine) -> Arc<Self> {
        let id = machine.alloc().id;
        Arc::new(Self {
            id,
            shared: shared.clone(),
            dir: AllocDir::new(&shared.config.alloc_dir, &id),
            inner: Mutex::new(Inner {
                machine,
                tasks: BTreeMap::new(),
                timer: None,
                prerun: CancellationToken::new(),
                reported: None,
                detached: false,
            }),
        })
    }

    /// The runner of a stored allocation; its tasks are looked for at once.
    pub(crate) fn restore(
        shared: &Arc<Shared>,
        stored: Stored,
        now: Timestamp,
    ) -> Result<Arc<Self>, MachineError> {
        let tasks = stored
            .tasks
            .into_iter()
            .map(|(name, row)| {
                let has_handle = stored
                    .handles
                    .get(&name)
                    .is_some_and(|row| row.handle.is_some());
                let task = RestoredTask {
                    state: row.state,
                    tracker: row.tracker,
                    has_handle,
                };
                (name, task)
            })
            .collect();
        let (machine, actions) = AllocMachine::restored(
            Arc::new(stored.row.alloc),
            tasks,
            stored.row.health,
            stored.row.network,
            shared.config.max_kill_timeout,
            now,
        )?;
        let runner = Self::with_machine(shared, machine);
        let mut inner = runner.inner.lock();
        inner.reported = Some(inner.machine.client_status().0);
        runner.settle(&mut inner, now, &[]);
        for action in actions {
            runner.act(&mut inner, action);
        }
        drop(inner);
        Ok(runner)
    }

    /// Stores the allocation and starts it.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.store(&self.inner.lock());
        self.dispatch(Event::Begin);
    }

    /// The allocation's id.
    pub(crate) fn id(&self) -> AllocId {
        self.id
    }

    /// Its directories.
    pub(crate) fn dir(&self) -> &AllocDir {
        &self.dir
    }

    /// The allocation as the servers last sent it.
    pub(crate) fn alloc(&self) -> Arc<Allocation> {
        self.inner.lock().machine.alloc().clone()
    }

    /// The whole report, as the servers get it.
    pub(crate) fn client_update(&self) -> AllocClientUpdate {
        let now = self.shared.clock.now();
        self.inner.lock().machine.client_update(now)
    }

    /// Status as the servers get it.
    pub(crate) fn client_status(&self) -> ClientStatus {
        self.inner.lock().machine.client_status().0
    }

    /// States of its tasks.
    pub(crate) fn task_states(&self) -> BTreeMap<String, TaskState> {
        self.inner.lock().machine.states().clone()
    }

    /// Whether no process of it runs and none will.
    pub(crate) fn is_terminal(&self) -> bool {
        self.inner.lock().machine.is_terminal()
    }

    /// Whether all is over, hooks included.
    pub(crate) fn is_done(&self) -> bool {
        let inner = self.inner.lock();
        inner.machine.is_done() || inner.detached
    }

    /// Looks at the machine.
    fn with<T>(&self, look: impl FnOnce(&AllocMachine) -> T) -> T {
        look(&self.inner.lock().machine)
    }

    /// Gives an event to the machine and carries out what follows.
    pub(crate) fn dispatch(self: &Arc<Self>, event: Event) {
        let mut inner = self.inner.lock();
        if inner.detached {
            return;
        }
        let now = self.shared.clock.now();
        let stops = match &event {
            Event::Kill(_) => true,
            Event::Update(alloc) => alloc.server_terminal(),
            _ => false,
        };
        let updated = matches!(event, Event::Update(_));
        let actions = inner.machine.handle(event, now, rand::random());
        if stops {
            inner.prerun.cancel();
        }
        if updated {
            self.store(&inner);
        }
        let ended = actions.iter().filter_map(|action| match action {
            Action::Exited { task } => Some(task.as_str()),
            _ => None,
        });
        self.settle(&mut inner, now, &ended.collect::<Vec<_>>());
        // Under the lock, so that actions are begun in the order in which they were decided.
        for action in actions {
            self.act(&mut inner, action);
        }
    }

    /// Stores and reports what changed, and sets the timer. `ended` are the tasks whose process has ended just now.
    fn settle(self: &Arc<Self>, inner: &mut Inner, now: Timestamp, ended: &[&str]) {
        let changed = inner.machine.take_changed();
        for task in &changed.tasks {
            self.store_task(inner, task, ended.contains(&task.as_str()));
            let restarted = inner
                .machine
                .states()
                .get(task)
                .is_some_and(|state| state.last_restart == now);
            if restarted {
                crate::metrics::restarted(&self.shared.config, inner.machine.alloc(), task);
            }
        }
        if changed.report {
            let update = inner.machine.client_update(now);
            if inner.machine.deployment_status() != inner.machine.alloc().deployment_status.as_ref()
            {
                self.store(inner);
            }
            self.count(inner, update.client_status);
            self.shared.reporter.push(update);
        }
        self.set_timer(inner, now);
    }

    fn set_timer(self: &Arc<Self>, inner: &mut Inner, now: Timestamp) {
        let wake = inner.machine.next_wake();
        if inner.timer.as_ref().map(|(at, _)| *at) == wake {
            return;
        }
        if let Some((_, timer)) = inner.timer.take() {
            timer.abort();
        }
        let Some(at) = wake else { return };
        let wait = at.since(now).to_std();
        let runner = Arc::downgrade(self);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(runner) = runner.upgrade() {
                // Forgotten first, so that the next one is set whatever its time.
                runner.inner.lock().timer = None;
                runner.dispatch(Event::Wake);
            }
        });
        inner.timer = Some((at, timer.abort_handle()));
    }

    fn store(&self, inner: &Inner) {
        let row = AllocRow {
            health: inner.machine.deployment_status().cloned(),
            network: inner.machine.network().cloned(),
            done: inner.machine.is_done(),
            ..AllocRow::of((**inner.machine.alloc()).clone())
        };
        if let Err(error) = self.shared.db.put_alloc(&row) {
            tracing::error!(alloc = %self.id, %error, "allocation cannot be stored");
        }
    }

    fn store_task(&self, inner: &Inner, task: &str, ended: bool) {
        let Some(state) = inner.machine.states().get(task) else {
            return;
        };
        let row = TaskRow {
            state: state.clone(),
            tracker: inner.machine.tracker(task).cloned().unwrap_or_default(),
        };
        let stored = if ended {
            self.shared.db.put_ended_task(self.id, task, &row)
        } else {
            self.shared.db.put_task(self.id, task, &row)
        };
        if let Err(error) = stored {
            tracing::error!(alloc = %self.id, task, %error, "task cannot be stored");
        }
    }

    fn store_handle(&self, task: &str, row: &HandleRow) {
        if let Err(error) = self.shared.db.put_handle(self.id, task, row) {
            tracing::error!(alloc = %self.id, task, %error, "handle cannot be stored");
        }
    }

    fn load_handle(&self, task: &str) -> HandleRow {
        match self.shared.db.handle(self.id, task) {
            Ok(row) => row.unwrap_or_default(),
            Err(error) => {
                tracing::error!(alloc = %self.id, task, %error, "handle cannot be read");
                HandleRow::default()
            }
        }
    }

    /// Stops caring: timers and waiting futures end, tasks run on. Nothing is dispatched any more.
    pub(crate) fn detach(&self) {
        let mut inner = self.inner.lock();
        inner.detached = true;
        if let Some((_, timer)) = inner.timer.take() {
            timer.abort();
        }
        inner.prerun.cancel();
        for task in inner.tasks.values_mut() {
            task.templates = None;
            if let Some(waiting) = task.waiting.take() {
                waiting.abort();
            }
        }
    }

    /// Removes directories and rows of an allocation that is done.
    pub(crate) async fn destroy(&self) {
        self.detach();
        let dir = self.dir.clone();
        let removed = tokio::task::spawn_blocking(move || dir.destroy()).await;
        match removed {
            Ok(Err(error)) => {
                tracing::warn!(alloc = %self.id, %error, "allocation's directory cannot be removed");
            }
            Err(error) => tracing::error!(alloc = %self.id, %error, "removal was broken off"),
            Ok(Ok(())) => {}
        }
        if let Err(error) = self.shared.db.delete_alloc(self.id) {
            tracing::error!(alloc = %self.id, %error, "allocation's rows cannot be removed");
        }
    }

    /// Returns when the hooks after all tasks have run.
    pub(crate) async fn wait_done(&self) {
        let mut ended = self.shared.ended.subscribe();
        while !self.is_done() {
            // Missed ends do not matter: the loop looks for itself.
            if let Err(tokio::sync::broadcast::error::RecvError::Closed) = ended.recv().await {
                return;
            }
        }
    }

    fn count(&self, inner: &mut Inner, status: ClientStatus) {
        if inner.reported.replace(status) == Some(status) {
            return;
        }
        crate::metrics::alloc_status(&self.shared.config, inner.machine.alloc(), status);
    }

    fn act(self: &Arc<Self>, inner: &mut Inner, action: Action) {
        match action {
            Action::Prerun => {
                let cancel = inner.prerun.clone();
                tokio::spawn(ops::prerun(self.clone(), cancel));
            }
            Action::Start { task } => {
                let cancel = CancellationToken::new();
                let run = inner.tasks.entry(task.clone()).or_default();
                run.cancel = Some(cancel.clone());
                let cleanup = run.cleanup.take();
                tokio::spawn(ops::start(self.clone(), task, cancel, cleanup));
            }
            Action::CancelStart { task } => {
                if let Some(cancel) = inner.tasks.get(&task).and_then(|run| run.cancel.as_ref()) {
                    cancel.cancel();
                }
            }
            Action::Recover { task } => {
                tokio::spawn(ops::recover(self.clone(), task));
            }
            Action::Stop { task, timeout } => {
                let id = inner.tasks.get(&task).and_then(|run| run.driver_id.clone());
                if let Some(id) = id {
                    tokio::spawn(ops::stop(self.clone(), task, id, timeout));
                }
            }
            Action::Exited { task } => {
                let Some(run) = inner.tasks.get_mut(&task) else {
                    return;
                };
                run.cancel = None;
                run.waiting = None;
                let id = run.driver_id.take();
                run.cleanup = Some(tokio::spawn(ops::exited(self.clone(), task, id)));
            }
            Action::StopHooks { task } => {
                // Frees what was kept for the next start.
                if let Some(run) = inner.tasks.get_mut(&task) {
                    run.templates = None;
                    if run.cleanup.is_none() {
                        inner.tasks.remove(&task);
                    }
                }
            }
            Action::Poststart { task } => {
                let runner = self.clone();
                tokio::spawn(async move { Templates::task_started(&runner, &task).await });
            }
            // No hooks of this phase are built yet: services are registered by their own issue.
            Action::Prekill { .. } => {}
            Action::Postrun => {
                tokio::spawn(ops::postrun(Arc::downgrade(self)));
            }
        }
    }

    /// Notes how the driver knows a running task.
    fn set_driver_id(&self, task: &str, id: &str) {
        let mut inner = self.inner.lock();
        inner.tasks.entry(task.to_owned()).or_default().driver_id = Some(id.into());
    }

    fn driver_id(&self, task: &str) -> Option<Arc<str>> {
        self.inner
            .lock()
            .tasks
            .get(task)
            .and_then(|run| run.driver_id.clone())
    }

    /// The templates of a task that is not dead.
    fn templates(&self, task: &str) -> Option<Arc<Templates>> {
        self.inner.lock().tasks.get(task)?.templates.clone()
    }

    fn keep_templates(&self, task: &str, templates: Templates) {
        let mut inner = self.inner.lock();
        let run = inner.tasks.entry(task.to_owned()).or_default();
        run.templates = Some(Arc::new(templates));
    }

    /// Waits for the end of a running task, without holding the runner meanwhile.
    fn watch(self: &Arc<Self>, task: &str, id: Arc<str>) {
        let waiting = tokio::spawn(ops::wait(Arc::downgrade(self), task.to_owned(), id));
        let mut inner = self.inner.lock();
        inner.tasks.entry(task.to_owned()).or_default().waiting = Some(waiting.abort_handle());
    }
}

/// A runner that may be gone.
type Runner = Weak<AllocRunner>;
