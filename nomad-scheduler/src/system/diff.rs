//! What every node should run against what it runs.
//!
//! Source: servers and scheduling reference, "System / sysbatch".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus, DesiredStatus, alloc_name};
use nomad_core::ids::NodeId;
use nomad_core::job::{Job, JobType};
use nomad_core::node::NodeStatus;
use nomad_core::time::Timestamp;

use crate::candidates::Candidates;
use crate::columns::NodeColumns;
use crate::reconcile::classify::{Tainted, has_expired, needs_reconnect};

/// A missing allocation of a node.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub(super) node: NodeId,
    pub(super) name: String,
    pub(super) group: String,
    /// The one that ran there before.
    pub(super) previous: Option<Arc<Allocation>>,
}

/// What is to be done with the job's allocations.
#[derive(Debug, Default)]
pub(super) struct Diff {
    pub(super) place: Vec<Missing>,
    pub(super) update: Vec<Arc<Allocation>>,
    pub(super) migrate: Vec<Arc<Allocation>>,
    pub(super) stop: Vec<Arc<Allocation>>,
    pub(super) ignore: Vec<Arc<Allocation>>,
    pub(super) lost: Vec<Arc<Allocation>>,
    pub(super) disconnecting: Vec<Arc<Allocation>>,
    pub(super) reconnecting: Vec<Arc<Allocation>>,
}

enum Fate {
    Stop,
    Migrate,
    Lost,
    Ignore,
    Reconnect,
    Disconnect,
    Update,
}

/// What the comparison depends on.
pub(super) struct Compare<'a> {
    pub(super) job: Option<&'a Arc<Job>>,
    pub(super) columns: &'a NodeColumns,
    pub(super) candidates: &'a Candidates,
    pub(super) tainted: &'a Tainted,
    pub(super) now: Timestamp,
}

impl Compare<'_> {
    /// (name, group) of everything that each node should run, in the order of the job.
    fn required(&self) -> Vec<(String, String)> {
        let mut required = Vec::new();
        if let Some(job) = self.job.filter(|job| !job.stopped()) {
            for group in &job.task_groups {
                for index in 0..u64::try_from(group.count).unwrap_or(0) {
                    required.push((
                        alloc_name(&job.name, &group.name, index),
                        group.name.clone(),
                    ));
                }
            }
        }
        required
    }

    fn fate(&self, alloc: &Allocation, required: &BTreeSet<&str>) -> Fate {
        let Some(job) = self.job.filter(|_| required.contains(alloc.name.as_str())) else {
            return Fate::Stop;
        };
        let sysbatch = job.job_type == JobType::Sysbatch;
        let changed = alloc
            .job
            .as_ref()
            .is_none_or(|own| own.job_modify_index != job.job_modify_index);
        if alloc.desired_transition.should_migrate() {
            return Fate::Migrate;
        }
        if has_expired(alloc, self.now) {
            return Fate::Lost;
        }
        let taint = self.tainted.get(&alloc.node_id);
        if taint.is_none() && needs_reconnect(alloc) {
            return Fate::Reconnect;
        }
        if alloc.client_status == ClientStatus::Unknown
            && alloc.desired_status == DesiredStatus::Run
        {
            return Fate::Ignore;
        }
        if let Some(node) = taint {
            if sysbatch && alloc.ran_successfully() {
                return Fate::Ignore;
            }
            return match node {
                None => Fate::Lost,
                Some(node) => match node.status {
                    NodeStatus::Disconnected if alloc.client_status == ClientStatus::Running => {
                        Fate::Disconnect
                    }
                    NodeStatus::Down => Fate::Lost,
                    _ => Fate::Ignore,
                },
            };
        }
        let Some(slot) = self.columns.slot(alloc.node_id) else {
            return Fate::Lost;
        };
        if !self.columns.ready[slot as usize] {
            return if changed { Fate::Stop } else { Fate::Ignore };
        }
        if self.candidates.position(slot).is_none() {
            return Fate::Stop;
        }
        if changed { Fate::Update } else { Fate::Ignore }
    }

    /// Compares; `allocs` are all allocations of the job.
    pub(super) fn compute<'b>(&self, allocs: impl Iterator<Item = &'b Arc<Allocation>>) -> Diff {
        let required = self.required();
        let sysbatch = self
            .job
            .is_some_and(|job| job.job_type == JobType::Sysbatch);
        let names: BTreeSet<&str> = required.iter().map(|(name, _)| name.as_str()).collect();
        let mut diff = Diff::default();
        let mut present: BTreeSet<(NodeId, &str)> = BTreeSet::new();
        let mut ended: BTreeMap<(NodeId, &str), &Arc<Allocation>> = BTreeMap::new();
        for alloc in allocs {
            let place = (alloc.node_id, alloc.name.as_str());
            if alloc.terminal() && !needs_reconnect(alloc) {
                let latest = ended.entry(place).or_insert(alloc);
                if latest.create_index < alloc.create_index {
                    *latest = alloc;
                }
                continue;
            }
            present.insert(place);
            let list = match self.fate(alloc, &names) {
                Fate::Stop => &mut diff.stop,
                Fate::Migrate => &mut diff.migrate,
                Fate::Lost => &mut diff.lost,
                Fate::Ignore => &mut diff.ignore,
                Fate::Reconnect => &mut diff.reconnecting,
                Fate::Disconnect => &mut diff.disconnecting,
                Fate::Update => &mut diff.update,
            };
            list.push(Arc::clone(alloc));
        }
        // By id: the order of slots tells who came first, which must not matter.
        let slots = self.candidates.slots.iter();
        let mut nodes: Vec<NodeId> = slots.map(|slot| self.columns.row(*slot).id).collect();
        nodes.sort_unstable();
        for node in nodes {
            if self.tainted.contains_key(&node) {
                continue;
            }
            for (name, group) in &required {
                if present.contains(&(node, name.as_str())) {
                    continue;
                }
                let previous = ended.get(&(node, name.as_str())).copied();
                if sysbatch
                    && let Some(before) = previous
                    && let Some(job) = self.job
                {
                    // What ran once does not run again, unless the job changed.
                    let changed = before
                        .job
                        .as_ref()
                        .is_none_or(|own| own.job_modify_index != job.job_modify_index);
                    if changed {
                        diff.update.push(Arc::clone(before));
                    } else {
                        diff.ignore.push(Arc::clone(before));
                    }
                    continue;
                }
                diff.place.push(Missing {
                    node,
                    name: name.clone(),
                    group: group.clone(),
                    previous: previous.cloned(),
                });
            }
        }
        diff
    }
}
