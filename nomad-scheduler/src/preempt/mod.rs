//! Whom to evict so that a more important allocation fits.
//!
//! Source: servers and scheduling reference, "Preemption".

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocatedResources, Allocation};
use nomad_core::ids::JobKey;

use crate::candidates::Candidates;
use crate::propose::Proposed;
use crate::rank::score::Score;
use crate::rank::{Ranking, Wanted};
use crate::rng::Rng;

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
    _ranking: &Ranking,
    _candidates: &Candidates,
    _proposed: &Proposed<'_>,
    _victims: &Victims,
    _wanted: &Wanted,
    _rng: &mut Rng,
) -> Option<Found> {
    None
}
