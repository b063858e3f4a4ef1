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
use crate::spec_file::from_hcl;

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
        for (heading, choice) in [
            (
                "Node Pool Configuration",
                &namespace.node_pool_configuration,
            ),
            ("Vault Configuration", &namespace.vault_configuration),
            ("Consul Configuration", &namespace.consul_configuration),
        ] {
            if let Some(choice) = choice {
                let lines = [
                    ("Default", choice.default.clone()),
                    ("Allowed", choice.allowed.join(",")),
                    ("Denied", choice.denied.join(",")),
                ];
                context.ui.section(heading, kv(&lines));
            }
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
    /// The file, or stdin for "-", is JSON as the API takes it, not HCL.
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
            if self.description.is_some() || self.quota.is_some() {
                context
                    .ui
                    .warn("Flags are ignored when a file is specified");
            }
            let text = read(name)?;
            if self.json {
                serde_json::from_str(&text).context("Failed to parse input content")?
            } else {
                from_file(&text).context("Failed to parse input content")?
            }
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

/// A namespace as a file in HCL describes it.
fn from_file(text: &str) -> Result<NamespaceInfo> {
    let mut described = serde_json::Map::new();
    for (key, value) in from_hcl(text)? {
        let name = match key.as_str() {
            "name" | "description" | "quota" | "meta" | "capabilities" => pascal(&key),
            "required_extra_claims" | "optional_extra_claims" => pascal(&key),
            "node_pool_config" => "NodePoolConfiguration".to_owned(),
            "vault" => "VaultConfiguration".to_owned(),
            "consul" => "ConsulConfiguration".to_owned(),
            _ => bail!("unknown key {key:?}"),
        };
        let value = match value {
            Value::Object(block)
                if !matches!(key.as_str(), "meta") && !name.ends_with("Claims") =>
            {
                let inner = block.into_iter().map(|(key, value)| (pascal(&key), value));
                Value::Object(inner.collect())
            }
            other => other,
        };
        described.insert(name, value);
    }
    Ok(serde_json::from_value(Value::Object(described))?)
}

fn pascal(key: &str) -> String {
    let words = key.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_describe_namespaces() {
        let text = "name = \"team\"\ndescription = \"d\"\nmeta { owner_name = \"me\" }\n\
                    capabilities {\n enabled_task_drivers = [\"raw_exec\"]\n disabled_network_modes = [\"host\"]\n}\n";
        let namespace = from_file(text).unwrap();
        let capabilities = namespace.capabilities.unwrap();
        assert_eq!(namespace.name, "team");
        assert_eq!(namespace.meta["owner_name"], "me");
        assert_eq!(capabilities.enabled_task_drivers, ["raw_exec"]);
        assert_eq!(capabilities.disabled_network_modes, ["host"]);
        assert!(from_file("nam = \"team\"").is_err());
    }
}
