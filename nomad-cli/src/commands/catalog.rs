//! Lists of what allocations register or use: `scaling policy`, `service`, `volume status`, `plugin status`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use serde_json::Value;

use super::shared::{print_object, row};
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{self, kv, short_id, table};

/// Flags of `scaling policy list`.
#[derive(Debug, Args)]
pub struct ScalingPolicyList {
    /// Only those of this job.
    #[arg(long, value_name = "job", default_value = "")]
    pub job: String,
    /// Only those of this type.
    #[arg(long = "type", value_name = "type", default_value = "")]
    pub kind: String,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for ScalingPolicyList {
    const ABOUT: &'static str = "Lists scaling policies.";

    async fn run(self, context: Context) -> Result<i32> {
        let mut options = QueryOptions::new();
        for (name, value) in [("job", &self.job), ("type", &self.kind)] {
            if !value.is_empty() {
                options = options.param(name, value.as_str());
            }
        }
        if self.json || self.t.is_some() {
            let (value, _) = context
                .client
                .get::<Value>("/v1/scaling/policies", &options)
                .await
                .context("Error listing scaling policies")?;
            return print_object(&context, value, self.t.as_deref());
        }
        let (mut policies, _) = context
            .client
            .scaling_policies(&options)
            .await
            .context("Error listing scaling policies")?;
        if policies.is_empty() {
            context.ui.out("No policies found");
            return Ok(0);
        }
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        let mut rows = vec![row(["ID", "Enabled", "Type", "Target"])];
        rows.extend(policies.into_iter().map(|policy| {
            vec![
                short_id(&policy.id, self.verbose),
                policy.enabled.to_string(),
                policy.kind.clone(),
                target(&policy.target),
            ]
        }));
        context.ui.out(table(&rows));
        Ok(0)
    }
}

fn target(target: &nomad_core::job::StringMap) -> String {
    target
        .iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// Flags of `scaling policy info`.
#[derive(Debug, Args)]
pub struct ScalingPolicyInfo {
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for ScalingPolicyInfo {
    const ARGUMENTS: &'static str = "<policy>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows a scaling policy.";

    async fn run(self, context: Context) -> Result<i32> {
        let (all, _) = context
            .client
            .scaling_policies(&QueryOptions::new())
            .await
            .context("Error listing scaling policies")?;
        let matching: Vec<&str> = all
            .iter()
            .map(|policy| policy.id.as_str())
            .filter(|id| id.starts_with(context.arg(0)))
            .collect();
        let id = match matching.as_slice() {
            [] => bail!(
                "No scaling policies with prefix or id {:?} found",
                context.arg(0)
            ),
            [id] => *id,
            several => bail!(
                "Prefix matched multiple scaling policies\n\n{}",
                several.join("\n")
            ),
        };
        let (policy, _) = context
            .client
            .scaling_policy(id, &QueryOptions::new())
            .await
            .context("Error querying scaling policy")?;
        if self.json || self.t.is_some() {
            let value = serde_json::to_value(&policy)?;
            return print_object(&context, value, self.t.as_deref());
        }
        context.ui.out(kv(&[
            ("ID", short_id(&policy.id, self.verbose)),
            ("Enabled", policy.enabled.to_string()),
            ("Target", target(&policy.target)),
            ("Min", policy.min.to_string()),
            ("Max", policy.max.to_string()),
        ]));
        let document = format::json(&format::sorted(Value::Object(policy.policy)));
        context.ui.out(format!("\nPolicy:\n{document}"));
        Ok(0)
    }
}

/// Flags of `service list`.
#[derive(Debug, Args)]
pub struct ServiceList {
    #[arg(long, hide = true)]
    pub name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Verb for ServiceList {
    const ABOUT: &'static str = "Lists the services that allocations have registered.";

    async fn run(self, context: Context) -> Result<i32> {
        let (value, _) = context
            .client
            .get::<Value>("/v1/services", &QueryOptions::new())
            .await
            .context("Error listing service registrations")?;
        if self.json || self.t.is_some() {
            return print_object(&context, value, self.t.as_deref());
        }
        let every_namespace = context.config.namespace == "*";
        let mut rows = Vec::new();
        for namespace in value.as_array().into_iter().flatten() {
            for service in namespace["Services"].as_array().into_iter().flatten() {
                let mut tags = strings(&service["Tags"]);
                tags.sort();
                let mut cells = vec![service["ServiceName"].as_str().unwrap_or("").to_owned()];
                if every_namespace {
                    cells.push(namespace["Namespace"].as_str().unwrap_or("").to_owned());
                }
                cells.push(format!("[{}]", tags.join(",")));
                rows.push(cells);
            }
        }
        if rows.is_empty() {
            context.ui.out("No service registrations found");
            return Ok(0);
        }
        rows.sort();
        rows.insert(
            0,
            if every_namespace {
                row(["Service Name", "Namespace", "Tags"])
            } else {
                row(["Service Name", "Tags"])
            },
        );
        context.ui.out(table(&rows));
        Ok(0)
    }
}

/// Flags of `service info`.
#[derive(Debug, Args)]
pub struct ServiceInfo {
    /// Everything of each instance.
    #[arg(long)]
    pub verbose: bool,
    /// Instances per page.
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub per_page: u32,
    /// Where the page begins.
    #[arg(long, value_name = "token", default_value = "")]
    pub page_token: String,
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for ServiceInfo {
    const ARGUMENTS: &'static str = "<service>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Shows the instances of a service.";

    async fn run(self, context: Context) -> Result<i32> {
        let options = QueryOptions {
            per_page: self.per_page,
            next_token: self.page_token.clone(),
            filter: self.filter.clone(),
            ..QueryOptions::new()
        };
        let path = format!("/v1/service/{}", context.arg(0));
        let (value, _) = context
            .client
            .get::<Value>(&path, &options)
            .await
            .context("Error listing service registrations")?;
        if self.json || self.t.is_some() {
            return print_object(&context, value, self.t.as_deref());
        }
        let instances = value.as_array().cloned().unwrap_or_default();
        if instances.is_empty() {
            context.ui.out("No service registrations found");
            return Ok(0);
        }
        let text = |of: &Value, key: &str| of[key].as_str().unwrap_or("").to_owned();
        let address = |of: &Value| format!("{}:{}", text(of, "Address"), of["Port"]);
        let tags = |of: &Value| format!("[{}]", strings(&of["Tags"]).join(","));
        if self.verbose {
            for one in &instances {
                context.ui.out(format!(
                    "{}\n",
                    kv(&[
                        ("ID", text(one, "ID")),
                        ("Service Name", text(one, "ServiceName")),
                        ("Namespace", text(one, "Namespace")),
                        ("Job ID", text(one, "JobID")),
                        ("Alloc ID", text(one, "AllocID")),
                        ("Node ID", text(one, "NodeID")),
                        ("Datacenter", text(one, "Datacenter")),
                        ("Address", address(one)),
                        ("Tags", tags(one)),
                    ])
                ));
            }
            return Ok(0);
        }
        let mut rows = vec![row(["Job ID", "Address", "Tags", "Node ID", "Alloc ID"])];
        rows.extend(instances.iter().map(|one| {
            vec![
                text(one, "JobID"),
                address(one),
                tags(one),
                short_id(&text(one, "NodeID"), false),
                short_id(&text(one, "AllocID"), false),
            ]
        }));
        context.ui.out(table(&rows));
        Ok(0)
    }
}

/// Flags of `plugin status`.
#[derive(Debug, Args)]
pub struct PluginStatus {
    /// Only "csi".
    #[arg(long = "type", value_name = "type", default_value = "csi")]
    pub kind: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for PluginStatus {
    const ABOUT: &'static str = "Lists storage plugins.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.kind != "csi" {
            return usage(format!("Invalid -type {:?}: want csi", self.kind));
        }
        let options = QueryOptions::new().param("type", "csi");
        let (value, _) = context
            .client
            .get::<Value>("/v1/plugins", &options)
            .await
            .context("Error querying CSI plugins")?;
        if self.json || self.t.is_some() {
            return print_object(&context, value, self.t.as_deref());
        }
        context
            .ui
            .out(context.ui.bold("Container Storage Interface"));
        let plugins = value.as_array().cloned().unwrap_or_default();
        if plugins.is_empty() {
            context.ui.error("No CSI plugins");
            return Ok(0);
        }
        let mut rows = vec![row([
            "ID",
            "Provider",
            "Controllers Healthy/Expected",
            "Nodes Healthy/Expected",
        ])];
        rows.extend(plugins.iter().map(|plugin| {
            vec![
                plugin["ID"].as_str().unwrap_or("").to_owned(),
                plugin["Provider"].as_str().unwrap_or("").to_owned(),
                format!(
                    "{}/{}",
                    plugin["ControllersHealthy"], plugin["ControllersExpected"]
                ),
                format!("{}/{}", plugin["NodesHealthy"], plugin["NodesExpected"]),
            ]
        }));
        context.ui.out(table(&rows));
        Ok(0)
    }
}

/// Flags of `volume status`.
#[derive(Debug, Args)]
pub struct VolumeStatus {
    /// Only "csi" or only "host".
    #[arg(long = "type", value_name = "type", default_value = "")]
    pub kind: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for VolumeStatus {
    const ABOUT: &'static str = "Lists volumes.";

    async fn run(self, context: Context) -> Result<i32> {
        let kinds: &[&str] = match self.kind.as_str() {
            "" => &["host", "csi"],
            "host" => &["host"],
            "csi" => &["csi"],
            other => return usage(format!("Invalid -type {other:?}: want csi or host")),
        };
        for (at, kind) in kinds.iter().enumerate() {
            let options = QueryOptions::new().param("type", *kind);
            let (value, _) = context
                .client
                .get::<Value>("/v1/volumes", &options)
                .await
                .context("Error querying volumes")?;
            if self.json || self.t.is_some() {
                print_object(&context, value, self.t.as_deref())?;
                continue;
            }
            if at > 0 {
                context.ui.out("");
            }
            volumes(&context, kind, &value);
        }
        Ok(0)
    }
}

fn volumes(context: &Context, kind: &str, value: &Value) {
    let host = kind == "host";
    let (heading, none, columns): (_, _, &[&str]) = if host {
        (
            "Dynamic Host Volumes",
            "No dynamic host volumes",
            &[
                "ID",
                "Name",
                "Namespace",
                "PluginID",
                "NodeID",
                "NodePool",
                "State",
            ],
        )
    } else {
        (
            "Container Storage Interface",
            "No CSI volumes",
            &[
                "ID",
                "Name",
                "Namespace",
                "PluginID",
                "Schedulable",
                "AccessMode",
            ],
        )
    };
    context.ui.out(context.ui.bold(heading));
    let volumes = value.as_array().cloned().unwrap_or_default();
    if volumes.is_empty() {
        context.ui.error(none);
        return;
    }
    let mut rows = vec![
        columns
            .iter()
            .map(|name| match *name {
                "PluginID" => "Plugin ID".to_owned(),
                "NodeID" => "Node ID".to_owned(),
                "NodePool" => "Node Pool".to_owned(),
                "AccessMode" => "Access Mode".to_owned(),
                name => name.to_owned(),
            })
            .collect::<Vec<_>>(),
    ];
    rows.extend(volumes.iter().map(|volume| {
        columns
            .iter()
            .map(|name| match &volume[*name] {
                Value::String(text) if host && matches!(*name, "ID" | "NodeID") => {
                    short_id(text, false)
                }
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            })
            .collect()
    }));
    context.ui.out(table(&rows));
}
