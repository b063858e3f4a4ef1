//! `alloc stop`, `alloc restart`, `alloc signal` and `alloc checks`.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::{AllocRestartRequest, AllocSignalRequest};
use serde_json::Value;

use super::alloc_target;
use super::shared::print_object;
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{clock, kv};
use crate::monitor::monitor_eval;
use crate::resolve;

/// Flags of `alloc stop`.
#[derive(Debug, Args)]
pub struct AllocStop {
    /// Do not follow the evaluation; print its id.
    #[arg(long)]
    pub detach: bool,
    /// Stop without the shutdown delay.
    #[arg(long)]
    pub no_shutdown_delay: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for AllocStop {
    const ARGUMENTS: &'static str = "<allocation>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Stops an allocation and has it replaced.";

    async fn run(self, context: Context) -> Result<i32> {
        let stub = resolve::alloc(&context, context.arg(0)).await?;
        let reschedule = stub.job_type == "batch";
        let answer = context
            .client
            .stop_allocation(
                &stub.id,
                self.no_shutdown_delay,
                reschedule,
                &QueryOptions::new(),
            )
            .await
            .context("Error stopping allocation")?;
        if self.detach {
            context.ui.out(&answer.eval_id);
            return Ok(0);
        }
        monitor_eval(&context, &answer.eval_id, self.verbose).await
    }
}

/// Flags of `alloc restart`.
#[derive(Debug, Args)]
pub struct AllocRestart {
    /// Also tasks that have ended.
    #[arg(long)]
    pub all_tasks: bool,
    /// The task; all that run by default.
    #[arg(long, value_name = "task")]
    pub task: Option<String>,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for AllocRestart {
    const ARGUMENTS: &'static str = "<allocation> [task]";
    const ARITY: (usize, usize) = (1, 2);
    const ABOUT: &'static str = "Restarts tasks of an allocation in place.";

    async fn run(self, context: Context) -> Result<i32> {
        let task = named_task(&context, &self.task);
        if self.all_tasks && !task.is_empty() {
            return usage("The -all-tasks option is not allowed when restarting a specific task.");
        }
        let stub = resolve::alloc(&context, context.arg(0)).await?;
        if !task.is_empty() {
            let alloc = alloc_target::whole(&context, &stub.id).await?;
            alloc_target::task(&alloc, &task, self.verbose)?;
        }
        let request = AllocRestartRequest {
            task_name: task,
            all_tasks: self.all_tasks,
        };
        context
            .client
            .restart_allocation(&stub.id, &request, &QueryOptions::new())
            .await
            .context("Failed to restart allocation")?;
        Ok(0)
    }
}

/// Flags of `alloc signal`.
#[derive(Debug, Args)]
pub struct AllocSignal {
    /// The signal.
    #[arg(long, value_name = "signal", default_value = "SIGKILL")]
    pub s: String,
    /// The task; all by default.
    #[arg(long, value_name = "task")]
    pub task: Option<String>,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for AllocSignal {
    const ARGUMENTS: &'static str = "<allocation> [task]";
    const ARITY: (usize, usize) = (1, 2);
    const ABOUT: &'static str = "Sends a signal to the tasks of an allocation.";

    async fn run(self, context: Context) -> Result<i32> {
        let task = named_task(&context, &self.task);
        let stub = resolve::alloc(&context, context.arg(0)).await?;
        if !task.is_empty() {
            let alloc = alloc_target::whole(&context, &stub.id).await?;
            alloc_target::task(&alloc, &task, self.verbose)?;
        }
        let request = AllocSignalRequest {
            task,
            signal: self.s.clone(),
        };
        context
            .client
            .signal_allocation(&stub.id, &request, &QueryOptions::new())
            .await
            .context("Error signalling allocation")?;
        Ok(0)
    }
}

/// The task as the second argument or the flag names it.
fn named_task(context: &Context, flag: &Option<String>) -> String {
    match context.arg(1) {
        "" => flag.clone().unwrap_or_default(),
        task => task.to_owned(),
    }
}

/// Flags of `alloc checks`.
#[derive(Debug, Args)]
pub struct AllocChecks {
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for AllocChecks {
    const ARGUMENTS: &'static str = "<allocation>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows the checks of an allocation's services.";

    async fn run(self, context: Context) -> Result<i32> {
        let stub = resolve::alloc(&context, context.arg(0)).await?;
        let checks = context
            .client
            .allocation_checks(&stub.id, &QueryOptions::new())
            .await
            .context("Error querying allocation checks")?;
        if self.json || self.t.is_some() {
            return print_object(&context, Value::Object(checks), self.t.as_deref());
        }
        context
            .ui
            .out(format!("Status of {} Nomad Service Checks\n", checks.len()));
        for check in checks.values() {
            let text = |key: &str| check[key].as_str().unwrap_or("").to_owned();
            let task = match text("Task") {
                task if task.is_empty() => "(group)".to_owned(),
                task => task,
            };
            let at = nomad_core::Timestamp::from_secs(check["Timestamp"].as_i64().unwrap_or(0));
            let mut lines = vec![
                ("ID", text("ID")),
                ("Name", text("Check")),
                ("Group", text("Group")),
                ("Task", task),
                ("Service", text("Service")),
                ("Status", text("Status")),
            ];
            if let Some(code) = check["StatusCode"].as_i64().filter(|code| *code > 0) {
                lines.push(("StatusCode", code.to_string()));
            }
            lines.extend([
                ("Mode", text("Mode")),
                ("Timestamp", clock(at, "UTC")),
                ("Output", text("Output")),
            ]);
            context.ui.out(format!("{}\n", kv(&lines)));
        }
        Ok(0)
    }
}
