//! `system gc`, `system reconcile summaries`, `agent-info`, `monitor`.

use anyhow::{Context as _, Result};
use clap::Args;
use futures::TryStreamExt;
use nomad_api::client::QueryOptions;
use serde_json::Value;

use super::shared::print_object;
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::resolve;

/// No flags of its own.
#[derive(Debug, Args)]
pub struct SystemGc {}

impl Verb for SystemGc {
    const ABOUT: &'static str =
        "Removes ended jobs, evaluations, allocations, deployments and lost nodes at once.";

    async fn run(self, context: Context) -> Result<i32> {
        context
            .client
            .system_gc()
            .await
            .context("Error running system garbage-collection")?;
        Ok(0)
    }
}

/// No flags of its own.
#[derive(Debug, Args)]
pub struct ReconcileSummaries {}

impl Verb for ReconcileSummaries {
    const ABOUT: &'static str = "Counts the summaries of all jobs anew.";

    async fn run(self, context: Context) -> Result<i32> {
        context
            .client
            .reconcile_summaries()
            .await
            .context("Error running system summary reconciliation")?;
        Ok(0)
    }
}

/// Flags of `agent-info`.
#[derive(Debug, Args)]
pub struct AgentInfo {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for AgentInfo {
    const ABOUT: &'static str = "Shows how the agent itself is.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let agent = context
            .client
            .agent_self()
            .await
            .context("Error querying agent info")?;
        if self.json || self.t.is_some() {
            return print_object(&context, agent, self.t.as_deref());
        }
        let sections = agent["stats"].as_object().cloned().unwrap_or_default();
        let sections: std::collections::BTreeMap<String, Value> = sections.into_iter().collect();
        for (name, values) in sections {
            context.ui.out(name);
            let values = values.as_object().cloned().unwrap_or_default();
            let values: std::collections::BTreeMap<String, Value> = values.into_iter().collect();
            for (key, value) in values {
                let value = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                context.ui.out(format!("  {key} = {value}"));
            }
        }
        Ok(0)
    }
}

/// Flags of `monitor`.
#[derive(Debug, Args)]
pub struct Monitor {
    /// TRACE, DEBUG, INFO, WARN or ERROR.
    #[arg(long, value_name = "level", default_value = "")]
    pub log_level: String,
    /// Also tell where in the program a line comes from.
    #[arg(long)]
    pub log_include_location: bool,
    /// Log of this node.
    #[arg(long, value_name = "node", default_value = "")]
    pub node_id: String,
    /// Log of this server: its name, its id, or "leader".
    #[arg(long, value_name = "server", default_value = "")]
    pub server_id: String,
    /// Lines as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Verb for Monitor {
    const ABOUT: &'static str = "Shows the log of an agent from now on, until it is interrupted.";

    async fn run(self, context: Context) -> Result<i32> {
        let mut options = QueryOptions::new().param("log_json", self.json.to_string());
        if !self.log_level.is_empty() {
            options = options.param("log_level", self.log_level.as_str());
        }
        if self.log_include_location {
            options = options.param("log_include_location", "true");
        }
        if !self.node_id.is_empty() {
            let id = resolve::node_id(&context, &self.node_id).await?;
            options = options.param("node_id", id);
        }
        if !self.server_id.is_empty() {
            options = options.param("server_id", self.server_id.as_str());
        }
        let show = async {
            let mut frames = context
                .client
                .monitor(&options)
                .await
                .context("Error starting monitor")?;
            while let Some(frame) = frames.try_next().await.context("Error monitoring")? {
                context.ui.out_bytes(&frame.data);
            }
            anyhow::Ok(())
        };
        tokio::select! {
            result = show => result?,
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(0)
    }
}
