//! `job restart`: restarts or replaces a job's allocations, batch by batch.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::{AllocListStub, AllocRestartRequest};
use nomad_core::job::Job;
use nomad_core::time::parse_go_duration;

use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{short_id, time};
use crate::monitor::monitor_eval;
use crate::resolve;

/// Flags of `job restart`.
#[derive(Debug, Args)]
pub struct JobRestart {
    /// Also tasks that have ended.
    #[arg(long)]
    pub all_tasks: bool,
    /// How many allocations at once: a number, or a percentage.
    #[arg(long, value_name = "n|n%", default_value = "1")]
    pub batch_size: String,
    /// How long to wait between batches, or "ask".
    #[arg(long, value_name = "duration|ask", default_value = "0s")]
    pub batch_wait: String,
    /// Only this group. May be given several times.
    #[arg(long, value_name = "group")]
    pub group: Vec<String>,
    /// With -reschedule: stop without the shutdown delay.
    #[arg(long)]
    pub no_shutdown_delay: bool,
    /// What to do when a batch fails: "ask" or "fail".
    #[arg(long, value_name = "action", default_value = "ask")]
    pub on_error: String,
    /// Replace allocations instead of restarting their tasks in place.
    #[arg(long)]
    pub reschedule: bool,
    /// Only this task. May be given several times.
    #[arg(long, value_name = "task")]
    pub task: Vec<String>,
    /// Answer every question with yes.
    #[arg(long)]
    pub yes: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

/// How many allocations a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchSize {
    Count(usize),
    Percent(usize),
}

impl BatchSize {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(text) => {
                let percent = text.parse().ok()?;
                (1..=100)
                    .contains(&percent)
                    .then_some(Self::Percent(percent))
            }
            None => text.parse().ok().filter(|n| *n > 0).map(Self::Count),
        }
    }

    fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => (total * percent).div_ceil(100).max(1),
        }
    }
}

/// What happens between batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    Ask,
    For(Duration),
}

impl Verb for JobRestart {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Restarts the tasks of a job's allocations in place, or replaces the allocations, a \
        batch after the other.";

    async fn run(self, context: Context) -> Result<i32> {
        let Some(size) = BatchSize::parse(&self.batch_size) else {
            return usage(format!("Invalid -batch-size value {:?}", self.batch_size));
        };
        let pause = match self.batch_wait.as_str() {
            "ask" => Pause::Ask,
            text => match parse_go_duration(text) {
                Some(span) => Pause::For(span.to_std()),
                None => return usage(format!("Invalid -batch-wait value {text:?}")),
            },
        };
        if !matches!(self.on_error.as_str(), "ask" | "fail") {
            return usage("-on-error must be \"ask\" or \"fail\"");
        }
        if !self.task.is_empty() && (self.all_tasks || self.reschedule) {
            return usage("-task cannot be used with -all-tasks or -reschedule");
        }
        let asks = pause == Pause::Ask || self.on_error == "ask";
        if asks && !self.yes && !context.ui.is_terminal() && pause == Pause::Ask {
            return usage("-batch-wait=ask needs a terminal, or -yes");
        }
        let found = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&found.namespace);
        let (job, _) = context
            .client
            .job(&found.id, &options)
            .await
            .context("Error querying job")?;
        self.check(&context, &job, &options).await?;
        let (allocs, _) = context
            .client
            .job_allocations(&found.id, true, &options)
            .await
            .context("Error retrieving allocations")?;
        let allocs: Vec<AllocListStub> = allocs
            .into_iter()
            .filter(|alloc| self.concerns(alloc))
            .collect();
        if allocs.is_empty() {
            context.ui.out("No allocations to restart");
            return Ok(0);
        }
        self.batches(&context, &allocs, size.of(allocs.len()), pause)
            .await
    }
}

impl JobRestart {
    async fn check(&self, context: &Context, job: &Job, options: &QueryOptions) -> Result<()> {
        if job.stop {
            bail!("Job {:?} is stopped", job.id.as_str());
        }
        if self.reschedule && job.job_type == nomad_core::job::JobType::Sysbatch {
            bail!("Sysbatch jobs cannot be rescheduled");
        }
        for group in &self.group {
            if job.group(group).is_none() {
                bail!("Job {:?} has no group {group:?}", job.id.as_str());
            }
        }
        let (latest, _) = context
            .client
            .job_latest_deployment(&job.id, options)
            .await
            .context("Error retrieving deployments")?;
        if latest.is_some_and(|deployment| deployment.active()) {
            bail!(
                "Job {:?} has an active deployment; wait until it has ended",
                job.id.as_str()
            );
        }
        Ok(())
    }

    fn concerns(&self, alloc: &AllocListStub) -> bool {
        let task_runs = self.task.is_empty()
            || alloc
                .task_states
                .as_ref()
                .is_some_and(|states| self.task.iter().any(|task| states.contains_key(task)));
        alloc.client_status == "running"
            && alloc.desired_status == "run"
            && (self.group.is_empty() || self.group.contains(&alloc.task_group))
            && task_runs
    }

    async fn batches(
        &self,
        context: &Context,
        allocs: &[AllocListStub],
        size: usize,
        pause: Pause,
    ) -> Result<i32> {
        let heading = |text: String| context.ui.out(format!("==> {}: {text}", time(now())));
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        heading(format!(
            "Restarting {} allocation{}",
            allocs.len(),
            plural(allocs.len())
        ));
        let mut failed = false;
        for (at, batch) in allocs.chunks(size).enumerate() {
            if at > 0 {
                match pause {
                    Pause::For(span) if !span.is_zero() => {
                        heading(format!(
                            "Waiting {} before restarting the next batch",
                            nomad_core::Nanos::from_std(span)
                        ));
                        tokio::time::sleep(span).await;
                    }
                    Pause::Ask if !self.yes => {
                        let answer = context.ui.ask("Proceed with the next batch? [Y/n]")?;
                        if answer.to_lowercase().starts_with('n') {
                            break;
                        }
                    }
                    _ => {}
                }
            }
            if size > 1 {
                heading(format!(
                    "Restarting {} batch of {} allocations",
                    ordinal(at + 1),
                    batch.len()
                ));
            }
            let results =
                futures::future::join_all(batch.iter().map(|alloc| self.restart(context, alloc)))
                    .await;
            for error in results.into_iter().filter_map(Result::err) {
                failed = true;
                context.ui.error(format!("{error:#}"));
            }
            if failed && !self.goes_on(context)? {
                break;
            }
        }
        let with = if failed { " with errors" } else { "" };
        heading(format!("Job restart finished{with}"));
        if failed {
            return Ok(1);
        }
        context.ui.out("\nJob restarted successfully!");
        Ok(0)
    }

    /// Whether to go on after an error.
    fn goes_on(&self, context: &Context) -> Result<bool> {
        if self.on_error == "fail" || !(self.yes || context.ui.is_terminal()) {
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        let answer = context.ui.ask("Ignore the error and go on? [y/N]")?;
        Ok(answer.to_lowercase().starts_with('y'))
    }

    async fn restart(&self, context: &Context, alloc: &AllocListStub) -> Result<()> {
        let id = short_id(&alloc.id, self.verbose);
        let group = &alloc.task_group;
        let detail = |text: String| context.ui.out(format!("    {}: {text}", time(now())));
        let options = QueryOptions::new();
        let fail = || format!("Error restarting allocation {id:?}");
        if self.reschedule {
            detail(format!(
                "Rescheduling allocation {id:?} for group {group:?}"
            ));
            let answer = context
                .client
                .stop_allocation(&alloc.id, self.no_shutdown_delay, true, &options)
                .await
                .with_context(fail)?;
            if monitor_eval(context, &answer.eval_id, self.verbose).await? != 0 {
                bail!("{}", fail());
            }
            return Ok(());
        }
        let mut requests = Vec::new();
        if self.task.is_empty() {
            let what = if self.all_tasks {
                "all tasks"
            } else {
                "running tasks"
            };
            detail(format!(
                "Restarting {what} in allocation {id:?} for group {group:?}"
            ));
            requests.push(AllocRestartRequest {
                task_name: String::new(),
                all_tasks: self.all_tasks,
            });
        }
        let has = |task: &&String| {
            alloc
                .task_states
                .as_ref()
                .is_some_and(|states| states.contains_key(*task))
        };
        for task in self.task.iter().filter(has) {
            detail(format!(
                "Restarting task {task:?} in allocation {id:?} for group {group:?}"
            ));
            requests.push(AllocRestartRequest {
                task_name: task.clone(),
                all_tasks: false,
            });
        }
        for request in requests {
            context
                .client
                .restart_allocation(&alloc.id, &request, &options)
                .await
                .with_context(fail)?;
        }
        Ok(())
    }
}

fn ordinal(n: usize) -> String {
    let suffix = match (n % 10, n % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_or_shared_out() {
        assert_eq!(BatchSize::parse("3").unwrap().of(10), 3);
        assert_eq!(BatchSize::parse("25%").unwrap().of(10), 3);
        assert_eq!(BatchSize::parse("1%").unwrap().of(1), 1);
        for bad in ["0", "0%", "101%", "x", "-1"] {
            assert_eq!(BatchSize::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ordinals_read_well() {
        let words: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21].map(ordinal).into();
        assert_eq!(words.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st");
    }
}
