//! Struct-of-arrays view of the nodes, kept current by deltas.
//!
//! One slot per node; what scheduling reads for every node (readiness, class, capacity, use) lies in plain arrays, what
//! it reads for few (ports, cores, devices in use) is boxed and absent where there is nothing. Beside them lie rankings
//! of earlier evaluations, which a record of changed slots keeps current.
//!
//! Invariant: [`NodeColumns::update`] with everything that changed since gives what [`NodeColumns::from_view`] gives at
//! the new index, apart from the order of slots.

mod interner;

// tidy-allow: hash, looked up by key only and never iterated into a result
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::ids::NodeId;
use nomad_core::node::Node;
use nomad_core::view::ClusterView;

pub(crate) use self::interner::Interner;
use crate::class;
use crate::fit::ports::{NetRoom, PortSet};
use crate::fit::{self, Items, Sums};
use crate::hash::FastMap;
use crate::rank::kept::Kept;

/// What changed between two indexes of the state.
#[derive(Debug, Clone, Default)]
pub struct ColumnChanges {
    /// Nodes that were written or deleted.
    pub nodes: Vec<NodeId>,
    /// Allocations that were written: the row before (absent for new ones) and after (absent for deleted ones).
    pub allocs: Vec<(Option<Arc<Allocation>>, Option<Arc<Allocation>>)>,
}

/// Columns over all nodes of a view.
#[derive(Debug, Clone, Default)]
pub struct NodeColumns {
    index: u64,
    slots: FastMap<NodeId, u32>,
    pub(crate) rows: Vec<Option<Arc<Node>>>,
    pub(crate) ready: Vec<bool>,
    pub(crate) datacenter: Vec<u32>,
    pub(crate) pool: Vec<u32>,
    /// Computed class, told apart further where filters may answer differently.
    pub(crate) class: Vec<u32>,
    /// The operator's class.
    pub(crate) node_class: Vec<u32>,
    pub(crate) capacity: Vec<Sums>,
    pub(crate) used: Vec<Sums>,
    pub(crate) nets: Vec<NetRoom>,
    pub(crate) items: Vec<Option<Box<Items>>>,
    pub(crate) datacenters: Interner,
    pub(crate) pools: Interner,
    pub(crate) classes: Interner,
    /// By number of the class: number of its computed class in `public_classes`.
    public_class: Vec<u32>,
    public_classes: Interner,
    pub(crate) node_classes: Interner,
    /// The id as a number, for ties.
    pub(crate) tie: Vec<u64>,
    port_sets: HashMap<Box<str>, Arc<PortSet>>,
    free: Vec<u32>,
    /// Slots whose allocations changed, in order; the first is number `forgotten` of all.
    changed: Vec<u32>,
    forgotten: u64,
    pub(crate) kept: Kept,
}

/// Whether an allocation holds anything of its node: until the node says that it ended.
pub(crate) fn counts(alloc: &Allocation) -> bool {
    !alloc.client_terminal()
}

/// Changes that are recorded at least.
const MIN_RECORD: usize = 4_096;

/// An id as a number.
fn tie(node: NodeId) -> u64 {
    let (high, low) = node.0.0.split_at(8);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
    };
    number(low).rotate_left(17) ^ number(high)
}

/// Whether a node that was written says the same as before to everything that rankings read: events, times and links
/// change often, and are no reason to begin anew.
fn is_same(old: &Node, new: &Node) -> bool {
    let drivers = |node: &Node| -> Vec<String> {
        node.drivers
            .iter()
            .filter(|(_, info)| info.detected && info.healthy)
            .map(|(name, _)| name.clone())
            .collect()
    };
    old.is_ready() == new.is_ready()
        && old.name == new.name
        && old.datacenter == new.datacenter
        && old.node_pool == new.node_pool
        && old.node_class == new.node_class
        && old.computed_class == new.computed_class
        && old.attributes == new.attributes
        && old.meta == new.meta
        && old.node_resources == new.node_resources
        && old.reserved_resources == new.reserved_resources
        && old.node_max_allocs == new.node_max_allocs
        && drivers(old) == drivers(new)
}

impl NodeColumns {
    /// Reads a whole view.
    pub fn from_view(view: &dyn ClusterView) -> Self {
        let mut columns = Self {
            index: view.index(),
            ..Self::default()
        };
        for node in view.nodes() {
            columns.write_node(node);
        }
        for slot in 0..columns.rows.len() as u32 {
            columns.recount(view, slot);
        }
        columns
    }

    /// Follows the state to the index of `view`; `changes` is everything that was written since [`Self::index`].
    pub fn update(&mut self, view: &dyn ClusterView, changes: &ColumnChanges) {
        let changed: BTreeSet<NodeId> = changes.nodes.iter().copied().collect();
        for id in &changed {
            match view.node(*id) {
                Some(node) => {
                    let old = self.slot(*id).map(|slot| Arc::clone(self.row(slot)));
                    if old.is_none_or(|old| !is_same(&old, node)) {
                        self.forget();
                    }
                    let slot = self.write_node(node);
                    self.recount(view, slot);
                    self.changed.push(slot);
                }
                None => {
                    self.forget();
                    self.remove_node(*id);
                }
            }
        }
        for (old, new) in &changes.allocs {
            for (alloc, sign) in [(old, false), (new, true)] {
                let Some(alloc) = alloc.as_ref().filter(|alloc| counts(alloc)) else {
                    continue;
                };
                if changed.contains(&alloc.node_id) {
                    continue;
                }
                if let Some(slot) = self.slots.get(&alloc.node_id) {
                    let slot = *slot;
                    self.count(slot, alloc, sign);
                    self.changed.push(slot);
                }
            }
        }
        let most = self.rows.len().max(MIN_RECORD);
        if self.changed.len() > 2 * most {
            // Whoever did not look for so long is better off beginning anew.
            let old = self.changed.len() - most;
            self.changed.drain(..old);
            self.forgotten += old as u64;
        }
        self.index = view.index();
    }

    /// Index of the state that they stand at.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Forgets what earlier evaluations learned, so that the next one begins from the columns alone. The outcome of
    /// evaluations does not depend on it, only their time does.
    pub fn forget(&self) {
        self.kept.clear();
    }

    /// How many changes of slots were recorded so far.
    pub(crate) fn recorded(&self) -> u64 {
        self.forgotten + self.changed.len() as u64
    }

    /// Slots that changed since a number of changes was recorded; nothing where the record does not reach back.
    pub(crate) fn changed_since(&self, seen: u64) -> Option<Vec<u32>> {
        let from = usize::try_from(seen.checked_sub(self.forgotten)?).ok()?;
        let mut slots = self.changed.get(from..)?.to_vec();
        slots.sort_unstable();
        slots.dedup();
        Some(slots)
    }

    pub(crate) fn slot(&self, node: NodeId) -> Option<u32> {
        self.slots.get(&node).copied()
    }

    /// The node of a slot that is in use.
    pub(crate) fn row(&self, slot: u32) -> &Arc<Node> {
        self.rows[slot as usize]
            .as_ref()
            .expect("slots handed out belong to nodes")
    }

    fn write_node(&mut self, node: &Arc<Node>) -> u32 {
        let slot = match self.slots.get(&node.id) {
            Some(slot) => *slot,
            None => {
                let slot = self.free.pop().unwrap_or_else(|| self.grow());
                self.slots.insert(node.id, slot);
                slot
            }
        };
        let at = slot as usize;
        let sets = &mut self.port_sets;
        self.nets[at] = NetRoom::with_sets(node, &mut |text| {
            if let Some(set) = sets.get(text) {
                return Arc::clone(set);
            }
            let set = Arc::new(PortSet::parse(text));
            sets.insert(text.into(), Arc::clone(&set));
            set
        });
        self.ready[at] = node.is_ready();
        self.datacenter[at] = self.datacenters.intern(&node.datacenter);
        self.pool[at] = self.pools.intern(&node.node_pool);
        self.class[at] = self.class_of(node);
        self.node_class[at] = self.node_classes.intern(&node.node_class);
        self.capacity[at] = fit::capacity(node);
        self.tie[at] = tie(node.id);
        self.rows[at] = Some(Arc::clone(node));
        slot
    }

    fn class_of(&mut self, node: &Node) -> u32 {
        let own;
        let public = if node.computed_class.is_empty() {
            own = class::computed_class(node);
            &own
        } else {
            &node.computed_class
        };
        let number = self.classes.intern(&class::exact_class(node, public));
        if number as usize == self.public_class.len() {
            let public = self.public_classes.intern(public);
            self.public_class.push(public);
        }
        number
    }

    /// Number of the computed class, as others see it, of a class.
    pub(crate) fn public_class(&self, class: u32) -> u32 {
        self.public_class[class as usize]
    }

    /// The computed class, as others see it, of a class.
    pub(crate) fn class_name(&self, class: u32) -> &str {
        self.public_classes.text(self.public_class(class))
    }

    fn grow(&mut self) -> u32 {
        self.rows.push(None);
        self.ready.push(false);
        self.datacenter.push(0);
        self.pool.push(0);
        self.class.push(0);
        self.node_class.push(0);
        self.capacity.push(Sums::default());
        self.used.push(Sums::default());
        self.nets.push(NetRoom::default());
        self.items.push(None);
        self.tie.push(0);
        (self.rows.len() - 1) as u32
    }

    fn remove_node(&mut self, id: NodeId) {
        if let Some(slot) = self.slots.remove(&id) {
            let at = slot as usize;
            self.rows[at] = None;
            self.ready[at] = false;
            self.used[at] = Sums::default();
            self.items[at] = None;
            self.free.push(slot);
        }
    }

    fn recount(&mut self, view: &dyn ClusterView, slot: u32) {
        self.used[slot as usize] = Sums::default();
        self.items[slot as usize] = None;
        let id = self.row(slot).id;
        for alloc in view.allocs_of_node(id).filter(|alloc| counts(alloc)) {
            self.count(slot, alloc, true);
        }
    }

    fn count(&mut self, slot: u32, alloc: &Allocation, add: bool) {
        let at = slot as usize;
        let resources = &alloc.allocated_resources;
        let sums = fit::sums(resources);
        let Some(node) = &self.rows[at] else {
            return;
        };
        let held = Items::of(resources, node, &self.nets[at]);
        if add {
            self.used[at].add(&sums);
        } else {
            self.used[at].subtract(&sums);
        }
        if held.is_empty() {
            return;
        }
        let items = self.items[at].get_or_insert_with(Box::default);
        if add {
            items.add(&held);
        } else {
            items.subtract(&held);
            if items.is_empty() {
                self.items[at] = None;
            }
        }
    }
}
