//! The deployment monitor: how far a rollout is, until it ends.

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use nomad_api::client::QueryOptions;
use nomad_core::deployment::{Deployment, DeploymentStatus};

use super::{MAX_ERRORS, MAX_WAIT, error_pause};
use crate::commands::shared::{alloc_table, deployed_table, deployment_lines};
use crate::context::{Context, now};
use crate::format::{short_id, time};

/// Pause before a failed deployment's revert is looked for.
const REVERT_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Where the state of a deployment is shown.
enum Screen {
    /// A region that is drawn anew.
    Terminal(ProgressBar),
    /// Every state under the one before.
    Plain,
}

impl Screen {
    fn new(context: &Context) -> Self {
        if !context.ui.is_terminal() {
            return Self::Plain;
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        Self::Terminal(bar)
    }

    fn show(&self, context: &Context, id: &str, state: &str) {
        match self {
            Self::Terminal(bar) => {
                let state = indent(state);
                bar.set_message(format!("Deployment {id:?} in progress...\n{state}"));
            }
            Self::Plain => context.ui.out(format!("    \n{state}")),
        }
    }

    fn finish(self, context: &Context, id: &str, status: DeploymentStatus, state: &str) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
            let mark = if status == DeploymentStatus::Successful {
                "✓"
            } else {
                "!"
            };
            let state = indent(state);
            context
                .ui
                .out(format!("  {mark} Deployment {id:?} {status}\n{state}"));
        }
    }
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Follows a deployment, and the revert of a failed one; gives the exit code.
pub async fn monitor_deployment(context: &Context, id: &str, verbose: bool) -> Result<i32> {
    let mut id = id.to_owned();
    loop {
        let deployment = follow(context, &id, verbose).await?;
        let reverts = deployment.status == DeploymentStatus::Failed
            && deployment
                .task_groups
                .values()
                .any(|group| group.auto_revert);
        if reverts {
            tokio::time::sleep(REVERT_PAUSE).await;
            let options = context.in_namespace(&deployment.namespace);
            let newest = context
                .client
                .job_latest_deployment(&deployment.job_id, &options)
                .await;
            if let Ok((Some(newest), _)) = newest
                && newest.id != deployment.id
            {
                id = newest.id.to_string();
                continue;
            }
        }
        return Ok(i32::from(deployment.status != DeploymentStatus::Successful));
    }
}

async fn follow(context: &Context, id: &str, verbose: bool) -> Result<Deployment> {
    let screen = Screen::new(context);
    let shown_id = short_id(id, verbose);
    let (mut index, mut errors) = (0, 0);
    let mut last = None;
    loop {
        let options = QueryOptions::new().after(index, MAX_WAIT);
        let deployment = match context.client.deployment(id, &options).await {
            Ok((deployment, meta)) => {
                errors = 0;
                index = meta.index;
                deployment
            }
            Err(error) if error.is_not_found() || errors >= MAX_ERRORS => {
                return Err(error).context("Error fetching deployment");
            }
            Err(_) => {
                errors += 1;
                tokio::time::sleep(error_pause(errors)).await;
                continue;
            }
        };
        // An index may move on without anything to see.
        if last.as_ref() != Some(&deployment) {
            let state = state(context, &deployment, verbose).await;
            screen.show(context, &shown_id, &state);
            last = Some(deployment.clone());
            if !deployment.active() {
                screen.finish(context, &shown_id, deployment.status, &state);
                return Ok(deployment);
            }
        }
    }
}

async fn state(context: &Context, deployment: &Deployment, verbose: bool) -> String {
    let mut text = format!(
        "{}\n{}\n\n{}\n{}",
        time(now()),
        deployment_lines(deployment, verbose),
        context.ui.bold("Deployed"),
        deployed_table(deployment)
    );
    if verbose {
        let id = deployment.id.to_string();
        let allocs = context
            .client
            .deployment_allocations(&id, &QueryOptions::new())
            .await;
        if let Ok((allocs, _)) = allocs {
            text.push_str(&format!(
                "\n\n{}\n{}",
                context.ui.bold("Allocations"),
                alloc_table(&allocs, verbose, now())
            ));
        }
    }
    text
}
