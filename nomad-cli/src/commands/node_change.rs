//! `node eligibility`, `node meta`, `node config`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::types::{NodeEligibilityRequest, NodeMetaRequest, NodeMetaResponse};

use super::shared::print_object;
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::kv;
use crate::resolve;

/// Flags of `node eligibility`.
#[derive(Debug, Args)]
pub struct NodeEligibility {
    /// Let new work go to the node.
    #[arg(long)]
    pub enable: bool,
    /// Keep new work away from the node.
    #[arg(long)]
    pub disable: bool,
    /// The node of the agent itself.
    #[arg(long = "self")]
    pub own: bool,
    /// Do not ask.
    #[arg(long, hide = true)]
    pub yes: bool,
}

impl Verb for NodeEligibility {
    const ARGUMENTS: &'static str = "<node>";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Sets whether new work may be placed on a node.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.enable == self.disable {
            return usage("Either the '-enable' or '-disable' flag must be set");
        }
        if self.own != context.args.is_empty() {
            return usage("Node ID must be specified if -self isn't being used");
        }
        let id = if self.own {
            resolve::own_node(&context).await?
        } else {
            resolve::node_id(&context, context.arg(0)).await?
        };
        let word = if self.enable {
            "eligible"
        } else {
            "ineligible"
        };
        let request = NodeEligibilityRequest {
            node_id: id.clone(),
            eligibility: word.to_owned(),
        };
        context
            .client
            .set_node_eligibility(&request, &nomad_api::client::QueryOptions::new())
            .await
            .context("Error updating scheduling eligibility")?;
        context.ui.out(format!(
            "Node {id:?} scheduling eligibility set: {word} for scheduling"
        ));
        Ok(0)
    }
}

/// Flags of `node meta apply`.
#[derive(Debug, Args)]
pub struct NodeMetaApply {
    /// The node; the agent's own by default.
    #[arg(long, value_name = "node", default_value = "")]
    pub node_id: String,
    /// Keys to take away, with commas between them.
    #[arg(long, value_name = "keys", default_value = "")]
    pub unset: String,
}

impl Verb for NodeMetaApply {
    const ARGUMENTS: &'static str = "[<key>=<value>...]";
    const ARITY: (usize, usize) = (0, usize::MAX);
    const ABOUT: &'static str = "Changes a node's metadata while it runs.";

    async fn run(self, context: Context) -> Result<i32> {
        if context.args.is_empty() && self.unset.is_empty() {
            return usage("Nothing to change: give key=value or -unset");
        }
        let mut meta = BTreeMap::new();
        for pair in &context.args {
            let Some((key, value)) = pair.split_once('=') else {
                return usage(format!("Invalid metadata {pair:?}: want key=value"));
            };
            meta.insert(key.to_owned(), Some(value.to_owned()));
        }
        for key in self.unset.split(',').filter(|key| !key.is_empty()) {
            meta.insert(key.trim().to_owned(), None);
        }
        let request = NodeMetaRequest {
            node_id: node(&context, &self.node_id).await?,
            meta: Some(meta),
        };
        context
            .client
            .set_node_meta(&request)
            .await
            .context("Error applying dynamic node metadata")?;
        Ok(0)
    }
}

async fn node(context: &Context, given: &str) -> Result<String> {
    if given.is_empty() {
        return Ok(String::new());
    }
    resolve::node_id(context, given).await
}

/// Flags of `node meta read`.
#[derive(Debug, Args)]
pub struct NodeMetaRead {
    /// The node; the agent's own by default.
    #[arg(long, value_name = "node", default_value = "")]
    pub node_id: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for NodeMetaRead {
    const ABOUT: &'static str =
        "Shows a node's metadata: merged, what was changed while it ran, and what is configured.";

    async fn run(self, context: Context) -> Result<i32> {
        let id = node(&context, &self.node_id).await?;
        let meta = context
            .client
            .node_meta(&id)
            .await
            .context("Error reading dynamic node metadata")?;
        if self.json || self.t.is_some() {
            return print_object(&context, serde_json::to_value(&meta)?, self.t.as_deref());
        }
        context.ui.out(sections(&context, &meta));
        Ok(0)
    }
}

fn sections(context: &Context, meta: &NodeMetaResponse) -> String {
    let pairs = |map: &nomad_core::job::StringMap| {
        kv(&map
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Vec<_>>())
    };
    let dynamic = meta.dynamic.iter().flatten();
    let dynamic = kv(&dynamic
        .map(|(key, value)| {
            let value = value.clone().unwrap_or_else(|| "<unset>".to_owned());
            (key.clone(), value)
        })
        .collect::<Vec<_>>());
    format!(
        "{}\n{}\n\n{}\n{dynamic}\n\n{}\n{}",
        context.ui.bold("All Meta"),
        pairs(&meta.meta),
        context.ui.bold("Dynamic Meta"),
        context.ui.bold("Static Meta"),
        pairs(&meta.fixed)
    )
}

/// Flags of `node config`.
#[derive(Debug, Args)]
pub struct NodeConfig {
    /// Show the servers that the agent's client talks to.
    #[arg(long)]
    pub servers: bool,
    /// Set the servers that the agent's client talks to.
    #[arg(long)]
    pub update_servers: bool,
}

impl Verb for NodeConfig {
    const ARGUMENTS: &'static str = "[<server address>...]";
    const ARITY: (usize, usize) = (0, usize::MAX);
    const ABOUT: &'static str = "Shows or changes the servers of the agent that is talked to.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.servers == self.update_servers {
            return usage("The -servers or -update-servers flag(s) must be set");
        }
        if self.servers {
            let servers = context
                .client
                .agent_servers()
                .await
                .context("Error querying server list")?;
            for server in servers {
                context.ui.out(server);
            }
            return Ok(0);
        }
        if context.args.is_empty() {
            bail!("Please specify at least one address");
        }
        context
            .client
            .set_agent_servers(&context.args)
            .await
            .context("Error updating server list")?;
        context.ui.out("Updated server list");
        Ok(0)
    }
}
