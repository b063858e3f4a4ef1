//! A task's templates: rendered before it starts, and again when what they read changes.
//!
//! The runner lives in nomad-template and reads Variables and services from this agent over an in-memory connection.
//! Here it is given the task's environment and directories, and what it asks for is done: restarts, signals, scripts.
//! It stays while its task is restarted, and ends when the task is dead for good.
//!
//! Source: client and drivers reference, section 5.2.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use nomad_core::job::Task;
use nomad_core::task_state::event_type;
use nomad_drivers::ExecRequest;
use nomad_template::Limits;
use nomad_template::runner::{ChangeScript, Runner, RunnerConfig, RunnerEvent, TaskTemplate};
use nomad_template::sandbox::Sandbox;
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::super::prepare::{Prep, command_env};
use super::super::{AllocRunner, CommandError};
use super::validate;
use crate::machine::alloc::{Event, StartError};
use crate::machine::events;

/// What the event of a restart says.
const REASON_RESTART: &str = "Template with change_mode restart re-rendered";
/// What the event of a signal says.
const REASON_SIGNAL: &str = "Template re-rendered";

/// The templates of one task that is not dead.
pub(in super::super) struct Templates {
    runner: Runner,
    /// Does what the runner asks for.
    follower: AbortHandle,
}

impl Templates {
    /// The task runs: what changes from now on is told to it.
    pub(in super::super) async fn task_started(runner: &AllocRunner, task: &str) {
        let templates = runner.templates(task);
        if let Some(templates) = templates {
            templates.runner.task_started().await;
        }
    }
}

impl Drop for Templates {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Renders all templates, waiting for what they read.
pub(super) async fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    if prep.task.templates.is_empty() {
        return Ok(());
    }
    let name = prep.task.name.clone();
    let policy = prep.task.restart_policy.as_ref();
    let again = policy.is_some_and(|policy| policy.render_templates);
    if let Some(kept) = prep.runner.templates(&name).filter(|_| !again) {
        // A restart: the files are as they should be, and new variables reach the task now.
        prep.template_env = kept.runner.shared().env();
        return Ok(());
    }
    let (runner, mut asked) = spawn(prep, false)?;
    loop {
        match asked.recv().await {
            Some(RunnerEvent::Unblocked(env)) => {
                prep.template_env = env;
                break;
            }
            Some(RunnerEvent::Message(text)) => tell(prep.runner, &name, &text),
            Some(RunnerEvent::Failed(reason)) => return Err(failed(prep, &reason)),
            // Nothing runs that could be restarted or get a signal.
            Some(_) => {}
            None => return Err(failed(prep, "the runner has ended")),
        }
    }
    keep(prep.runner, &name, runner, asked);
    Ok(())
}

/// Goes on with the templates of a task that was found running after a restart of the agent.
pub(in super::super) fn recover(runner: &Arc<AllocRunner>, task: &str) {
    let started = Prep::new(runner, task).and_then(|mut prep| {
        if prep.task.templates.is_empty() {
            return Ok(());
        }
        validate::run(&mut prep)?;
        let (templates, asked) = spawn(&prep, true)?;
        keep(runner, task, templates, asked);
        Ok(())
    });
    if let Err(error) = started {
        runner.dispatch(Event::Told(task.to_owned(), error.event));
    }
}

fn failed(prep: &Prep<'_>, reason: &str) -> StartError {
    prep.setup_failed(&format!("Template failed: {reason}"), false)
}

fn spawn(
    prep: &Prep<'_>,
    task_running: bool,
) -> Result<(Runner, mpsc::Receiver<RunnerEvent>), StartError> {
    let shared = &prep.runner.shared;
    let hub = shared.templates.clone();
    let templates = templates_of(prep).map_err(|error| failed(prep, &error))?;
    let env: BTreeMap<String, String> = prep.env().into_vars();
    let config = RunnerConfig {
        templates,
        sandbox: Sandbox {
            task_dir: prep.runner.dir.task(&prep.task.name),
            alloc_dir: prep.runner.dir.shared(),
            confined: !hub.settings().disable_file_sandbox,
        },
        env: Arc::new(env),
        namespace: prep.alloc.namespace.as_str().into(),
        token: "".into(),
        limits: Limits::default(),
        interfaces: Arc::new([]),
        seed: rand::rng().random(),
        task_running,
        clock: shared.clock.clone(),
    };
    Ok(Runner::spawn(config, hub))
}

/// The task's blocks with their paths filled in; files belong to the task's user unless a block says otherwise.
fn templates_of(prep: &Prep<'_>) -> Result<Vec<TaskTemplate>, String> {
    let env = prep.env();
    let task: &Task = &prep.task;
    let blocks = task.templates.iter().map(|block| {
        let mut template = TaskTemplate::try_from(block).map_err(|error| error.to_string())?;
        template.source = env.replace_host(&template.source);
        template.destination = env.replace_host(&template.destination);
        if let Some((uid, gid)) = prep.owner {
            template.uid.get_or_insert(uid);
            template.gid.get_or_insert(gid);
        }
        Ok(template)
    });
    blocks.collect()
}

fn keep(
    runner: &Arc<AllocRunner>,
    task: &str,
    templates: Runner,
    asked: mpsc::Receiver<RunnerEvent>,
) {
    let follow = follow(Arc::downgrade(runner), task.to_owned(), asked);
    let templates = Templates {
        runner: templates,
        follower: tokio::spawn(follow).abort_handle(),
    };
    runner.keep_templates(task, templates);
}

/// Does what a task's templates ask for.
async fn follow(runner: Weak<AllocRunner>, task: String, mut asked: mpsc::Receiver<RunnerEvent>) {
    while let Some(event) = asked.recv().await {
        let Some(runner) = runner.upgrade() else {
            return;
        };
        match event {
            RunnerEvent::Unblocked(_) => {}
            RunnerEvent::Message(text) => tell(&runner, &task, &text),
            RunnerEvent::Restart(_) | RunnerEvent::Rolling(_) => runner.dispatch(Event::Restart {
                task: task.clone(),
                reason: REASON_RESTART.to_owned(),
                failure: false,
            }),
            RunnerEvent::Signal(signals) => {
                for signal in signals {
                    let sent = runner.signal_one(&task, &signal, REASON_SIGNAL).await;
                    match sent {
                        Ok(()) => {}
                        Err(CommandError::NotRunning) => {
                            tell(
                                &runner,
                                &task,
                                &format!("{signal} was not sent: the task does not run"),
                            );
                        }
                        Err(error) => {
                            fail(
                                &runner,
                                &task,
                                &format!("failed to send signal {signal}: {error}"),
                            );
                        }
                    }
                }
            }
            RunnerEvent::Scripts(scripts) => {
                let all = scripts
                    .iter()
                    .map(|script| run_script(&runner, &task, script));
                futures::future::join_all(all).await;
            }
            RunnerEvent::Failed(reason) => {
                fail(&runner, &task, &format!("Template failed: {reason}"));
            }
        }
    }
}

async fn run_script(runner: &Arc<AllocRunner>, task: &str, script: &ChangeScript) {
    let (Some(id), Some(driver)) = (runner.driver_id(task), runner.driver_of(task)) else {
        tell(
            runner,
            task,
            &format!("{} was not run: the task does not run", script.command),
        );
        return;
    };
    let command = std::iter::once(&script.command).chain(&script.args);
    let request = ExecRequest {
        command: command.cloned().collect(),
        env: command_env(runner, task, &driver.capabilities()),
        ..ExecRequest::default()
    };
    let problem = match driver.exec_task(&id, request, script.timeout).await {
        Ok(done) if done.exit.exit_code == 0 && done.exit.signal == 0 => return,
        Ok(done) => format!(
            "Template ran script {} with exit code {}",
            script.command, done.exit.exit_code
        ),
        Err(error) => format!("Template failed to run script {}: {error}", script.command),
    };
    let event = events::with_message(event_type::HOOK_FAILED, runner.shared.clock.now(), &problem);
    runner.dispatch(Event::Told(task.to_owned(), event));
    if script.fail_on_error {
        fail(runner, task, &problem);
    }
}

fn tell(runner: &Arc<AllocRunner>, task: &str, text: &str) {
    let event = events::with_message(event_type::TEMPLATE, runner.shared.clock.now(), text);
    runner.dispatch(Event::Told(task.to_owned(), event));
}

/// Kills the task, which fails it.
fn fail(runner: &Arc<AllocRunner>, task: &str, reason: &str) {
    let timeout = nomad_core::Nanos::default();
    let event = events::killing(runner.shared.clock.now(), timeout, reason);
    runner.dispatch(Event::FailTask {
        task: task.to_owned(),
        event,
    });
}
