//! `job inspect`: a job as the servers have it.

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use serde_json::{Value, json};

use crate::command::Verb;
use crate::context::{Context, usage};
use crate::resolve;

/// Flags of `job inspect`.
#[derive(Debug, Args)]
pub struct JobInspect {
    /// This version instead of the newest.
    #[arg(long, value_name = "version")]
    pub version: Option<u64>,
    /// Print the job without its envelope.
    #[arg(long)]
    pub json: bool,
    /// Print the text that the job was made from.
    #[arg(long)]
    pub hcl: bool,
    /// With -hcl: print the variables too, to stderr.
    #[arg(long)]
    pub with_vars: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for JobInspect {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str =
        "Shows a job as the servers have it, as JSON or as the text it was made from.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.hcl && (self.json || self.t.is_some()) {
            return usage("-hcl cannot be used with -json or -t");
        }
        if self.with_vars && !self.hcl {
            return usage("-with-vars needs -hcl");
        }
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let found = resolve::job(&context, context.arg(0)).await?;
        let options = context.in_namespace(&found.namespace);
        if self.hcl {
            return self.source(&context, &found.id, &options).await;
        }
        let job = self.read(&context, &found.id, &options).await?;
        let value = if self.json || self.t.is_some() {
            job
        } else {
            json!({"Job": job})
        };
        super::shared::print_object(&context, value, self.t.as_deref())
    }
}

impl JobInspect {
    async fn read(&self, context: &Context, id: &str, options: &QueryOptions) -> Result<Value> {
        let Some(version) = self.version else {
            let path = context.client.job_path(id, "");
            return Ok(context
                .client
                .get::<Value>(&path, options)
                .await
                .context("Error inspecting job")?
                .0);
        };
        let path = context.client.job_path(id, "/versions");
        let (answer, _) = context
            .client
            .get::<Value>(&path, options)
            .await
            .context("Error retrieving job versions")?;
        answer["Versions"]
            .as_array()
            .and_then(|versions| {
                versions
                    .iter()
                    .find(|job| job["Version"].as_u64() == Some(version))
            })
            .cloned()
            .ok_or_else(|| anyhow!("Version {version} of job {id:?} not found"))
    }

    async fn source(&self, context: &Context, id: &str, options: &QueryOptions) -> Result<i32> {
        let version = match self.version {
            Some(version) => version,
            None => {
                context
                    .client
                    .job(id, options)
                    .await
                    .context("Error inspecting job")?
                    .0
                    .version
            }
        };
        let (submission, _) = match context.client.job_submission(id, version, options).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => {
                bail!("The text of job {id:?} is not kept")
            }
            Err(error) => return Err(error).context("Error inspecting job submission"),
        };
        context.ui.out(submission.source.trim_end());
        if self.with_vars {
            for (name, value) in &submission.variable_flags {
                context.ui.warn(format!("{name} = {value:?}"));
            }
            if !submission.variables.is_empty() {
                context.ui.warn(submission.variables.trim_end());
            }
        }
        Ok(0)
    }
}
