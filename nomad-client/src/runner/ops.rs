//! What takes time: each function carries out one action and answers it with an event.

use std::sync::Arc;
use std::time::Duration;

use nomad_core::Nanos;
use nomad_drivers::{DriverError, ExitResult};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{AllocRunner, Runner, hooks, prepare};
use crate::machine::alloc::{Event, StartError};
use crate::machine::events::{self, ExitReport};

/// Attempts to have a driver end a task.
const STOP_ATTEMPTS: u32 = 5;
/// Pause after the first failed attempt; four times longer after each further one.
const STOP_PAUSE: Duration = Duration::from_secs(5);
/// Longest such pause.
const MAX_STOP_PAUSE: Duration = Duration::from_mins(2);

pub(super) async fn prerun(runner: Arc<AllocRunner>, cancel: CancellationToken) {
    let result = tokio::select! {
        result = hooks::prerun(&runner) => result,
        () = cancel.cancelled() => Ok(()),
    };
    runner.dispatch(Event::PrerunDone(result));
}

pub(super) async fn postrun(runner: Runner) {
    let Some(runner) = runner.upgrade() else {
        return;
    };
    // The last run of each task is cleaned up before the allocation counts as done.
    let cleanups: Vec<_> = {
        let mut inner = runner.inner.lock();
        std::mem::take(&mut inner.tasks)
            .into_values()
            .filter_map(|run| run.cleanup)
            .collect()
    };
    for cleanup in cleanups {
        // A cleanup that was broken off has said so itself.
        let _ = cleanup.await;
    }
    runner.dispatch(Event::PostrunDone);
    runner.store(&runner.inner.lock());
    // Nobody may be waiting.
    let _ = runner.shared.ended.send(runner.id);
}

/// Prepares a task and starts it.
pub(super) async fn start(
    runner: Arc<AllocRunner>,
    task: String,
    cancel: CancellationToken,
    cleanup: Option<JoinHandle<()>>,
) {
    if let Some(cleanup) = cleanup {
        // What its last run left must be gone: names of cgroups and pipes are the same.
        let _ = cleanup.await;
    }
    // On the heap, so that it is gone when the task runs.
    match Box::pin(prepare::start_task(&runner, &task, &cancel)).await {
        Ok(id) => {
            runner.dispatch(Event::Started(task.clone()));
            runner.watch(&task, id);
        }
        Err(error) => runner.dispatch(Event::StartFailed(task, error)),
    }
}

/// Finds a task of before the agent's restart.
pub(super) async fn recover(runner: Arc<AllocRunner>, task: String) {
    let row = runner.load_handle(&task);
    let forget = || {
        let row = crate::state::HandleRow {
            handle: None,
            starting: false,
            ..row.clone()
        };
        runner.store_handle(&task, &row);
    };
    let result = match &row.handle {
        None => Err("there is no handle of it".to_owned()),
        Some(handle) => match runner.shared.driver(&handle.driver) {
            None => Err(format!("driver {:?} is not available", handle.driver)),
            Some(driver) => match driver.recover_task(handle).await {
                Ok(()) => Ok(Arc::<str>::from(handle.task_id.as_str())),
                Err(DriverError::NotFound { .. }) if row.starting => {
                    // The agent ended after it had noted what it was about to start.
                    forget();
                    runner.dispatch(Event::NotStarted(task));
                    return;
                }
                Err(error) => {
                    // What may still run unseen must not run beside its successor.
                    let _ = driver.destroy_task(&handle.task_id, true).await;
                    Err(error.to_string())
                }
            },
        },
    };
    match result {
        Ok(id) => {
            runner.set_driver_id(&task, &id);
            hooks::template::recover(&runner, &task);
            runner.dispatch(Event::Recovered(task.clone(), Ok(())));
            runner.watch(&task, id);
        }
        Err(error) => {
            tracing::warn!(alloc = %runner.id, task, error, "task cannot be found again");
            forget();
            runner.dispatch(Event::Recovered(task, Err(error)));
        }
    }
}

/// Waits for the end of a task.
pub(super) async fn wait(runner: Runner, task: String, id: Arc<str>) {
    let driver = {
        let Some(strong) = runner.upgrade() else {
            return;
        };
        strong.driver_of(&task)
    };
    let Some(driver) = driver else { return };
    let result = driver.wait_task(&id).await;
    let Some(runner) = runner.upgrade() else {
        return;
    };
    let exit = match result {
        Ok(exit) => report(exit),
        Err(error) => {
            tracing::warn!(alloc = %runner.id, task, %error, "the end of a task cannot be learned");
            ExitReport {
                message: error.to_string(),
                ..ExitReport::lost()
            }
        }
    };
    if exit.oom_killed {
        crate::metrics::oom_killed(&runner.shared.config, &runner.alloc(), &task);
    }
    runner.dispatch(Event::Exited(task, exit));
}

fn report(exit: ExitResult) -> ExitReport {
    ExitReport {
        code: exit.exit_code,
        signal: exit.signal,
        oom_killed: exit.oom_killed,
        lost: exit.exit_code < 0,
        message: exit.error.unwrap_or_default(),
    }
}

/// Has the driver end a task; its end is told by [`wait`].
pub(super) async fn stop(runner: Arc<AllocRunner>, task: String, id: Arc<str>, timeout: Nanos) {
    let Some(driver) = runner.driver_of(&task) else {
        return;
    };
    let signal = runner.with(|machine| {
        machine
            .group()
            .task(&task)
            .map(|task| task.kill_signal.clone())
            .unwrap_or_default()
    });
    let mut signal = signal.as_str();
    let mut pause = STOP_PAUSE;
    for attempt in 1..=STOP_ATTEMPTS {
        match driver.stop_task(&id, signal, timeout.to_std()).await {
            Ok(()) | Err(DriverError::NotFound { .. }) => return,
            // The job names a signal that this machine does not have: the driver's own will do.
            Err(DriverError::Signal(_)) if !signal.is_empty() => signal = "",
            Err(error) if attempt == STOP_ATTEMPTS => {
                tracing::error!(alloc = %runner.id, task, %error, "task cannot be stopped");
                let event = events::killed(runner.shared.clock.now(), &error.to_string());
                runner.dispatch(Event::Told(task.clone(), event));
                // By force, and without asking what it thinks of it.
                let _ = driver.destroy_task(&id, true).await;
            }
            Err(error) => {
                tracing::warn!(alloc = %runner.id, task, attempt, %error, "task does not stop");
                tokio::time::sleep(pause).await;
                pause = (pause * 4).min(MAX_STOP_PAUSE);
            }
        }
    }
}

/// Frees what a run of a task left behind.
pub(super) async fn exited(runner: Arc<AllocRunner>, task: String, id: Option<Arc<str>>) {
    let Some(id) = id else { return };
    if let Some(driver) = runner.driver_of(&task)
        && let Err(error) = driver.destroy_task(&id, false).await
    {
        tracing::warn!(alloc = %runner.id, task, %error, "what the task left cannot be removed");
    }
}

/// The error of a start that was given up.
pub(super) fn cancelled(runner: &AllocRunner) -> StartError {
    StartError {
        event: events::driver_failure(runner.shared.clock.now(), "the start was given up"),
        recoverable: false,
    }
}
