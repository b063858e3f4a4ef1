//! `job stop`.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::StopOptions;

use crate::command::Verb;
use crate::context::{Context, usage};
use crate::monitor::monitor_eval;
use crate::resolve::{self, JobRef};

/// Flags of `job stop`.
#[derive(Debug, Args)]
pub struct JobStop {
    /// Do not follow the evaluation; print its id.
    #[arg(long)]
    pub detach: bool,
    /// Priority of the evaluation, 1 to 100.
    #[arg(long, value_name = "priority", default_value_t = 0)]
    pub eval_priority: i32,
    /// Stop a federated job in every region.
    #[arg(long)]
    pub global: bool,
    /// Stop tasks without their shutdown delay.
    #[arg(long)]
    pub no_shutdown_delay: bool,
    /// Remove the job from the state at once.
    #[arg(long)]
    pub purge: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobStop {
    const ARGUMENTS: &'static str = "<job>...";
    const ARITY: (usize, usize) = (1, usize::MAX);
    const ABOUT: &'static str = "Stops jobs and follows what comes of it. A job is kept, and can be started again, \
        until it is collected; -purge removes it at once. A prefix of an id asks before it stops the job.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.eval_priority != 0 && !(1..=100).contains(&self.eval_priority) {
            return usage("-eval-priority must be between 1 and 100");
        }
        let single = context.args.len() == 1;
        let stops = context
            .args
            .iter()
            .map(|text| self.stop(&context, text, single));
        let mut code = 0;
        for result in futures::future::join_all(stops).await {
            match result {
                Ok(one) => code = code.max(one),
                Err(error) => {
                    context.ui.error(format!("{error:#}"));
                    code = 1;
                }
            }
        }
        Ok(code)
    }
}

impl JobStop {
    async fn stop(&self, context: &Context, text: &str, ask: bool) -> Result<i32> {
        let job = resolve::job(context, text).await?;
        if ask && !self.yes && job.id != text && !confirmed(context, &job)? {
            return Ok(0);
        }
        let options = StopOptions {
            purge: self.purge,
            global: self.global,
            no_shutdown_delay: self.no_shutdown_delay,
            eval_priority: self.eval_priority,
        };
        let answer = context
            .client
            .deregister_job(&job.id, options, &context.in_namespace(&job.namespace))
            .await
            .context("Error deregistering job")?;
        // Periodic and parameterized jobs have no evaluation.
        if answer.eval_id.is_empty() {
            return Ok(0);
        }
        if self.detach {
            context.ui.out(&answer.eval_id);
            return Ok(0);
        }
        monitor_eval(context, &answer.eval_id, self.verbose).await
    }
}

fn confirmed(context: &Context, job: &JobRef) -> Result<bool> {
    crate::commands::shared::confirm(
        context,
        &format!(
            "Are you sure you want to stop job {:?} in namespace {:?}? [y/N]",
            job.id, job.namespace
        ),
        "Cancelling job stop",
    )
}
