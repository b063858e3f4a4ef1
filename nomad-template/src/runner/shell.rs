//! The task that performs what the machine decides, and how the client speaks with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nomad_core::time::Clock;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::machine::{Action, Event, Machine, Outcome};
use super::render::{Batch, Renderer};
use super::spec::{ChangeMode, ChangeScript, TaskTemplate};
use crate::data::InterfaceAddr;
use crate::limits::Limits;
use crate::sandbox::Sandbox;
use crate::watch::WatchHub;

/// Events that may wait for the client; a further one waits for it.
const EVENT_QUEUE: usize = 8;
/// Commands that may wait for the runner.
const COMMAND_QUEUE: usize = 4;

/// What a runner is made from.
pub struct RunnerConfig {
    /// The task's template blocks in order, paths interpolated.
    pub templates: Vec<TaskTemplate>,
    /// The task's directories.
    pub sandbox: Sandbox,
    /// Environment that templates see: the task's with host paths, and node attributes.
    pub env: Arc<BTreeMap<String, String>>,
    /// Namespace of the job.
    pub namespace: Arc<str>,
    /// Token of the task's identity.
    pub token: Arc<str>,
    /// Bounds of each rendering.
    pub limits: Limits,
    /// Addresses of the host.
    pub interfaces: Arc<[InterfaceAddr]>,
    /// Seed of splays and of random functions.
    pub seed: u64,
    /// Whether the task runs already, because the agent was restarted.
    pub task_running: bool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What the client is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunnerEvent {
    /// The first render is complete: the task may start with these variables of its `env`
    /// templates. Comes again after [`Runner::render_again`].
    Unblocked(BTreeMap<String, String>),
    /// A task event of type `Template` with this text.
    Message(String),
    /// Restart the task, not counted as a failure; it starts with these variables.
    Restart(BTreeMap<String, String>),
    /// Restart the group's tasks as its `update` block says; this one with these variables.
    Rolling(BTreeMap<String, String>),
    /// Send the task these signals.
    Signal(BTreeSet<String>),
    /// Run these inside the task, at the same time.
    Scripts(Vec<ChangeScript>),
    /// Kill the task as failed, for this reason. Nothing follows.
    Failed(String),
}

enum Command {
    TaskStarted,
    RenderAgain,
    Token(Arc<str>),
}

/// The runner of a task's templates. Dropping it ends it, and with it what it watched.
pub struct Runner {
    commands: mpsc::Sender<Command>,
    shared: Arc<RunnerShared>,
    task: AbortHandle,
}

/// What a runner has counted.
#[derive(Debug, Default)]
pub struct RunnerShared {
    wakes: AtomicU64,
    renderings: AtomicU64,
    env: Mutex<BTreeMap<String, String>>,
}

impl RunnerShared {
    /// How often changed data has woken the runner.
    pub fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    /// How often it has rendered (any number of templates together).
    pub fn renderings(&self) -> u64 {
        self.renderings.load(Ordering::Relaxed)
    }

    /// The variables of the `env` templates as last rendered.
    pub fn env(&self) -> BTreeMap<String, String> {
        self.env.lock().clone()
    }
}

impl Runner {
    /// Starts a runner on the current tokio runtime. What the client is to do comes on the channel.
    pub fn spawn(config: RunnerConfig, hub: WatchHub) -> (Self, mpsc::Receiver<RunnerEvent>) {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let shared = Arc::new(RunnerShared::default());
        let shell = Shell::new(config, hub, events, inbox, Arc::clone(&shared));
        let task = tokio::spawn(shell.run()).abort_handle();
        let runner = Self {
            commands,
            shared,
            task,
        };
        (runner, receiver)
    }

    /// Says that the task has started for the first time.
    pub async fn task_started(&self) {
        self.command(Command::TaskStarted).await;
    }

    /// Renders everything again before the task is restarted (`restart.render_templates`);
    /// [`RunnerEvent::Unblocked`] follows.
    pub async fn render_again(&self) {
        self.command(Command::RenderAgain).await;
    }

    /// From now on asks with this token.
    pub async fn set_token(&self, token: Arc<str>) {
        self.command(Command::Token(token)).await;
    }

    /// Counters and the environment; outlives the runner.
    pub fn shared(&self) -> Arc<RunnerShared> {
        Arc::clone(&self.shared)
    }

    async fn command(&self, command: Command) {
        // A runner that has failed takes no commands any more, and need not.
        let _ = self.commands.send(command).await;
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task's state.
struct Shell {
    machine: Machine,
    renderer: Arc<Renderer>,
    modes: Vec<ChangeMode>,
    hub: WatchHub,
    changed: Arc<Notify>,
    events: mpsc::Sender<RunnerEvent>,
    inbox: mpsc::Receiver<Command>,
    shared: Arc<RunnerShared>,
    task_running: bool,
    began: Instant,
    timer: Option<Duration>,
    rendering: Option<JoinHandle<Batch>>,
}

/// What woke the task.
enum Woken {
    Data,
    Timer,
    Rendered(Batch),
    Command(Command),
    End,
}

impl Shell {
    fn new(
        config: RunnerConfig,
        hub: WatchHub,
        events: mpsc::Sender<RunnerEvent>,
        inbox: mpsc::Receiver<Command>,
        shared: Arc<RunnerShared>,
    ) -> Self {
        let settings = hub.settings();
        let entries = config
            .templates
            .iter()
            .map(|t| (t.change_mode.clone(), t.splay, settings.wait_of(t), t.once))
            .collect();
        let changed = Arc::new(Notify::new());
        let modes = config
            .templates
            .iter()
            .map(|t| t.change_mode.clone())
            .collect();
        Self {
            machine: Machine::new(entries, config.seed),
            modes,
            task_running: config.task_running,
            renderer: Arc::new(Renderer::new(config, hub.clone(), Arc::clone(&changed))),
            hub,
            changed,
            events,
            inbox,
            shared,
            began: Instant::now(),
            timer: None,
            rendering: None,
        }
    }

    async fn run(mut self) {
        if self.task_running {
            // What the task was started with: its next start needs it although nothing changes.
            let renderer = Arc::clone(&self.renderer);
            let env = tokio::task::spawn_blocking(move || renderer.environment()).await;
            if let Ok(Ok(env)) = env {
                *self.shared.env.lock() = env;
            }
        }
        let start = Event::Start {
            task_running: self.task_running,
        };
        let mut going = self.feed(start).await;
        while going {
            going = match self.woken().await {
                Woken::Data => {
                    let templates = self.renderer.changed_templates();
                    if templates.is_empty() {
                        continue;
                    }
                    self.shared.wakes.fetch_add(1, Ordering::Relaxed);
                    self.feed(Event::Changed(templates)).await
                }
                Woken::Timer => {
                    self.timer = None;
                    self.feed(Event::Timer).await
                }
                Woken::Rendered(batch) => self.rendered(batch).await,
                Woken::Command(Command::TaskStarted) => self.feed(Event::TaskStarted).await,
                Woken::Command(Command::RenderAgain) => self.feed(Event::RenderAgain).await,
                Woken::Command(Command::Token(token)) => {
                    self.renderer.set_token(token);
                    let watched = (0..self.modes.len()).filter(|i| self.machine.watches(*i));
                    let watched = watched.collect();
                    self.feed(Event::Changed(watched)).await
                }
                Woken::End => false,
            };
        }
    }

    async fn woken(&mut self) -> Woken {
        let timer = self.timer.map(|at| self.began + at);
        let rendering = self.rendering.is_some();
        tokio::select! {
            biased;
            batch = async { self.rendering.as_mut().expect("a rendering is in progress").await }, if rendering => {
                self.rendering = None;
                match batch {
                    Ok(batch) => Woken::Rendered(batch),
                    Err(_) => Woken::End,
                }
            }
            command = self.inbox.recv() => command.map_or(Woken::End, Woken::Command),
            () = tokio::time::sleep_until(timer.unwrap_or(self.began)), if timer.is_some() => Woken::Timer,
            // Not during a rendering: which templates use what is only known after it.
            () = self.changed.notified(), if !rendering => Woken::Data,
        }
    }

    async fn rendered(&mut self, batch: Batch) -> bool {
        self.shared.renderings.fetch_add(1, Ordering::Relaxed);
        if let Some(env) = batch.env {
            *self.shared.env.lock() = env;
        }
        let complete = batch.outcomes.iter();
        let complete = complete
            .filter(|(_, outcome)| matches!(outcome, Outcome::Changed | Outcome::Unchanged))
            .map(|(i, _)| *i)
            .collect();
        let going = self.feed(Event::Rendered(batch.outcomes)).await;
        // A rendering that has begun already may just be asking for what looks unused.
        if self.rendering.is_none() {
            self.renderer
                .forget_unused(&complete, |i| self.machine.watches(i));
        }
        going
    }

    /// Gives the machine an event and does what it says. False at the end.
    async fn feed(&mut self, event: Event) -> bool {
        let actions = self.machine.handle(event, self.began.elapsed());
        for action in actions {
            let event = match action {
                Action::Timer(at) => {
                    self.timer = at;
                    continue;
                }
                Action::Render(templates) => {
                    self.render(templates);
                    continue;
                }
                Action::Unblock => RunnerEvent::Unblocked(self.shared.env()),
                Action::Message(text) => RunnerEvent::Message(text),
                Action::Restart => RunnerEvent::Restart(self.shared.env()),
                Action::Rolling => RunnerEvent::Rolling(self.shared.env()),
                Action::Signal(signals) => RunnerEvent::Signal(signals),
                Action::Scripts(templates) => {
                    let scripts = templates.iter().filter_map(|i| match &self.modes[*i] {
                        ChangeMode::Script(script) => Some(script.clone()),
                        _ => None,
                    });
                    RunnerEvent::Scripts(scripts.collect())
                }
                Action::Fail(reason) => {
                    let _ = self.events.send(RunnerEvent::Failed(reason)).await;
                    return false;
                }
            };
            if self.events.send(event).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Renders on a thread that may block, when there is a place among the node's renderings.
    fn render(&mut self, templates: BTreeSet<usize>) {
        let renderer = Arc::clone(&self.renderer);
        let places = self.hub.renderings();
        self.rendering = Some(tokio::spawn(async move {
            let place = places.acquire_owned().await;
            let all = templates.clone();
            let work = tokio::task::spawn_blocking(move || {
                let batch = renderer.render(&templates);
                drop(place);
                batch
            });
            work.await
                .unwrap_or_else(|_| Batch::failed(&all, "the rendering was interrupted"))
        }));
    }
}
