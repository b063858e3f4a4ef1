//! `job status`: all jobs, or one with everything about it.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_core::deployment::Deployment;
use nomad_core::eval::{EvalStatus, Evaluation};
use nomad_core::job::Job;
use nomad_core::summary::JobSummary;
use serde_json::{Value, json};

use super::shared::{
    alloc_table, deployed_table, job_status, job_table, metric_lines, placement_failures, row,
};
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{self, ago, clock, kv, short_id, table, time};
use crate::resolve::{self, JobRef, found};

/// Flags of `job status`.
#[derive(Debug, Clone, Args)]
pub struct JobStatus {
    /// Also show allocations of an earlier job of the same id.
    #[arg(long)]
    pub all_allocs: bool,
    /// Show the job's evaluations.
    #[arg(long)]
    pub evals: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Only the job's own lines.
    #[arg(long)]
    pub short: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for JobStatus {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str =
        "Lists jobs, or shows one: its groups, evaluations, latest deployment and allocations.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        if context.args.is_empty() {
            return self.list(&context).await;
        }
        let job = resolve::job(&context, context.arg(0)).await?;
        if self.json || self.t.is_some() {
            let value = json!([document(&context, &job, self.all_allocs).await?]);
            return super::shared::print_object(&context, value, self.t.as_deref());
        }
        self.show(&context, &job).await
    }
}

impl JobStatus {
    async fn list(&self, context: &Context) -> Result<i32> {
        let (jobs, _) = context
            .client
            .jobs(&QueryOptions::new())
            .await
            .context("Error querying jobs")?;
        if self.json || self.t.is_some() {
            let mut documents = Vec::new();
            for job in &jobs {
                let job = JobRef {
                    id: job.id.clone(),
                    namespace: job.namespace.clone(),
                };
                documents.push(document(context, &job, self.all_allocs).await?);
            }
            return super::shared::print_object(context, documents.into(), self.t.as_deref());
        }
        if jobs.is_empty() {
            context.ui.out("No running jobs");
        } else {
            let every_namespace = context.config.namespace == "*";
            context.ui.out(job_table(&jobs, every_namespace));
        }
        context.hint("View and manage Nomad jobs", "/jobs").await;
        Ok(0)
    }

    async fn show(&self, context: &Context, found_job: &JobRef) -> Result<i32> {
        let options = context.in_namespace(&found_job.namespace);
        let (job, _) = context
            .client
            .job(&found_job.id, &options)
            .await
            .context("Error querying job")?;
        let periodic = job.is_periodic();
        let parameterized = job.is_parameterized();
        let mut lines = vec![
            ("ID", job.id.to_string()),
            ("Name", job.name.clone()),
            ("Submit Date", time(job.submit_time)),
            ("Type", job.job_type.to_string()),
            ("Priority", job.priority.to_string()),
            ("Datacenters", job.datacenters.join(",")),
            ("Namespace", job.namespace.to_string()),
            ("Node Pool", job.node_pool.clone()),
            ("Status", job_status(job.status.as_str(), job.stop)),
            ("Periodic", periodic.to_string()),
            ("Parameterized", parameterized.to_string()),
        ];
        if !job.dispatch_idempotency_token.is_empty() {
            lines.push(("Idempotency Token", job.dispatch_idempotency_token.clone()));
        }
        if periodic && !parameterized {
            lines.push(("Next Periodic Launch", next_launch(context, &job).await));
        }
        context.ui.out(kv(&lines));
        if !self.short {
            self.parts(context, &job, &options).await?;
        }
        let path = format!("/jobs/{}@{}", job.id, job.namespace);
        context.hint("View job details and metrics", &path).await;
        Ok(0)
    }

    async fn parts(&self, context: &Context, job: &Job, options: &QueryOptions) -> Result<()> {
        let summary = found(context.client.job_summary(&job.id, options).await)
            .context("Error querying job summary")?
            .map(|(summary, _)| summary);
        if job.is_periodic() || job.is_parameterized() {
            if let Some(summary) = &summary {
                children(context, job, summary);
            }
            return launched(context, job, options).await;
        }
        if let Some(summary) = &summary {
            context.ui.section("Summary", summary_table(summary));
        }
        let client = &context.client;
        let (evals, _) = client
            .job_evaluations(&job.id, options)
            .await
            .context("Error querying job evaluations")?;
        let (deployment, _) = client
            .job_latest_deployment(&job.id, options)
            .await
            .context("Error querying latest job deployment")?;
        let (allocs, _) = client
            .job_allocations(&job.id, self.all_allocs, options)
            .await
            .context("Error querying job allocations")?;
        if self.evals {
            context
                .ui
                .section("Evaluations", evaluations(&evals, self.verbose));
        }
        placement_failure(context, &evals, self.verbose);
        rescheduling(context, job, &allocs, self.verbose).await;
        if let Some(deployment) = deployment {
            latest_deployment(context, &deployment, self.verbose);
        }
        actions(context, job, options).await;
        context
            .ui
            .section("Allocations", alloc_table(&allocs, self.verbose, now()));
        Ok(())
    }
}

fn summary_table(summary: &JobSummary) -> String {
    let mut rows = vec![row([
        "Task Group",
        "Queued",
        "Starting",
        "Running",
        "Failed",
        "Complete",
        "Lost",
        "Unknown",
    ])];
    for (group, counts) in &summary.summary {
        let mut cells = vec![group.clone()];
        cells.extend(
            [
                counts.queued,
                counts.starting,
                counts.running,
                counts.failed,
                counts.complete,
                counts.lost,
                counts.unknown,
            ]
            .map(|count| count.to_string()),
        );
        rows.push(cells);
    }
    table(&rows)
}

/// When a periodic job starts next, as a dry run of it tells.
async fn next_launch(context: &Context, job: &Job) -> String {
    if job.stop {
        return "none (job stopped)".to_owned();
    }
    let spec = serde_json::to_vec(job)
        .ok()
        .and_then(|bytes| nomad_core::spec::decode(&bytes, usize::MAX).ok());
    let request = nomad_api::types::JobPlanRequest {
        job: spec,
        ..Default::default()
    };
    let options = context.in_namespace(&job.namespace);
    let at = match context.client.plan_job(&job.id, &request, &options).await {
        Ok(plan) => plan.next_periodic_launch,
        Err(_) => return String::new(),
    };
    if at.is_zero() {
        return "none".to_owned();
    }
    let zone = job
        .periodic
        .as_ref()
        .map_or("", |periodic| periodic.time_zone.as_str());
    format!(
        "{} ({} from now)",
        clock(at, zone),
        format::span(at.since(now()))
    )
}

fn children(context: &Context, job: &Job, summary: &JobSummary) {
    let counts = summary.children.unwrap_or_default();
    let heading = if job.is_parameterized() {
        "Parameterized Job Summary"
    } else {
        "Children Job Summary"
    };
    if let Some(parameterized) = job.parameterized_job.as_ref().filter(|_| !job.dispatched) {
        context.ui.section(
            "Parameterized Job",
            kv(&[
                ("Payload", parameterized.payload.clone()),
                ("Required Metadata", parameterized.meta_required.join(", ")),
                ("Optional Metadata", parameterized.meta_optional.join(", ")),
            ]),
        );
    }
    let rows = [
        row(["Pending", "Running", "Dead"]),
        vec![
            counts.pending.to_string(),
            counts.running.to_string(),
            counts.dead.to_string(),
        ],
    ];
    context.ui.section(heading, table(&rows));
}

/// Jobs that were started from this one.
async fn launched(context: &Context, job: &Job, options: &QueryOptions) -> Result<()> {
    let (word, none, heading) = if job.is_parameterized() {
        (
            "dispatch",
            "No dispatched instances of parameterized job found",
            "Dispatched Jobs",
        )
    } else {
        (
            "periodic",
            "No instances of periodic job found",
            "Previously Launched Jobs",
        )
    };
    let options = options.clone().prefix(format!("{}/{word}-", job.id));
    let (jobs, _) = context
        .client
        .jobs(&options)
        .await
        .context("Error querying child jobs")?;
    let mut rows = vec![row(["ID", "Status"])];
    for child in jobs.iter().filter(|child| child.parent_id == *job.id) {
        rows.push(vec![
            child.id.clone(),
            job_status(&child.status, child.stop),
        ]);
    }
    if rows.len() == 1 {
        context.ui.out(format!("\n{none}"));
    } else {
        context.ui.section(heading, table(&rows));
    }
    Ok(())
}

fn evaluations(evals: &[Evaluation], verbose: bool) -> String {
    if evals.is_empty() {
        return "No evaluations found".to_owned();
    }
    let mut rows = vec![row([
        "ID",
        "Priority",
        "Triggered By",
        "Status",
        "Placement Failures",
    ])];
    let mut newest: Vec<&Evaluation> = evals.iter().collect();
    newest.sort_by_key(|eval| std::cmp::Reverse(eval.create_index));
    for eval in newest {
        rows.push(vec![
            short_id(&eval.id.to_string(), verbose),
            eval.priority.to_string(),
            eval.triggered_by.to_string(),
            eval.status.to_string(),
            placement_failures(eval),
        ]);
    }
    table(&rows)
}

/// The failures of the latest evaluation, if it is blocked on them.
fn placement_failure(context: &Context, evals: &[Evaluation], verbose: bool) {
    let mut newest: Vec<&Evaluation> = evals.iter().collect();
    newest.sort_by_key(|eval| std::cmp::Reverse(eval.create_index));
    let blocked = newest.iter().any(|eval| eval.status == EvalStatus::Blocked);
    let failed = newest.iter().find(|eval| !eval.failed_tg_allocs.is_empty());
    let (true, Some(failed)) = (blocked, failed) else {
        return;
    };
    let groups: Vec<String> = failed
        .failed_tg_allocs
        .iter()
        .map(|(group, metric)| {
            let mut lines = vec![format!("Task Group {group:?}:")];
            lines.extend(metric_lines(metric, verbose, "  "));
            lines.join("\n")
        })
        .collect();
    context.ui.section("Placement Failure", groups.join("\n\n"));
}

/// When failed allocations are tried again.
async fn rescheduling(
    context: &Context,
    job: &Job,
    allocs: &[nomad_api::types::AllocListStub],
    verbose: bool,
) {
    let mut rows = vec![row(["Task Group", "Eval ID", "Eval Time"])];
    if verbose {
        rows[0].insert(1, "Reschedule Policy".to_owned());
    }
    for alloc in allocs {
        if alloc.followup_eval_id.is_empty() || !alloc.next_allocation.is_empty() {
            continue;
        }
        let eval = context
            .client
            .evaluation(&alloc.followup_eval_id, &QueryOptions::new())
            .await;
        let Ok((eval, _)) = eval else { continue };
        if eval.wait_until.is_zero() || eval.wait_until < now() {
            continue;
        }
        let mut cells = vec![
            alloc.task_group.clone(),
            short_id(&alloc.followup_eval_id, verbose),
            ago(eval.wait_until, now()),
        ];
        if verbose {
            let policy = job
                .group(&alloc.task_group)
                .and_then(|group| group.reschedule_policy.as_ref())
                .map(|policy| {
                    if policy.unlimited {
                        format!(
                            "unlimited with {} delay, max_delay = {}",
                            policy.delay_function, policy.max_delay
                        )
                    } else {
                        format!(
                            "{} in {} with {} delay, max_delay = {}",
                            policy.attempts,
                            policy.interval,
                            policy.delay_function,
                            policy.max_delay
                        )
                    }
                });
            cells.insert(1, policy.unwrap_or_default());
        }
        rows.push(cells);
    }
    if rows.len() > 1 {
        context
            .ui
            .section("Future Rescheduling Attempts", table(&rows));
    }
}

fn latest_deployment(context: &Context, deployment: &Deployment, verbose: bool) {
    let lines = kv(&[
        ("ID", short_id(&deployment.id.to_string(), verbose)),
        ("Status", deployment.status.to_string()),
        ("Description", deployment.status_description.clone()),
    ]);
    context.ui.section("Latest Deployment", lines);
    if !deployment.task_groups.is_empty() {
        context.ui.section("Deployed", deployed_table(deployment));
    }
}

async fn actions(context: &Context, job: &Job, options: &QueryOptions) {
    let Ok((actions, _)) = context.client.job_actions(&job.id, options).await else {
        return;
    };
    if actions.is_empty() {
        return;
    }
    let mut rows = vec![row(["Action Name", "Task Group", "Task"])];
    for action in actions {
        rows.push(vec![action.name, action.task_group_name, action.task_name]);
    }
    context.ui.section("Actions", table(&rows));
}

/// What `-json` shows of a job.
async fn document(context: &Context, job: &JobRef, all_allocs: bool) -> Result<Value> {
    let options = context.in_namespace(&job.namespace);
    let read = async |rest: &str| -> Result<Value> {
        let mut path = context.client.job_path(&job.id, rest);
        if all_allocs && rest == "/allocations" {
            path.push_str("?all=true");
        }
        Ok(found(context.client.get::<Value>(&path, &options).await)
            .context("Error querying job")?
            .map_or(Value::Null, |(value, _)| value))
    };
    Ok(json!({
        "Allocations": read("/allocations").await?,
        "Evaluations": read("/evaluations").await?,
        "LatestDeployment": read("/deployment").await?,
        "Summary": read("/summary").await?,
    }))
}
