//! `namespace list|status|inspect|apply|delete`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::NamespaceInfo;
use serde_json::Value;

use super::node_pool::read;
use super::shared::{print_object, row};
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{kv, table};
use crate::resolve::found;

/// Flags of `namespace list`.
#[derive(Debug, Args)]
pub struct NamespaceList {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for NamespaceList {
    const ABOUT: &'static str = "Lists namespaces.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        if self.json || self.t.is_some() {
            let (value, _) = context
                .client
                .get::<Value>("/v1/namespaces", &QueryOptions::new())
                .await
                .context("Error retrieving namespaces")?;
            return print_object(&context, value, self.t.as_deref());
        }
        let (namespaces, _) = context
            .client
            .namespaces(&QueryOptions::new())
            .await
            .context("Error retrieving namespaces")?;
        let mut rows = vec![row(["Name", "Description"])];
        rows.extend(
            namespaces
                .into_iter()
                .map(|namespace| vec![namespace.name, namespace.description]),
        );
        context.ui.out(table(&rows));
        Ok(0)
    }
}

/// Flags of `namespace status`.
#[derive(Debug, Args)]
pub struct NamespaceStatus {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for NamespaceStatus {
    const ARGUMENTS: &'static str = "<namespace>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows a namespace.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = resolve(&context, context.arg(0)).await?;
        let (namespace, _) = context
            .client
            .namespace(&name, &QueryOptions::new())
            .await
            .context("Error retrieving namespace")?;
        if self.json || self.t.is_some() {
            let value = serde_json::to_value(&namespace)?;
            return print_object(&context, value, self.t.as_deref());
        }
        let capabilities = namespace.capabilities.clone().unwrap_or_default();
        let enabled = |list: &[String]| {
            if list.is_empty() {
                "*".to_owned()
            } else {
                list.join(",")
            }
        };
        context.ui.out(kv(&[
            ("Name", namespace.name.clone()),
            ("Description", namespace.description.clone()),
            ("Quota", namespace.quota.clone()),
            (
                "Enabled Drivers",
                enabled(&capabilities.enabled_task_drivers),
            ),
            (
                "Disabled Drivers",
                capabilities.disabled_task_drivers.join(","),
            ),
            (
                "Enabled Network Modes",
                enabled(&capabilities.enabled_network_modes),
            ),
            (
                "Disabled Network Modes",
                capabilities.disabled_network_modes.join(","),
            ),
        ]));
        if !namespace.meta.is_empty() {
            let meta: Vec<(String, String)> = namespace
                .meta
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            context.ui.section("Metadata", kv(&meta));
        }
        Ok(0)
    }
}

/// The whole name of the namespace that a name or prefix means.
async fn resolve(context: &Context, text: &str) -> Result<String> {
    let (namespaces, _) = context
        .client
        .namespaces(&QueryOptions::new().prefix(text))
        .await
        .context("Error retrieving namespaces")?;
    if namespaces.iter().any(|namespace| namespace.name == text) {
        return Ok(text.to_owned());
    }
    match namespaces.as_slice() {
        [] => bail!("Namespace {text:?} matched no namespaces"),
        [namespace] => Ok(namespace.name.clone()),
        several => {
            let names: Vec<&str> = several.iter().map(|n| n.name.as_str()).collect();
            bail!("Prefix matched multiple namespaces\n\n{}", names.join("\n"))
        }
    }
}

/// Flags of `namespace inspect`.
#[derive(Debug, Args)]
pub struct NamespaceInspect {
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for NamespaceInspect {
    const ARGUMENTS: &'static str = "<namespace>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows a namespace as JSON.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = resolve(&context, context.arg(0)).await?;
        let (value, _) = context
            .client
            .get::<Value>(&format!("/v1/namespace/{name}"), &QueryOptions::new())
            .await
            .context("Error retrieving namespace")?;
        print_object(&context, value, self.t.as_deref())
    }
}

/// Flags of `namespace apply`.
#[derive(Debug, Args)]
pub struct NamespaceApply {
    /// What the namespace is for.
    #[arg(long, value_name = "text")]
    pub description: Option<String>,
    /// Quota of the namespace.
    #[arg(long, value_name = "quota")]
    pub quota: Option<String>,
    /// The argument is a JSON file as the API takes it, or "-" for stdin.
    #[arg(long)]
    pub json: bool,
}

impl Verb for NamespaceApply {
    const ARGUMENTS: &'static str = "<namespace|file>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Makes or changes a namespace. What is not given stays as it is.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = context.arg(0);
        let is_file = name == "-" || std::path::Path::new(name).is_file();
        let namespace = if is_file {
            if !self.json {
                bail!("namespace apply: HCL files are not supported yet; use JSON and -json");
            }
            serde_json::from_str(&read(name)?).context("Failed to parse input content")?
        } else {
            let known = found(context.client.namespace(name, &QueryOptions::new()).await)
                .context("Error looking up namespace")?;
            let mut namespace = known.map_or_else(NamespaceInfo::default, |(known, _)| known);
            name.clone_into(&mut namespace.name);
            if let Some(text) = &self.description {
                namespace.description.clone_from(text);
            }
            if let Some(text) = &self.quota {
                namespace.quota.clone_from(text);
            }
            namespace
        };
        context
            .client
            .apply_namespace(&namespace)
            .await
            .context("Error applying namespace")?;
        context.ui.out(format!(
            "Successfully applied namespace {:?}!",
            namespace.name
        ));
        Ok(0)
    }
}

/// No flags of its own.
#[derive(Debug, Args)]
pub struct NamespaceDelete {}

impl Verb for NamespaceDelete {
    const ARGUMENTS: &'static str = "<namespace>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Deletes a namespace that has no jobs.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = context.arg(0);
        context
            .client
            .delete_namespace(name)
            .await
            .context("Error deleting namespace")?;
        context
            .ui
            .out(format!("Successfully deleted namespace {name:?}!"));
        Ok(0)
    }
}
