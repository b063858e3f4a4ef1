//! `job plan`: what registering a job would do.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::types::{JobPlanRequest, JobPlanResponse};
use nomad_core::Nanos;
use serde_json::Value;

use super::job_run::{of_job, print_warnings};
use super::shared::{metric_lines, row};
use crate::command::Verb;
use crate::context::{Context, now};
use crate::format::{self, JobDiff, clock, job_diff, short_id, table};
use crate::job_file::JobFileFlags;

/// Exit code where allocations would be made, stopped or replaced.
const CHANGES: i32 = 1;
/// From this many preempted allocations on, only their counts are shown.
const MANY_PREEMPTIONS: usize = 10;

/// Flags of `job plan`.
#[derive(Debug, Args)]
pub struct JobPlan {
    /// Whether to show the difference to the running version.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub diff: bool,
    /// Also show what each node says to the first placement of each group, and why.
    #[arg(long)]
    pub explain: bool,
    /// Override soft policies.
    #[arg(long)]
    pub policy_override: bool,
    /// Vault namespace of the job's secrets.
    #[arg(long, value_name = "namespace")]
    pub vault_namespace: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json_output: bool,
    /// Print the answer by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    /// Show everything that differs, and whole ids.
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub file: JobFileFlags,
}

impl Verb for JobPlan {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows what registering the job of a job file would change, without changing it. \
        Exit code 0: no allocation would be touched; 1: some would; 255: an error.";

    async fn run(self, context: Context) -> Result<i32> {
        let path = context.arg(0).to_owned();
        let mut job = self.file.load(&path)?.job;
        if let Some(namespace) = &self.vault_namespace {
            job.vault_namespace = Some(namespace.clone());
        }
        let options = of_job(&context, &job);
        let id = job.id.clone().unwrap_or_default();
        let zone = job
            .periodic
            .as_ref()
            .and_then(|periodic| periodic.time_zone.clone())
            .unwrap_or_default();
        let system = job.job_type.as_deref() == Some("system");
        let request = JobPlanRequest {
            job: Some(job),
            diff: self.diff,
            policy_override: self.policy_override,
            explain: self.explain,
            ..JobPlanRequest::default()
        };
        let plan = context
            .client
            .plan_job(&id, &request, &options)
            .await
            .context("Error during plan")?;
        if self.json_output || self.t.is_some() {
            let value = serde_json::to_value(&plan)?;
            super::shared::print_object(&context, value, self.t.as_deref())?;
            return Ok(exit_code(&plan));
        }
        self.show(&context, &plan, system, &zone);
        footer(&context, &self.file, plan.job_modify_index, &path);
        Ok(exit_code(&plan))
    }
}

impl JobPlan {
    fn show(&self, context: &Context, plan: &JobPlanResponse, system: bool, zone: &str) {
        let diff = plan
            .diff
            .clone()
            .and_then(|diff| serde_json::from_value::<JobDiff>(diff).ok());
        if let Some(diff) = diff.filter(|_| self.diff) {
            context
                .ui
                .out(format!("{}\n", job_diff(&diff, self.verbose, context.ui)));
        }
        context.ui.out(context.ui.bold("Scheduler dry-run:"));
        for line in dry_run(plan, system, zone) {
            context.ui.out(line);
        }
        context.ui.out("");
        if self.explain {
            context.ui.out(context.ui.bold("Nodes:"));
            for line in super::explain::lines(&plan.explanations, self.verbose) {
                context.ui.out(line);
            }
            context.ui.out("");
        }
        print_warnings(context, &plan.warnings);
        let preempted = plan
            .annotations
            .as_ref()
            .map_or(&[][..], |annotations| &annotations.preempted_allocs);
        if !preempted.is_empty() {
            context.ui.out(format!(
                "{}\n{}\n",
                context.ui.bold("Preemptions:"),
                preemptions(preempted, self.verbose)
            ));
        }
    }
}

/// 1 where a plan does more than updates in place.
fn exit_code(plan: &JobPlanResponse) -> i32 {
    let changes = plan.annotations.as_ref().is_some_and(|annotations| {
        annotations.desired_tg_updates.values().any(|group| {
            group.stop + group.place + group.migrate + group.destructive_update + group.canary > 0
        })
    });
    if changes { CHANGES } else { 0 }
}

fn dry_run(plan: &JobPlanResponse, system: bool, zone: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.failed_tg_allocs.is_empty() {
        lines.push("- All tasks successfully allocated.".to_owned());
    } else {
        lines.push(if system {
            "- WARNING: Failed to place allocations on all nodes.".to_owned()
        } else {
            "- WARNING: Failed to place all allocations.".to_owned()
        });
        for (group, metric) in &plan.failed_tg_allocs {
            let count = metric.coalesced_failures + 1;
            let plural = if count == 1 { "" } else { "s" };
            lines.push(format!(
                "  Task Group {group:?} (failed to place {count} allocation{plural}):"
            ));
            lines.extend(metric_lines(metric, false, "    "));
            lines.push(String::new());
        }
        lines.pop();
    }
    if let Some(next) = plan
        .created_evals
        .iter()
        .find(|eval| eval.triggered_by == nomad_core::eval::EvalTrigger::RollingUpdate)
    {
        let wait = if next.wait_until.is_zero() {
            next.wait
        } else {
            Nanos(next.wait_until.since(now()).0.max(0))
        };
        lines.push(format!(
            "- Rolling update, next evaluation will be in {}.",
            format::span(wait)
        ));
    }
    let next = plan.next_periodic_launch;
    if !next.is_zero() {
        lines.push(format!(
            "- If submitted now, next periodic launch would be at {} ({} from now).",
            clock(next, zone),
            format::span(next.since(now()))
        ));
    }
    lines
}

fn preemptions(allocs: &[Value], verbose: bool) -> String {
    let text = |alloc: &Value, key: &str| alloc[key].as_str().unwrap_or("").to_owned();
    if allocs.len() < MANY_PREEMPTIONS {
        let mut rows = vec![row(["Alloc ID", "Job ID", "Task Group"])];
        rows.extend(allocs.iter().map(|alloc| {
            vec![
                short_id(&text(alloc, "ID"), verbose),
                text(alloc, "JobID"),
                text(alloc, "TaskGroup"),
            ]
        }));
        return table(&rows);
    }
    let mut jobs = std::collections::BTreeMap::<[String; 3], usize>::new();
    for alloc in allocs {
        let key = ["JobID", "Namespace", "JobType"].map(|key| text(alloc, key));
        *jobs.entry(key).or_default() += 1;
    }
    if jobs.len() < MANY_PREEMPTIONS {
        let mut rows = vec![row(["Job ID", "Namespace", "Job Type", "Preemptions"])];
        rows.extend(jobs.into_iter().map(|(key, count)| {
            let mut cells = key.to_vec();
            cells.push(count.to_string());
            cells
        }));
        return table(&rows);
    }
    let mut types = std::collections::BTreeMap::<String, usize>::new();
    for ([_, _, kind], count) in jobs {
        *types.entry(kind).or_default() += count;
    }
    let mut rows = vec![row(["Job Type", "Preemptions"])];
    rows.extend(
        types
            .into_iter()
            .map(|(kind, count)| vec![kind, count.to_string()]),
    );
    table(&rows)
}

/// How to submit exactly this plan.
fn footer(context: &Context, file: &JobFileFlags, index: u64, path: &str) {
    let mut command = format!("nomad job run -check-index {index} ");
    for var in &file.var {
        command.push_str(&format!("-var={var:?} "));
    }
    for name in &file.var_file {
        command.push_str(&format!("-var-file={name:?} "));
    }
    if file.json {
        command.push_str("-json ");
    }
    if !file.hcl2_strict {
        command.push_str("-hcl2-strict=false ");
    }
    command.push_str(path);
    context.ui.out(format!(
        "Job Modify Index: {index}\n\
         To submit the job with version verification run:\n\n\
         {command}\n\n\
         With -check-index the job is registered only if the servers still have the\n\
         version that this plan was made against: its job modify index must be the one\n\
         above. If somebody has changed the job since, nothing is changed, and this plan is\n\
         potentially invalid."
    ));
}
