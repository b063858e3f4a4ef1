//! The drainer: moves work off draining nodes, no faster than its groups allow, and says when a drain is done.
//!
//! Source: servers and scheduling reference, "Eligibility and drain".

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::{Allocation, DesiredTransition};
use nomad_core::job::{JobType, MigrateStrategy};
use nomad_core::node::Node;
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, JobKey, NodeId, Timestamp};
use nomad_state::Change;

/// Allocations marked in one log entry at most.
pub const MAX_MARKED: usize = 7281;

/// What happens to drains.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Rows were written. The view contains them.
    Changed {
        nodes: &'a [Change<Node>],
        allocs: &'a [Change<Allocation>],
    },
    /// What [`Action::Migrate`] asked for was written, or could not be.
    Marked { committed: bool },
    /// What [`Action::Complete`] asked for was written, or could not be.
    Completed { node: NodeId, committed: bool },
    /// Time went by.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Mark these allocations, and let the scheduler look at their jobs. One such action is under way at a time.
    Migrate {
        transitions: BTreeMap<AllocId, DesiredTransition>,
        jobs: BTreeSet<JobKey>,
    },
    /// Nothing is left on the node.
    Complete {
        node: NodeId,
        deadline_reached: bool,
    },
}

/// A draining node.
#[derive(Debug)]
struct Draining {
    /// When whatever is left is stopped; `None` is never.
    deadline: Option<Timestamp>,
    ignore_system_jobs: bool,
    /// Its end is being written.
    completing: bool,
}

impl Draining {
    fn is_over(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// The drainer. Lives on the leader, in memory.
#[derive(Debug, Default)]
pub struct Drainer {
    nodes: BTreeMap<NodeId, Draining>,
    deadlines: BTreeSet<(Timestamp, NodeId)>,
    /// Nodes to be looked at.
    touched: BTreeSet<NodeId>,
    /// Marks are being written.
    marking: bool,
}

impl Drainer {
    /// No drain yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event in, and says what is to be done.
    pub fn handle(
        &mut self,
        event: Event<'_>,
        view: &dyn ClusterView,
        now: Timestamp,
    ) -> Vec<Action> {
        match event {
            Event::Changed { nodes, allocs } => {
                for change in nodes {
                    match (&change.new, &change.old) {
                        (Some(new), _) => self.node_written(new),
                        (None, Some(old)) => self.forget(old.id),
                        (None, None) => {}
                    }
                }
                if !self.nodes.is_empty() && !allocs.is_empty() {
                    self.allocs_written(allocs, view);
                }
            }
            Event::Marked { committed } => {
                self.marking = false;
                if !committed {
                    self.touch_all();
                }
            }
            Event::Completed { node, committed } => {
                if let Some(draining) = self.nodes.get_mut(&node) {
                    draining.completing = false;
                    if !committed {
                        self.touched.insert(node);
                    }
                }
            }
            Event::Tick => {
                while let Some((at, node)) =
                    self.deadlines.first().copied().filter(|(at, _)| *at <= now)
                {
                    self.deadlines.remove(&(at, node));
                    self.touched.insert(node);
                }
            }
        }
        self.look(view, now)
    }

    /// Watches every draining node of a list, as when leadership is gained.
    pub fn recover<'a>(
        &mut self,
        nodes: impl Iterator<Item = &'a Arc<Node>>,
        view: &dyn ClusterView,
        now: Timestamp,
    ) -> Vec<Action> {
        *self = Self::default();
        for node in nodes {
            self.node_written(node);
        }
        self.look(view, now)
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whether no node drains.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn node_written(&mut self, node: &Node) {
        let Some(strategy) = &node.drain_strategy else {
            self.forget(node.id);
            return;
        };
        let deadline = match strategy.deadline.0 {
            0 => None,
            // At once.
            span if span < 0 => Some(Timestamp(1)),
            _ => Some(strategy.force_deadline),
        };
        let completing = self.nodes.get(&node.id).is_some_and(|old| old.completing);
        let ignore_system_jobs = strategy.ignore_system_jobs;
        self.forget(node.id);
        self.deadlines.extend(deadline.map(|at| (at, node.id)));
        self.nodes.insert(
            node.id,
            Draining {
                deadline,
                ignore_system_jobs,
                completing,
            },
        );
        self.touched.insert(node.id);
    }

    fn forget(&mut self, id: NodeId) {
        self.touched.remove(&id);
        if let Some(Draining {
            deadline: Some(at), ..
        }) = self.nodes.remove(&id)
        {
            self.deadlines.remove(&(at, id));
        }
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.nodes.keys().copied());
    }

    /// A node is looked at when something on it changed, or a job that it shares with the changed allocation.
    fn allocs_written(&mut self, allocs: &[Change<Allocation>], view: &dyn ClusterView) {
        let mut jobs = BTreeSet::new();
        for row in allocs
            .iter()
            .filter_map(|change| change.new.as_ref().or(change.old.as_ref()))
        {
            if self.nodes.contains_key(&row.node_id) {
                self.touched.insert(row.node_id);
            } else {
                jobs.insert(row.job_key());
            }
        }
        for job in jobs {
            let nodes = view.allocs_of_job(&job).filter(|alloc| !alloc.terminal());
            let nodes = nodes.map(|alloc| alloc.node_id);
            self.touched
                .extend(nodes.filter(|node| self.nodes.contains_key(node)));
        }
    }

    fn look(&mut self, view: &dyn ClusterView, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut marks = Marks::default();
        for id in std::mem::take(&mut self.touched) {
            let Some(draining) = self.nodes.get_mut(&id) else {
                continue;
            };
            let left: Vec<_> = view
                .allocs_of_node(id)
                .filter(|alloc| !alloc.client_terminal())
                .filter(|alloc| !(draining.ignore_system_jobs && is_system(alloc)))
                .collect();
            if left.is_empty() {
                if !draining.completing {
                    draining.completing = true;
                    let deadline_reached = draining.is_over(now);
                    actions.push(Action::Complete {
                        node: id,
                        deadline_reached,
                    });
                }
            } else if self.marking {
                // Looked at again when the marks under way are written.
                self.touched.insert(id);
            } else {
                mark(view, &left, draining.is_over(now), &self.nodes, &mut marks);
            }
        }
        if !marks.transitions.is_empty() {
            self.marking = true;
            // More may follow: a batch has a limit.
            if marks.transitions.len() >= MAX_MARKED {
                self.touch_all();
            }
            actions.push(Action::Migrate {
                transitions: marks.transitions,
                jobs: marks.jobs,
            });
        }
        actions
    }
}

/// Allocations to be marked.
#[derive(Debug, Default)]
struct Marks {
    transitions: BTreeMap<AllocId, DesiredTransition>,
    jobs: BTreeSet<JobKey>,
}

impl Marks {
    fn add(&mut self, alloc: &Allocation, keep_away: bool) {
        if self.transitions.len() < MAX_MARKED {
            let transition = DesiredTransition {
                migrate: Some(true),
                migrate_disable_placement: keep_away.then_some(true),
                ..DesiredTransition::default()
            };
            self.transitions.insert(alloc.id, transition);
            self.jobs.insert(alloc.job_key());
        }
    }
}

/// Marks what may leave a node now.
fn mark(
    view: &dyn ClusterView,
    left: &[&Arc<Allocation>],
    over: bool,
    draining: &BTreeMap<NodeId, Draining>,
    marks: &mut Marks,
) {
    let unmarked =
        |alloc: &Allocation| !alloc.server_terminal() && !alloc.desired_transition.should_migrate();
    if over {
        for alloc in left.iter().filter(|alloc| unmarked(alloc)) {
            marks.add(alloc, job_type(alloc) == JobType::Batch);
        }
        return;
    }
    let only_system = left.iter().all(|alloc| is_system(alloc));
    if only_system {
        for alloc in left.iter().filter(|alloc| unmarked(alloc)) {
            marks.add(alloc, false);
        }
        return;
    }
    // Batch work may end by itself until the deadline; services move group by group.
    let groups: BTreeSet<(JobKey, &str)> = left
        .iter()
        .filter(|alloc| job_type(alloc) == JobType::Service && unmarked(alloc))
        .map(|alloc| (alloc.job_key(), alloc.task_group.as_str()))
        .collect();
    for (job, group) in groups {
        mark_group(view, &job, group, draining, marks);
    }
}

/// Marks as many allocations of a service group as may be missing at a time.
fn mark_group(
    view: &dyn ClusterView,
    job: &JobKey,
    name: &str,
    draining: &BTreeMap<NodeId, Draining>,
    marks: &mut Marks,
) {
    let Some(group) = view.job(job).and_then(|job| job.group(name)) else {
        // The job or the group is gone: what is left of it is stopped anyway.
        return;
    };
    let strategy = group
        .migrate
        .clone()
        .unwrap_or_else(MigrateStrategy::standard);
    let mut healthy = 0;
    let mut drainable = Vec::new();
    for alloc in view
        .allocs_of_job(job)
        .filter(|alloc| alloc.task_group == name)
    {
        let marked =
            alloc.desired_transition.should_migrate() || marks.transitions.contains_key(&alloc.id);
        if alloc.terminal() || marked {
            continue;
        }
        if alloc
            .deployment_status
            .as_ref()
            .is_some_and(|status| status.healthy.is_some())
        {
            healthy += 1;
        }
        if draining.contains_key(&alloc.node_id) {
            drainable.push(alloc);
        }
    }
    let may_go = healthy - (group.count - strategy.max_parallel);
    let may_go = usize::try_from(may_go).unwrap_or(0);
    for alloc in drainable.into_iter().take(may_go) {
        marks.add(alloc, false);
    }
}

fn job_type(alloc: &Allocation) -> JobType {
    alloc
        .job
        .as_ref()
        .map(|job| job.job_type)
        .unwrap_or_default()
}

fn is_system(alloc: &Allocation) -> bool {
    job_type(alloc).is_system_like()
}
