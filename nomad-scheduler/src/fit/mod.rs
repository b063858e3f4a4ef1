//! What allocations hold of a node, and whether more fits.
//!
//! The scheduler and the plan applier use the same code: [`Room`] says what a node has, [`Load`] what is taken of it.
//!
//! Source: servers and scheduling reference, "Fit", "Ports and network assignment", "Devices".

pub(crate) mod cores;
pub(crate) mod devices;
mod net;
pub(crate) mod ports;
pub(crate) mod resources;
mod used_ports;

use std::borrow::Cow;

use nomad_core::alloc::{AllocatedResources, Allocation};
use nomad_core::job::LifecycleHook;
use nomad_core::node::Node;

use self::ports::{NetRoom, UsedPorts};

/// Names of exhausted dimensions, as metrics show them.
pub(crate) mod dimension {
    pub(crate) const MAX_ALLOCS: &str = "max allocation exceeded";
    pub(crate) const CORES: &str = "cores";
    pub(crate) const CPU: &str = "cpu";
    pub(crate) const MEMORY: &str = "memory";
    pub(crate) const DISK: &str = "disk";
    pub(crate) const NODE_PORTS: &str = "reserved node port collision";
    pub(crate) const ALLOC_PORTS: &str = "reserved alloc port collision";
    pub(crate) const VOLUMES: &str = "conflicting claims for host volume with single-writer";
    pub(crate) const DEVICES: &str = "device oversubscribed";
}

/// Name of an exhausted dimension.
pub(crate) type Dimension = Cow<'static, str>;

/// Quantities that are summed: MHz, MiB, MiB, and how many allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) disk: i64,
    pub(crate) allocs: i64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.disk += other.disk;
        self.allocs += other.allocs;
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
        self.disk -= other.disk;
        self.allocs -= other.allocs;
    }
}

/// What a node can give away in sums: its resources without what it keeps for itself. `allocs` 0 is no limit.
pub(crate) fn capacity(node: &Node) -> Sums {
    let (has, keeps) = (&node.node_resources, &node.reserved_resources);
    Sums {
        cpu: has.cpu.cpu_shares - keeps.cpu.cpu_shares,
        memory: has.memory.memory_mb - keeps.memory.memory_mb,
        disk: has.disk.disk_mb - keeps.disk.disk_mb,
        allocs: node.node_max_allocs,
    }
}

/// The sums of one allocation. Tasks that never run at the same time are not added up: the largest of
/// (prestart and sidecars), (main, poststart and sidecars) and (poststop) counts.
pub(crate) fn sums(resources: &AllocatedResources) -> Sums {
    let mut before = (0, 0);
    let mut during = (0, 0);
    let mut after = (0, 0);
    for (name, task) in &resources.tasks {
        let own = (task.cpu.cpu_shares, task.memory.memory_mb);
        let add = |phase: &mut (i64, i64)| {
            phase.0 += own.0;
            phase.1 += own.1;
        };
        match resources.task_lifecycles.get(name).and_then(Option::as_ref) {
            None => add(&mut during),
            Some(lifecycle) => match (lifecycle.hook, lifecycle.sidecar) {
                (LifecycleHook::Prestart, true) => {
                    add(&mut before);
                    add(&mut during);
                }
                (LifecycleHook::Prestart, false) => add(&mut before),
                (LifecycleHook::Poststart, _) => add(&mut during),
                (LifecycleHook::Poststop, _) => add(&mut after),
            },
        }
    }
    Sums {
        cpu: before.0.max(during.0).max(after.0),
        memory: before.1.max(during.1).max(after.1),
        disk: resources.shared.disk_mb,
        allocs: 1,
    }
}

/// What allocations hold one by one: ports, cores, device instances. Each list is sorted and may hold a thing twice
/// (then somebody oversubscribed it).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Items {
    pub(crate) ports: UsedPorts,
    pub(crate) cores: Vec<u16>,
    /// (device group of the node, instance of the group).
    pub(crate) devices: Vec<(u16, u16)>,
}

impl Items {
    /// What the allocation holds of the node.
    pub(crate) fn of(resources: &AllocatedResources, node: &Node, net: &NetRoom) -> Self {
        let mut items = Self {
            ports: UsedPorts::of(resources, net),
            ..Self::default()
        };
        for task in resources.tasks.values() {
            items.cores.extend(&task.cpu.reserved_cores);
            for device in &task.devices {
                devices::instances(device, node, &mut items.devices);
            }
        }
        items.cores.sort_unstable();
        items.devices.sort_unstable();
        items
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.cores.is_empty() && self.devices.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.ports.add(&other.ports);
        merge(&mut self.cores, &other.cores);
        merge(&mut self.devices, &other.devices);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.ports.subtract(&other.ports);
        remove(&mut self.cores, &other.cores);
        remove(&mut self.devices, &other.devices);
    }
}

/// Adds to a sorted list.
pub(crate) fn merge<T: Copy + Ord>(list: &mut Vec<T>, more: &[T]) {
    for item in more {
        let at = list.partition_point(|have| have <= item);
        list.insert(at, *item);
    }
}

/// Takes from a sorted list, each item once.
pub(crate) fn remove<T: Copy + Ord>(list: &mut Vec<T>, less: &[T]) {
    for item in less {
        if let Ok(at) = list.binary_search(item) {
            list.remove(at);
        }
    }
}

fn has_duplicate<T: PartialEq>(sorted: &[T]) -> bool {
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether `used`, all sums of a node together, stays within `capacity`.
pub(crate) fn sums_fit(capacity: &Sums, used: &Sums) -> Result<(), Dimension> {
    let exceeded = if capacity.allocs > 0 && used.allocs > capacity.allocs {
        dimension::MAX_ALLOCS
    } else if used.cpu > capacity.cpu {
        dimension::CPU
    } else if used.memory > capacity.memory {
        dimension::MEMORY
    } else if used.disk > capacity.disk {
        dimension::DISK
    } else {
        return Ok(());
    };
    Err(Cow::Borrowed(exceeded))
}

/// Whether a set of allocations fits on a node: what the plan applier asks.
pub(crate) fn allocs_fit<'a>(
    node: &Node,
    allocs: impl Iterator<Item = &'a Allocation>,
) -> Result<(), Dimension> {
    let net = NetRoom::of(node);
    let mut used = Sums::default();
    let mut items = Items::default();
    for alloc in allocs {
        used.add(&sums(&alloc.allocated_resources));
        items.add(&Items::of(&alloc.allocated_resources, node, &net));
    }
    let capacity = capacity(node);
    if capacity.allocs > 0 && used.allocs > capacity.allocs {
        return Err(Cow::Borrowed(dimension::MAX_ALLOCS));
    }
    if has_duplicate(&items.cores) || !cores::all_reservable(node, &items.cores) {
        return Err(Cow::Borrowed(dimension::CORES));
    }
    sums_fit(&capacity, &used)?;
    if items.ports.touches_reserved(&net) {
        return Err(Cow::Borrowed(dimension::NODE_PORTS));
    }
    if items.ports.collides() {
        return Err(Cow::Borrowed(dimension::ALLOC_PORTS));
    }
    if has_duplicate(&items.devices) {
        return Err(Cow::Borrowed(dimension::DEVICES));
    }
    Ok(())
}
