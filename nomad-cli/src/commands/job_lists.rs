//! `job allocs`, `job deployments` and `job scaling-events`.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_core::Timestamp;
use serde_json::Value;

use super::shared::{
    alloc_table, deployed_table, deployment_lines, deployment_table, print_object, row,
};
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{short_id, table, time};
use crate::resolve;

/// Flags of `job allocs`.
#[derive(Debug, Args)]
pub struct JobAllocs {
    /// Also show allocations of an earlier job of the same id.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobAllocs {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows the allocations of a job.";

    async fn run(self, context: Context) -> Result<i32> {
        let job = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&job.namespace);
        if self.json || self.t.is_some() {
            let path = context
                .client
                .job_path(&job.id, &format!("/allocations?all={}", self.all));
            let (allocs, _) = context
                .client
                .get::<Value>(&path, &options)
                .await
                .context("Error retrieving allocations")?;
            return print_object(&context, allocs, self.t.as_deref());
        }
        let (allocs, _) = context
            .client
            .job_allocations(&job.id, self.all, &options)
            .await
            .context("Error retrieving allocations")?;
        context.ui.out(alloc_table(&allocs, self.verbose, now()));
        Ok(0)
    }
}

/// Flags of `job deployments`.
#[derive(Debug, Args)]
pub struct JobDeployments {
    /// Only the latest one, in detail.
    #[arg(long)]
    pub latest: bool,
    /// Also show those of an earlier job of the same id.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobDeployments {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows the deployments of a job.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let job = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&job.namespace);
        let client = &context.client;
        if self.json || self.t.is_some() {
            let rest = if self.latest {
                "/deployment".to_owned()
            } else {
                format!("/deployments?all={}", self.all)
            };
            let (value, _) = client
                .get::<Value>(&client.job_path(&job.id, &rest), &options)
                .await
                .context("Error retrieving deployments")?;
            return print_object(&context, value, self.t.as_deref());
        }
        if self.latest {
            let (latest, _) = client
                .job_latest_deployment(&job.id, &options)
                .await
                .context("Error retrieving deployments")?;
            match latest {
                None => context.ui.out("No deployment found"),
                Some(deployment) => {
                    context.ui.out(deployment_lines(&deployment, self.verbose));
                    context.ui.section("Deployed", deployed_table(&deployment));
                }
            }
            return Ok(0);
        }
        let (deployments, _) = client
            .job_deployments(&job.id, self.all, &options)
            .await
            .context("Error retrieving deployments")?;
        context.ui.out(deployment_table(&deployments, self.verbose));
        Ok(0)
    }
}

/// Flags of `job scaling-events`.
#[derive(Debug, Args)]
pub struct JobScalingEvents {
    /// Show messages and whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobScalingEvents {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows the latest changes of a job's counts.";

    async fn run(self, context: Context) -> Result<i32> {
        let job = resolve::job(&context, context.arg(0)).await?;
        let (status, _) = context
            .client
            .job_scale_status(&job.id, &context.in_namespace(&job.namespace))
            .await
            .context("Error listing scaling events")?;
        let mut events: Vec<(i64, String, Value)> = status
            .task_groups
            .into_iter()
            .flat_map(|(name, group)| {
                group
                    .events
                    .into_iter()
                    .map(move |event| (event["Time"].as_i64().unwrap_or(0), name.clone(), event))
            })
            .collect();
        if events.is_empty() {
            context.ui.out("No events found");
            return Ok(0);
        }
        events.sort_by_key(|(at, _, _)| std::cmp::Reverse(*at));
        let mut header = row(["Task Group", "Count", "PrevCount"]);
        if self.verbose {
            header.extend(row(["Error", "Message", "Eval ID"]));
        }
        header.push("Date".to_owned());
        let mut rows = vec![header];
        for (at, group, event) in events {
            let number = |key: &str| match &event[key] {
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            };
            let mut cells = vec![group, number("Count"), number("PreviousCount")];
            if self.verbose {
                cells.push(event["Error"].as_bool().unwrap_or(false).to_string());
                cells.push(event["Message"].as_str().unwrap_or("").to_owned());
                cells.push(short_id(event["EvalID"].as_str().unwrap_or(""), true));
            }
            cells.push(time(Timestamp(at)));
            rows.push(cells);
        }
        context.ui.out(table(&rows));
        Ok(0)
    }
}
