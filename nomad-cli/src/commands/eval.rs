//! `eval status`, `eval list`, `eval delete`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::{EvalDeleteRequest, EvalStub};
use nomad_core::eval::Evaluation;
use nomad_core::plan::PlanAnnotations;
use serde_json::Value;

use super::shared::{
    alloc_table, confirm, eval_table, metric_lines, page_footer, placement_failures, print_object,
    row,
};
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{ago, kv, short_id, table, time};
use crate::monitor::monitor_eval;
use crate::resolve;

/// Flags of `eval status`.
#[derive(Debug, Args)]
pub struct EvalStatus {
    /// Follow the evaluation until it ends.
    #[arg(long)]
    pub monitor: bool,
    /// Show whole ids and absolute times.
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

impl Verb for EvalStatus {
    const ARGUMENTS: &'static str = "<evaluation>";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str =
        "Shows an evaluation: what made it, what it did, and why something was not placed.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let formatted = self.json || self.t.is_some();
        if context.args.is_empty() {
            if !formatted {
                return usage("This command takes one argument: <evaluation>");
            }
            let (evals, _) = context
                .client
                .get::<Value>("/v1/evaluations", &QueryOptions::new())
                .await
                .context("Error querying evaluations")?;
            return print_object(&context, evals, self.t.as_deref());
        }
        let found = resolve::eval(&context, context.arg(0)).await?;
        let id = found.id.to_string();
        let options = QueryOptions::new().param("related", "true");
        let (raw, _) = context
            .client
            .get::<Value>(&format!("/v1/evaluation/{id}"), &options)
            .await
            .context("Error querying evaluation")?;
        if formatted {
            return print_object(&context, raw, self.t.as_deref());
        }
        if self.monitor {
            return monitor_eval(&context, &id, self.verbose).await;
        }
        let related: Vec<EvalStub> = raw
            .get("RelatedEvals")
            .cloned()
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default();
        let eval: Evaluation = serde_json::from_value(raw).context("Error querying evaluation")?;
        self.show(&context, &eval, &related).await?;
        context
            .hint(
                "View evaluation details",
                &format!("/evaluations?currentEval={id}"),
            )
            .await;
        Ok(0)
    }
}

impl EvalStatus {
    async fn show(&self, context: &Context, eval: &Evaluation, related: &[EvalStub]) -> Result<()> {
        context.ui.out(kv(&self.lines(eval)));
        if !related.is_empty() {
            context
                .ui
                .section("Related Evaluations", self.related(related));
        }
        if let Some(annotations) = &eval.plan_annotations {
            if !annotations.desired_tg_updates.is_empty() {
                context.ui.section(
                    "Plan Annotations",
                    annotations_table(annotations, self.verbose),
                );
            }
            let preempted: Vec<_> = annotations
                .preempted_allocs
                .iter()
                .filter_map(|alloc| serde_json::from_value(alloc.clone()).ok())
                .collect();
            if !preempted.is_empty() {
                context.ui.section(
                    "Preempted Allocations",
                    alloc_table(&preempted, self.verbose, now()),
                );
            }
        }
        let (allocs, _) = context
            .client
            .evaluation_allocations(&eval.id.to_string(), &QueryOptions::new())
            .await
            .context("Error querying evaluation allocations")?;
        if !allocs.is_empty() {
            context.ui.section(
                "Placed Allocations",
                alloc_table(&allocs, self.verbose, now()),
            );
        }
        if !eval.failed_tg_allocs.is_empty() {
            context
                .ui
                .out(format!("\n{}", context.ui.bold("Failed Placements")));
            for (group, metric) in &eval.failed_tg_allocs {
                let count = metric.coalesced_failures + 1;
                let plural = if count == 1 { "" } else { "s" };
                context.ui.out(format!(
                    "Task Group {group:?} (failed to place {count} allocation{plural}):"
                ));
                for line in metric_lines(metric, self.verbose, "  ") {
                    context.ui.out(line);
                }
                context.ui.out("");
            }
            if let Some(blocked) = eval.blocked_eval {
                let id = short_id(&blocked.to_string(), self.verbose);
                context.ui.out(format!(
                    "Evaluation {id:?} waiting for additional capacity to place remainder"
                ));
            }
        }
        if !eval.missing_non_node_resources.is_empty() {
            context.ui.section(
                "Missing Resources",
                eval.missing_non_node_resources.join("\n"),
            );
        }
        Ok(())
    }

    fn lines(&self, eval: &Evaluation) -> Vec<(&'static str, String)> {
        let id = |id: Option<String>| short_id(&id.unwrap_or_default(), self.verbose);
        let when = |at| {
            if self.verbose {
                time(at)
            } else {
                ago(at, now())
            }
        };
        let description = if eval.status_description.is_empty() {
            eval.status.to_string()
        } else {
            eval.status_description.clone()
        };
        let mut lines = vec![
            ("ID", id(Some(eval.id.to_string()))),
            ("Create Time", when(eval.create_time)),
            ("Modify Time", when(eval.modify_time)),
            ("Status", eval.status.to_string()),
            ("Status Description", description),
            ("Type", eval.job_type.to_string()),
            ("TriggeredBy", eval.triggered_by.to_string()),
            ("Job ID", eval.job_id.to_string()),
            ("Namespace", eval.namespace.to_string()),
        ];
        if let Some(node) = eval.node_id {
            lines.push(("Node ID", id(Some(node.to_string()))));
        }
        lines.push(("Priority", eval.priority.to_string()));
        lines.push(("Placement Failures", placement_failures(eval)));
        if !eval.wait_until.is_zero() {
            lines.push(("Wait Until", when(eval.wait_until)));
        }
        if !eval.quota_limit_reached.is_empty() {
            lines.push(("Quota Limit Reached", eval.quota_limit_reached.clone()));
        }
        lines.extend([
            (
                "Previous Eval",
                id(eval.previous_eval.map(|id| id.to_string())),
            ),
            ("Next Eval", id(eval.next_eval.map(|id| id.to_string()))),
            (
                "Blocked Eval",
                id(eval.blocked_eval.map(|id| id.to_string())),
            ),
        ]);
        lines
    }

    fn related(&self, stubs: &[EvalStub]) -> String {
        let mut rows = vec![row([
            "ID",
            "Priority",
            "Triggered By",
            "Node ID",
            "Status",
            "Description",
        ])];
        rows.extend(stubs.iter().map(|stub| {
            vec![
                short_id(&stub.id, self.verbose),
                stub.priority.to_string(),
                stub.triggered_by.clone(),
                short_id(&stub.node_id, self.verbose),
                stub.status.clone(),
                stub.status_description.clone(),
            ]
        }));
        table(&rows)
    }
}

/// What the plan did with each group; rarer columns only where they say something.
fn annotations_table(annotations: &PlanAnnotations, verbose: bool) -> String {
    type Column = (&'static str, fn(&nomad_core::plan::DesiredUpdates) -> u64);
    let always: [Column; 5] = [
        ("Ignore", |u| u.ignore),
        ("Place", |u| u.place),
        ("Stop", |u| u.stop),
        ("InPlace", |u| u.in_place_update),
        ("Destructive", |u| u.destructive_update),
    ];
    let rare: [Column; 7] = [
        ("Migrate", |u| u.migrate),
        ("Canary", |u| u.canary),
        ("Preemptions", |u| u.preemptions),
        ("Reschedule Now", |u| u.reschedule_now),
        ("Reschedule Later", |u| u.reschedule_later),
        ("Disconnect", |u| u.disconnect),
        ("Reconnect", |u| u.reconnect),
    ];
    let updates = &annotations.desired_tg_updates;
    let columns: Vec<Column> = always
        .into_iter()
        .chain(
            rare.into_iter()
                .filter(|(_, of)| verbose || updates.values().any(|group| of(group) > 0)),
        )
        .collect();
    let mut header = row(["Task Group"]);
    header.extend(columns.iter().map(|(name, _)| (*name).to_owned()));
    let mut rows = vec![header];
    for (name, group) in updates {
        let mut cells = vec![name.clone()];
        cells.extend(columns.iter().map(|(_, of)| of(group).to_string()));
        rows.push(cells);
    }
    table(&rows)
}

/// Flags of `eval list`.
#[derive(Debug, Args)]
pub struct EvalList {
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    /// Evaluations per page.
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub per_page: u32,
    /// Where the page begins.
    #[arg(long, value_name = "token", default_value = "")]
    pub page_token: String,
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// Only those of this job.
    #[arg(long, value_name = "job", default_value = "")]
    pub job: String,
    /// Only those of this status.
    #[arg(long, value_name = "status", default_value = "")]
    pub status: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for EvalList {
    const ABOUT: &'static str = "Lists evaluations, newest first.";

    async fn run(self, context: Context) -> Result<i32> {
        let mut options = QueryOptions {
            per_page: self.per_page,
            next_token: self.page_token.clone(),
            filter: self.filter.clone(),
            reverse: true,
            ..QueryOptions::new()
        };
        for (name, value) in [("job", &self.job), ("status", &self.status)] {
            if !value.is_empty() {
                options = options.param(name, value.as_str());
            }
        }
        if self.json || self.t.is_some() {
            let (evals, _) = context
                .client
                .get::<Value>("/v1/evaluations", &options)
                .await
                .context("Error querying evaluations")?;
            return print_object(&context, evals, self.t.as_deref());
        }
        let (evals, meta) = context
            .client
            .evaluations(&options)
            .await
            .context("Error querying evaluations")?;
        if evals.is_empty() {
            context.ui.out("No evals found");
            return Ok(0);
        }
        context.ui.out(eval_table(&evals, self.verbose));
        page_footer(&context, &meta.next_token);
        context.hint("View evaluations", "/evaluations").await;
        Ok(0)
    }
}

/// Flags of `eval delete`.
#[derive(Debug, Args)]
pub struct EvalDelete {
    /// Delete those that match this filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

impl Verb for EvalDelete {
    const ARGUMENTS: &'static str = "[evaluation]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Deletes an evaluation, or all that match a filter. The evaluation broker must be \
        paused before: nomad operator scheduler set-config -pause-eval-broker=true";

    async fn run(self, context: Context) -> Result<i32> {
        if context.args.is_empty() == self.filter.is_empty() {
            return usage("This command takes either an evaluation or -filter");
        }
        let config = context
            .client
            .scheduler_config()
            .await
            .context("Error querying scheduler configuration")?;
        if !config.scheduler_config.pause_eval_broker {
            bail!(
                "Eval broker is not paused.\nPause it first: nomad operator scheduler set-config -pause-eval-broker=true"
            );
        }
        let mut request = EvalDeleteRequest::default();
        if self.filter.is_empty() {
            request.eval_ids.push(context.arg(0).to_owned());
        } else {
            let options = QueryOptions {
                filter: self.filter.clone(),
                ..QueryOptions::new()
            };
            let count = context
                .client
                .evaluation_count(&options)
                .await
                .context("Error counting evaluations")?
                .count;
            if count == 0 {
                context.ui.out("No evals found");
                return Ok(0);
            }
            let question = format!("Are you sure you want to delete {count} evals? [y/N]");
            if !self.yes && !confirm(&context, &question, "Cancelling eval deletion")? {
                return Ok(0);
            }
            request.filter = self.filter.clone();
        }
        let answer = context
            .client
            .delete_evaluations(&request, &QueryOptions::new())
            .await
            .context("Error deleting evaluations")?;
        let count = answer.count.max(request.eval_ids.len() as u64);
        let plural = if count == 1 { "" } else { "s" };
        context
            .ui
            .out(format!("Successfully deleted {count} evaluation{plural}"));
        Ok(0)
    }
}
