//! Judges single nodes for a group of a system job.

// tidy-allow: hash, looked up by key only and never iterated into a result
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nomad_core::alloc::{AllocatedResources, Allocation};
use nomad_core::job::{Job, TaskGroup};
use nomad_core::metric::AllocMetric;

use crate::candidates::Candidates;
use crate::eligibility::Eligibility;
use crate::feasible::{CLASS_INELIGIBLE, GroupFilters, Reason, csi, host_volume};
use crate::fit::resources::Ask;
use crate::fit::{self, Dimension};
use crate::plan_parts::index_of;
use crate::preempt::{Asking, Room, Victims, make_room};
use crate::propose::Proposed;
use crate::rank::score::{self, Score};
use crate::rank::spread::{Property, Purpose};
use crate::rank::{Style, TopScores, describe};
use crate::rng::Rng;

/// Why a node does not take the group.
pub(super) enum Refused {
    /// A filter says no: the node is not meant to run it.
    Filtered(Box<AllocMetric>),
    /// It is meant to, but there is no room.
    Exhausted(Box<AllocMetric>),
}

/// What a node gives.
pub(super) struct Given {
    pub(super) resources: AllocatedResources,
    pub(super) metric: AllocMetric,
    pub(super) preempted: Vec<Arc<Allocation>>,
}

/// One group, compiled, with what was learned of classes.
pub(super) struct GroupChecks {
    ask: Ask,
    filters: GroupFilters,
    classes: HashMap<u32, Result<(), Reason>>,
    limits: Vec<Property>,
    counted: usize,
    style: Style,
}

impl GroupChecks {
    pub(super) fn new(job: &Job, group: &TaskGroup, style: Style, proposed: &Proposed<'_>) -> Self {
        let ask = Ask::of(group, style.oversubscription);
        let filters = GroupFilters::of(job, group, &ask.devices);
        let mut limits: Vec<Property> = filters.limits.iter().map(Property::limit).collect();
        if !limits.is_empty() {
            for alloc in proposed.view.allocs_of_job(&proposed.job) {
                if !alloc.terminal()
                    && let Some(node) = proposed.view.node(alloc.node_id)
                {
                    for limit in &mut limits {
                        if !limit.group_only || alloc.task_group == group.name {
                            limit.count(node, 1);
                        }
                    }
                }
            }
        }
        Self {
            ask,
            filters,
            classes: HashMap::new(),
            limits,
            counted: 0,
            style,
        }
    }

    fn catch_up(&mut self, group: &TaskGroup, proposed: &Proposed<'_>) {
        for change in &proposed.journal[self.counted..] {
            if let Some(name) = &change.group
                && change.live
                && let Some(node) = proposed.view.node(change.node)
            {
                for limit in &mut self.limits {
                    if !limit.group_only || *name == group.name {
                        limit.count(node, change.delta);
                    }
                }
            }
        }
        self.counted = proposed.journal.len();
    }

    fn filter(
        &mut self,
        group: &TaskGroup,
        slot: u32,
        name: &str,
        proposed: &Proposed<'_>,
        eligibility: &mut Eligibility,
    ) -> Result<(), Reason> {
        let columns = proposed.columns;
        let node = columns.row(slot);
        let class = columns.class[slot as usize];
        eligibility.escaped |= self.filters.escapes();
        let verdict = match self.classes.get(&class) {
            Some(Ok(())) if !self.filters.escapes() => Ok(()),
            Some(Err(_)) if !self.filters.escapes() => Err(Reason::Borrowed(CLASS_INELIGIBLE)),
            _ => {
                let job = self.filters.check_job(node);
                if !self.filters.job_escapes {
                    eligibility.job.insert(class, job.is_ok());
                }
                let verdict = job.and_then(|()| self.filters.check_group(node));
                self.classes.insert(class, verdict.clone());
                if !self.filters.group_escapes {
                    eligibility
                        .groups
                        .entry(group.name.clone())
                        .or_default()
                        .insert(class, verdict.is_ok());
                }
                verdict
            }
        };
        verdict?;
        if self.filters.has_volumes() {
            let context = host_volume::Context {
                view: proposed.view,
                job: &proposed.job,
                group: &group.name,
                index: index_of(name),
                ended: &|id| proposed.is_gone(id),
                placed: proposed.placed_on(slot),
            };
            host_volume::check(&self.filters.host_volumes, node, &context)?;
            csi::check(&self.filters.csi_volumes, node, &context)?;
        }
        for limit in &mut self.limits {
            let value = limit.value(node);
            let used = value.map_or(0, |value| limit.used(value));
            if let Purpose::Limit(rule) = &limit.purpose
                && (value.is_none() || used >= rule.limit)
            {
                return Err(rule.reason(value.map(|value| limit.values.text(value)), used));
            }
        }
        Ok(())
    }

    /// Judges one node.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that a placement depends on"
    )]
    pub(super) fn select(
        &mut self,
        job: &Job,
        group: &TaskGroup,
        slot: u32,
        name: &str,
        candidates: &Candidates,
        proposed: &Proposed<'_>,
        eligibility: &mut Eligibility,
        victims: Option<&Victims>,
        rng: &mut Rng,
    ) -> Result<Given, Refused> {
        self.catch_up(group, proposed);
        let columns = proposed.columns;
        let class = columns
            .node_classes
            .text(columns.node_class[slot as usize])
            .to_owned();
        let by_class = |count: i64| -> BTreeMap<String, i64> {
            [(class.clone(), count)]
                .into_iter()
                .filter(|(class, _)| !class.is_empty())
                .collect()
        };
        let mut metric = AllocMetric {
            nodes_evaluated: 1,
            ..describe(candidates)
        };
        if let Err(reason) = self.filter(group, slot, name, proposed, eligibility) {
            metric.nodes_filtered = 1;
            metric.class_filtered = by_class(1);
            metric.constraint_filtered.insert(reason.into_owned(), 1);
            return Err(Refused::Filtered(Box::new(metric)));
        }
        match self.room(job, group, slot, proposed, victims, rng) {
            Ok(room) => {
                let mut used = room.used;
                used.add(&room.extra.sums);
                let capacity = &columns.capacity[slot as usize];
                let mut score =
                    Score::new(score::fit(self.style.algorithm, capacity, &used), false);
                score.devices = room.extra.device_score;
                metric.score_meta_data = TopScores::default().of(&[(slot, score)], proposed);
                Ok(Given {
                    resources: room.resources,
                    metric,
                    preempted: room.victims,
                })
            }
            Err(dimension) => {
                metric.nodes_exhausted = 1;
                metric.class_exhausted = by_class(1);
                metric.dimension_exhausted.insert(dimension.into_owned(), 1);
                crate::rank::exhaust_resources(&mut metric, group);
                Err(Refused::Exhausted(Box::new(metric)))
            }
        }
    }

    fn room(
        &self,
        job: &Job,
        group: &TaskGroup,
        slot: u32,
        proposed: &Proposed<'_>,
        victims: Option<&Victims>,
        rng: &mut Rng,
    ) -> Result<Room, Dimension> {
        let columns = proposed.columns;
        let (node, net) = (columns.row(slot), &columns.nets[slot as usize]);
        let items = proposed.items(slot);
        let used = *proposed.used(slot);
        let plain = self.ask.check(group, node, net, items).and_then(|extra| {
            let mut total = used;
            total.add(&extra.sums);
            fit::sums_fit(&columns.capacity[slot as usize], &total)?;
            let (resources, _) = self.ask.give(group, node, net, items, rng)?;
            Ok(Room {
                victims: Vec::new(),
                extra,
                used,
                resources,
            })
        });
        match (plain, victims) {
            (Ok(room), _) => Ok(room),
            (Err(dimension), None) => Err(dimension),
            (Err(_), Some(victims)) => {
                let asking = Asking {
                    job,
                    group,
                    ask: &self.ask,
                    victims,
                };
                make_room(&asking, slot, proposed, rng)
            }
        }
    }
}

/// Adds what one node says to what others said.
pub(super) fn merge(into: &mut AllocMetric, other: &AllocMetric) {
    fn add(into: &mut BTreeMap<String, i64>, other: &BTreeMap<String, i64>) {
        for (key, count) in other {
            *into.entry(key.clone()).or_default() += count;
        }
    }
    into.nodes_evaluated += other.nodes_evaluated;
    into.nodes_filtered += other.nodes_filtered;
    into.nodes_exhausted += other.nodes_exhausted;
    add(&mut into.class_filtered, &other.class_filtered);
    add(&mut into.constraint_filtered, &other.constraint_filtered);
    add(&mut into.class_exhausted, &other.class_exhausted);
    add(&mut into.dimension_exhausted, &other.dimension_exhausted);
    for (task, resources) in &other.resources_exhausted {
        let entry = into.resources_exhausted.entry(task.clone()).or_default();
        entry.cpu += resources.cpu;
        entry.memory_mb += resources.memory_mb;
    }
}
