//! Reserved CPU cores of a node.

use nomad_core::node::Node;

/// Cores that allocations may reserve, ascending.
pub(crate) fn reservable(node: &Node) -> impl Iterator<Item = u16> + '_ {
    let kept = &node.reserved_resources.cpu.reserved_cpu_cores;
    node.node_resources
        .cpu
        .reservable_cpu_cores
        .iter()
        .copied()
        .filter(|core| !kept.contains(core))
}

/// Whether every core may be reserved on the node.
pub(crate) fn all_reservable(node: &Node, cores: &[u16]) -> bool {
    cores
        .iter()
        .all(|core| reservable(node).any(|own| own == *core))
}

/// The `count` lowest free cores, or nothing where there are not enough. `used` is sorted.
pub(crate) fn pick(node: &Node, used: &[u16], count: usize) -> Option<Vec<u16>> {
    let mut free: Vec<u16> = reservable(node)
        .filter(|core| used.binary_search(core).is_err())
        .collect();
    free.sort_unstable();
    free.dedup();
    free.truncate(count);
    (free.len() == count).then_some(free)
}

/// MHz of the cores together.
pub(crate) fn mhz(node: &Node, cores: &[u16]) -> i64 {
    let resources = &node.node_resources;
    let average = resources.cpu.cpu_shares / i64::from(resources.cpu.total_cpu_cores.max(1));
    cores
        .iter()
        .map(|id| {
            resources
                .processors
                .topology
                .as_ref()
                .and_then(|topology| topology.cores.iter().find(|core| core.id == *id))
                .map_or(average, |core| {
                    let speed = if core.base_speed > 0 {
                        core.base_speed
                    } else {
                        core.max_speed.max(core.guess_speed)
                    };
                    i64::try_from(speed).unwrap_or(i64::MAX)
                })
        })
        .sum()
}
