//! `node pool list|info|nodes|jobs|apply|delete|init`.

use std::io::Read;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_core::node::NodePool;
use serde_json::Value;

use super::shared::{job_table, node_candidates, page_footer, print_object, row};
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{kv, short_id, table};

/// Largest file that describes a node pool.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Flags of the lists.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// Entries per page.
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub per_page: u32,
    /// Where the page begins.
    #[arg(long, value_name = "token", default_value = "")]
    pub page_token: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl ListFlags {
    fn options(&self) -> QueryOptions {
        QueryOptions {
            filter: self.filter.clone(),
            per_page: self.per_page,
            next_token: self.page_token.clone(),
            ..QueryOptions::new()
        }
    }

    /// Prints the answer whole, where that is wanted.
    async fn formatted(&self, context: &Context, path: &str) -> Result<Option<i32>> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        if !self.json && self.t.is_none() {
            return Ok(None);
        }
        let (value, _) = context.client.get::<Value>(path, &self.options()).await?;
        print_object(context, value, self.t.as_deref()).map(Some)
    }
}

/// Flags of `node pool list`.
#[derive(Debug, Args)]
pub struct PoolList {
    #[command(flatten)]
    pub list: ListFlags,
}

impl Verb for PoolList {
    const ABOUT: &'static str = "Lists node pools.";

    async fn run(self, context: Context) -> Result<i32> {
        if let Some(code) = self.list.formatted(&context, "/v1/node/pools").await? {
            return Ok(code);
        }
        let (pools, meta) = context
            .client
            .node_pools(&self.list.options())
            .await
            .context("Error querying node pools")?;
        if pools.is_empty() {
            context.ui.out("No node pools");
            return Ok(0);
        }
        let mut rows = vec![row(["Name", "Description"])];
        rows.extend(
            pools
                .into_iter()
                .map(|pool| vec![pool.name, pool.description]),
        );
        context.ui.out(table(&rows));
        page_footer(&context, &meta.next_token);
        Ok(0)
    }
}

/// The whole name of the pool that a name or prefix means.
async fn resolve(context: &Context, text: &str) -> Result<String> {
    let (pools, _) = context
        .client
        .node_pools(&QueryOptions::new().prefix(text))
        .await
        .context("Error retrieving node pool")?;
    if let Some(exact) = pools.iter().find(|pool| pool.name == text) {
        return Ok(exact.name.clone());
    }
    match pools.as_slice() {
        [] => bail!("No node pool with prefix {text:?} found"),
        [pool] => Ok(pool.name.clone()),
        pools => {
            let mut rows = vec![row(["Name", "Description"])];
            rows.extend(
                pools
                    .iter()
                    .map(|pool| vec![pool.name.clone(), pool.description.clone()]),
            );
            bail!("Prefix matched multiple node pools\n\n{}", table(&rows))
        }
    }
}

/// Flags of `node pool info`.
#[derive(Debug, Args)]
pub struct PoolInfo {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for PoolInfo {
    const ARGUMENTS: &'static str = "<node-pool>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows a node pool.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = resolve(&context, context.arg(0)).await?;
        let (pool, _) = context
            .client
            .node_pool(&name, &QueryOptions::new())
            .await
            .context("Error retrieving node pool")?;
        if self.json || self.t.is_some() {
            return print_object(&context, serde_json::to_value(&pool)?, self.t.as_deref());
        }
        context.ui.out(kv(&[
            ("Name", pool.name.clone()),
            ("Description", pool.description.clone()),
            ("Node Identity TTL", pool.node_identity_ttl.to_string()),
        ]));
        let meta: Vec<(String, String)> = pool
            .meta
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let meta = if meta.is_empty() {
            "No metadata".to_owned()
        } else {
            kv(&meta)
        };
        context.ui.section("Metadata", meta);
        let config = match &pool.scheduler_configuration {
            None => "No scheduler configuration".to_owned(),
            Some(config) => {
                let mut lines = Vec::new();
                if !config.scheduler_algorithm.is_empty() {
                    lines.push(("Scheduler Algorithm", config.scheduler_algorithm.clone()));
                }
                if let Some(enabled) = config.memory_oversubscription_enabled {
                    lines.push(("Memory Oversubscription Enabled", enabled.to_string()));
                }
                kv(&lines)
            }
        };
        context.ui.section("Scheduler Configuration", config);
        Ok(0)
    }
}

/// Flags of `node pool nodes`.
#[derive(Debug, Args)]
pub struct PoolNodes {
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub list: ListFlags,
}

impl Verb for PoolNodes {
    const ARGUMENTS: &'static str = "<node-pool>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Lists the nodes of a pool.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = resolve(&context, context.arg(0)).await?;
        let path = format!("/v1/node/pool/{name}/nodes");
        if let Some(code) = self.list.formatted(&context, &path).await? {
            return Ok(code);
        }
        let (mut nodes, meta) = context
            .client
            .node_pool_nodes(&name, &self.list.options())
            .await
            .context("Error querying nodes")?;
        if nodes.is_empty() {
            context.ui.out("No nodes");
            return Ok(0);
        }
        for node in &mut nodes {
            node.id = short_id(&node.id, self.verbose);
        }
        context.ui.out(node_candidates(&nodes));
        page_footer(&context, &meta.next_token);
        Ok(0)
    }
}

/// Flags of `node pool jobs`.
#[derive(Debug, Args)]
pub struct PoolJobs {
    #[command(flatten)]
    pub list: ListFlags,
}

impl Verb for PoolJobs {
    const ARGUMENTS: &'static str = "<node-pool>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Lists the jobs of a node pool.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = resolve(&context, context.arg(0)).await?;
        let path = format!("/v1/node/pool/{name}/jobs");
        if let Some(code) = self.list.formatted(&context, &path).await? {
            return Ok(code);
        }
        let (jobs, meta) = context
            .client
            .node_pool_jobs(&name, &self.list.options())
            .await
            .context("Error querying jobs")?;
        if jobs.is_empty() {
            context.ui.out("No jobs");
            return Ok(0);
        }
        context
            .ui
            .out(job_table(&jobs, context.config.namespace == "*"));
        page_footer(&context, &meta.next_token);
        Ok(0)
    }
}

/// Flags of `node pool apply`.
#[derive(Debug, Args)]
pub struct PoolApply {
    /// The file is JSON as the API takes it.
    #[arg(long)]
    pub json: bool,
}

impl Verb for PoolApply {
    const ARGUMENTS: &'static str = "<file>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str =
        "Makes or changes a node pool out of a JSON file, or out of stdin for \"-\".";

    async fn run(self, context: Context) -> Result<i32> {
        let text = read(context.arg(0))?;
        if !self.json {
            bail!("node pool apply: HCL files are not supported yet; use JSON and -json");
        }
        let pool: NodePool =
            serde_json::from_str(&text).context("Failed to parse input content")?;
        context
            .client
            .apply_node_pool(&pool)
            .await
            .context("Error applying node pool")?;
        context
            .ui
            .out(format!("Successfully applied node pool {:?}!", pool.name));
        Ok(0)
    }
}

/// A small file, or stdin.
pub fn read(path: &str) -> Result<String> {
    let mut text = String::new();
    if path == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .context("Failed to read stdin")?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
            .map_err(|error| anyhow!("Failed to read {path:?}: {error}"))?;
    }
    Ok(text)
}

/// No flags of its own.
#[derive(Debug, Args)]
pub struct PoolDelete {}

impl Verb for PoolDelete {
    const ARGUMENTS: &'static str = "<node-pool>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Deletes a node pool that has no nodes and no jobs.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = context.arg(0);
        context
            .client
            .delete_node_pool(name)
            .await
            .context("Error deleting node pool")?;
        context
            .ui
            .out(format!("Successfully deleted node pool {name:?}!"));
        Ok(0)
    }
}

/// Flags of `node pool init`.
#[derive(Debug, Args)]
pub struct PoolInit {
    /// "hcl" or "json".
    #[arg(long, value_name = "format", default_value = "hcl")]
    pub out: String,
    /// Say nothing.
    #[arg(long)]
    pub quiet: bool,
}

impl Verb for PoolInit {
    const ARGUMENTS: &'static str = "[filename]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Writes an example of a file that describes a node pool.";

    async fn run(self, context: Context) -> Result<i32> {
        let (standard, text) = match self.out.as_str() {
            "hcl" => ("pool.nomad.hcl", EXAMPLE_HCL),
            "json" => ("pool.nomad.json", EXAMPLE_JSON),
            other => return usage(format!("Invalid -out {other:?}: want hcl or json")),
        };
        let name = match context.arg(0) {
            "" => standard,
            name => name,
        };
        match std::fs::File::create_new(name) {
            Ok(mut file) => std::io::Write::write_all(&mut file, text.as_bytes())
                .with_context(|| format!("Failed to write {name:?}"))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("File {name:?} already exists")
            }
            Err(error) => return Err(error).with_context(|| format!("Failed to write {name:?}")),
        }
        if !self.quiet {
            context
                .ui
                .out(format!("Example node pool specification written to {name}"));
        }
        Ok(0)
    }
}

const EXAMPLE_HCL: &str = r#"node_pool "example" {
  description = "Nodes for one purpose"

  meta {
    owner = "team"
  }
}
"#;

const EXAMPLE_JSON: &str = r#"{
  "Name": "example",
  "Description": "Nodes for one purpose",
  "Meta": {
    "owner": "team"
  }
}
"#;
