//! `job validate`: the language of a job file here, everything else on the server; with `-strict` also what is legal
//! but surely not meant.

use anyhow::Result;
use clap::{Args, ValueEnum};
use nomad_jobspec::{Diagnostic, Lint, Severity};
use serde_json::json;

use super::job_run::{of_job, print_warnings};
use crate::command::Verb;
use crate::context::Context;
use crate::format;
use crate::job_file::{JobFileFlags, LoadedJob, Mistakes, rendered};
use crate::ui::Color;

/// Flags of `job validate`.
#[derive(Debug, Args)]
pub struct JobValidate {
    /// Also warn of what is legal but surely not meant, such as variables that nothing uses; exit code 1 if there is
    /// any.
    #[arg(long)]
    pub strict: bool,
    /// How mistakes and warnings of the file are shown: text, or json with their places.
    #[arg(long, value_name = "format", value_enum, default_value_t = Shown::Text)]
    pub diagnostics: Shown,
    /// Vault namespace of the job's secrets.
    #[arg(long, value_name = "namespace")]
    pub vault_namespace: Option<String>,
    #[command(flatten)]
    pub file: JobFileFlags,
}

/// A form of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    Text,
    Json,
}

/// What validation found out.
#[derive(Default)]
struct Findings {
    /// Of the file.
    diagnostics: Vec<Diagnostic>,
    /// What the server refuses.
    error: String,
    /// What the server warns of.
    warnings: String,
    /// Why no server was asked.
    unreached: Option<String>,
    driver_config_validated: bool,
}

impl Verb for JobValidate {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Checks a job file, or the job files of a directory: the language here, everything else \
        on the server. The path \"-\" is stdin.";

    async fn run(self, context: Context) -> Result<i32> {
        let functions = template_functions();
        let lint = self.strict.then_some(Lint {
            template_functions: &functions,
        });
        let loaded = match self.file.load_and_lint(context.arg(0), lint) {
            Ok(loaded) => loaded,
            Err(error) => {
                let Some(mistakes) = error.downcast_ref::<Mistakes>() else {
                    return Err(error);
                };
                if self.diagnostics == Shown::Text {
                    return Err(error);
                }
                print_json(&context, false, &mistakes.failure.diagnostics);
                return Ok(1);
            }
        };
        let findings = self.ask(&context, loaded).await?;
        Ok(self.show(&context, &findings))
    }
}

impl JobValidate {
    async fn ask(&self, context: &Context, loaded: LoadedJob) -> Result<Findings> {
        let mut job = loaded.job;
        if let Some(namespace) = &self.vault_namespace {
            job.vault_namespace = Some(namespace.clone());
        }
        let mut findings = Findings {
            diagnostics: loaded.warnings,
            ..Findings::default()
        };
        let options = of_job(context, &job);
        match context.client.validate_job(&job, &options).await {
            Ok(answer) => {
                findings.error = answer.error;
                findings.warnings = answer.warnings;
                findings.driver_config_validated = answer.driver_config_validated;
            }
            Err(error) if error.is_connect() => findings.unreached = Some(error.to_string()),
            Err(error) => anyhow::bail!("Error validating job: {error}"),
        }
        Ok(findings)
    }

    fn show(&self, context: &Context, findings: &Findings) -> i32 {
        let suspect = !findings.diagnostics.is_empty();
        let valid = findings.error.is_empty() && !suspect;
        if self.diagnostics == Shown::Json {
            let mut diagnostics = findings.diagnostics.clone();
            for (severity, text) in [
                (Severity::Error, &findings.error),
                (Severity::Warning, &findings.warnings),
            ] {
                if !text.is_empty() {
                    diagnostics.push(of_server(severity, text));
                }
            }
            print_json(context, valid, &diagnostics);
            return i32::from(!valid);
        }
        if let Some(error) = &findings.unreached {
            context.ui.warn(format!(
                "No server was reached, so only the file's language was checked, and the driver configuration was not: {error}"
            ));
        } else if !findings.driver_config_validated {
            context
                .ui
                .out("Driver configuration not validated since connection to Nomad agent couldn't be established.\n");
        }
        if suspect {
            let text = rendered(&findings.diagnostics);
            context.ui.error(context.ui.paint(Color::Yellow, &text));
        }
        if !findings.error.is_empty() {
            let heading = context.ui.bold("Job validation errors:");
            context.ui.error(context.ui.paint(Color::Red, &heading));
            context.ui.error(&findings.error);
            return 1;
        }
        print_warnings(context, &findings.warnings);
        if suspect {
            context.ui.error(format!(
                "Job validation found {} doubtful place(s)",
                findings.diagnostics.len()
            ));
            return 1;
        }
        context.ui.out("Job validation successful");
        0
    }
}

fn of_server(severity: Severity, text: &str) -> Diagnostic {
    Diagnostic {
        severity,
        summary: "Said by the server".to_owned(),
        detail: text.to_owned(),
        range: None,
        source_line: None,
        expected: None,
        hint: None,
    }
}

fn print_json(context: &Context, valid: bool, diagnostics: &[Diagnostic]) {
    context.ui.out(format::json(
        &json!({"valid": valid, "diagnostics": diagnostics}),
    ));
}

/// The functions that templates have here; none where this binary has no client.
fn template_functions() -> Vec<&'static str> {
    #[cfg(feature = "agent")]
    return nomad_template::function_names();
    #[cfg(not(feature = "agent"))]
    Vec::new()
}
