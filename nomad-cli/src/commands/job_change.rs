//! Verbs that change a job and follow what comes of it: `eval`, `promote`, `revert`, `scale`, `start`,
//! `periodic force`, `tag`.

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_api::types::{
    EvalOptions, JobEvaluateRequest, JobRegisterRequest, JobRevertRequest, JobTagRequest,
    ScalingRequest,
};

use crate::command::Verb;
use crate::context::{Context, usage};
use crate::monitor::monitor_eval;
use crate::resolve;

/// Follows an evaluation, or prints its id.
pub async fn follow(context: &Context, eval: &str, detach: bool, verbose: bool) -> Result<i32> {
    if detach || eval.is_empty() {
        if !eval.is_empty() {
            context.ui.out(format!("Evaluation ID: {eval}"));
        }
        return Ok(0);
    }
    monitor_eval(context, eval, verbose).await
}

/// Flags of `job eval`.
#[derive(Debug, Args)]
pub struct JobEval {
    /// Also try failed allocations again that are due later.
    #[arg(long)]
    pub force_reschedule: bool,
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobEval {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Has the servers look at a job again.";

    async fn run(self, context: Context) -> Result<i32> {
        let job = resolve::job(&context, context.arg(0)).await?;
        let request = JobEvaluateRequest {
            job_id: job.id.clone(),
            eval_options: EvalOptions {
                force_reschedule: self.force_reschedule,
            },
        };
        let answer = context
            .client
            .evaluate_job(&request, &context.in_namespace(&job.namespace))
            .await
            .context("Error evaluating job")?;
        if self.detach {
            context
                .ui
                .out(format!("Created eval ID: {:?} ", answer.eval_id));
            return Ok(0);
        }
        monitor_eval(&context, &answer.eval_id, self.verbose).await
    }
}

/// Flags of `job promote`.
#[derive(Debug, Args)]
pub struct JobPromote {
    /// Promote only this group. May be given several times.
    #[arg(long, value_name = "group")]
    pub group: Vec<String>,
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobPromote {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Promotes the canaries of a job's latest deployment: the rollout goes on to all allocations.";

    async fn run(self, context: Context) -> Result<i32> {
        let job = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&job.namespace);
        let (latest, _) = context
            .client
            .job_latest_deployment(&job.id, &options)
            .await
            .context("Error retrieving deployments for job")?;
        let Some(deployment) = latest else {
            bail!("Job {:?} has no deployment to promote", job.id);
        };
        let answer = context
            .client
            .promote_deployment(&deployment.id.to_string(), &self.group, &options)
            .await
            .context("Error promoting deployment for job")?;
        follow(&context, &answer.eval_id, self.detach, self.verbose).await
    }
}

/// Flags of `job revert`.
#[derive(Debug, Args)]
pub struct JobRevert {
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobRevert {
    const ARGUMENTS: &'static str = "<job> <version|tag>";
    const ARITY: (usize, usize) = (2, 2);
    const ABOUT: &'static str =
        "Goes back to an earlier version of a job, by its number or its tag.";

    async fn run(self, context: Context) -> Result<i32> {
        let job = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&job.namespace);
        let wanted = context.arg(1);
        let version = match wanted.parse::<u64>() {
            Ok(version) => version,
            Err(_) => {
                let versions = context
                    .client
                    .job_versions(&job.id, &options)
                    .await
                    .context("Error retrieving job versions")?
                    .versions;
                versions
                    .iter()
                    .find(|job| {
                        job.version_tag
                            .as_ref()
                            .is_some_and(|tag| tag.name == wanted)
                    })
                    .map(|job| job.version)
                    .ok_or_else(|| {
                        anyhow!("Error retrieving job version by tag: tag {wanted:?} not found")
                    })?
            }
        };
        let request = JobRevertRequest {
            job_id: job.id.clone(),
            job_version: version,
            enforce_prior_version: None,
        };
        let answer = context
            .client
            .revert_job(&request, &options)
            .await
            .context("Error retrieving job versions")?;
        follow(&context, &answer.eval_id, self.detach, self.verbose).await
    }
}

/// Flags of `job scale`.
#[derive(Debug, Args)]
pub struct JobScale {
    /// Only if the job's modify index is this.
    #[arg(long, value_name = "index")]
    pub check_index: Option<u64>,
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobScale {
    const ARGUMENTS: &'static str = "<job> [group] <count>";
    const ARITY: (usize, usize) = (2, 3);
    const ABOUT: &'static str =
        "Changes the count of a group. A job with one group needs no group's name.";

    async fn run(self, context: Context) -> Result<i32> {
        let text = context.arg(context.args.len() - 1).to_owned();
        let Ok(count) = text.parse::<i64>() else {
            return usage(format!(
                "Failed to convert count {text:?}: want a whole number"
            ));
        };
        let found = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&found.namespace);
        let group = if context.args.len() == 3 {
            context.arg(1).to_owned()
        } else {
            let (job, _) = context
                .client
                .job(&found.id, &options)
                .await
                .context("Error querying job")?;
            match job.task_groups.as_slice() {
                [group] => group.name.clone(),
                groups => {
                    let names = groups.iter().map(|group| format!("  * {}", group.name));
                    bail!(
                        "Job {:?} has several groups; name one of them:\n{}",
                        found.id,
                        names.collect::<Vec<_>>().join("\n")
                    )
                }
            }
        };
        let request = ScalingRequest {
            count: Some(count),
            target: [
                ("Group".to_owned(), group),
                ("Job".to_owned(), found.id.clone()),
            ]
            .into(),
            message: "submitted using the Nomad CLI".to_owned(),
            job_modify_index: self.check_index.unwrap_or(0),
            ..ScalingRequest::default()
        };
        let answer = context
            .client
            .scale_job(&found.id, &request, &options)
            .await
            .context("Error submitting scaling request")?;
        super::job_run::print_warnings(&context, &answer.warnings);
        follow(&context, &answer.eval_id, self.detach, self.verbose).await
    }
}

/// Flags of `job start`.
#[derive(Debug, Args)]
pub struct JobStart {
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobStart {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Starts a stopped job again, as its latest version.";

    async fn run(self, context: Context) -> Result<i32> {
        let found = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&found.namespace);
        let (mut job, _) = context
            .client
            .job(&found.id, &options)
            .await
            .context("Error retrieving job")?;
        if !job.stop {
            bail!("Job {:?} has not been stopped", found.id);
        }
        job.stop = false;
        let submission = resolve::found(
            context
                .client
                .job_submission(&found.id, job.version, &options)
                .await,
        )
        .context("Error retrieving job submission")?
        .map(|(submission, _)| submission);
        if submission.is_none() {
            context.ui.warn(
                "The text that the job was made from is not kept, so its scaling policies cannot be enabled again.",
            );
        }
        for group in &mut job.task_groups {
            if let Some(policy) = group.scaling.as_mut().filter(|_| submission.is_some()) {
                policy.enabled = true;
            }
        }
        let bytes = serde_json::to_vec(&job)?;
        let request = JobRegisterRequest {
            job: Some(nomad_core::spec::decode(&bytes, usize::MAX)?),
            submission,
            ..JobRegisterRequest::default()
        };
        let answer = context
            .client
            .register_job(&request, &options)
            .await
            .context("Error starting job")?;
        if answer.eval_id.is_empty() {
            context.ui.out("Job start successful");
            return Ok(0);
        }
        follow(&context, &answer.eval_id, self.detach, self.verbose).await
    }
}

/// Flags of `job periodic force`.
#[derive(Debug, Args)]
pub struct JobPeriodicForce {
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for JobPeriodicForce {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Launches a periodic job now.";

    async fn run(self, context: Context) -> Result<i32> {
        let job = resolve::job_where(&context, context.arg(0), |job| job.periodic).await?;
        let answer = context
            .client
            .force_periodic(&job.id, &context.in_namespace(&job.namespace))
            .await
            .with_context(|| format!("Error forcing periodic job {:?}", job.id))?;
        if self.detach {
            context.ui.out("Force periodic successful");
            context.ui.out(format!("Evaluation ID: {}", answer.eval_id));
            return Ok(0);
        }
        monitor_eval(&context, &answer.eval_id, self.verbose).await
    }
}

/// Flags of `job tag apply`.
#[derive(Debug, Args)]
pub struct JobTagApply {
    /// The tag; needed.
    #[arg(long, value_name = "tag", default_value = "")]
    pub name: String,
    /// What it stands for.
    #[arg(long, value_name = "text", default_value = "")]
    pub description: String,
    /// The version; the latest by default.
    #[arg(long, value_name = "version")]
    pub version: Option<u64>,
}

impl Verb for JobTagApply {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Gives a version of a job a name. Such versions are not collected.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.name.is_empty() {
            return usage("Version tag name is required");
        }
        let job = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&job.namespace);
        let version = match self.version {
            Some(version) => version,
            None => {
                context
                    .client
                    .job(&job.id, &options)
                    .await
                    .context("Error querying job")?
                    .0
                    .version
            }
        };
        let request = JobTagRequest {
            version,
            latest: false,
            description: self.description.clone(),
        };
        context
            .client
            .tag_job(&job.id, &self.name, &request, &options)
            .await
            .context("Error tagging job version")?;
        context.ui.out(format!(
            "Job version {version} tagged with name {:?}",
            self.name
        ));
        Ok(0)
    }
}

/// Flags of `job tag unset`.
#[derive(Debug, Args)]
pub struct JobTagUnset {
    /// The tag; needed.
    #[arg(long, value_name = "tag", default_value = "")]
    pub name: String,
}

impl Verb for JobTagUnset {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Takes a tag away from a version of a job.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.name.is_empty() {
            return usage("Version tag name is required");
        }
        let job = resolve::job(&context, context.arg(0)).await?;
        context
            .client
            .untag_job(&job.id, &self.name, &context.in_namespace(&job.namespace))
            .await
            .context("Error untagging job version")?;
        context
            .ui
            .out(format!("Tag {:?} removed from job {:?}", self.name, job.id));
        Ok(0)
    }
}
