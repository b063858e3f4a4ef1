//! Why each node was or was not chosen, as text: for `job plan -explain` and `operator scheduler simulate`.

use nomad_core::explain::{GroupExplanation, NodeVerdict};

use super::shared::row;
use crate::format::{short_id, table};

/// Nodes of a group that are shown, unless all are asked for.
pub(super) const SHOWN_NODES: usize = 20;

/// The lines about all groups.
pub(super) fn lines(groups: &[GroupExplanation], verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if groups.is_empty() {
        lines.push("Nothing is to be placed, so no node was asked.".to_owned());
    }
    for group in groups {
        lines.push(format!(
            "Task Group {:?}, what each node says to {}:",
            group.task_group, group.name
        ));
        if group.nodes.is_empty() {
            lines.push("  No node is ready in the job's datacenters and node pool.".to_owned());
            continue;
        }
        let shown = if verbose {
            group.nodes.len()
        } else {
            group.nodes.len().min(SHOWN_NODES)
        };
        let mut rows = vec![row(["Node ID", "Name", "Verdict", "Score", "Why"])];
        rows.extend(group.nodes[..shown].iter().map(|node| {
            vec![
                short_id(&node.id.to_string(), verbose),
                node.name.clone(),
                verdict(node).to_owned(),
                node.score
                    .map_or_else(|| "-".to_owned(), |score| format!("{score:.3}")),
                why(node),
            ]
        }));
        lines.extend(table(&rows).lines().map(|line| format!("  {line}")));
        let hidden = (group.nodes.len() - shown) as u64 + group.omitted;
        if hidden > 0 {
            lines.push(format!("  and {hidden} more"));
        }
    }
    lines
}

fn verdict(node: &NodeVerdict) -> &str {
    match node.verdict.as_str() {
        "scored" => "could run it",
        "exhausted" => "has no room",
        "filtered" => "does not qualify",
        other => other,
    }
}

fn why(node: &NodeVerdict) -> String {
    if !node.reason.is_empty() {
        return node.reason.clone();
    }
    let mut parts: Vec<String> = node
        .scores
        .iter()
        .map(|(name, score)| format!("{name} {score:.3}"))
        .collect();
    if !node.preemptions.is_empty() {
        parts.push(format!("evicts {}", node.preemptions.len()));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_reason() {
        let node = |name: &str, verdict: &str, reason: &str, score: Option<f64>| NodeVerdict {
            name: name.to_owned(),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
            score,
            scores: score
                .map(|score| ("binpack".to_owned(), score))
                .into_iter()
                .collect(),
            ..NodeVerdict::default()
        };
        let group = GroupExplanation {
            task_group: "web".to_owned(),
            name: "shop.web[0]".to_owned(),
            nodes: vec![
                node("a", "scored", "", Some(0.5)),
                node("b", "exhausted", "memory", None),
                node("c", "filtered", "missing drivers", None),
            ],
            omitted: 2,
        };
        let text = lines(&[group], false).join("\n");
        for part in [
            "binpack 0.500",
            "memory",
            "missing drivers",
            "and 2 more",
            "shop.web[0]",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(lines(&[], false)[0].starts_with("Nothing"));
    }
}
