//! Why each node would, or would not, take a placement: for people who plan a job or simulate a cluster.

use std::collections::BTreeMap;
use std::fmt;

use nomad_core::explain::GroupExplanation;
use nomad_core::ids::{AllocId, IdSource, NodeId};
use nomad_core::job::JobType;

use crate::columns::NodeColumns;
use crate::rank::score::Score;
use crate::schedule::{Input, ScheduleError, accept};
use crate::{service, system};

/// What all nodes say to one placement.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacementExplanation {
    /// Name that the allocation would get.
    pub name: String,
    pub group: String,
    /// Every node in the job's pool and datacenters that is ready; best first, then those that lack room, then those
    /// that are filtered. For system jobs the one node that the placement is for.
    pub nodes: Vec<NodeExplanation>,
}

/// What one node says to a placement.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeExplanation {
    pub node_id: NodeId,
    pub verdict: NodeVerdict,
}

/// Whether a node would take a placement.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeVerdict {
    /// A constraint or another filter says no.
    Filtered { reason: String },
    /// It would be right, but something is used up.
    Exhausted { dimension: String },
    /// It could be chosen.
    Scored {
        /// Parts of the score by name.
        parts: BTreeMap<String, f64>,
        /// Mean of the parts that count; the highest wins.
        score: f64,
        /// Allocations that would be evicted.
        preempts: Vec<AllocId>,
    },
}

impl fmt::Display for NodeVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filtered { reason } => write!(f, "filtered: {reason}"),
            Self::Exhausted { dimension } => write!(f, "no room: {dimension}"),
            Self::Scored {
                parts,
                score,
                preempts,
            } => {
                write!(f, "score {score:.3} (")?;
                for (index, (name, part)) in parts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name} {part:.3}")?;
                }
                f.write_str(")")?;
                if !preempts.is_empty() {
                    write!(f, ", evicts {}", preempts.len())?;
                }
                Ok(())
            }
        }
    }
}

impl NodeVerdict {
    pub(crate) fn scored(score: &Score, preempts: Vec<AllocId>) -> Self {
        Self::Scored {
            parts: score.parts(),
            score: score.mean(),
            preempts,
        }
    }

    /// The score, where there is one.
    pub fn score(&self) -> Option<f64> {
        match self {
            Self::Scored { score, .. } => Some(*score),
            _ => None,
        }
    }

    fn order(&self) -> (u8, f64) {
        match self {
            Self::Scored { score, .. } => (0, -score),
            Self::Exhausted { .. } => (1, 0.0),
            Self::Filtered { .. } => (2, 0.0),
        }
    }
}

/// Judges every node for the first placement of each group (of system jobs: for the placement on each node), and says
/// it in the words of the API, with at most `max_nodes` nodes a group.
///
/// Groups of which nothing is to be placed are absent.
pub fn explain_groups(
    input: &Input<'_>,
    ids: &mut dyn IdSource,
    max_nodes: usize,
) -> Result<Vec<GroupExplanation>, ScheduleError> {
    let limit = if input.eval.job_type.is_system_like() {
        usize::MAX
    } else {
        1
    };
    let mut groups: Vec<GroupExplanation> = Vec::new();
    for placement in explain(input, ids, limit)? {
        let known = groups
            .iter()
            .position(|group| group.task_group == placement.group);
        let at = known.unwrap_or_else(|| {
            groups.push(GroupExplanation {
                task_group: placement.group.clone(),
                name: placement.name.clone(),
                ..GroupExplanation::default()
            });
            groups.len() - 1
        });
        let group = &mut groups[at];
        for node in placement.nodes {
            if group.nodes.len() < max_nodes {
                let name = input.view.node(node.node_id);
                let name = name.map_or_else(String::new, |node| node.name.clone());
                group.nodes.push(in_api_words(node, name));
            } else {
                group.omitted += 1;
            }
        }
    }
    Ok(groups)
}

fn in_api_words(node: NodeExplanation, name: String) -> nomad_core::explain::NodeVerdict {
    let said = nomad_core::explain::NodeVerdict {
        id: node.node_id,
        name,
        ..Default::default()
    };
    match node.verdict {
        NodeVerdict::Filtered { reason } => nomad_core::explain::NodeVerdict {
            verdict: "filtered".to_owned(),
            reason,
            ..said
        },
        NodeVerdict::Exhausted { dimension } => nomad_core::explain::NodeVerdict {
            verdict: "exhausted".to_owned(),
            reason: dimension,
            ..said
        },
        NodeVerdict::Scored {
            parts,
            score,
            preempts,
        } => nomad_core::explain::NodeVerdict {
            verdict: "scored".to_owned(),
            score: Some(score),
            scores: parts,
            preemptions: preempts,
            ..said
        },
    }
}

/// Judges every node for the first `limit` placements of each group that the evaluation asks for, each as if it came
/// first.
///
/// Costs placements times nodes, so this is for questions, not for scheduling.
pub fn explain(
    input: &Input<'_>,
    ids: &mut dyn IdSource,
    limit: usize,
) -> Result<Vec<PlacementExplanation>, ScheduleError> {
    accept(input.eval)?;
    let built;
    let columns = match input.columns {
        Some(columns) if columns.index() == input.view.index() => columns,
        _ => {
            built = NodeColumns::from_view(input.view);
            &built
        }
    };
    let mut explained = match input.eval.job_type {
        JobType::Service | JobType::Batch => service::explain(input, columns, ids, limit),
        JobType::System | JobType::Sysbatch => system::explain(input, columns, ids, limit),
        job_type @ JobType::Core => return Err(ScheduleError::JobType { job_type }),
    };
    for placement in &mut explained {
        placement.nodes.sort_by(|left, right| {
            let (left_class, left_score) = left.verdict.order();
            let (right_class, right_score) = right.verdict.order();
            left_class
                .cmp(&right_class)
                .then(left_score.total_cmp(&right_score))
                .then(left.node_id.cmp(&right.node_id))
        });
    }
    Ok(explained)
}
