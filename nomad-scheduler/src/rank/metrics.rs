//! Counts of why candidates were passed over, as an allocation or a failed group shows them.
//!
//! Source: servers and scheduling reference, "AllocMetric fields".

use std::collections::{BTreeMap, BTreeSet};

use nomad_core::job::TaskGroup;
use nomad_core::metric::AllocMetric;

use super::judge::Verdict;
use super::spread::Purpose;
use super::{Counts, Ranking};
use crate::candidates::Candidates;
use crate::columns::Interner;
use crate::explain::NodeVerdict;
use crate::feasible::{CLASS_INELIGIBLE, Reason};
use crate::fit::Dimension;
use crate::propose::Proposed;

/// Nodes of one infeasible class.
#[derive(Debug)]
struct ClassOut {
    reason: Reason,
    node_class: u32,
    count: i64,
    /// Another group of the evaluation found it wanting before.
    known: bool,
}

#[derive(Debug)]
struct Cause {
    text: String,
    count: i64,
    /// Whether the plan can make it go away.
    for_now: bool,
}

/// Running counts of one ranking.
#[derive(Debug, Default)]
pub(super) struct Tally {
    classes: BTreeMap<u32, ClassOut>,
    known: Vec<u32>,
    filtered: Vec<Cause>,
    exhausted: Vec<Cause>,
    filtered_by_class: BTreeMap<u32, i64>,
    exhausted_by_class: BTreeMap<u32, i64>,
    /// Whether the reasons of whole classes were told once.
    told: bool,
}

impl Tally {
    pub(super) fn known(&mut self, class: u32) {
        self.known.push(class);
    }

    pub(super) fn class(&mut self, class: u32, node_class: u32, reason: &Reason) {
        let known = &self.known;
        self.classes
            .entry(class)
            .or_insert_with(|| ClassOut {
                reason: reason.clone(),
                node_class,
                count: 0,
                known: known.contains(&class),
            })
            .count += 1;
    }

    /// Begins to count for another evaluation, to which no class is known.
    pub(super) fn begin_again(&mut self) {
        self.told = false;
        self.known.clear();
        for out in self.classes.values_mut() {
            out.known = false;
        }
    }

    /// A class of a kept ranking was found wanting before by another group of the evaluation.
    pub(super) fn known_again(&mut self, class: u32) {
        if let Some(out) = self.classes.get_mut(&class) {
            out.known = true;
        }
    }

    fn cause(list: &mut Vec<Cause>, text: &str, for_now: bool) -> u32 {
        let number = list
            .iter()
            .position(|cause| cause.text == text && cause.for_now == for_now);
        let number = number.unwrap_or_else(|| {
            list.push(Cause {
                text: text.to_owned(),
                count: 0,
                for_now,
            });
            list.len() - 1
        });
        list[number].count += 1;
        number as u32
    }

    pub(super) fn filtered(&mut self, reason: &Reason, node_class: u32) -> u32 {
        *self.filtered_by_class.entry(node_class).or_default() += 1;
        Self::cause(&mut self.filtered, reason, false)
    }

    pub(super) fn filtered_for_now(&mut self, reason: &Reason, node_class: u32) -> u32 {
        *self.filtered_by_class.entry(node_class).or_default() += 1;
        Self::cause(&mut self.filtered, reason, true)
    }

    pub(super) fn exhausted(&mut self, dimension: &Dimension, node_class: u32) -> u32 {
        *self.exhausted_by_class.entry(node_class).or_default() += 1;
        Self::cause(&mut self.exhausted, dimension, true)
    }

    pub(super) fn may_change(&self, number: u32) -> bool {
        self.filtered[number as usize].for_now
    }

    pub(super) fn unfilter(&mut self, number: u32, node_class: u32) {
        self.filtered[number as usize].count -= 1;
        *self.filtered_by_class.entry(node_class).or_default() -= 1;
    }

    pub(super) fn unexhaust(&mut self, number: u32, node_class: u32) {
        self.exhausted[number as usize].count -= 1;
        *self.exhausted_by_class.entry(node_class).or_default() -= 1;
    }
}

fn named(counts: &BTreeMap<u32, i64>, names: &Interner) -> Counts {
    counts
        .iter()
        .filter(|(class, count)| **count > 0 && !names.text(**class).is_empty())
        .map(|(class, count)| (names.text(*class).to_owned(), *count))
        .collect()
}

fn add(counts: &mut Counts, name: &str, count: i64) {
    if count > 0 {
        *counts.entry(name.to_owned()).or_default() += count;
    }
}

/// The part of the metrics that all groups of a job version share.
pub(crate) fn describe(candidates: &Candidates) -> AllocMetric {
    AllocMetric {
        nodes_evaluated: candidates.slots.len() as i64,
        nodes_in_pool: candidates.in_pool,
        node_pool: candidates.pool.clone(),
        nodes_available: candidates.available.clone(),
        ..AllocMetric::default()
    }
}

impl Ranking {
    /// The counts as they stand after [`Ranking::select`]. A class that was found wanting is named with its reason the
    /// first time and for its first node only, as the original does.
    pub(crate) fn metric(
        &mut self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
    ) -> AllocMetric {
        let columns = proposed.columns;
        let mut metric = describe(candidates);
        let mut filtered_by_class = self.tally.filtered_by_class.clone();
        let mut exhausted_by_class = self.tally.exhausted_by_class.clone();
        let mut told_here = BTreeSet::new();
        for (class, out) in &self.tally.classes {
            let again = !told_here.insert(columns.public_class(*class));
            let told = self.tally.told || out.known || again;
            let first = i64::from(!told);
            add(&mut metric.constraint_filtered, &out.reason, first);
            add(
                &mut metric.constraint_filtered,
                CLASS_INELIGIBLE,
                out.count - first,
            );
            metric.nodes_filtered += out.count;
            *filtered_by_class.entry(out.node_class).or_default() += out.count;
        }
        for cause in &self.tally.filtered {
            add(&mut metric.constraint_filtered, &cause.text, cause.count);
            metric.nodes_filtered += cause.count;
        }
        let mut exhausted: Vec<i64> = self.tally.exhausted.iter().map(|c| c.count).collect();
        self.limited(|position, reason| {
            // A node whose property is used up is filtered, whatever room it has.
            let class = columns.node_class[candidates.slots[position] as usize];
            add(&mut metric.constraint_filtered, &reason, 1);
            metric.nodes_filtered += 1;
            *filtered_by_class.entry(class).or_default() += 1;
            if let Verdict::Exhausted(number) = self.nodes[position].verdict {
                exhausted[number as usize] -= 1;
                *exhausted_by_class.entry(class).or_default() -= 1;
            }
        });
        for (cause, count) in self.tally.exhausted.iter().zip(exhausted) {
            add(&mut metric.dimension_exhausted, &cause.text, count);
            metric.nodes_exhausted += count;
        }
        metric.class_filtered = named(&filtered_by_class, &columns.node_classes);
        metric.class_exhausted = named(&exhausted_by_class, &columns.node_classes);
        self.tally.told = true;
        metric
    }

    /// Calls `found` for every otherwise feasible candidate whose distinct property is used up.
    pub(super) fn limited(&self, mut found: impl FnMut(usize, Reason)) {
        if self.filters.limits.is_empty() {
            return;
        }
        for (position, state) in self.nodes.iter().enumerate() {
            if !matches!(state.verdict, Verdict::Scored | Verdict::Exhausted(_)) {
                continue;
            }
            let values = &self.buckets.keys()[state.key as usize];
            for (property, value) in self.properties.iter().zip(values.iter()) {
                let Purpose::Limit(limit) = &property.purpose else {
                    continue;
                };
                let used = value.map_or(0, |value| property.used(value));
                if value.is_none() || used >= limit.limit {
                    let text = value.map(|value| property.values.text(value));
                    found(position, limit.reason(text, used));
                    break;
                }
            }
        }
    }
}

impl Ranking {
    /// Why a candidate is out; nothing where it is scored.
    pub(super) fn verdict_in_words(
        &self,
        position: usize,
        slot: u32,
        proposed: &Proposed<'_>,
    ) -> Option<NodeVerdict> {
        match self.nodes[position].verdict {
            Verdict::Scored => None,
            Verdict::Exhausted(number) => Some(NodeVerdict::Exhausted {
                dimension: self.tally.exhausted[number as usize].text.clone(),
            }),
            Verdict::Filtered(number) => Some(NodeVerdict::Filtered {
                reason: self.tally.filtered[number as usize].text.clone(),
            }),
            Verdict::Class => {
                let class = proposed.columns.class[slot as usize];
                let reason = self
                    .tally
                    .classes
                    .get(&class)
                    .map_or(CLASS_INELIGIBLE, |out| &out.reason);
                Some(NodeVerdict::Filtered {
                    reason: reason.to_owned(),
                })
            }
        }
    }
}

/// What each task would have needed of the dimensions that were exhausted.
pub(crate) fn exhaust_resources(metric: &mut AllocMetric, group: &TaskGroup) {
    if metric.dimension_exhausted.is_empty() {
        return;
    }
    let exhausted = |dimension: &str| metric.dimension_exhausted.contains_key(dimension);
    let (cpu, memory) = (exhausted("cpu"), exhausted("memory"));
    for task in &group.tasks {
        let entry = metric
            .resources_exhausted
            .entry(task.name.clone())
            .or_default();
        if cpu {
            entry.cpu += task.resources.cpu;
        }
        if memory {
            entry.memory_mb += task.resources.memory_mb;
        }
    }
}
