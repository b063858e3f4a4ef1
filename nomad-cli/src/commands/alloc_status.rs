//! `alloc status`: an allocation with its tasks and their events.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::AllocResourceUsage;
use nomad_core::alloc::Allocation;
use nomad_core::metric::AllocMetric;
use serde_json::Value;

use super::shared::{metric_lines, row};
use super::{alloc_target, alloc_tasks};
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{ago, kv, short_id, table, time};
use crate::resolve::{self, Ambiguous};

/// Flags of `alloc status`.
#[derive(Debug, Clone, Args)]
pub struct AllocStatus {
    /// Only the allocation's own lines and the state of its tasks.
    #[arg(long)]
    pub short: bool,
    /// Show all measured statistics.
    #[arg(long)]
    pub stats: bool,
    /// Show whole ids, absolute times and why it was placed where it is.
    #[arg(long)]
    pub verbose: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for AllocStatus {
    const ARGUMENTS: &'static str = "<allocation>";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Shows an allocation: where it is, how it is, what its tasks use and what happened to them.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let formatted = self.json || self.t.is_some();
        if context.args.is_empty() {
            if !formatted {
                return usage(
                    "This command takes one of the following argument conditions: an allocation, or -json or -t",
                );
            }
            let (allocs, _) = context
                .client
                .get::<Value>("/v1/allocations", &QueryOptions::new())
                .await
                .context("Error querying allocations")?;
            return super::shared::print_object(&context, allocs, self.t.as_deref());
        }
        let stub = match resolve::alloc(&context, context.arg(0)).await {
            Ok(stub) => stub,
            Err(error) => match error.downcast::<Ambiguous>() {
                Ok(Ambiguous(list)) => {
                    context.ui.out(list);
                    return Ok(0);
                }
                Err(error) => return Err(error),
            },
        };
        if formatted {
            let path = format!("/v1/allocation/{}", stub.id);
            let (alloc, _) = context
                .client
                .get::<Value>(&path, &QueryOptions::new())
                .await
                .context("Error querying allocation")?;
            return super::shared::print_object(&context, alloc, self.t.as_deref());
        }
        let alloc = alloc_target::whole(&context, &stub.id).await?;
        self.show(&context, &alloc).await;
        context
            .hint(
                "View allocation details",
                &format!("/allocations/{}", alloc.id),
            )
            .await;
        Ok(0)
    }
}

impl AllocStatus {
    async fn show(&self, context: &Context, alloc: &Allocation) {
        context.ui.out(kv(&self.lines(alloc)));
        if self.short {
            context.ui.section("Tasks", alloc_tasks::short_table(alloc));
            return;
        }
        if let Some((heading, addresses)) = addresses(alloc) {
            context.ui.out(format!("\n{heading}:\n{addresses}"));
        }
        self.checks(context, alloc).await;
        let usage = self.usage(context, alloc).await;
        alloc_tasks::show(context, alloc, usage.as_ref(), self.stats, self.verbose);
        if self.verbose
            && let Some(metrics) = &alloc.metrics
        {
            let lines = metric_lines_without_none(metrics);
            context.ui.section("Placement Metrics", lines);
        }
    }

    fn lines(&self, alloc: &Allocation) -> Vec<(&'static str, String)> {
        let id = |id: Option<String>| short_id(&id.unwrap_or_default(), self.verbose);
        let when = |at| {
            if self.verbose {
                time(at)
            } else {
                ago(at, now())
            }
        };
        let mut lines = vec![("ID", alloc.id.to_string())];
        if self.short {
            lines.push(("Name", alloc.name.clone()));
            lines.push(("Created", when(alloc.create_time)));
            lines.push(("Modified", when(alloc.modify_time)));
            return lines;
        }
        lines.extend([
            ("Eval ID", id(alloc.eval_id.map(|id| id.to_string()))),
            ("Name", alloc.name.clone()),
            ("Node ID", id(Some(alloc.node_id.to_string()))),
            ("Node Name", alloc.node_name.clone()),
            ("Job ID", alloc.job_id.to_string()),
            ("Job Version", alloc.job_version.to_string()),
            ("Client Status", alloc.client_status.to_string()),
            ("Client Description", alloc.client_description.clone()),
            ("Desired Status", alloc.desired_status.to_string()),
            ("Desired Description", alloc.desired_description.clone()),
            ("Created", when(alloc.create_time)),
            ("Modified", when(alloc.modify_time)),
        ]);
        let run_for = alloc.group().and_then(|group| group.max_run_duration);
        if let Some(span) = run_for {
            let started = alloc.task_states.values().map(|state| state.started_at);
            let started = started.filter(|at| !at.is_zero()).min();
            lines.push((
                "Max Run Deadline",
                started.map_or(String::new(), |at| time(at + span)),
            ));
        }
        if let Some(deployment) = alloc.deployment_id {
            let status = alloc.deployment_status.clone().unwrap_or_default();
            let health = match status.healthy {
                Some(true) => "healthy",
                Some(false) => "unhealthy",
                None => "unset",
            };
            lines.push(("Deployment ID", id(Some(deployment.to_string()))));
            lines.push(("Deployment Health", health.to_owned()));
            if status.canary {
                lines.push(("Canary", "true".to_owned()));
            }
        }
        if let Some(next) = alloc.next_allocation {
            lines.push(("Replacement Alloc ID", id(Some(next.to_string()))));
        }
        if let Some(attempts) = reschedule_attempts(alloc) {
            lines.push(("Reschedule Attempts", attempts));
        }
        if self.verbose
            && let Some(metrics) = &alloc.metrics
        {
            lines.extend([
                ("Evaluated Nodes", metrics.nodes_evaluated.to_string()),
                ("Filtered Nodes", metrics.nodes_filtered.to_string()),
                ("Exhausted Nodes", metrics.nodes_exhausted.to_string()),
                ("Allocation Time", metrics.allocation_time.to_string()),
                ("Failures", metrics.coalesced_failures.to_string()),
            ]);
        }
        lines
    }

    /// Results of the checks of Nomad's own services.
    async fn checks(&self, context: &Context, alloc: &Allocation) {
        let has_checks = alloc.group().is_some_and(|group| {
            group
                .services
                .iter()
                .chain(group.tasks.iter().flat_map(|task| &task.services))
                .any(|service| service.provider == "nomad" && !service.checks.is_empty())
        });
        if !has_checks || alloc.client_terminal() {
            return;
        }
        let checks = context
            .client
            .allocation_checks(&alloc.id.to_string(), &QueryOptions::new())
            .await;
        let Ok(checks) = checks else { return };
        if checks.is_empty() {
            return;
        }
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or("").to_owned();
        let mut rows: Vec<Vec<String>> = checks
            .values()
            .map(|check| {
                let task = match check["Task"].as_str() {
                    Some(task) if !task.is_empty() => task.to_owned(),
                    _ => "(group)".to_owned(),
                };
                vec![
                    text(check, "Service"),
                    task,
                    text(check, "Check"),
                    text(check, "Mode"),
                    text(check, "Status"),
                ]
            })
            .collect();
        rows.sort();
        rows.insert(0, row(["Service", "Task", "Name", "Mode", "Status"]));
        context
            .ui
            .out(format!("\nNomad Service Checks:\n{}", table(&rows)));
    }

    /// What the tasks use now, or nothing and why.
    async fn usage(&self, context: &Context, alloc: &Allocation) -> Option<AllocResourceUsage> {
        match context
            .client
            .allocation_stats(&alloc.id.to_string(), &QueryOptions::new())
            .await
        {
            Ok(usage) => Some(usage),
            Err(error) => {
                if !alloc.client_terminal() {
                    context.ui.out("");
                    if error.to_string().contains("No path to node") {
                        context
                            .ui
                            .error("Omitting resource statistics since the node is down.");
                    } else {
                        context
                            .ui
                            .error(format!("Couldn't retrieve stats: {error}"));
                    }
                }
                None
            }
        }
    }
}

/// Past and allowed replacements, where the allocation was replaced at all.
fn reschedule_attempts(alloc: &Allocation) -> Option<String> {
    let policy = alloc.group()?.reschedule_policy.as_ref()?;
    let events = &alloc.reschedule_tracker.as_ref()?.events;
    if policy.unlimited || policy.attempts == 0 {
        return None;
    }
    let since = alloc.last_event_time() - policy.interval;
    let attempted = events
        .iter()
        .filter(|event| event.reschedule_time > since)
        .count();
    Some(format!("{attempted}/{}", policy.attempts))
}

/// The allocation's ports, and where they are reached.
fn addresses(alloc: &Allocation) -> Option<(String, String)> {
    let shared = &alloc.allocated_resources.shared;
    let network = shared.networks.first();
    if shared.ports.is_empty() {
        return None;
    }
    let heading = match network.map(|network| network.mode.as_str()) {
        Some(mode) if !mode.is_empty() && mode != "host" => {
            format!("Allocation Addresses (mode = {mode:?})")
        }
        _ => "Allocation Addresses".to_owned(),
    };
    let mut rows = vec![row(["Label", "Dynamic", "Address"])];
    for port in &shared.ports {
        let to = if port.to > 0 {
            format!(" -> {}", port.to)
        } else {
            String::new()
        };
        rows.push(vec![
            format!("*{}", port.label),
            "yes".to_owned(),
            format!("{}{to}", host_port(&port.host_ip, port.value)),
        ]);
    }
    Some((heading, table(&rows)))
}

/// `ip:port`, with brackets where the address has colons itself.
pub fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

/// Only the score table and what excluded nodes.
fn metric_lines_without_none(metrics: &AllocMetric) -> String {
    metric_lines(metrics, true, "")
        .into_iter()
        .filter(|line| !line.contains("No nodes were eligible"))
        .collect::<Vec<_>>()
        .join("\n")
}
