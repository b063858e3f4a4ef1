//! The cluster as it would be with the plan that is being built: columns plus stops, evictions and placements.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::ids::{AllocId, JobKey, NodeId};
use nomad_core::view::ClusterView;

use crate::columns::{NodeColumns, counts};
use crate::fit::{self, Items, Sums};
use crate::hash::{FastMap, FastSet};

/// What is in use on a node that the plan touches.
#[derive(Debug, Clone, Default)]
struct Load {
    used: Sums,
    items: Items,
}

/// One change of the plan, kept in order so that each ranking can catch up by itself.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) node: NodeId,
    pub(crate) slot: Option<u32>,
    /// Group of the allocation, where it belongs to the job that is scheduled.
    pub(crate) group: Option<String>,
    /// +1 where an allocation came, -1 where one went.
    pub(crate) delta: i64,
    /// Whether the allocation holds resources.
    pub(crate) counts: bool,
    /// Whether the allocation counts towards spreads and distinct properties.
    pub(crate) live: bool,
}

/// The cluster with the plan so far.
pub(crate) struct Proposed<'a> {
    pub(crate) view: &'a dyn ClusterView,
    pub(crate) columns: &'a NodeColumns,
    pub(crate) job: JobKey,
    loads: FastMap<u32, Load>,
    gone: FastSet<AllocId>,
    placed: BTreeMap<u32, Vec<Arc<Allocation>>>,
    pub(crate) journal: Vec<Change>,
}

static NOTHING: Items = Items {
    ports: fit::ports::UsedPorts::EMPTY,
    cores: Vec::new(),
    devices: Vec::new(),
};

impl<'a> Proposed<'a> {
    pub(crate) fn new(view: &'a dyn ClusterView, columns: &'a NodeColumns, job: JobKey) -> Self {
        Self {
            view,
            columns,
            job,
            loads: FastMap::default(),
            gone: FastSet::default(),
            placed: BTreeMap::new(),
            journal: Vec::new(),
        }
    }

    /// Sums in use on a node.
    pub(crate) fn used(&self, slot: u32) -> &Sums {
        self.loads
            .get(&slot)
            .map_or(&self.columns.used[slot as usize], |load| &load.used)
    }

    /// Ports, cores and devices in use on a node.
    pub(crate) fn items(&self, slot: u32) -> &Items {
        match self.loads.get(&slot) {
            Some(load) => &load.items,
            None => self.columns.items[slot as usize]
                .as_deref()
                .unwrap_or(&NOTHING),
        }
    }

    /// Whether the plan ends the allocation.
    pub(crate) fn is_gone(&self, id: AllocId) -> bool {
        self.gone.contains(&id)
    }

    /// Allocations on a node that hold something of it: those of the view that the plan leaves, and those it adds.
    pub(crate) fn allocs(&self, slot: u32) -> Vec<Arc<Allocation>> {
        let node = self.columns.row(slot).id;
        self.view
            .allocs_of_node(node)
            .filter(|alloc| counts(alloc) && !self.is_gone(alloc.id))
            .chain(self.placed.get(&slot).into_iter().flatten())
            .cloned()
            .collect()
    }

    /// What the plan places on a node.
    pub(crate) fn placed_on(&self, slot: u32) -> &[Arc<Allocation>] {
        self.placed.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// The plan ends an allocation of the view.
    pub(crate) fn remove(&mut self, alloc: &Arc<Allocation>) {
        if self.gone.insert(alloc.id) {
            self.shift(alloc, -1);
        }
    }

    /// Takes [`Self::remove`] back.
    pub(crate) fn restore(&mut self, alloc: &Arc<Allocation>) {
        if self.gone.remove(&alloc.id) {
            self.shift(alloc, 1);
        }
    }

    /// The plan places an allocation.
    pub(crate) fn place(&mut self, alloc: &Arc<Allocation>) {
        self.shift(alloc, 1);
        if let Some(slot) = self.columns.slot(alloc.node_id) {
            self.placed.entry(slot).or_default().push(Arc::clone(alloc));
        }
    }

    fn shift(&mut self, alloc: &Arc<Allocation>, delta: i64) {
        let slot = self.columns.slot(alloc.node_id);
        if let Some(slot) = slot
            && counts(alloc)
        {
            let at = slot as usize;
            let columns = self.columns;
            let sums = fit::sums(&alloc.allocated_resources);
            let held = Items::of(
                &alloc.allocated_resources,
                columns.row(slot),
                &columns.nets[at],
            );
            let load = self.loads.entry(slot).or_insert_with(|| Load {
                used: columns.used[at],
                items: columns.items[at].as_deref().cloned().unwrap_or_default(),
            });
            if delta > 0 {
                load.used.add(&sums);
                load.items.add(&held);
            } else {
                load.used.subtract(&sums);
                load.items.subtract(&held);
            }
        }
        let own = alloc.job_id == self.job.id && alloc.namespace == self.job.namespace;
        self.journal.push(Change {
            node: alloc.node_id,
            slot,
            group: own.then(|| alloc.task_group.clone()),
            delta,
            counts: counts(alloc),
            live: !alloc.terminal(),
        });
    }
}
