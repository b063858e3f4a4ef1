//! Scores of all feasible nodes for one group, kept between the placements of an evaluation.
//!
//! Every candidate is judged once; after that only nodes that the plan changes are judged again. Feasible nodes lie in
//! heaps, one per combination of property values (spread attributes, distinct properties) and number of score parts,
//! ordered by what depends on the node alone. What depends on a property value is a counter, so choosing a node costs
//! one look at the top of each heap, however many allocations were placed before.
//!
//! Source: servers and scheduling reference, "Feasibility and ranking".

pub(crate) mod buckets;
mod judge;
pub(crate) mod kept;
mod metrics;
pub(crate) mod score;
pub(crate) mod spread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::ids::NodeId;
use nomad_core::job::{Job, TaskGroup};
use nomad_core::metric::NodeScoreMeta;
use nomad_core::node::Node;
use nomad_core::scheduler_config::SchedulerAlgorithm;

use self::buckets::{Buckets, Entry};
use self::judge::{ClassState, NodeState, Verdict};
use self::metrics::Tally;
use self::score::Score;
use self::spread::{Property, Purpose};
use crate::candidates::Candidates;
use crate::eligibility::Eligibility;
use crate::explain::{NodeExplanation, NodeVerdict};
use crate::feasible::GroupFilters;
use crate::feasible::constraint::Check;
use crate::fit::resources::Ask;
use crate::hash::FastMap;
use crate::propose::Proposed;

pub(crate) use self::metrics::{describe, exhaust_resources};

/// Nodes whose scores are kept with an allocation.
pub(crate) const TOP_SCORES: usize = 5;

/// What is special about one placement of a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Nodes where predecessors failed.
    pub(crate) penalty: BTreeSet<NodeId>,
    /// The node that has the predecessor's data.
    pub(crate) preferred: Option<NodeId>,
    /// The `[index]` of its name.
    pub(crate) index: Option<u64>,
}

/// A node chosen for a placement.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) slot: u32,
    /// The best nodes with their scores, best first.
    pub(crate) top: Vec<(u32, Score)>,
}

/// How scores are formed, the same for all groups of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    pub(crate) algorithm: SchedulerAlgorithm,
    pub(crate) oversubscription: bool,
    pub(crate) seed: u64,
}

/// The ranking of all candidates for one group of one job version.
pub(crate) struct Ranking {
    pub(crate) job: Arc<Job>,
    group_index: usize,
    pub(crate) ask: Ask,
    pub(crate) filters: GroupFilters,
    style: Style,
    affinities: Vec<Check>,
    affinity_total: f64,
    unique_affinity: bool,
    pub(crate) properties: Vec<Property>,
    unique_key: bool,
    /// By number of the class; nothing for classes that no candidate has.
    classes: Vec<Option<ClassState>>,
    nodes: Vec<NodeState>,
    buckets: Buckets,
    tally: Tally,
    /// Allocations of the group, and of the whole job, by slot.
    group_here: FastMap<u32, i64>,
    job_here: FastMap<u32, i64>,
    /// How much of the plan's journal is taken in.
    seen: usize,
    /// Values of each property that candidates have; those of other nodes are numbered after them.
    own_values: Vec<usize>,
    /// Slots that were judged under a plan, or as running allocations of a job.
    stained: BTreeSet<u32>,
}

impl Ranking {
    pub(crate) fn new(
        job: &Arc<Job>,
        group_index: usize,
        style: Style,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        eligibility: &mut Eligibility,
    ) -> Self {
        let group = &job.task_groups[group_index];
        let ask = Ask::of(group, style.oversubscription);
        let filters = GroupFilters::of(job, group, &ask.devices);
        let affinities: Vec<Check> = job
            .affinities
            .iter()
            .chain(&group.affinities)
            .chain(group.tasks.iter().flat_map(|task| &task.affinities))
            .map(Check::affinity)
            .collect();
        let spreads: Vec<_> = group.spreads.iter().chain(&job.spreads).collect();
        let weights: f64 = spreads.iter().map(|spread| f64::from(spread.weight)).sum();
        let properties: Vec<Property> = spreads
            .into_iter()
            .map(|spread| Property::spread(spread, weights, group.count))
            .chain(filters.limits.iter().map(Property::limit))
            .collect();
        eligibility.escaped |= filters.escapes();
        let mut ranking = Self {
            job: Arc::clone(job),
            group_index,
            style,
            affinity_total: affinities.iter().map(|check| check.weight.abs()).sum(),
            unique_affinity: affinities.iter().any(|check| check.escapes),
            unique_key: properties.iter().any(Property::is_unique),
            ask,
            filters,
            affinities,
            properties,
            classes: Vec::new(),
            nodes: Vec::with_capacity(candidates.slots.len()),
            buckets: Buckets::default(),
            tally: Tally::default(),
            group_here: FastMap::default(),
            job_here: FastMap::default(),
            seen: 0,
            own_values: Vec::new(),
            stained: BTreeSet::new(),
        };
        ranking.judge_all(candidates, proposed, eligibility);
        ranking.own_values = ranking.properties.iter().map(|p| p.values.len()).collect();
        ranking.begin(candidates, proposed, BTreeSet::new());
        ranking
    }

    /// Takes up a kept ranking for another evaluation. `changed` are the slots whose allocations changed meanwhile.
    pub(crate) fn revive(
        &mut self,
        job: &Arc<Job>,
        group_index: usize,
        changed: Vec<u32>,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        eligibility: &mut Eligibility,
    ) {
        self.job = Arc::clone(job);
        self.group_index = group_index;
        self.group_here.clear();
        self.job_here.clear();
        for (property, own) in self.properties.iter_mut().zip(&self.own_values) {
            property.reset(*own);
        }
        self.learn_again(eligibility);
        if self.buckets.is_worn(self.nodes.len()) {
            self.fill_again();
        }
        let mut dirty = std::mem::take(&mut self.stained);
        dirty.extend(changed);
        self.begin(candidates, proposed, dirty);
    }

    /// Ends the work for an evaluation; all that the plan touched must be judged again before the next one.
    pub(crate) fn rest(&mut self, proposed: &Proposed<'_>) {
        self.stained
            .extend(proposed.journal.iter().filter_map(|change| change.slot));
    }

    /// How many nodes it ranks.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it may be used for other evaluations.
    pub(crate) fn is_keepable(&self) -> bool {
        !self.filters.escapes() && kept::keepable(self.group())
    }

    /// Counts the job's own allocations and judges `dirty` and the nodes that run them.
    fn begin(
        &mut self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        mut dirty: BTreeSet<u32>,
    ) {
        self.count_existing(proposed);
        dirty.extend(&self.stained);
        for slot in dirty {
            if let Some(position) = candidates.position(slot) {
                self.judge_again(position, candidates, proposed, None);
            }
        }
    }

    pub(crate) fn group(&self) -> &TaskGroup {
        &self.job.task_groups[self.group_index]
    }

    fn count_existing(&mut self, proposed: &Proposed<'_>) {
        let name = self.group().name.clone();
        let needs_rows = !self.properties.is_empty();
        for alloc in proposed.view.allocs_of_job(&proposed.job) {
            if crate::columns::counts(alloc)
                && let Some(slot) = proposed.columns.slot(alloc.node_id)
            {
                self.stained.insert(slot);
                *self.job_here.entry(slot).or_default() += 1;
                if alloc.task_group == name {
                    *self.group_here.entry(slot).or_default() += 1;
                }
            }
            if needs_rows
                && !alloc.terminal()
                && let Some(node) = proposed.view.node(alloc.node_id)
            {
                self.count_properties(node, alloc.task_group == name, 1);
            }
        }
        // Changes that the plan made before this ranking began.
        for change in &proposed.journal {
            self.count_change(change, proposed, &name);
            self.stained.extend(change.slot);
        }
        self.seen = proposed.journal.len();
    }

    fn count_properties(&mut self, node: &Node, own_group: bool, delta: i64) {
        for property in &mut self.properties {
            if own_group || !property.group_only {
                property.count(node, delta);
            }
        }
    }

    fn count_change(
        &mut self,
        change: &crate::propose::Change,
        proposed: &Proposed<'_>,
        name: &str,
    ) {
        let Some(group) = &change.group else {
            return;
        };
        let own = group == name;
        if change.counts
            && let Some(slot) = change.slot
        {
            *self.job_here.entry(slot).or_default() += change.delta;
            if own {
                *self.group_here.entry(slot).or_default() += change.delta;
            }
        }
        if change.live
            && !self.properties.is_empty()
            && let Some(node) = proposed.view.node(change.node)
        {
            self.count_properties(node, own, change.delta);
        }
    }

    /// Takes in what the plan changed since the last placement.
    pub(crate) fn catch_up(
        &mut self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        wanted: &Wanted,
    ) {
        let name = self.group().name.clone();
        let fresh = &proposed.journal[self.seen..];
        self.seen = proposed.journal.len();
        let mut dirty: BTreeSet<u32> = BTreeSet::new();
        for change in fresh {
            self.count_change(change, proposed, &name);
            dirty.extend(change.slot);
        }
        if self.filters.has_volumes() {
            // Claims and names differ from placement to placement.
            for position in 0..candidates.slots.len() {
                self.judge_again(position, candidates, proposed, wanted.index);
            }
            return;
        }
        for slot in dirty {
            if let Some(position) = candidates.position(slot) {
                self.judge_again(position, candidates, proposed, wanted.index);
            }
        }
    }

    /// Chooses the best node, or none where no candidate is feasible and has room.
    pub(crate) fn select(
        &mut self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        wanted: &Wanted,
    ) -> Option<Choice> {
        self.catch_up(candidates, proposed, wanted);
        let boosts = self.key_boosts();
        if let Some(choice) = self.preferred(candidates, proposed, wanted, &boosts) {
            return Some(choice);
        }
        let penalized: Vec<u32> = wanted
            .penalty
            .iter()
            .filter_map(|node| candidates.position(proposed.columns.slot(*node)?))
            .map(|position| position as u32)
            .collect();

        let nodes = &self.nodes;
        let mut best: Vec<(f64, u64, u32)> = self.buckets.top(
            TOP_SCORES,
            |key| boosts[key as usize],
            |entry: &Entry| nodes[entry.position as usize].stamp == entry.stamp,
            |entry: &Entry| penalized.contains(&entry.position),
        );
        for position in penalized {
            let state = &self.nodes[position as usize];
            if let Verdict::Scored = state.verdict
                && let Some(boost) = boosts[state.key as usize]
            {
                let mut score = self.score_of(position as usize);
                score.penalty = true;
                score.spread = boost;
                best.push((score.mean(), state.rank, position));
            }
        }
        best.sort_by(|left, right| right.0.total_cmp(&left.0).then(right.1.cmp(&left.1)));
        best.truncate(TOP_SCORES);
        let top: Vec<(u32, Score)> = best
            .into_iter()
            .map(|(_, _, position)| {
                let slot = candidates.slots[position as usize];
                let mut score = self.score_of(position as usize);
                score.penalty = wanted.penalty.contains(&proposed.columns.row(slot).id);
                score.spread =
                    boosts[self.nodes[position as usize].key as usize].unwrap_or_default();
                (slot, score)
            })
            .collect();
        let (slot, _) = *top.first()?;
        Some(Choice { slot, top })
    }

    fn preferred(
        &self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        wanted: &Wanted,
        boosts: &[Option<f64>],
    ) -> Option<Choice> {
        let slot = proposed.columns.slot(wanted.preferred?)?;
        let position = candidates.position(slot)?;
        let state = &self.nodes[position];
        let (Verdict::Scored, Some(boost)) = (state.verdict, boosts[state.key as usize]) else {
            return None;
        };
        let mut score = self.score_of(position);
        score.penalty = wanted.penalty.contains(&proposed.columns.row(slot).id);
        score.spread = boost;
        Some(Choice {
            slot,
            top: vec![(slot, score)],
        })
    }

    /// What every candidate says to a placement.
    pub(crate) fn explain(
        &mut self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        wanted: &Wanted,
    ) -> Vec<NodeExplanation> {
        self.catch_up(candidates, proposed, wanted);
        let boosts = self.key_boosts();
        let mut limited: FastMap<usize, String> = FastMap::default();
        self.limited(|position, reason| {
            limited.insert(position, reason.into_owned());
        });
        candidates
            .slots
            .iter()
            .enumerate()
            .map(|(position, slot)| {
                let node_id = proposed.columns.row(*slot).id;
                let verdict = if let Some(reason) = limited.remove(&position) {
                    NodeVerdict::Filtered { reason }
                } else {
                    self.verdict_in_words(position, *slot, proposed)
                        .unwrap_or_else(|| {
                            let mut score = self.score_of(position);
                            score.penalty = wanted.penalty.contains(&node_id);
                            score.spread = self.boost_at(position, &boosts).unwrap_or_default();
                            NodeVerdict::scored(&score, Vec::new())
                        })
                };
                NodeExplanation { node_id, verdict }
            })
            .collect()
    }

    /// Whether the group may go on a candidate, as the plan stands.
    pub(crate) fn probe(
        &mut self,
        slot: u32,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        wanted: &Wanted,
    ) -> bool {
        self.catch_up(candidates, proposed, wanted);
        let Some(position) = candidates.position(slot) else {
            return false;
        };
        let state = &self.nodes[position];
        let values = &self.buckets.keys()[state.key as usize];
        state.verdict == Verdict::Scored
            && self
                .properties
                .iter()
                .zip(values.iter())
                .all(|(property, value)| match &property.purpose {
                    Purpose::Spread(_) => true,
                    Purpose::Limit(limit) => {
                        value.is_some_and(|value| property.used(value) < limit.limit)
                    }
                })
    }

    /// By key: the sum of the spread boosts, or nothing where a distinct property is used up.
    pub(crate) fn key_boosts(&self) -> Vec<Option<f64>> {
        let per_property: Vec<Vec<f64>> = self.properties.iter().map(Property::boosts).collect();
        self.buckets
            .keys()
            .iter()
            .map(|values| {
                let mut sum = 0.0;
                for ((property, value), boosts) in
                    self.properties.iter().zip(values.iter()).zip(&per_property)
                {
                    match (&property.purpose, value) {
                        (Purpose::Spread(_), None) => sum -= 1.0,
                        (Purpose::Spread(_), Some(value)) => sum += boosts[*value as usize],
                        (Purpose::Limit(_), None) => return None,
                        (Purpose::Limit(limit), Some(value)) => {
                            if property.used(*value) >= limit.limit {
                                return None;
                            }
                        }
                    }
                }
                Some(sum)
            })
            .collect()
    }

    /// The boost of one candidate's property values; nothing where a distinct property is used up.
    pub(crate) fn boost_at(&self, position: usize, boosts: &[Option<f64>]) -> Option<f64> {
        boosts[self.nodes[position].key as usize]
    }

    /// Whether a candidate passes all filters that do not depend on what is free.
    pub(crate) fn is_feasible(&self, position: usize) -> bool {
        matches!(
            self.nodes[position].verdict,
            Verdict::Scored | Verdict::Exhausted(_)
        )
    }

    /// What decides a candidate's ties.
    pub(crate) fn rank_at(&self, position: usize) -> u64 {
        self.nodes[position].rank
    }
}

/// The scores of the best nodes as metrics show them. Neighbouring placements share what did not change.
#[derive(Debug, Default)]
pub(crate) struct TopScores(FastMap<u32, (Score, Arc<NodeScoreMeta>)>);

impl TopScores {
    pub(crate) fn of(
        &mut self,
        top: &[(u32, Score)],
        proposed: &Proposed<'_>,
    ) -> Vec<Arc<NodeScoreMeta>> {
        let mut list = Vec::with_capacity(top.len());
        for (slot, score) in top {
            if let Some((known, shown)) = self.0.get(slot)
                && known == score
            {
                list.push(Arc::clone(shown));
                continue;
            }
            let shown = Arc::new(NodeScoreMeta {
                node_id: proposed.columns.row(*slot).id,
                scores: score.parts(),
                norm_score: score.mean(),
            });
            self.0.insert(*slot, (*score, Arc::clone(&shown)));
            list.push(shown);
        }
        list
    }
}

/// Counts by name.
pub(crate) type Counts = BTreeMap<String, i64>;
