//! One pretended task.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::output::{self, Target};
use super::settings::TaskSettings;
use super::unix_ns;
use crate::driver::DriverError;
use crate::task::{ExitResult, LogSettings};

/// Where its output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogTarget {
    pub(super) dir: PathBuf,
    pub(super) task: String,
    pub(super) settings: LogSettings,
}

/// What has become of it.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    Running,
    /// How and when it ended.
    Exited(ExitResult, i64),
}

/// See the module.
pub(super) struct MockTask {
    settings: TaskSettings,
    started_unix_ns: i64,
    /// When the pretended plugin is gone.
    plugin_exits: Option<Instant>,
    fate: watch::Sender<Fate>,
    /// When it ends because it was told to.
    killed: watch::Sender<Option<Instant>>,
}

impl MockTask {
    /// Starts it, or goes on with one that was started so long ago.
    pub(super) fn start(
        settings: TaskSettings,
        logs: Option<LogTarget>,
        started_unix_ns: i64,
        elapsed: Duration,
    ) -> Arc<Self> {
        let plugin_exits = (!settings.plugin_exit_after.is_zero() && elapsed.is_zero())
            .then(|| Instant::now() + settings.plugin_exit_after);
        let (fate, _) = watch::channel(Fate::Running);
        let (killed, _) = watch::channel(None);
        let task = Arc::new(Self {
            settings,
            started_unix_ns,
            plugin_exits,
            fate,
            killed,
        });
        tokio::spawn(run(Arc::clone(&task), logs, elapsed));
        task
    }

    pub(super) fn settings(&self) -> &TaskSettings {
        &self.settings
    }

    pub(super) fn started_unix_ns(&self) -> i64 {
        self.started_unix_ns
    }

    /// How and when it ended.
    pub(super) fn exit(&self) -> Option<(ExitResult, i64)> {
        match &*self.fate.borrow() {
            Fate::Running => None,
            Fate::Exited(exit, at) => Some((exit.clone(), *at)),
        }
    }

    async fn ended(&self) -> ExitResult {
        let mut fate = self.fate.subscribe();
        loop {
            if let Fate::Exited(exit, _) = &*fate.borrow_and_update() {
                return exit.clone();
            }
            // We hold the sender, so it is not closed.
            let _ = fate.changed().await;
        }
    }

    /// Waits for its end, or for that of the pretended plugin.
    pub(super) async fn wait(&self) -> Result<ExitResult, DriverError> {
        let Some(at) = self.plugin_exits else {
            return Ok(self.ended().await);
        };
        tokio::select! {
            exit = self.ended() => Ok(exit),
            () = tokio::time::sleep_until(at) => Err(DriverError::Failed("the plugin has exited".to_owned())),
        }
    }

    /// Asks it to end: it does so `kill_after` later, or at the latest after the timeout.
    pub(super) async fn stop(&self, timeout: Duration) {
        let at = Instant::now() + self.settings.kill_after.min(timeout);
        self.killed
            .send_modify(|killed| *killed = Some(killed.map_or(at, |earlier| earlier.min(at))));
        self.ended().await;
    }
}

async fn run(task: Arc<MockTask>, logs: Option<LogTarget>, elapsed: Duration) {
    let command = &task.settings.command;
    let printing = async {
        if let Some(target) = logs {
            output::print(command, &Target::Logs(target)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = printing => {}
        () = tokio::time::sleep(command.run_for.saturating_sub(elapsed)) => {}
        () = killed(&task) => {}
    }
    let error = (!command.exit_err_msg.is_empty()).then(|| command.exit_err_msg.clone());
    let exit = ExitResult {
        exit_code: command.exit_code,
        signal: command.exit_signal,
        oom_killed: false,
        error,
    };
    task.fate.send_replace(Fate::Exited(exit, unix_ns()));
}

async fn killed(task: &MockTask) {
    let mut killed = task.killed.subscribe();
    loop {
        let at = *killed.borrow_and_update();
        let due = async {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => return,
            _ = killed.changed() => {}
        }
    }
}
