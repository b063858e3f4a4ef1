//! Points 2 and 3: scores and evictions, each placement judged on the untouched snapshot.

use std::collections::BTreeSet;

use nomad_core::alloc::Allocation;
use nomad_core::ids::AllocId;
use nomad_core::memory_view::MemoryView;
use nomad_core::view::ClusterView;
use nomad_scheduler::{Input, NodeVerdict, PlacementExplanation, explain};

use crate::recording::{RecordedPlan, Step};
use crate::rules;
use crate::run::{Ids, Ours};

const CLOSE: f64 = 1e-6;

/// How a point turned out for a step.
pub(crate) enum Outcome {
    /// There is nothing to compare.
    None,
    Same,
    Different(Vec<String>),
}

/// Our judgement of every placement of the step.
pub(crate) fn judge(step: &Step, view: &MemoryView, seed: u64) -> Vec<PlacementExplanation> {
    let input = Input {
        view,
        columns: None,
        eval: &step.eval,
        now: step.now(),
        seed,
    };
    explain(&input, &mut Ids::default(), usize::MAX).unwrap_or_default()
}

fn placed<'a>(theirs: &'a RecordedPlan, view: &MemoryView) -> Vec<&'a Allocation> {
    theirs
        .rows()
        .filter(|alloc| view.alloc(alloc.id).is_none())
        .collect()
}

/// Our judgements of a recorded placement: those of the same name; for system jobs also of the same node.
fn ours_of<'a>(
    judged: &'a [PlacementExplanation],
    alloc: &'a Allocation,
    system: bool,
) -> impl Iterator<Item = &'a PlacementExplanation> {
    judged.iter().filter(move |own| {
        own.group == alloc.task_group
            && own.name == alloc.name
            && (!system || own.nodes.iter().any(|node| node.node_id == alloc.node_id))
    })
}

/// Whether all recorded scores of a placement are ours; the first difference otherwise.
fn scores_match(
    step: &Step,
    view: &MemoryView,
    own: &PlacementExplanation,
    theirs: &Allocation,
) -> Result<(), String> {
    let Some(metrics) = &theirs.metrics else {
        return Err("no metrics".to_owned());
    };
    for recorded in &metrics.score_meta_data {
        let node = own
            .nodes
            .iter()
            .find(|node| node.node_id == recorded.node_id);
        let verdict = node.map(|node| &node.verdict);
        if matches!(verdict, Some(NodeVerdict::Exhausted { .. }))
            && rules::never_fits(view, recorded.node_id, theirs)
        {
            continue;
        }
        let Some(NodeVerdict::Scored { parts, score, .. }) = verdict else {
            return Err(format!(
                "{} {}: ours {:?}, theirs {:?}",
                theirs.name,
                recorded.node_id.short(),
                node.map(|node| node.verdict.to_string()),
                recorded.scores
            ));
        };
        if !rules::same_scores(step, parts, *score, recorded, CLOSE, view) {
            return Err(format!(
                "{} {}: ours {parts:?} {score}, theirs {:?} {}",
                theirs.name, recorded.node_id, recorded.scores, recorded.norm_score
            ));
        }
    }
    Ok(())
}

pub(crate) fn scores(
    step: &Step,
    view: &MemoryView,
    judged: &[PlacementExplanation],
    ours: &Ours,
) -> Outcome {
    let Some(theirs) = step.plan() else {
        return Outcome::None;
    };
    let system = step.eval.job_type.is_system_like();
    let recorded: Vec<&Allocation> = placed(theirs, view)
        .into_iter()
        .filter(|alloc| {
            alloc
                .metrics
                .as_ref()
                .is_some_and(|metrics| !metrics.score_meta_data.is_empty())
        })
        .collect();
    if recorded.is_empty() {
        return Outcome::None;
    }
    let mut differences = Vec::new();
    let mut same = false;
    for alloc in recorded {
        for own in ours_of(judged, alloc, system) {
            match scores_match(step, view, own, alloc) {
                Ok(()) => same = true,
                Err(difference) => differences.push(difference),
            }
        }
    }
    if !same && rules::theirs_is_broken(step, view) {
        return Outcome::None;
    }
    if !same {
        if differences.is_empty() {
            differences.push("none of their placements is one of ours".to_owned());
        }
        return Outcome::Different(differences);
    }
    // Our first choice is the best node of all.
    let first_is_best = ours
        .plan
        .node_allocation
        .values()
        .flatten()
        .filter(|alloc| view.alloc(alloc.id).is_none())
        .any(|alloc| {
            let chosen = alloc
                .metrics
                .as_ref()
                .and_then(|metrics| metrics.score_meta_data.first())
                .map(|first| first.norm_score);
            ours_of(judged, alloc, system).any(|own| {
                let best = own.nodes.iter().filter_map(|node| node.verdict.score());
                let best = best.fold(f64::NEG_INFINITY, f64::max);
                chosen.is_some_and(|chosen| chosen >= best - 1e-9)
            })
        });
    let any = ours
        .plan
        .node_allocation
        .values()
        .flatten()
        .any(|alloc| view.alloc(alloc.id).is_none());
    if any && !first_is_best {
        return Outcome::Different(vec!["our first choice is not the best node".to_owned()]);
    }
    Outcome::Same
}

/// Resources and priorities of a set of victims.
fn cost(view: &MemoryView, victims: impl Iterator<Item = AllocId>) -> (i64, i64) {
    let mut memory = 0;
    let mut priority = 0;
    for alloc in victims.filter_map(|id| view.alloc(id)) {
        memory += alloc
            .allocated_resources
            .tasks
            .values()
            .map(|task| task.memory.memory_mb)
            .sum::<i64>();
        priority += alloc.job.as_ref().map_or(0, |job| i64::from(job.priority));
    }
    (memory, priority)
}

pub(crate) fn preemptions(
    step: &Step,
    view: &MemoryView,
    judged: &[PlacementExplanation],
    ours: &Ours,
) -> Outcome {
    let Some(theirs) = step.plan() else {
        return Outcome::None;
    };
    let ours_evicted: Vec<AllocId> = ours
        .plan
        .node_preemptions
        .values()
        .flatten()
        .map(|preemption| preemption.alloc_id)
        .collect();
    if theirs.preempted().next().is_none() && ours_evicted.is_empty() {
        return Outcome::None;
    }
    let system = step.eval.job_type.is_system_like();
    let mut differences = Vec::new();
    let mut same = false;
    for alloc in placed(theirs, view) {
        let evicted: BTreeSet<AllocId> = theirs
            .preempted()
            .filter(|victim| victim.by == alloc.id)
            .map(|victim| victim.id)
            .collect();
        for own in ours_of(judged, alloc, system) {
            let node = own.nodes.iter().find(|node| node.node_id == alloc.node_id);
            match node.map(|node| &node.verdict) {
                Some(NodeVerdict::Scored { preempts, .. })
                    if preempts.iter().copied().collect::<BTreeSet<_>>() == evicted =>
                {
                    same = true;
                }
                other => differences.push(format!(
                    "{} on {}: ours {:?}, theirs evict {}",
                    alloc.name,
                    alloc.node_id,
                    other.map(ToString::to_string),
                    evicted.len()
                )),
            }
        }
    }
    let own_cost = cost(view, ours_evicted.into_iter());
    let their_cost = cost(view, theirs.preempted().map(|victim| victim.id));
    if same || (own_cost.0 <= their_cost.0 && own_cost.1 <= their_cost.1) {
        Outcome::Same
    } else {
        differences.push(format!("cost: ours {own_cost:?}, theirs {their_cost:?}"));
        Outcome::Different(differences)
    }
}
