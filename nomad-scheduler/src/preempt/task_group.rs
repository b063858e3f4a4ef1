//! Evictions for CPU, memory and disk.

use nomad_core::alloc::Allocation;

use super::{Holder, Victims};
use crate::fit::{Sums, sums_fit};

/// Added to the distance per victim beyond what a group's `migrate.max_parallel` allows.
const CROWD_PENALTY: f64 = 50.0;

/// How far what an allocation frees is from what is asked: 0 is exactly enough.
fn distance(ask: &Sums, frees: &Sums) -> f64 {
    let part = |ask: i64, frees: i64| {
        if ask > 0 {
            (ask - frees) as f64 / ask as f64
        } else {
            0.0
        }
    };
    let (memory, cpu, disk) = (
        part(ask.memory, frees.memory),
        part(ask.cpu, frees.cpu),
        part(ask.disk, frees.disk),
    );
    (memory * memory + cpu * cpu + disk * disk).sqrt()
}

fn max_parallel(alloc: &Allocation) -> i64 {
    alloc
        .group()
        .and_then(|group| group.migrate.as_ref())
        .map_or(0, |migrate| migrate.max_parallel)
}

fn crowd(holder: &Holder, victims: &Victims) -> f64 {
    let max = max_parallel(&holder.alloc);
    let gone = victims.of_group(&holder.alloc);
    if max > 0 && gone >= max {
        (gone + 1 - max) as f64 * CROWD_PENALTY
    } else {
        0.0
    }
}

/// Places of the allocations to evict, least important first; nothing where all together are not enough.
pub(super) fn victims(
    ask: &Sums,
    capacity: &Sums,
    used: &Sums,
    holders: &[Holder],
    earlier: &Victims,
) -> Option<Vec<usize>> {
    let enough = |freed: &Sums| {
        let mut total = *used;
        total.subtract(freed);
        total.add(ask);
        sums_fit(capacity, &total).is_ok()
    };
    let mut open: Vec<usize> = (0..holders.len())
        .filter(|index| holders[*index].evictable)
        .collect();
    open.sort_by_key(|index| holders[*index].priority);
    let mut needed = *ask;
    let mut freed = Sums::default();
    let mut chosen: Vec<usize> = Vec::new();
    while !enough(&freed) {
        let lowest = holders[*open.first()?].priority;
        let (place, index) = open
            .iter()
            .copied()
            .enumerate()
            .take_while(|(_, index)| holders[*index].priority == lowest)
            .min_by(|(_, left), (_, right)| {
                let measure = |index: &usize| {
                    let holder = &holders[*index];
                    distance(&needed, &holder.sums) + crowd(holder, earlier)
                };
                measure(left).total_cmp(&measure(right))
            })?;
        open.remove(place);
        chosen.push(index);
        freed.add(&holders[index].sums);
        needed.subtract(&holders[index].sums);
    }
    Some(without_surplus(ask, holders, chosen, enough))
}

/// Leaves out victims that are not needed: those farthest from the ask come first, until it is enough.
fn without_surplus(
    ask: &Sums,
    holders: &[Holder],
    mut chosen: Vec<usize>,
    enough: impl Fn(&Sums) -> bool,
) -> Vec<usize> {
    chosen.sort_by(|left, right| {
        distance(ask, &holders[*right].sums).total_cmp(&distance(ask, &holders[*left].sums))
    });
    let mut freed = Sums::default();
    let mut kept = Vec::new();
    for index in chosen {
        if enough(&freed) {
            break;
        }
        freed.add(&holders[index].sums);
        kept.push(index);
    }
    kept
}
