//! Evictions for devices.

use std::collections::BTreeSet;

use nomad_core::node::Node;

use super::Holder;
use crate::feasible::device::Request;
use crate::fit::{Items, devices};

fn held(holder: &Holder, group: usize) -> usize {
    holder
        .items
        .devices
        .iter()
        .filter(|(own, _)| usize::from(*own) == group)
        .count()
}

/// Places of the allocations to evict so that one group of devices answers the request: the group whose victims have the
/// smallest sum of distinct priorities. Nothing where no group would do.
pub(super) fn victims(
    request: &Request,
    node: &Node,
    holders: &[Holder],
    items: &Items,
) -> Option<Vec<usize>> {
    let mut best: Option<(i64, Vec<usize>)> = None;
    for (group, device) in node.node_resources.devices.iter().enumerate() {
        if !request.matches(device) {
            continue;
        }
        let free = devices::free(node, group, &items.devices).len();
        let missing = request.count.saturating_sub(free);
        let mut open: Vec<usize> = (0..holders.len())
            .filter(|index| holders[*index].evictable && held(&holders[*index], group) > 0)
            .collect();
        open.sort_by_key(|index| holders[*index].priority);
        let mut freed = 0;
        let mut chosen = Vec::new();
        for index in open {
            if freed >= missing {
                break;
            }
            freed += held(&holders[index], group);
            chosen.push(index);
        }
        if freed < missing {
            continue;
        }
        let chosen = without_surplus(group, missing, holders, chosen);
        let priorities: BTreeSet<i32> = chosen.iter().map(|at| holders[*at].priority).collect();
        let cost = priorities.iter().map(|priority| i64::from(*priority)).sum();
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, chosen));
        }
    }
    best.map(|(_, chosen)| chosen)
}

/// Leaves out victims that are not needed: those with the most instances come first, until it is enough.
fn without_surplus(
    group: usize,
    missing: usize,
    holders: &[Holder],
    mut chosen: Vec<usize>,
) -> Vec<usize> {
    chosen.sort_by_key(|index| std::cmp::Reverse(held(&holders[*index], group)));
    let mut freed = 0;
    chosen.retain(|index| {
        let needed = freed < missing;
        freed += held(&holders[*index], group);
        needed
    });
    chosen
}
