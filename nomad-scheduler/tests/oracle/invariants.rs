//! Point 4: what must hold for any plan, checked the plain way, without any of the scheduler's own code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::ids::{AllocId, NodeId};
use nomad_core::job::{Constraint, Job};
use nomad_core::memory_view::MemoryView;
use nomad_core::node::Node;
use nomad_core::view::ClusterView;
use regex::Regex;

/// A plan reduced to what it does: allocations that go, and allocations that come.
pub(crate) struct Effect {
    pub(crate) gone: BTreeSet<AllocId>,
    pub(crate) placed: Vec<Arc<Allocation>>,
}

/// Everything that is wrong with the cluster after the plan, on nodes that it places something on.
pub(crate) fn broken(view: &MemoryView, job: Option<&Arc<Job>>, effect: &Effect) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_node: BTreeMap<NodeId, Vec<&Arc<Allocation>>> = BTreeMap::new();
    for alloc in &effect.placed {
        by_node.entry(alloc.node_id).or_default().push(alloc);
    }
    for (id, placed) in by_node {
        let Some(node) = view.node(id) else {
            wrong.push(format!("{id} does not exist"));
            continue;
        };
        if !node.is_ready() {
            wrong.push(format!("{id} is not ready"));
        }
        let mut all: Vec<&Arc<Allocation>> = view
            .allocs_of_node(id)
            .filter(|alloc| !alloc.client_terminal() && !effect.gone.contains(&alloc.id))
            .collect();
        all.extend(placed.iter().copied());
        capacity(node, &all, &mut wrong);
        ports(id, &all, &mut wrong);
        devices(id, &all, &mut wrong);
        for alloc in placed {
            constraints(node, alloc, &all, &mut wrong);
        }
    }
    if let Some(job) = job {
        properties(view, job, effect, &mut wrong);
    }
    wrong
}

fn capacity(node: &Node, allocs: &[&Arc<Allocation>], wrong: &mut Vec<String>) {
    let (mut cpu, mut memory, mut disk) = (0, 0, 0);
    for alloc in allocs {
        for task in alloc.allocated_resources.tasks.values() {
            cpu += task.cpu.cpu_shares;
            memory += task.memory.memory_mb;
        }
        disk += alloc.allocated_resources.shared.disk_mb;
    }
    let (has, keeps) = (&node.node_resources, &node.reserved_resources);
    for (what, used, room) in [
        ("cpu", cpu, has.cpu.cpu_shares - keeps.cpu.cpu_shares),
        (
            "memory",
            memory,
            has.memory.memory_mb - keeps.memory.memory_mb,
        ),
        ("disk", disk, has.disk.disk_mb - keeps.disk.disk_mb),
    ] {
        if used > room {
            wrong.push(format!("{}: {what} {used} of {room}", node.id));
        }
    }
}

fn ports(node: NodeId, allocs: &[&Arc<Allocation>], wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for alloc in allocs {
        let resources = &alloc.allocated_resources;
        let shared = resources
            .shared
            .ports
            .iter()
            .filter(|port| !port.ignore_collision)
            .map(|port| (port.host_ip.clone(), port.value));
        let tasks = resources
            .tasks
            .values()
            .flat_map(|task| &task.networks)
            .flat_map(|network| network.ports().map(|port| (network.ip.clone(), port.value)));
        for port in shared.chain(tasks) {
            if !seen.insert(port.clone()) {
                wrong.push(format!("{node}: port {port:?} twice"));
            }
        }
    }
}

fn devices(node: NodeId, allocs: &[&Arc<Allocation>], wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for task in allocs
        .iter()
        .flat_map(|alloc| alloc.allocated_resources.tasks.values())
    {
        for device in &task.devices {
            for id in &device.device_ids {
                if !seen.insert((&device.vendor, &device.kind, &device.name, id)) {
                    wrong.push(format!("{node}: device {id} twice"));
                }
            }
        }
    }
}

fn value(target: &str, node: &Node) -> Option<String> {
    let Some(name) = target.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
        return Some(target.to_owned());
    };
    match name {
        "node.datacenter" => Some(node.datacenter.clone()),
        "node.class" => Some(node.node_class.clone()),
        "node.pool" => Some(node.node_pool.clone()),
        "node.unique.id" => Some(node.id.to_string()),
        "node.unique.name" => Some(node.name.clone()),
        _ => match name.split_once('.') {
            Some(("attr", key)) => node.attributes.get(key).cloned(),
            Some(("meta", key)) => node.meta.get(key).cloned(),
            _ => None,
        },
    }
}

/// Whether a node meets a constraint; operators that need more than a line are taken as met.
fn meets(constraint: &Constraint, node: &Node) -> bool {
    let left = value(&constraint.ltarget, node);
    let right = value(&constraint.rtarget, node);
    let items = |text: &Option<String>| -> BTreeSet<String> {
        text.iter()
            .flat_map(|text| text.split(','))
            .map(|item| item.trim().to_owned())
            .collect()
    };
    match constraint.operand.as_str() {
        "=" | "==" | "is" => left.is_some() && left == right,
        "!=" | "not" => left != right,
        "is_set" => left.is_some(),
        "is_not_set" => left.is_none(),
        "set_contains" | "set_contains_all" => {
            left.is_some() && items(&right).is_subset(&items(&left))
        }
        "set_contains_any" => !items(&right).is_disjoint(&items(&left)),
        "regexp" => left.is_some_and(|left| {
            Regex::new(&constraint.rtarget).is_ok_and(|regex| regex.is_match(&left))
        }),
        _ => true,
    }
}

fn constraints(
    node: &Node,
    alloc: &Allocation,
    here: &[&Arc<Allocation>],
    wrong: &mut Vec<String>,
) {
    let (Some(job), Some(group)) = (&alloc.job, alloc.group()) else {
        return;
    };
    let own = |other: &&&Arc<Allocation>| other.id != alloc.id && other.job_id == alloc.job_id;
    let all = job
        .constraints
        .iter()
        .map(|constraint| (constraint, false))
        .chain(
            group
                .constraints
                .iter()
                .map(|constraint| (constraint, true)),
        )
        .chain(
            group
                .tasks
                .iter()
                .flat_map(|task| &task.constraints)
                .map(|constraint| (constraint, true)),
        );
    for (constraint, in_group) in all {
        if constraint.operand == "distinct_hosts" && !job.job_type.is_system_like() {
            let clash = here
                .iter()
                .filter(own)
                .any(|other| !in_group || other.task_group == alloc.task_group);
            if clash {
                wrong.push(format!("{}: distinct_hosts", node.id));
            }
        } else if !meets(constraint, node) {
            wrong.push(format!("{}: {constraint}", node.id));
        }
    }
    for task in &group.tasks {
        let healthy = node
            .drivers
            .get(&task.driver)
            .is_some_and(|driver| driver.detected && driver.healthy);
        if !healthy
            && !node
                .attributes
                .contains_key(&format!("driver.{}", task.driver))
        {
            wrong.push(format!("{}: no driver {}", node.id, task.driver));
        }
    }
}

/// `distinct_property`, over all nodes: no value that something is placed on is used more often than it may be.
fn properties(view: &MemoryView, job: &Arc<Job>, effect: &Effect, wrong: &mut Vec<String>) {
    let limits = job
        .constraints
        .iter()
        .map(|constraint| (constraint, None))
        .chain(job.task_groups.iter().flat_map(|group| {
            group
                .constraints
                .iter()
                .map(move |constraint| (constraint, Some(group.name.as_str())))
        }))
        .filter(|(constraint, _)| constraint.operand == "distinct_property");
    for (constraint, group) in limits {
        let limit: i64 = constraint.rtarget.parse().unwrap_or(1);
        let counts = |alloc: &&Arc<Allocation>| group.is_none_or(|group| alloc.task_group == group);
        let at = |alloc: &Arc<Allocation>| value(&constraint.ltarget, view.node(alloc.node_id)?);
        let mut used: BTreeMap<String, i64> = BTreeMap::new();
        let mut touched = BTreeSet::new();
        for alloc in view
            .allocs_of_job(&job.key())
            .filter(|alloc| !alloc.terminal() && !effect.gone.contains(&alloc.id))
            .filter(counts)
        {
            *used.entry(at(alloc).unwrap_or_default()).or_default() += 1;
        }
        for alloc in effect.placed.iter().filter(counts) {
            let value = at(alloc).unwrap_or_default();
            *used.entry(value.clone()).or_default() += 1;
            touched.insert(value);
        }
        for value in touched {
            if used[&value] > limit {
                wrong.push(format!(
                    "{}={value} used by {} of {limit}",
                    constraint.ltarget, used[&value]
                ));
            }
        }
    }
}
