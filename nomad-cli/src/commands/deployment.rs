//! `deployment list|status|promote|pause|resume|fail|unblock`.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::{DeploymentPauseRequest, DeploymentUpdateResponse};
use nomad_core::deployment::Deployment;
use serde_json::Value;

use super::job_change::follow;
use super::shared::{
    alloc_table, deployed_table, deployment_lines, deployment_table, print_object,
};
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::short_id;
use crate::monitor::monitor_deployment;
use crate::resolve;

/// Flags of `deployment list`.
#[derive(Debug, Args)]
pub struct DeploymentList {
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
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

impl Verb for DeploymentList {
    const ABOUT: &'static str = "Lists deployments.";

    async fn run(self, context: Context) -> Result<i32> {
        let options = QueryOptions {
            filter: self.filter.clone(),
            ..QueryOptions::new()
        };
        list(
            &context,
            &options,
            self.json,
            self.t.as_deref(),
            self.verbose,
        )
        .await
    }
}

async fn list(
    context: &Context,
    options: &QueryOptions,
    json: bool,
    template: Option<&str>,
    verbose: bool,
) -> Result<i32> {
    if json && template.is_some() {
        return usage("Both json and template formatting are not allowed");
    }
    if json || template.is_some() {
        let (value, _) = context
            .client
            .get::<Value>("/v1/deployments", options)
            .await
            .context("Error retrieving deployments")?;
        return print_object(context, value, template);
    }
    let (deployments, _) = context
        .client
        .deployments(options)
        .await
        .context("Error retrieving deployments")?;
    context.ui.out(deployment_table(&deployments, verbose));
    Ok(0)
}

/// Flags of `deployment status`.
#[derive(Debug, Args)]
pub struct DeploymentStatus {
    /// Show whole ids, and allocations.
    #[arg(long)]
    pub verbose: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Follow the deployment until it ends.
    #[arg(long)]
    pub monitor: bool,
    /// Accepted; changes are shown as they happen.
    #[arg(long, value_name = "duration", default_value = "2s")]
    pub wait: String,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for DeploymentStatus {
    const ARGUMENTS: &'static str = "[deployment]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Shows a deployment and how far its groups are.";

    async fn run(self, context: Context) -> Result<i32> {
        if context.args.is_empty() {
            let options = QueryOptions::new();
            return list(
                &context,
                &options,
                self.json,
                self.t.as_deref(),
                self.verbose,
            )
            .await;
        }
        let deployment = resolve::deployment(&context, context.arg(0)).await?;
        let id = deployment.id.to_string();
        if self.json || self.t.is_some() {
            let (value, _) = context
                .client
                .get::<Value>(&format!("/v1/deployment/{id}"), &QueryOptions::new())
                .await
                .context("Error retrieving deployment")?;
            return print_object(&context, value, self.t.as_deref());
        }
        if self.monitor {
            return monitor_deployment(&context, &id, self.verbose).await;
        }
        context.ui.out(deployment_lines(&deployment, self.verbose));
        if !deployment.task_groups.is_empty() {
            context.ui.section("Deployed", deployed_table(&deployment));
        }
        if self.verbose {
            let (allocs, _) = context
                .client
                .deployment_allocations(&id, &QueryOptions::new())
                .await
                .context("Error retrieving allocations")?;
            context
                .ui
                .section("Allocations", alloc_table(&allocs, true, now()));
        }
        let path = format!("/jobs/{}/deployments", deployment.job_id);
        context
            .hint("View all deployments for this job", &path)
            .await;
        Ok(0)
    }
}

/// The deployment that the first argument means, and options for its namespace.
async fn target(context: &Context) -> Result<(Deployment, String, QueryOptions)> {
    let deployment = resolve::deployment(context, context.arg(0)).await?;
    let id = deployment.id.to_string();
    let options = context.in_namespace(&deployment.namespace);
    Ok((deployment, id, options))
}

/// Flags of verbs that make an evaluation.
#[derive(Debug, Args)]
pub struct Follow {
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Follow {
    async fn done(
        &self,
        context: &Context,
        what: &str,
        answer: &DeploymentUpdateResponse,
    ) -> Result<i32> {
        if !what.is_empty() {
            context.ui.out(what);
        }
        if !self.detach && !answer.eval_id.is_empty() {
            context.ui.out("");
        }
        follow(context, &answer.eval_id, self.detach, self.verbose).await
    }
}

/// Flags of `deployment promote`.
#[derive(Debug, Args)]
pub struct DeploymentPromote {
    /// Promote only this group. May be given several times.
    #[arg(long, value_name = "group")]
    pub group: Vec<String>,
    #[command(flatten)]
    pub follow: Follow,
}

impl Verb for DeploymentPromote {
    const ARGUMENTS: &'static str = "<deployment>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Promotes canaries: the rollout goes on to all allocations.";

    async fn run(self, context: Context) -> Result<i32> {
        let (_, id, options) = target(&context).await?;
        let answer = context
            .client
            .promote_deployment(&id, &self.group, &options)
            .await
            .context("Error promoting deployment")?;
        self.follow.done(&context, "", &answer).await
    }
}

/// Flags of `deployment pause`.
#[derive(Debug, Args)]
pub struct DeploymentPause {
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for DeploymentPause {
    const ARGUMENTS: &'static str = "<deployment>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Pauses a deployment: nothing new is placed until it is resumed.";

    async fn run(self, context: Context) -> Result<i32> {
        let (_, id, options) = target(&context).await?;
        let request = DeploymentPauseRequest {
            deployment_id: id.clone(),
            pause: true,
        };
        context
            .client
            .pause_deployment(&request, &options)
            .await
            .context("Error pausing deployment")?;
        context.ui.out(format!(
            "Deployment {:?} paused",
            short_id(&id, self.verbose)
        ));
        Ok(0)
    }
}

/// Flags of `deployment resume`.
#[derive(Debug, Args)]
pub struct DeploymentResume {
    #[command(flatten)]
    pub follow: Follow,
}

impl Verb for DeploymentResume {
    const ARGUMENTS: &'static str = "<deployment>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Resumes a paused deployment.";

    async fn run(self, context: Context) -> Result<i32> {
        let (_, id, options) = target(&context).await?;
        let request = DeploymentPauseRequest {
            deployment_id: id.clone(),
            pause: false,
        };
        let answer = context
            .client
            .pause_deployment(&request, &options)
            .await
            .context("Error resuming deployment")?;
        let text = format!(
            "Deployment {:?} resumed",
            short_id(&id, self.follow.verbose)
        );
        self.follow.done(&context, &text, &answer).await
    }
}

/// Flags of `deployment fail`.
#[derive(Debug, Args)]
pub struct DeploymentFail {
    #[command(flatten)]
    pub follow: Follow,
}

impl Verb for DeploymentFail {
    const ARGUMENTS: &'static str = "<deployment>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Marks a deployment failed; where it is so configured, the job goes back to its last \
        stable version.";

    async fn run(self, context: Context) -> Result<i32> {
        let (_, id, options) = target(&context).await?;
        let answer = context
            .client
            .fail_deployment(&id, &options)
            .await
            .context("Error failing deployment")?;
        let reverted = answer
            .reverted_job_version
            .map(|version| format!(". Auto-reverted to job version {version}."))
            .unwrap_or_default();
        let text = format!("Deployment {id:?} failed{reverted}");
        self.follow.done(&context, &text, &answer).await
    }
}

/// Flags of `deployment unblock`.
#[derive(Debug, Args)]
pub struct DeploymentUnblock {
    #[command(flatten)]
    pub follow: Follow,
}

impl Verb for DeploymentUnblock {
    const ARGUMENTS: &'static str = "<deployment>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Lets a federated deployment that waits for other regions go on.";

    async fn run(self, context: Context) -> Result<i32> {
        let (_, id, options) = target(&context).await?;
        let answer = context
            .client
            .unblock_deployment(&id, &options)
            .await
            .context("Error unblocking deployment")?;
        let text = format!(
            "Deployment {:?} unblocked",
            short_id(&id, self.follow.verbose)
        );
        self.follow.done(&context, &text, &answer).await
    }
}
