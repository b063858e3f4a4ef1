//! `node status`: all nodes, or one with everything about it.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::{AllocListStub, NodeListStub};
use serde_json::Value;

use super::node_show;
use super::shared::row;
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{short_id, table};
use crate::resolve;

/// Flags of `node status`.
#[derive(Debug, Clone, Args)]
pub struct NodeStatus {
    /// The node of the agent itself.
    #[arg(long = "self")]
    pub own: bool,
    /// Show detailed statistics of the machine.
    #[arg(long)]
    pub stats: bool,
    /// Also count running allocations, in the list.
    #[arg(long)]
    pub allocs: bool,
    /// Only the node's own lines and its allocations.
    #[arg(long)]
    pub short: bool,
    /// Show whole ids, and more.
    #[arg(long)]
    pub verbose: bool,
    /// Nodes per page.
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub per_page: u32,
    /// Where the page begins.
    #[arg(long, value_name = "token", default_value = "")]
    pub page_token: String,
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// Show the operating system, in the list.
    #[arg(long)]
    pub os: bool,
    /// Only whole ids, in the list.
    #[arg(long)]
    pub quiet: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for NodeStatus {
    const ARGUMENTS: &'static str = "<node>";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Lists nodes, or shows one: its state, what it has and uses, its events and its allocations.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        if self.quiet && (self.verbose || self.json) {
            return usage("-quiet cannot be used with -verbose or -json");
        }
        let formatted = self.json || self.t.is_some();
        if context.args.is_empty() && !self.own {
            if formatted {
                let (nodes, _) = context
                    .client
                    .get::<Value>("/v1/nodes", &self.list_options())
                    .await
                    .context("Error querying node status")?;
                return super::shared::print_object(&context, nodes, self.t.as_deref());
            }
            return self.list(&context).await;
        }
        let id = if self.own {
            resolve::own_node(&context).await?
        } else {
            resolve::node_id(&context, context.arg(0)).await?
        };
        if formatted {
            let (node, _) = context
                .client
                .get::<Value>(&format!("/v1/node/{id}"), &QueryOptions::new())
                .await
                .context("Error querying node info")?;
            return super::shared::print_object(&context, node, self.t.as_deref());
        }
        let (node, _) = context
            .client
            .node(&id, &QueryOptions::new())
            .await
            .context("Error querying node info")?;
        node_show::show(&context, &node, &self).await?;
        context
            .hint("View client details and metrics", &format!("/clients/{id}"))
            .await;
        Ok(0)
    }
}

impl NodeStatus {
    fn list_options(&self) -> QueryOptions {
        let mut options = QueryOptions {
            per_page: self.per_page,
            next_token: self.page_token.clone(),
            filter: self.filter.clone(),
            ..QueryOptions::new()
        };
        if self.os {
            options = options.param("os", "true");
        }
        options
    }

    async fn list(&self, context: &Context) -> Result<i32> {
        let (nodes, meta) = context
            .client
            .nodes(&self.list_options())
            .await
            .context("Error querying node status")?;
        if nodes.is_empty() {
            if !self.quiet {
                context.ui.out("No nodes registered");
            }
            return Ok(0);
        }
        if self.quiet {
            for node in &nodes {
                context.ui.out(&node.id);
            }
        } else {
            let mut counts = Vec::new();
            if self.allocs {
                for node in &nodes {
                    let (allocs, _) = context
                        .client
                        .node_allocations(&node.id, &QueryOptions::new())
                        .await
                        .context("Error querying node allocations")?;
                    counts.push(running(&allocs));
                }
            }
            context.ui.out(self.list_table(&nodes, &counts));
        }
        super::shared::page_footer(context, &meta.next_token);
        if !self.quiet {
            context
                .hint("View and manage Nomad clients", "/clients")
                .await;
        }
        Ok(0)
    }

    fn list_table(&self, nodes: &[NodeListStub], counts: &[usize]) -> String {
        let mut header = row(["ID", "Node Pool", "DC", "Name", "Class"]);
        let mut add = |names: &[&str]| header.extend(names.iter().map(|name| (*name).to_owned()));
        if self.os {
            add(&["OS"]);
        }
        if self.verbose {
            add(&["Address", "Version"]);
        }
        add(&["Drain", "Eligibility", "Status"]);
        if self.allocs {
            add(&["Running Allocs"]);
        }
        let mut rows = vec![header];
        for (at, node) in nodes.iter().enumerate() {
            let mut cells = vec![
                short_id(&node.id, self.verbose),
                node.node_pool.clone(),
                node.datacenter.clone(),
                node.name.clone(),
                node.node_class.clone(),
            ];
            if self.os {
                let os = node
                    .attributes
                    .as_ref()
                    .and_then(|attributes| attributes.get("os.name").cloned());
                cells.push(os.unwrap_or_default());
            }
            if self.verbose {
                cells.extend([node.address.clone(), node.version.clone()]);
            }
            cells.extend([
                node.drain.to_string(),
                node.scheduling_eligibility.clone(),
                node.status.clone(),
            ]);
            if let Some(count) = counts.get(at) {
                cells.push(count.to_string());
            }
            rows.push(cells);
        }
        table(&rows)
    }
}

/// How many allocations run.
fn running(allocs: &[AllocListStub]) -> usize {
    allocs
        .iter()
        .filter(|alloc| alloc.client_status == "running")
        .count()
}
