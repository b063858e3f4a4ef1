//! Tables that several commands print.

use nomad_api::types::{AllocListStub, JobListStub, NodeListStub};
use nomad_core::Timestamp;
use nomad_core::deployment::Deployment;
use nomad_core::eval::{EvalStatus, Evaluation};
use nomad_core::metric::AllocMetric;

use crate::context::Context;
use crate::format::{ago, kv, optional_time, short_id, table, time};

/// A row of cells.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// Jobs in lists.
pub fn job_table(jobs: &[JobListStub], with_namespace: bool) -> String {
    let mut rows = vec![if with_namespace {
        row([
            "ID",
            "Namespace",
            "Type",
            "Priority",
            "Status",
            "Submit Date",
        ])
    } else {
        row(["ID", "Type", "Priority", "Status", "Submit Date"])
    }];
    for job in jobs {
        let kind = if job.periodic {
            format!("{}/periodic", job.job_type)
        } else if job.parameterized_job {
            format!("{}/parameterized", job.job_type)
        } else {
            job.job_type.clone()
        };
        let mut cells = vec![job.id.clone()];
        if with_namespace {
            cells.push(job.namespace.clone());
        }
        cells.extend([
            kind,
            job.priority.to_string(),
            job_status(&job.status, job.stop),
            time(job.submit_time),
        ]);
        rows.push(cells);
    }
    table(&rows)
}

/// A job's status; that a user stopped it is told too.
pub fn job_status(status: &str, stopped: bool) -> String {
    if stopped {
        format!("{status} (stopped)")
    } else {
        status.to_owned()
    }
}

/// Allocations in lists.
pub fn alloc_table(allocs: &[AllocListStub], verbose: bool, now: Timestamp) -> String {
    if allocs.is_empty() {
        return "No allocations placed".to_owned();
    }
    let mut rows = vec![if verbose {
        row([
            "ID",
            "Eval ID",
            "Node ID",
            "Node Name",
            "Task Group",
            "Version",
            "Desired",
            "Status",
            "Created",
            "Modified",
        ])
    } else {
        row([
            "ID",
            "Node ID",
            "Task Group",
            "Version",
            "Desired",
            "Status",
            "Created",
            "Modified",
        ])
    }];
    for alloc in allocs {
        let mut cells = vec![short_id(&alloc.id, verbose)];
        if verbose {
            cells.push(short_id(&alloc.eval_id, verbose));
        }
        cells.push(short_id(&alloc.node_id, verbose));
        if verbose {
            cells.push(alloc.node_name.clone());
        }
        cells.extend([
            alloc.task_group.clone(),
            alloc.job_version.to_string(),
            alloc.desired_status.clone(),
            alloc.client_status.clone(),
        ]);
        if verbose {
            cells.extend([time(alloc.create_time), time(alloc.modify_time)]);
        } else {
            cells.extend([ago(alloc.create_time, now), ago(alloc.modify_time, now)]);
        }
        rows.push(cells);
    }
    table(&rows)
}

/// Whether an evaluation could not place everything.
pub fn placement_failures(eval: &Evaluation) -> String {
    if eval.status == EvalStatus::Blocked {
        "N/A - In Progress".to_owned()
    } else {
        (!eval.failed_tg_allocs.is_empty()).to_string()
    }
}

/// Evaluations in lists.
pub fn eval_table(evals: &[Evaluation], verbose: bool) -> String {
    let mut rows = vec![row([
        "ID",
        "Priority",
        "Triggered By",
        "Job ID",
        "Namespace",
        "Node ID",
        "Status",
        "Placement Failures",
    ])];
    for eval in evals {
        let node = eval.node_id.map(|id| id.to_string()).unwrap_or_default();
        rows.push(vec![
            short_id(&eval.id.to_string(), verbose),
            eval.priority.to_string(),
            eval.triggered_by.to_string(),
            eval.job_id.to_string(),
            eval.namespace.to_string(),
            short_id(&node, verbose),
            eval.status.to_string(),
            placement_failures(eval),
        ]);
    }
    table(&rows)
}

/// Deployments in lists.
pub fn deployment_table(deployments: &[Deployment], verbose: bool) -> String {
    if deployments.is_empty() {
        return "No deployments found".to_owned();
    }
    let mut rows = vec![row([
        "ID",
        "Job ID",
        "Job Version",
        "Status",
        "Description",
    ])];
    for deployment in deployments {
        rows.push(vec![
            short_id(&deployment.id.to_string(), verbose),
            deployment.job_id.to_string(),
            deployment.job_version.to_string(),
            deployment.status.to_string(),
            deployment.status_description.clone(),
        ]);
    }
    table(&rows)
}

/// A deployment's own lines.
pub fn deployment_lines(deployment: &Deployment, verbose: bool) -> String {
    kv(&[
        ("ID", short_id(&deployment.id.to_string(), verbose)),
        ("Job ID", deployment.job_id.to_string()),
        ("Job Version", deployment.job_version.to_string()),
        ("Status", deployment.status.to_string()),
        ("Description", deployment.status_description.clone()),
    ])
}

/// How far each group of a deployment is. Columns that no group uses are left out.
pub fn deployed_table(deployment: &Deployment) -> String {
    let groups = &deployment.task_groups;
    let auto_revert = groups.values().any(|group| group.auto_revert);
    let canaries = groups.values().any(|group| group.desired_canaries > 0);
    let deadline = groups
        .values()
        .any(|group| group.progress_deadline.is_set());
    let mut header = row(["Task Group"]);
    let mut add = |wanted: bool, name: &str| {
        if wanted {
            header.push(name.to_owned());
        }
    };
    add(auto_revert, "Auto Revert");
    add(canaries, "Promoted");
    add(true, "Desired");
    add(canaries, "Canaries");
    add(true, "Placed");
    add(true, "Healthy");
    add(true, "Unhealthy");
    add(deadline, "Progress Deadline");
    let mut rows = vec![header];
    for (name, group) in groups {
        let mut cells = vec![name.clone()];
        if auto_revert {
            cells.push(group.auto_revert.to_string());
        }
        if canaries {
            cells.push(if group.desired_canaries > 0 {
                group.promoted.to_string()
            } else {
                "N/A".to_owned()
            });
        }
        cells.push(group.desired_total.to_string());
        if canaries {
            cells.push(group.desired_canaries.to_string());
        }
        cells.extend([
            group.placed_allocs.to_string(),
            group.healthy_allocs.to_string(),
            group.unhealthy_allocs.to_string(),
        ]);
        if deadline {
            cells.push(optional_time(group.require_progress_by));
        }
        rows.push(cells);
    }
    table(&rows)
}

/// Nodes that a prefix may mean.
pub fn node_candidates(nodes: &[NodeListStub]) -> String {
    let mut rows = vec![row([
        "ID",
        "DC",
        "Name",
        "Class",
        "Drain",
        "Eligibility",
        "Status",
    ])];
    for node in nodes {
        rows.push(vec![
            node.id.clone(),
            node.datacenter.clone(),
            node.name.clone(),
            node.node_class.clone(),
            node.drain.to_string(),
            node.scheduling_eligibility.clone(),
            node.status.clone(),
        ]);
    }
    table(&rows)
}

/// Why a placement went as it did, a line each.
pub fn metric_lines(metric: &AllocMetric, scores: bool, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |text: String| lines.push(format!("{indent}* {text}"));
    if metric.nodes_evaluated == 0 {
        add("No nodes were eligible for evaluation".to_owned());
    }
    for (datacenter, available) in &metric.nodes_available {
        if *available == 0 {
            add(format!(
                "No nodes are available in datacenter {datacenter:?}"
            ));
        }
    }
    for (class, count) in &metric.class_filtered {
        add(format!("Class {class:?}: {count} nodes excluded by filter"));
    }
    for (constraint, count) in &metric.constraint_filtered {
        add(format!(
            "Constraint {constraint:?}: {count} nodes excluded by filter"
        ));
    }
    if metric.nodes_exhausted > 0 {
        add(format!(
            "Resources exhausted on {} nodes",
            metric.nodes_exhausted
        ));
    }
    for (class, count) in &metric.class_exhausted {
        add(format!("Class {class:?} exhausted on {count} nodes"));
    }
    for (dimension, count) in &metric.dimension_exhausted {
        add(format!(
            "Dimension {dimension:?} exhausted on {count} nodes"
        ));
    }
    for dimension in &metric.quota_exhausted {
        add(format!("Quota limit hit {dimension:?}"));
    }
    if scores && !metric.score_meta_data.is_empty() {
        lines.extend(
            score_table(metric)
                .lines()
                .map(|line| format!("{indent}{line}")),
        );
    }
    lines
}

/// Scores of the best nodes, a column for each part.
fn score_table(metric: &AllocMetric) -> String {
    let names: std::collections::BTreeSet<&String> = metric
        .score_meta_data
        .iter()
        .flat_map(|node| node.scores.keys())
        .collect();
    let mut header = row(["Node"]);
    header.extend(names.iter().map(|name| (*name).clone()));
    header.push("final score".to_owned());
    let mut rows = vec![header];
    for node in &metric.score_meta_data {
        let mut cells = vec![node.node_id.to_string()];
        cells.extend(
            names
                .iter()
                .map(|name| significant(node.scores.get(*name).copied().unwrap_or(0.0))),
        );
        cells.push(significant(node.norm_score));
        rows.push(cells);
    }
    table(&rows)
}

/// A number with three significant digits, without needless zeros.
fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let places = (2 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Prints an object of the API as sorted JSON, or by a template.
///
/// # Errors
/// The template is wrong.
pub fn print_object(
    context: &Context,
    value: serde_json::Value,
    template: Option<&str>,
) -> anyhow::Result<i32> {
    let value = crate::format::sorted(value);
    match template {
        None => context.ui.out(crate::format::json(&value)),
        Some(template) => context.ui.out(crate::format::render(template, &value)?),
    }
    Ok(0)
}

/// Tells how to get the next page, where there is one.
pub fn page_footer(context: &Context, next_token: &str) {
    if next_token.is_empty() {
        return;
    }
    let mut line = Vec::new();
    let mut words = context.line.iter();
    while let Some(word) = words.next() {
        match word.trim_start_matches('-') {
            "page-token" if word.starts_with('-') => {
                words.next();
            }
            name if word.starts_with('-') && name.starts_with("page-token=") => {}
            _ => line.push(word.as_str()),
        }
    }
    context.ui.out(format!(
        "\nResults have been paginated. To get the next page run:\n\nnomad {} -page-token {next_token}",
        line.join(" ")
    ));
}

/// Asks before something that cannot be taken back. Only a plain `y` is a yes.
///
/// # Errors
/// The answer is neither yes nor no, or cannot be read.
pub fn confirm(context: &Context, question: &str, cancelled: &str) -> anyhow::Result<bool> {
    let answer = context.ui.ask(question)?;
    if answer.is_empty() || answer.to_lowercase().starts_with('n') {
        context.ui.out(cancelled);
        return Ok(false);
    }
    if answer == "y" {
        return Ok(true);
    }
    if answer.to_lowercase().starts_with('y') {
        context
            .ui
            .out("For confirmation, an exact ‘y’ is required.");
        return Ok(false);
    }
    anyhow::bail!("No confirmation detected. For confirmation, an exact 'y' is required.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (0.014_56, "0.0146"),
            (0.171_52, "0.172"),
            (-1.0, "-1"),
            (1234.5, "1234"),
        ] {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn metric_lines_name_what_excluded_nodes() {
        let metric = AllocMetric {
            nodes_evaluated: 1,
            nodes_exhausted: 1,
            dimension_exhausted: [("memory".to_owned(), 1)].into(),
            ..AllocMetric::default()
        };
        assert_eq!(
            metric_lines(&metric, false, "  "),
            [
                "  * Resources exhausted on 1 nodes",
                "  * Dimension \"memory\" exhausted on 1 nodes"
            ]
        );
    }
}
