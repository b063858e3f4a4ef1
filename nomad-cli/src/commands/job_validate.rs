//! `job validate`.

use anyhow::Result;
use clap::Args;

use super::job_run::{of_job, print_warnings};
use crate::command::Verb;
use crate::context::Context;
use crate::job_file::JobFileFlags;
use crate::ui::Color;

/// Flags of `job validate`.
#[derive(Debug, Args)]
pub struct JobValidate {
    /// Vault namespace of the job's secrets.
    #[arg(long, value_name = "namespace")]
    pub vault_namespace: Option<String>,
    #[command(flatten)]
    pub file: JobFileFlags,
}

impl Verb for JobValidate {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str =
        "Checks a job file: its language here, everything else on the server.";

    async fn run(self, context: Context) -> Result<i32> {
        let mut job = self.file.load(context.arg(0))?.job;
        if let Some(namespace) = &self.vault_namespace {
            job.vault_namespace = Some(namespace.clone());
        }
        let options = of_job(&context, &job);
        let answer = match context.client.validate_job(&job, &options).await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                context.ui.warn(format!(
                    "No server was reached, so only the file's language was checked, and the driver configuration was not: {error}"
                ));
                context.ui.out("Job validation successful");
                return Ok(0);
            }
            Err(error) => anyhow::bail!("Error validating job: {error}"),
        };
        if !answer.driver_config_validated {
            context
                .ui
                .out("Driver configuration not validated since connection to Nomad agent couldn't be established.\n");
        }
        if !answer.error.is_empty() {
            let heading = context.ui.bold("Job validation errors:");
            context.ui.error(context.ui.paint(Color::Red, &heading));
            context.ui.error(&answer.error);
            return Ok(1);
        }
        print_warnings(&context, &answer.warnings);
        context.ui.out("Job validation successful");
        Ok(0)
    }
}
