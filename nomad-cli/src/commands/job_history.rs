//! `job history`: the kept versions of a job.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_core::job::Job;
use serde_json::Value;

use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{self, JobDiff, job_diff, kv, time};
use crate::resolve;

/// Flags of `job history`.
#[derive(Debug, Args)]
pub struct JobHistory {
    /// Show how each version differs from the one before.
    #[arg(long)]
    pub p: bool,
    /// With -p: compare with this version.
    #[arg(long, value_name = "version")]
    pub diff_version: Option<u64>,
    /// With -p: compare with the version of this tag.
    #[arg(long, value_name = "tag")]
    pub diff_tag: Option<String>,
    /// Show every version whole.
    #[arg(long)]
    pub full: bool,
    /// Only this version.
    #[arg(long, value_name = "version")]
    pub version: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for JobHistory {
    const ARGUMENTS: &'static str = "<job>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows the versions of a job that the servers keep, newest first.";

    async fn run(self, context: Context) -> Result<i32> {
        let formatted = self.json || self.t.is_some();
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        if formatted && (self.p || self.full) {
            return usage("-json and -t are exclusive with -p and -full");
        }
        if (self.diff_version.is_some() || self.diff_tag.is_some()) && !self.p {
            return usage("-diff-version and -diff-tag need -p");
        }
        if self.diff_version.is_some() && self.diff_tag.is_some() {
            return usage("-diff-version and -diff-tag exclude each other");
        }
        let found = resolve::job(&context, context.arg(0)).await?;
        let mut options = context
            .in_namespace(&found.namespace)
            .param("diffs", self.p.to_string());
        if let Some(version) = self.diff_version {
            options = options.param("diff_version", version.to_string());
        }
        if let Some(tag) = &self.diff_tag {
            options = options.param("diff_tag", tag.as_str());
        }
        let path = context.client.job_path(&found.id, "/versions");
        let (answer, _) = context
            .client
            .get::<Value>(&path, &options)
            .await
            .context("Error retrieving job versions")?;
        let versions = answer["Versions"].as_array().cloned().unwrap_or_default();
        let diffs = answer["Diffs"].as_array().cloned().unwrap_or_default();
        if formatted {
            let value = match self.version {
                Some(version) => pick(&versions, version)?.clone(),
                None => Value::Array(versions),
            };
            return super::shared::print_object(&context, value, self.t.as_deref());
        }
        let mut blocks = Vec::new();
        for (at, raw) in versions.iter().enumerate() {
            let job: Job =
                serde_json::from_value(raw.clone()).context("Error retrieving job versions")?;
            if self.version.is_some_and(|version| version != job.version) {
                continue;
            }
            blocks.push(self.block(&context, &job, raw, diffs.get(at)));
        }
        if let (Some(version), true) = (self.version, blocks.is_empty()) {
            pick(&versions, version)?;
        }
        context.ui.out(blocks.join("\n\n"));
        Ok(0)
    }
}

fn pick(versions: &[Value], version: u64) -> Result<&Value> {
    versions
        .iter()
        .find(|job| job["Version"].as_u64() == Some(version))
        .with_context(|| format!("version {version} not found"))
}

impl JobHistory {
    fn block(&self, context: &Context, job: &Job, raw: &Value, diff: Option<&Value>) -> String {
        let mut lines = vec![
            ("Version", job.version.to_string()),
            ("Stable", job.stable.to_string()),
            ("Submit Date", time(job.submit_time)),
        ];
        if let Some(tag) = &job.version_tag {
            lines.push(("Tag Name", tag.name.clone()));
            if !tag.description.is_empty() {
                lines.push(("Tag Description", tag.description.clone()));
            }
        }
        let diff = diff.and_then(|diff| serde_json::from_value::<JobDiff>(diff.clone()).ok());
        if let Some(diff) = diff.filter(|_| self.p) {
            lines.push(("Diff", format!("\n{}", job_diff(&diff, false, context.ui))));
        }
        if self.full {
            lines.push((
                "Full",
                format!("\n{}", format::json(&format::sorted(raw.clone()))),
            ));
        }
        // The multi-line values begin under their key.
        let (plain, long): (Vec<_>, Vec<_>) = lines
            .into_iter()
            .partition(|(_, value)| !value.starts_with('\n'));
        let width = plain
            .iter()
            .chain(&long)
            .map(|(key, _)| key.len())
            .max()
            .unwrap_or(0);
        let mut text = kv(&plain);
        for (key, value) in long {
            text.push_str(&format!("\n{key:width$} = {value}"));
        }
        text
    }
}
