//! The judgement of single nodes: filtered, exhausted, or scored.

use nomad_core::node::Node;

use super::buckets::Entry;
use super::score::{self, Score};
use super::{Property, Ranking};
use crate::candidates::Candidates;
use crate::eligibility::Eligibility;
use crate::feasible::{self, Reason, csi, host_volume};
use crate::fit::{self, Dimension};
use crate::hash::FastMap;
use crate::propose::Proposed;
use crate::rng;

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its computed class is infeasible.
    Class,
    /// Filtered for a reason of its own (number in the tally).
    Filtered(u32),
    /// Feasible, but something does not fit (number in the tally).
    Exhausted(u32),
    Scored,
}

/// A candidate's last judgement.
#[derive(Debug, Clone)]
pub(super) struct NodeState {
    /// Counts judgements; heap entries of older ones are stale.
    pub(super) stamp: u32,
    pub(super) verdict: Verdict,
    /// Number of its combination of property values.
    pub(super) key: u32,
    /// Decides ties.
    pub(super) rank: u64,
    pub(super) binpack: f64,
    pub(super) anti_affinity: f64,
    pub(super) affinity: f64,
    pub(super) devices: Option<f64>,
}

/// What nodes of one computed class share.
#[derive(Debug, Clone)]
pub(super) struct ClassState {
    /// Absent where filters must be asked node by node.
    pub(super) feasible: Option<Result<(), Reason>>,
    /// Whether the job's own constraints hold.
    job: bool,
    affinity: f64,
    key: u32,
}

impl Ranking {
    /// Judges every candidate for the first time.
    pub(super) fn judge_all(
        &mut self,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        eligibility: &mut Eligibility,
    ) {
        let columns = proposed.columns;
        let group = self.group().name.clone();
        let mut by_group = eligibility.groups.remove(&group).unwrap_or_default();
        self.classes.resize_with(columns.classes.len(), || None);
        for (position, slot) in candidates.slots.iter().enumerate() {
            let at = *slot as usize;
            let class = columns.class[at];
            if self.classes[class as usize].is_none() {
                let node = columns.row(*slot);
                let state = self.class_state(class, node, eligibility, &mut by_group);
                self.classes[class as usize] = Some(state);
            }
            let shared = self.classes[class as usize]
                .as_ref()
                .expect("asked just above");
            let mut state = NodeState {
                stamp: 0,
                verdict: Verdict::Class,
                key: shared.key,
                rank: rng::mix(self.style.seed ^ columns.tie[at]),
                binpack: 0.0,
                anti_affinity: 0.0,
                affinity: shared.affinity,
                devices: None,
            };
            let passes = match &shared.feasible {
                Some(Ok(())) => Some(true),
                Some(Err(reason)) => {
                    self.tally.class(class, columns.node_class[at], reason);
                    Some(false)
                }
                None => None,
            };
            if self.unique_affinity {
                state.affinity = self.affinity_of(columns.row(*slot));
            }
            if self.unique_key {
                state.key = self.key_of(columns.row(*slot));
            }
            self.nodes.push(state);
            match passes {
                Some(false) => {}
                Some(true) => self.judge(position, candidates, proposed, None, true),
                None => {
                    match self.ask_filters(columns.row(*slot), class, eligibility, &mut by_group) {
                        Ok(()) => self.judge(position, candidates, proposed, None, true),
                        Err(reason) => {
                            let number = self.tally.filtered(&reason, columns.node_class[at]);
                            self.nodes[position].verdict = Verdict::Filtered(number);
                        }
                    }
                }
            }
        }
        self.buckets.filled();
        eligibility.groups.insert(group, by_group);
    }

    /// Tells another evaluation what a kept ranking knows of classes, as if it had asked them anew.
    pub(super) fn learn_again(&mut self, eligibility: &mut Eligibility) {
        self.tally.begin_again();
        let group = self.group().name.clone();
        let by_group = eligibility.groups.entry(group).or_default();
        for (class, state) in self.classes.iter().enumerate() {
            let class = class as u32;
            let Some(state) = state else {
                continue;
            };
            if eligibility.job.get(&class) == Some(&false) || by_group.get(&class) == Some(&false) {
                self.tally.known_again(class);
            }
            eligibility.job.insert(class, state.job);
            if state.job {
                let feasible = matches!(state.feasible, Some(Ok(())));
                by_group.insert(class, feasible);
            }
        }
    }

    /// Builds the heaps anew from the last judgements.
    pub(super) fn fill_again(&mut self) {
        self.buckets.empty();
        for position in 0..self.nodes.len() {
            let state = &self.nodes[position];
            if state.verdict != Verdict::Scored {
                continue;
            }
            let (key, rank, stamp) = (state.key, state.rank, state.stamp);
            let (sum, parts) = self.score_of(position).base();
            let entry = Entry {
                sum,
                rank,
                position: position as u32,
                stamp,
            };
            self.buckets.fill(key, parts, entry);
        }
        self.buckets.filled();
    }

    /// Asks job and group filters of one node whose class does not decide both.
    fn ask_filters(
        &self,
        node: &Node,
        class: u32,
        eligibility: &mut Eligibility,
        by_group: &mut std::collections::BTreeMap<u32, bool>,
    ) -> Result<(), Reason> {
        let job = self.filters.check_job(node);
        if !self.filters.job_escapes {
            eligibility.job.insert(class, job.is_ok());
        }
        job?;
        let group = self.filters.check_group(node);
        if !self.filters.group_escapes {
            by_group.insert(class, group.is_ok());
        }
        group
    }

    fn class_state(
        &mut self,
        class: u32,
        node: &Node,
        eligibility: &mut Eligibility,
        by_group: &mut std::collections::BTreeMap<u32, bool>,
    ) -> ClassState {
        let feasible = if self.filters.escapes() {
            None
        } else {
            let known_bad =
                eligibility.job.get(&class) == Some(&false) || by_group.get(&class) == Some(&false);
            let verdict = self.ask_filters(node, class, eligibility, by_group);
            if known_bad {
                self.tally.known(class);
            }
            Some(verdict)
        };
        ClassState {
            feasible,
            job: eligibility.job.get(&class) == Some(&true),
            affinity: self.affinity_of(node),
            key: self.key_of(node),
        }
    }

    fn affinity_of(&self, node: &Node) -> f64 {
        if self.affinities.is_empty() {
            return 0.0;
        }
        let matched: f64 = self
            .affinities
            .iter()
            .filter(|check| check.is_met_by(node))
            .map(|check| check.weight)
            .sum();
        if self.affinity_total == 0.0 {
            0.0
        } else {
            matched / self.affinity_total
        }
    }

    fn key_of(&mut self, node: &Node) -> u32 {
        let values = self
            .properties
            .iter_mut()
            .map(|property: &mut Property| property.value(node))
            .collect();
        self.buckets.key(values)
    }

    /// Judges a candidate anew after something on it changed.
    pub(super) fn judge_again(
        &mut self,
        position: usize,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        index: Option<u64>,
    ) {
        let slot = candidates.slots[position] as usize;
        let node_class = proposed.columns.node_class[slot];
        match self.nodes[position].verdict {
            Verdict::Class => return,
            Verdict::Filtered(reason) => {
                // Only what depends on other allocations and on volumes can change within an evaluation.
                if !self.tally.may_change(reason) {
                    return;
                }
                self.tally.unfilter(reason, node_class);
            }
            Verdict::Exhausted(dimension) => self.tally.unexhaust(dimension, node_class),
            Verdict::Scored => {}
        }
        self.nodes[position].stamp += 1;
        self.judge(position, candidates, proposed, index, false);
    }

    /// Judges a candidate whose class is feasible.
    fn judge(
        &mut self,
        position: usize,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        index: Option<u64>,
        first: bool,
    ) {
        let slot = candidates.slots[position];
        let node_class = proposed.columns.node_class[slot as usize];
        if let Err(reason) = self.check_allocs(slot, proposed, index) {
            let number = self.tally.filtered_for_now(&reason, node_class);
            self.nodes[position].verdict = Verdict::Filtered(number);
            return;
        }
        match self.fit_score(slot, proposed) {
            Err(dimension) => {
                let number = self.tally.exhausted(&dimension, node_class);
                self.nodes[position].verdict = Verdict::Exhausted(number);
            }
            Ok((binpack, devices)) => {
                let anti_affinity = self.anti_affinity(slot);
                let state = &mut self.nodes[position];
                state.verdict = Verdict::Scored;
                state.binpack = binpack;
                state.devices = devices;
                state.anti_affinity = anti_affinity;
                let (key, rank, stamp) = (state.key, state.rank, state.stamp);
                let (sum, parts) = self.score_of(position).base();
                let entry = Entry {
                    sum,
                    rank,
                    position: position as u32,
                    stamp,
                };
                if first {
                    self.buckets.fill(key, parts, entry);
                } else {
                    self.buckets.push(key, parts, entry);
                }
            }
        }
    }

    /// Filters that depend on other allocations: volumes and their claims, distinct hosts.
    fn check_allocs(
        &self,
        slot: u32,
        proposed: &Proposed<'_>,
        index: Option<u64>,
    ) -> Result<(), Reason> {
        if self.filters.has_volumes() {
            let node = proposed.columns.row(slot);
            let context = host_volume::Context {
                view: proposed.view,
                job: &proposed.job,
                group: &self.group().name,
                index,
                ended: &|id| proposed.is_gone(id),
                placed: proposed.placed_on(slot),
            };
            host_volume::check(&self.filters.host_volumes, node, &context)?;
            csi::check(&self.filters.csi_volumes, node, &context)?;
        }
        let here = |counts: &FastMap<u32, i64>| counts.get(&slot).copied().unwrap_or(0) > 0;
        if (self.filters.distinct_hosts_job && here(&self.job_here))
            || (self.filters.distinct_hosts_group && here(&self.group_here))
        {
            return Err(Reason::Borrowed(feasible::DISTINCT_HOSTS));
        }
        Ok(())
    }

    /// Whether the group fits, and how well it uses the node then.
    fn fit_score(
        &self,
        slot: u32,
        proposed: &Proposed<'_>,
    ) -> Result<(f64, Option<f64>), Dimension> {
        let columns = proposed.columns;
        let at = slot as usize;
        let capacity = &columns.capacity[at];
        let mut used = *proposed.used(slot);
        let devices = if self.ask.is_plain() {
            used.add(&self.ask.sums);
            None
        } else {
            let extra = self.ask.check(
                self.group(),
                columns.row(slot),
                &columns.nets[at],
                proposed.items(slot),
            )?;
            used.add(&extra.sums);
            extra.device_score
        };
        fit::sums_fit(capacity, &used)?;
        Ok((score::fit(self.style.algorithm, capacity, &used), devices))
    }

    /// A scored candidate's parts that depend on the node alone.
    pub(super) fn score_of(&self, position: usize) -> Score {
        let state = &self.nodes[position];
        Score {
            devices: state.devices,
            anti_affinity: state.anti_affinity,
            affinity: (!self.affinities.is_empty()).then_some(state.affinity),
            ..Score::new(state.binpack, true)
        }
    }

    /// The same parts for a node on which others are evicted.
    pub(crate) fn score_over_committed(
        &self,
        position: usize,
        slot: u32,
        room: &crate::preempt::Room,
        proposed: &Proposed<'_>,
    ) -> Score {
        let mut used = room.used;
        used.add(&room.extra.sums);
        let capacity = &proposed.columns.capacity[slot as usize];
        Score {
            devices: room.extra.device_score,
            anti_affinity: self.anti_affinity(slot),
            affinity: (!self.affinities.is_empty()).then_some(self.nodes[position].affinity),
            ..Score::new(score::fit(self.style.algorithm, capacity, &used), true)
        }
    }

    fn anti_affinity(&self, slot: u32) -> f64 {
        let here = self.group_here.get(&slot).copied().unwrap_or(0);
        if here > 0 {
            -((here + 1) as f64) / self.group().count.max(1) as f64
        } else {
            0.0
        }
    }
}
