//! Evictions for ports.

use nomad_core::job::NetworkResource;
use nomad_core::node::Node;

use super::Holder;
use crate::fit::Items;
use crate::fit::ports::{self, NetRoom};

/// Places of the allocations to evict: whoever holds a static port that is asked for, and if that is not enough the
/// least important holders of any ports. Nothing where a needed port is held by somebody who may not be evicted.
pub(super) fn victims(
    ask: &NetworkResource,
    node: &Node,
    net: &NetRoom,
    holders: &[Holder],
    items: &Items,
) -> Option<Vec<usize>> {
    let wanted = ports::wanted_static(ask, node, net);
    let mut chosen = Vec::new();
    let mut left = items.ports.clone();
    for (index, holder) in holders.iter().enumerate() {
        if holder.items.ports.overlaps(&wanted) {
            if !holder.evictable {
                return None;
            }
            left.subtract(&holder.items.ports);
            chosen.push(index);
        }
    }
    let mut others: Vec<usize> = (0..holders.len())
        .filter(|index| {
            let holder = &holders[*index];
            holder.evictable && !holder.items.ports.is_empty() && !chosen.contains(index)
        })
        .collect();
    others.sort_by_key(|index| holders[*index].priority);
    let mut others = others.into_iter();
    while ports::check(ask, node, net, &left).is_err() {
        let index = others.next()?;
        left.subtract(&holders[index].items.ports);
        chosen.push(index);
    }
    Some(chosen)
}
