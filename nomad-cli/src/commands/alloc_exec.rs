//! `alloc exec` and `job action`: commands inside running tasks.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::ExecRequest;

use super::alloc_target;
use crate::argv::go_bool;
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::terminal::{Attach, attach};

/// Flags of `alloc exec`.
#[derive(Debug, Args)]
pub struct AllocExec {
    /// Whether stdin is sent to the command.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub i: bool,
    /// Whether the command gets a terminal; by default where stdin and stdout are terminals.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub t: Option<String>,
    #[arg(long, hide = true)]
    pub it: bool,
    #[arg(long, hide = true)]
    pub ti: bool,
    /// Escape character; at the start of a line and followed by a full stop it disconnects. "none" disables it.
    #[arg(long, value_name = "char", default_value = "~")]
    pub e: String,
    /// The task; needed where there are several.
    #[arg(long, value_name = "task", default_value = "")]
    pub task: String,
    /// Group to take the allocation of, with -job.
    #[arg(long, value_name = "group", default_value = "")]
    pub group: String,
    /// The argument is a job: one of its allocations is taken.
    #[arg(long)]
    pub job: bool,
}

impl Verb for AllocExec {
    const ARGUMENTS: &'static str = "<allocation> <command> [<args>...]";
    const ARITY: (usize, usize) = (1, usize::MAX);
    const ABOUT: &'static str =
        "Runs a command inside a task of a running allocation; exits with the command's code.";

    async fn run(self, context: Context) -> Result<i32> {
        let command: Vec<String> = context.args[1..].to_vec();
        if command.is_empty() {
            return usage("A command is required");
        }
        let tty = if self.it || self.ti {
            Some(true)
        } else {
            self.t.as_deref().and_then(go_bool)
        };
        let how = Attach::new(self.i, tty, &self.e).or_else(usage)?;
        let alloc = alloc_target::find(&context, context.arg(0), self.job, &self.group).await?;
        let task = alloc_target::task(&alloc, &self.task, false)?;
        let request = ExecRequest {
            task,
            command,
            tty: how.tty,
        };
        let session = context
            .client
            .alloc_exec(&alloc.id.to_string(), &request)
            .await
            .context("failed to exec into task")?;
        attach(context.ui, how, session).await
    }
}

/// Flags of `job action`.
#[derive(Debug, Args)]
pub struct JobAction {
    /// The job; needed.
    #[arg(long, value_name = "job", default_value = "")]
    pub job: String,
    /// The allocation; one of the group's is taken without it.
    #[arg(long, value_name = "allocation", default_value = "")]
    pub alloc: String,
    /// The group.
    #[arg(long, value_name = "group", default_value = "")]
    pub group: String,
    /// The task.
    #[arg(long, value_name = "task", default_value = "")]
    pub task: String,
    /// Whether stdin is sent to the action.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub i: bool,
    /// Whether the action gets a terminal; by default where stdin and stdout are terminals.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub t: Option<String>,
    /// Escape character; at the start of a line and followed by a full stop it disconnects. "none" disables it.
    #[arg(long, value_name = "char", default_value = "~")]
    pub e: String,
}

impl Verb for JobAction {
    const ARGUMENTS: &'static str = "<action>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str =
        "Runs an action that the job file defines for a task; exits with its code.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.job.is_empty() {
            return usage("A job is required: -job=<job>");
        }
        if self.alloc.is_empty() && (self.group.is_empty() || self.task.is_empty()) {
            return usage("Without -alloc, both -group and -task are required");
        }
        let tty = self.t.as_deref().and_then(go_bool);
        let how = Attach::new(self.i, tty, &self.e).or_else(usage)?;
        let alloc = if self.alloc.is_empty() {
            alloc_target::find(&context, &self.job, true, &self.group).await?
        } else {
            alloc_target::find(&context, &self.alloc, false, "").await?
        };
        let task = alloc_target::task(&alloc, &self.task, false)?;
        let known = alloc
            .group()
            .and_then(|group| group.task(&task))
            .is_some_and(|task| {
                task.actions
                    .iter()
                    .any(|action| action.name == context.arg(0))
            });
        if !known {
            bail!("Action {:?} not found in task {task:?}", context.arg(0));
        }
        let session = context
            .client
            .job_action(
                &alloc.job_id,
                &alloc.id.to_string(),
                &alloc.task_group,
                &task,
                context.arg(0),
                how.tty,
            )
            .await
            .context("failed to run action")?;
        attach(context.ui, how, session).await
    }
}
