//! Whom to evict so that a more important allocation fits.
//!
//! On one node: first whoever holds a port that is needed, then whoever holds a device, then whoever holds enough CPU,
//! memory and disk. Only allocations of other jobs whose priority is lower by at least [`MIN_PRIORITY_DELTA`] may go.
//!
//! Source: servers and scheduling reference, "Preemption".

mod device;
mod network;
mod task_group;

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocatedResources, Allocation};
use nomad_core::ids::JobKey;
use nomad_core::job::{Job, TaskGroup};
use nomad_core::node::Node;

use crate::candidates::Candidates;
use crate::explain::{NodeExplanation, NodeVerdict};
use crate::fit::ports;
use crate::fit::resources::{Ask, Extra, in_network};
use crate::fit::{self, Dimension, Items, Sums};
use crate::propose::Proposed;
use crate::rank::score::{self, Score};
use crate::rank::{Ranking, TOP_SCORES, Wanted};
use crate::rng::{self, Rng};

/// How much more important a job must be to evict another's allocation.
pub(crate) const MIN_PRIORITY_DELTA: i32 = 10;

/// Victims of the plan so far, per job and group.
#[derive(Debug, Default)]
pub(crate) struct Victims {
    per_group: BTreeMap<(JobKey, String), i64>,
}

impl Victims {
    pub(crate) fn add(&mut self, victim: &Arc<Allocation>) {
        *self
            .per_group
            .entry((victim.job_key(), victim.task_group.clone()))
            .or_default() += 1;
    }

    fn of_group(&self, alloc: &Allocation) -> i64 {
        self.per_group
            .get(&(alloc.job_key(), alloc.task_group.clone()))
            .copied()
            .unwrap_or(0)
    }
}

/// An allocation of the node with what it holds there.
struct Holder {
    alloc: Arc<Allocation>,
    priority: i32,
    sums: Sums,
    items: Items,
    /// Whether it may be evicted for the asking job.
    evictable: bool,
}

/// A node that was made room on.
pub(crate) struct Room {
    pub(crate) victims: Vec<Arc<Allocation>>,
    /// What the placement takes of the node.
    pub(crate) extra: Extra,
    /// Use of the node without the placement. Victims that go for CPU, memory or disk still count in it: that is how
    /// the original scores such nodes.
    pub(crate) used: Sums,
    pub(crate) resources: AllocatedResources,
}

impl Room {
    /// What the evictions are worth; nothing where nobody goes.
    pub(crate) fn score(&self) -> Option<f64> {
        if self.victims.is_empty() {
            return None;
        }
        let priorities: Vec<i32> = self
            .victims
            .iter()
            .map(|victim| priority_of(victim))
            .collect();
        Some(score::preemption(&priorities))
    }
}

fn priority_of(alloc: &Allocation) -> i32 {
    alloc.job.as_ref().map_or(0, |job| job.priority)
}

/// What asks for room.
pub(crate) struct Asking<'a> {
    pub(crate) job: &'a Job,
    pub(crate) group: &'a TaskGroup,
    pub(crate) ask: &'a Ask,
    pub(crate) victims: &'a Victims,
}

fn holders(asking: &Asking<'_>, slot: u32, proposed: &Proposed<'_>) -> Vec<Holder> {
    let node = proposed.columns.row(slot);
    let net = &proposed.columns.nets[slot as usize];
    proposed
        .allocs(slot)
        .into_iter()
        .map(|alloc| {
            let priority = priority_of(&alloc);
            let own = alloc.job_id == asking.job.id && alloc.namespace == asking.job.namespace;
            Holder {
                priority,
                sums: fit::sums(&alloc.allocated_resources),
                items: Items::of(&alloc.allocated_resources, node, net),
                evictable: !own
                    && alloc.job.is_some()
                    && asking.job.priority - priority >= MIN_PRIORITY_DELTA,
                alloc,
            }
        })
        .collect()
}

/// Finds room for the group on one node, evicting whoever must go.
///
/// # Errors
/// There is no way to make room; the dimension that was exhausted without evictions.
pub(crate) fn make_room(
    asking: &Asking<'_>,
    slot: u32,
    proposed: &Proposed<'_>,
    rng: &mut Rng,
) -> Result<Room, Dimension> {
    let columns = proposed.columns;
    let node: &Node = columns.row(slot);
    let net = &columns.nets[slot as usize];
    let capacity = &columns.capacity[slot as usize];
    let mut used = *proposed.used(slot);
    let mut items = proposed.items(slot).clone();
    let mut holders = holders(asking, slot, proposed);
    let mut victims: Vec<Arc<Allocation>> = Vec::new();
    let mut evict =
        |chosen: Vec<usize>, holders: &mut Vec<Holder>, used: &mut Sums, items: &mut Items| {
            let mut chosen = chosen;
            chosen.sort_unstable();
            for index in chosen.into_iter().rev() {
                let holder = holders.remove(index);
                used.subtract(&holder.sums);
                items.subtract(&holder.items);
                victims.push(holder.alloc);
            }
        };

    if let Some(ask) = &asking.ask.network
        && let Err(refused) = ports::check(ask, node, net, &items.ports)
    {
        let chosen = network::victims(ask, node, net, &holders, &items)
            .ok_or_else(|| in_network(refused))?;
        evict(chosen, &mut holders, &mut used, &mut items);
    }
    while let Err(place) = fit::devices::assign(&asking.ask.devices, node, &items.devices) {
        let request = &asking.ask.devices[place].1;
        let chosen = device::victims(request, node, &holders, &items)
            .filter(|chosen| !chosen.is_empty())
            .ok_or(Dimension::Borrowed(fit::devices::NO_MATCH))?;
        evict(chosen, &mut holders, &mut used, &mut items);
    }
    let extra = asking.ask.check(asking.group, node, net, &items)?;
    let scored = used;
    let mut total = used;
    total.add(&extra.sums);
    if let Err(dimension) = fit::sums_fit(capacity, &total) {
        let chosen = task_group::victims(&extra.sums, capacity, &used, &holders, asking.victims)
            .ok_or(dimension)?;
        evict(chosen, &mut holders, &mut used, &mut items);
    }
    let (resources, _) = asking.ask.give(asking.group, node, net, &items, rng)?;
    Ok(Room {
        victims,
        extra,
        used: scored,
        resources,
    })
}

/// A node on which others make room.
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) resources: AllocatedResources,
    pub(crate) victims: Vec<Arc<Allocation>>,
    pub(crate) top: Vec<(u32, Score)>,
}

/// Looks over all feasible candidates for the best one with evictions.
pub(crate) fn select(
    ranking: &Ranking,
    candidates: &Candidates,
    proposed: &Proposed<'_>,
    victims: &Victims,
    wanted: &Wanted,
    rng: &mut Rng,
) -> Option<Found> {
    let mut best: Vec<(f64, u64, u32, Score)> = Vec::new();
    let mut chosen: Option<(f64, u64, Room, u32)> = None;
    each(
        ranking,
        candidates,
        proposed,
        victims,
        wanted,
        rng,
        |position, slot, score, room| {
            let (mean, rank) = (score.mean(), ranking.rank_at(position));
            best.push((mean, rank, slot, score));
            let better = |most: &f64, tie: &u64| mean.total_cmp(most).then(rank.cmp(tie)).is_gt();
            if chosen
                .as_ref()
                .is_none_or(|(most, tie, _, _)| better(most, tie))
            {
                chosen = Some((mean, rank, room, slot));
            }
        },
    );
    let (_, _, room, slot) = chosen?;
    best.sort_by(|left, right| right.0.total_cmp(&left.0).then(right.1.cmp(&left.1)));
    best.truncate(TOP_SCORES);
    Some(Found {
        slot,
        resources: room.resources,
        victims: room.victims,
        top: best
            .into_iter()
            .map(|(_, _, slot, score)| (slot, score))
            .collect(),
    })
}

/// Replaces what exhausted nodes say by what they say with evictions.
pub(crate) fn explain(
    ranking: &Ranking,
    candidates: &Candidates,
    proposed: &Proposed<'_>,
    victims: &Victims,
    wanted: &Wanted,
    nodes: &mut [NodeExplanation],
) {
    let mut rng = Rng::new(0);
    each(
        ranking,
        candidates,
        proposed,
        victims,
        wanted,
        &mut rng,
        |position, _, score, room| {
            let evicted = room.victims.iter().map(|victim| victim.id).collect();
            nodes[position].verdict = NodeVerdict::scored(&score, evicted);
        },
    );
}

/// Calls `found` for every feasible candidate on which room can be made.
fn each(
    ranking: &Ranking,
    candidates: &Candidates,
    proposed: &Proposed<'_>,
    victims: &Victims,
    wanted: &Wanted,
    rng: &mut Rng,
    mut found: impl FnMut(usize, u32, Score, Room),
) {
    let asking = Asking {
        job: &ranking.job,
        group: ranking.group(),
        ask: &ranking.ask,
        victims,
    };
    let boosts = ranking.key_boosts();
    let base = rng.next();
    for (position, slot) in candidates.slots.iter().enumerate() {
        if !ranking.is_feasible(position) {
            continue;
        }
        let Some(boost) = ranking.boost_at(position, &boosts) else {
            continue;
        };
        // A stream for each node: what one is given does not depend on who was asked before.
        let mut rng = Rng::new(rng::mix(base ^ proposed.columns.tie[*slot as usize]));
        let Ok(room) = make_room(&asking, *slot, proposed, &mut rng) else {
            continue;
        };
        let mut score = ranking.score_over_committed(position, *slot, &room, proposed);
        score.penalty = wanted.penalty.contains(&proposed.columns.row(*slot).id);
        score.spread = boost;
        score.preemption = room.score();
        found(position, *slot, score, room);
    }
}
