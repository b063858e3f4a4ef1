//! Whether a node has room for one more allocation, asked the plain way.

use std::collections::BTreeSet;
use std::sync::Arc;

use nomad_core::alloc::{AllocatedDevice, AllocatedPort, AllocatedTaskResources, Allocation};
use nomad_core::ids::AllocId;
use nomad_core::job::{Job, TaskGroup};
use nomad_core::memory_view::MemoryView;
use nomad_core::node::Node;
use nomad_core::view::ClusterView;

use crate::generate::uuid;
use crate::invariants::{self, Effect};

/// Cores that are given twice, or that may not be given, on nodes that the plan places something on.
pub(crate) fn broken_cores(view: &MemoryView, effect: &Effect) -> Vec<String> {
    let nodes: BTreeSet<_> = effect.placed.iter().map(|alloc| alloc.node_id).collect();
    let mut wrong = Vec::new();
    for node in nodes.into_iter().filter_map(|id| view.node(id)) {
        let here = on(view, effect, node);
        let mut seen = BTreeSet::new();
        for core in here.iter().flat_map(|alloc| cores(alloc)) {
            if !seen.insert(core) {
                wrong.push(format!("{}: core {core} twice", node.id));
            }
            if !may_reserve(node).contains(&core) {
                wrong.push(format!("{}: core {core} may not be reserved", node.id));
            }
        }
        let most = node.node_max_allocs;
        if most > 0 && here.len() as i64 > most {
            wrong.push(format!("{}: {} allocations of {most}", node.id, here.len()));
        }
    }
    wrong
}

fn cores(alloc: &Allocation) -> Vec<u16> {
    let tasks = alloc.allocated_resources.tasks.values();
    tasks
        .flat_map(|task| task.cpu.reserved_cores.clone())
        .collect()
}

fn may_reserve(node: &Node) -> BTreeSet<u16> {
    let keeps = &node.reserved_resources.cpu.reserved_cpu_cores;
    let has = &node.node_resources.cpu.reservable_cpu_cores;
    has.iter()
        .copied()
        .filter(|core| !keeps.contains(core))
        .collect()
}

/// What runs on a node after a plan.
fn on(view: &MemoryView, effect: &Effect, node: &Node) -> Vec<Arc<Allocation>> {
    view.allocs_of_node(node.id)
        .filter(|alloc| !alloc.client_terminal() && !effect.gone.contains(&alloc.id))
        .chain(
            effect
                .placed
                .iter()
                .filter(|alloc| alloc.node_id == node.id),
        )
        .cloned()
        .collect()
}

/// Whether the job may use the node at all.
pub(crate) fn is_candidate(job: &Job, node: &Node) -> bool {
    node.is_ready()
        && job
            .datacenters
            .iter()
            .any(|pattern| *pattern == node.datacenter || matches!(pattern.as_str(), "*" | "dc*"))
}

/// Whether one more allocation of the group could go on the node after the plan.
pub(crate) fn has_room(
    view: &MemoryView,
    effect: &Effect,
    job: &Arc<Job>,
    group: &TaskGroup,
    node: &Node,
) -> bool {
    if !is_candidate(job, node) {
        return false;
    }
    let Some(alloc) = extra(view, effect, job, group, node) else {
        return false;
    };
    let with = Effect {
        gone: effect.gone.clone(),
        placed: vec![Arc::new(alloc.clone())],
    };
    // The plan's own placements count as what is there.
    let mut after = view.clone();
    for gone in effect.gone.iter().filter_map(|id| view.alloc(*id)) {
        let mut gone = Allocation::clone(gone);
        gone.client_status = nomad_core::alloc::ClientStatus::Complete;
        gone.desired_status = nomad_core::alloc::DesiredStatus::Stop;
        after.put_alloc(gone);
    }
    for placed in &effect.placed {
        after.put_alloc(Allocation::clone(placed));
    }
    invariants::broken(&after, Some(job), &with).is_empty()
        && broken_cores(&after, &with).is_empty()
}

/// An allocation of the group with whatever is free on the node; nothing where some thing runs out.
fn extra(
    view: &MemoryView,
    effect: &Effect,
    job: &Arc<Job>,
    group: &TaskGroup,
    node: &Node,
) -> Option<Allocation> {
    let here = on(view, effect, node);
    let mut free_cores: Vec<u16> = may_reserve(node).into_iter().collect();
    free_cores.retain(|core| !here.iter().any(|alloc| cores(alloc).contains(core)));
    let mut alloc = Allocation {
        id: AllocId(uuid(0xff, 1)),
        namespace: job.namespace.clone(),
        job_id: job.id.clone(),
        job: Some(Arc::clone(job)),
        job_version: job.version,
        name: format!("{}.{}[99]", job.id, group.name),
        node_id: node.id,
        task_group: group.name.clone(),
        ..Allocation::default()
    };
    let mut held: BTreeSet<String> = here
        .iter()
        .flat_map(|alloc| alloc.allocated_resources.tasks.values())
        .flat_map(|task| &task.devices)
        .flat_map(|device| device.device_ids.clone())
        .collect();
    for task in &group.tasks {
        let mut given = AllocatedTaskResources::default();
        given.memory.memory_mb = task.resources.memory_mb;
        given.cpu.cpu_shares = task.resources.cpu;
        let wanted = task.resources.cores as usize;
        if wanted > 0 {
            if free_cores.len() < wanted {
                return None;
            }
            given.cpu.reserved_cores = free_cores.drain(..wanted).collect();
            let each = node.node_resources.cpu.cpu_shares
                / i64::from(node.node_resources.cpu.total_cpu_cores);
            given.cpu.cpu_shares = each * wanted as i64;
        }
        for request in &task.resources.devices {
            let device = node.node_resources.devices.iter().find_map(|device| {
                let full = format!("{}/{}/{}", device.vendor, device.kind, device.name);
                let half = format!("{}/{}", device.vendor, device.kind);
                let matches = [full, half, device.kind.clone()].contains(&request.name);
                let free: Vec<String> = device
                    .instances
                    .iter()
                    .filter(|instance| instance.healthy && !held.contains(&instance.id))
                    .map(|instance| instance.id.clone())
                    .take(request.count as usize)
                    .collect();
                (matches && free.len() == request.count as usize).then(|| AllocatedDevice {
                    vendor: device.vendor.clone(),
                    kind: device.kind.clone(),
                    name: device.name.clone(),
                    device_ids: free,
                })
            })?;
            held.extend(device.device_ids.iter().cloned());
            given.devices.push(device);
        }
        alloc
            .allocated_resources
            .tasks
            .insert(task.name.clone(), given);
    }
    let network = group.networks.first();
    let mut taken: BTreeSet<i64> = here
        .iter()
        .flat_map(|alloc| &alloc.allocated_resources.shared.ports)
        .map(|port| port.value)
        .collect();
    let kept = &node.reserved_resources.networks.reserved_host_ports;
    taken.extend(kept.parse::<i64>());
    for port in network.iter().flat_map(|network| &network.reserved_ports) {
        if !taken.insert(port.value) {
            return None;
        }
    }
    let dynamic = network.map_or(0, |network| network.dynamic_ports.len());
    let resources = &node.node_resources;
    let free = (resources.min_dynamic_port..=resources.max_dynamic_port)
        .filter(|port| !taken.contains(port))
        .take(dynamic);
    let free: Vec<i64> = free.collect();
    if free.len() < dynamic {
        return None;
    }
    let fixed = network.iter().flat_map(|network| &network.reserved_ports);
    let address = node.node_resources.node_networks[0].addresses[0]
        .address
        .clone();
    alloc.allocated_resources.shared.ports = fixed
        .map(|port| port.value)
        .chain(free)
        .map(|value| AllocatedPort {
            value,
            host_ip: address.clone(),
            ..AllocatedPort::default()
        })
        .collect();
    Some(alloc)
}
