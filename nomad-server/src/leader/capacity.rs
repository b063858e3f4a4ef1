//! How much is free on a node, rather too much than too little.

use nomad_core::alloc::Allocation;
use nomad_core::node::Node;
use nomad_core::view::ClusterView;

use crate::blocked::Need;

/// Upper bound of what is free on a node: what nobody can use needs no second look.
pub(super) fn free_on(view: &dyn ClusterView, node: &Node) -> Need {
    let (total, kept) = (&node.node_resources, &node.reserved_resources);
    let used = view
        .allocs_of_node(node.id)
        .filter(|alloc| !alloc.client_terminal())
        .map(|alloc| least_use(alloc))
        .fold(Need::default(), |sum, one| Need {
            cpu: sum.cpu + one.cpu,
            memory_mb: sum.memory_mb + one.memory_mb,
            disk_mb: sum.disk_mb + one.disk_mb,
        });
    Need {
        cpu: total.cpu.cpu_shares - kept.cpu.cpu_shares - used.cpu,
        memory_mb: total.memory.memory_mb - kept.memory.memory_mb - used.memory_mb,
        disk_mb: total.disk.disk_mb - kept.disk.disk_mb - used.disk_mb,
    }
}

/// Tasks of an allocation with lifecycles do not all run at once; its largest task surely counts.
fn least_use(alloc: &Allocation) -> Need {
    let given = &alloc.allocated_resources;
    let all_main = given.task_lifecycles.values().all(Option::is_none);
    let amounts = |get: fn(&nomad_core::alloc::AllocatedTaskResources) -> i64| {
        let each = given.tasks.values().map(get);
        if all_main {
            each.sum()
        } else {
            each.max().unwrap_or(0)
        }
    };
    Need {
        cpu: amounts(|task| task.cpu.cpu_shares),
        memory_mb: amounts(|task| task.memory.memory_mb),
        disk_mb: given.shared.disk_mb,
    }
}
