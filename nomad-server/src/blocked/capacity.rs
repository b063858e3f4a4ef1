//! What was freed when, and how much a blocked evaluation needs at least.

use std::collections::BTreeMap;

use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, TaskGroup};
use nomad_core::{NodeId, Timestamp};

/// What may become free.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Capacity {
    Everything,
    Class(String),
    Node(NodeId),
    Resource(String),
}

/// When something became free last: index and time.
#[derive(Debug, Default)]
pub(super) struct Freed(BTreeMap<Capacity, (u64, Timestamp)>);

impl Freed {
    pub(super) fn note(&mut self, what: Capacity, index: u64, now: Timestamp) {
        let entry = self.0.entry(what).or_insert((index, now));
        entry.0 = entry.0.max(index);
        entry.1 = now;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn prune(&mut self, before: Timestamp) {
        self.0.retain(|_, (_, at)| *at >= before);
    }

    /// Whether something that could help the evaluation became free after the state that it was judged by.
    pub(super) fn missed(&self, eval: &Evaluation, node: Option<NodeId>) -> bool {
        let since = eval.snapshot_index;
        if let Some(node) = node {
            return self.newer(&Capacity::Node(node), since)
                || self.newer(&Capacity::Everything, since);
        }
        self.0.iter().any(|(what, (index, _))| {
            *index > since
                && match what {
                    Capacity::Everything => true,
                    Capacity::Class(class) => {
                        eval.escaped_computed_class
                            || eval.class_eligibility.get(class) != Some(&false)
                    }
                    // The node's class was noted with it.
                    Capacity::Node(_) => false,
                    Capacity::Resource(id) => eval.missing_non_node_resources.contains(id),
                }
        })
    }

    fn newer(&self, what: &Capacity, since: u64) -> bool {
        self.0.get(what).is_some_and(|(index, _)| *index > since)
    }
}

/// Least resources that could help, or resources that are free. Zero needs fit anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// MHz.
    pub cpu: i64,
    pub memory_mb: i64,
    pub disk_mb: i64,
}

impl Need {
    /// The least that any of the groups which could not be placed asks for: a node with less free is of no use.
    ///
    /// Reserved cores are left out, because their MHz depend on the node.
    pub fn of(job: &Job, eval: &Evaluation) -> Self {
        job.task_groups
            .iter()
            .filter(|group| eval.queued_allocations.get(&group.name) != Some(&0))
            .map(Self::of_group)
            .reduce(|a, b| Self {
                cpu: a.cpu.min(b.cpu),
                memory_mb: a.memory_mb.min(b.memory_mb),
                disk_mb: a.disk_mb.min(b.disk_mb),
            })
            .unwrap_or_default()
    }

    fn of_group(group: &TaskGroup) -> Self {
        // Tasks of different lifecycles do not run at the same time, so the largest one is a safe lower bound.
        let largest = |resource: fn(&nomad_core::job::Task) -> i64| {
            group.tasks.iter().map(resource).max().unwrap_or(0)
        };
        Self {
            cpu: largest(|task| task.resources.cpu),
            memory_mb: largest(|task| task.resources.memory_mb),
            disk_mb: group.disk_mb(),
        }
    }

    /// Whether this much could be met by what is free; unknown is yes.
    pub fn could_fit(&self, free: Option<&Self>) -> bool {
        free.is_none_or(|free| {
            self.cpu <= free.cpu && self.memory_mb <= free.memory_mb && self.disk_mb <= free.disk_mb
        })
    }
}
