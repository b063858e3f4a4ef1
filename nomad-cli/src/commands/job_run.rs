//! `job run`: registers a job and follows what comes of it.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::types::JobRegisterRequest;
use nomad_core::spec::Job;
use serde_json::json;

use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{self, clock};
use crate::job_file::JobFileFlags;
use crate::monitor::{follow_work, monitor_eval};

/// Flags of `job run`.
#[derive(Debug, Args)]
pub struct JobRun {
    /// Register only if the job's modify index is this; 0 only if there is no such job.
    #[arg(long, value_name = "index")]
    pub check_index: Option<u64>,
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Priority of the evaluation, 1 to 100.
    #[arg(long, value_name = "priority", default_value_t = 0)]
    pub eval_priority: i32,
    /// Print the job as JSON as it would be sent, and stop.
    #[arg(long)]
    pub output: bool,
    /// Override soft policies.
    #[arg(long)]
    pub policy_override: bool,
    /// Keep the counts that the running job has.
    #[arg(long)]
    pub preserve_counts: bool,
    /// Keep the resources that the running job has.
    #[arg(long)]
    pub preserve_resources: bool,
    /// Consul namespace of the job's services.
    #[arg(long, value_name = "namespace")]
    pub consul_namespace: Option<String>,
    /// Vault namespace of the job's secrets.
    #[arg(long, value_name = "namespace")]
    pub vault_namespace: Option<String>,
    /// Stay until the job is done, and end with the exit code of its work.
    #[arg(long)]
    pub wait: bool,
    /// With -wait: print what the job's tasks write meanwhile.
    #[arg(long)]
    pub logs: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    #[arg(long, hide = true)]
    pub ui: bool,
    #[command(flatten)]
    pub file: JobFileFlags,
}

impl Verb for JobRun {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Registers the job of a job file: a new one, or a new version of one that exists. \
        Follows the evaluation, and the deployment if there is one, until they end. The path \"-\" is stdin.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.eval_priority != 0 && !(1..=100).contains(&self.eval_priority) {
            return usage("-eval-priority must be between 1 and 100");
        }
        if self.logs && !self.wait {
            return usage("-logs needs -wait");
        }
        if self.wait && self.detach {
            return usage("-wait and -detach exclude each other");
        }
        let mut loaded = self.file.load(context.arg(0))?;
        let job = &mut loaded.job;
        if let Some(namespace) = &self.consul_namespace {
            job.consul_namespace = Some(namespace.clone());
        }
        if let Some(namespace) = &self.vault_namespace {
            job.vault_namespace = Some(namespace.clone());
        }
        if self.output {
            context.ui.out(format::json(&json!({"Job": job})));
            return Ok(0);
        }
        let evaluated = job.periodic.is_none() && job.parameterized_job.is_none();
        let id = job.id.clone().unwrap_or_default();
        let options = of_job(&context, job);
        let request = JobRegisterRequest {
            submission: Some(loaded.submission),
            enforce_index: self.check_index.is_some(),
            job_modify_index: self.check_index.unwrap_or(0),
            policy_override: self.policy_override,
            preserve_counts: self.preserve_counts,
            preserve_resources: self.preserve_resources,
            eval_priority: self.eval_priority,
            job: Some(loaded.job.clone()),
            ..JobRegisterRequest::default()
        };
        let answer = match context.client.register_job(&request, &options).await {
            Ok(answer) => answer,
            Err(error) => {
                let text = error.to_string();
                if let Some(at) = text.find("Enforcing job modify index") {
                    context.ui.error(text[at..].trim_end_matches(')'));
                    context.ui.error("Job not updated");
                    return Ok(1);
                }
                return Err(error).context("Error submitting job");
            }
        };
        print_warnings(&context, &answer.warnings);
        if self.detach || !evaluated {
            context.ui.out("Job registration successful");
            if loaded.job.periodic.is_some() && loaded.job.parameterized_job.is_none() {
                next_launch(&context, &loaded.job, &id).await;
            } else if !answer.eval_id.is_empty() {
                context.ui.out(format!("Evaluation ID: {}", answer.eval_id));
            }
            return Ok(0);
        }
        let mut code = monitor_eval(&context, &answer.eval_id, self.verbose).await?;
        if self.wait && code == 0 {
            code = follow_work(&context, &id, &options, self.logs).await?;
        }
        context
            .hint(
                "View this job",
                &format!("/jobs/{id}@{}", namespace(&options.namespace)),
            )
            .await;
        Ok(code)
    }
}

fn namespace(given: &str) -> &str {
    if given.is_empty() { "default" } else { given }
}

/// Options for a request about a job of a file: what the file says of region and namespace beats the flags.
pub fn of_job(context: &Context, job: &Job) -> nomad_api::client::QueryOptions {
    let mut options = nomad_api::client::QueryOptions::new();
    options.namespace = job.namespace.clone().unwrap_or_default();
    options.region = job.region.clone().unwrap_or_default();
    if options.region == "global" && context.config.region.is_empty() {
        options.region.clear();
    }
    options
}

/// What the servers warn of.
pub fn print_warnings(context: &Context, warnings: &str) {
    if !warnings.is_empty() {
        let heading = context.ui.bold("Job Warnings:");
        let heading = context.ui.paint(crate::ui::Color::Yellow, &heading);
        context
            .ui
            .out(format!("{heading}\n{}\n", warnings.trim_end()));
    }
}

/// When a periodic job starts next, as a dry run of it tells.
async fn next_launch(context: &Context, job: &Job, id: &str) {
    let request = nomad_api::types::JobPlanRequest {
        job: Some(job.clone()),
        ..Default::default()
    };
    let options = of_job(context, job);
    let Ok(plan) = context.client.plan_job(id, &request, &options).await else {
        return;
    };
    let at = plan.next_periodic_launch;
    if at.is_zero() {
        return;
    }
    let zone = job
        .periodic
        .as_ref()
        .and_then(|periodic| periodic.time_zone.clone())
        .unwrap_or_default();
    context.ui.out(format!(
        "Approximate next launch time: {} ({} from now)",
        clock(at, &zone),
        format::span(at.since(now()))
    ));
}
