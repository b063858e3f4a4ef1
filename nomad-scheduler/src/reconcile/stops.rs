//! Which allocations of a group are stopped because there are too many, or because their node is gone.
//!
//! Source: servers and scheduling reference, "Stops, names, limits".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::ids::{AllocId, EvalId};

use super::classify::classify;
use super::names::{Names, indexes};
use super::{AllocSet, Reconciler, Stop, description};

/// What `stop_surplus` looks at.
pub(super) struct Surplus<'s> {
    pub(super) count: i64,
    pub(super) untainted: &'s AllocSet,
    pub(super) migrate: &'s mut AllocSet,
    pub(super) lost: &'s AllocSet,
    pub(super) canaries: &'s AllocSet,
    pub(super) canarying: bool,
    pub(super) promoted: bool,
    pub(super) follow_ups: &'s BTreeMap<AllocId, EvalId>,
}

impl Reconciler<'_> {
    pub(super) fn mark_stop(
        &mut self,
        alloc: &Arc<Allocation>,
        client_status: Option<ClientStatus>,
        description: &'static str,
        follow_up: Option<EvalId>,
    ) {
        self.results.stop.push(Stop {
            alloc: Arc::clone(alloc),
            client_status,
            description,
            follow_up,
        });
    }

    /// Stops a whole set; what is on lost nodes is lost. Says how many were stopped.
    pub(super) fn stop_all(&mut self, set: &AllocSet) -> u64 {
        let classes = classify(set, self.tainted, self.now);
        let mut stopped = 0;
        for alloc in classes
            .untainted
            .values()
            .chain(classes.migrate.values())
            .chain(classes.disconnecting.values())
            .chain(classes.reconnecting.values())
        {
            self.mark_stop(alloc, None, description::NOT_NEEDED, None);
            stopped += 1;
        }
        for alloc in classes.lost.values().chain(classes.expiring.values()) {
            self.mark_stop(alloc, Some(ClientStatus::Lost), description::LOST, None);
            stopped += 1;
        }
        stopped
    }

    /// Stops lost allocations and those above the count; says which.
    pub(super) fn stop_surplus(
        &mut self,
        surplus: Surplus<'_>,
        names: &mut Names,
    ) -> BTreeSet<AllocId> {
        let mut stopped: BTreeSet<AllocId> = BTreeSet::new();
        for (id, alloc) in surplus.lost {
            let follow_up = surplus.follow_ups.get(id).copied();
            self.mark_stop(
                alloc,
                Some(ClientStatus::Lost),
                description::LOST,
                follow_up,
            );
            stopped.insert(*id);
        }
        let mut candidates: AllocSet = surplus
            .untainted
            .iter()
            .filter(|(id, _)| !(surplus.canarying && surplus.canaries.contains_key(*id)))
            .map(|(id, alloc)| (*id, Arc::clone(alloc)))
            .collect();
        let known = candidates
            .values()
            .filter(|alloc| alloc.client_status != ClientStatus::Unknown)
            .count() as i64;
        let mut surplus_count =
            usize::try_from(known + surplus.migrate.len() as i64 - surplus.count).unwrap_or(0);
        if surplus_count == 0 {
            return stopped;
        }
        // What has ended by itself holds no place that could be freed.
        candidates.retain(|_, alloc| !alloc.terminal());

        if !surplus.canarying && !surplus.canaries.is_empty() && surplus.promoted {
            let replaced: BTreeSet<&str> = surplus
                .canaries
                .values()
                .map(|alloc| alloc.name.as_str())
                .collect();
            let old: Vec<Arc<Allocation>> = candidates
                .values()
                .filter(|alloc| {
                    !surplus.canaries.contains_key(&alloc.id)
                        && replaced.contains(alloc.name.as_str())
                })
                .cloned()
                .collect();
            for alloc in old {
                self.mark_stop(&alloc, None, description::NOT_NEEDED, None);
                candidates.remove(&alloc.id);
                stopped.insert(alloc.id);
                surplus_count -= 1;
                if surplus_count == 0 {
                    return stopped;
                }
            }
        }

        if !surplus.migrate.is_empty() {
            let mut own = Names::new("", "", surplus.count, indexes(surplus.migrate));
            let highest = own.highest(surplus_count);
            let leaving: Vec<Arc<Allocation>> = surplus
                .migrate
                .values()
                .filter(|alloc| alloc.index().is_some_and(|index| highest.contains(&index)))
                .cloned()
                .collect();
            for alloc in leaving {
                self.mark_stop(&alloc, None, description::NOT_NEEDED, None);
                surplus.migrate.remove(&alloc.id);
                stopped.insert(alloc.id);
                if let Some(index) = alloc.index() {
                    names.free(index);
                }
                surplus_count -= 1;
                if surplus_count == 0 {
                    return stopped;
                }
            }
        }

        let highest = names.highest(surplus_count);
        let by_name =
            |alloc: &Arc<Allocation>| alloc.index().is_some_and(|index| highest.contains(&index));
        let (high, rest): (Vec<_>, Vec<_>) = candidates.values().cloned().partition(by_name);
        for alloc in high.into_iter().chain(rest) {
            if surplus_count == 0 {
                break;
            }
            self.mark_stop(&alloc, None, description::NOT_NEEDED, None);
            stopped.insert(alloc.id);
            surplus_count -= 1;
        }
        stopped
    }
}
