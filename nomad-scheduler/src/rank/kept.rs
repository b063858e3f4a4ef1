//! Rankings that outlive their evaluation.
//!
//! Evaluations of alike jobs ask the same of the same nodes. A ranking that is done is kept beside the columns; the next
//! evaluation that asks alike takes it, judges the few nodes again that changed since, and goes on. So an evaluation
//! costs what changed, not what there is.
//!
//! Invariant: a ranking that was kept answers exactly as a new one would. What it is kept for is compared field by field
//! in [`alike`]; whatever a filter or a score begins to read of a job must be compared there too.

use std::sync::{Arc, Mutex, PoisonError};

use nomad_core::job::{Job, TaskGroup};

use super::{Ranking, Style};
use crate::candidates::Candidates;
use crate::columns::NodeColumns;

/// Rankings that are kept at most.
pub(crate) const MAX_RANKINGS: usize = 64;
/// Nodes in all kept rankings together at most; each takes about 130 bytes.
pub(crate) const MAX_RANKED_NODES: usize = 1 << 20;
/// Lists of candidates that are kept at most.
const MAX_CANDIDATES: usize = 16;

struct One {
    ranking: Ranking,
    /// How much of the columns' record of changes the ranking has taken in.
    seen: u64,
}

#[derive(Default)]
struct Inside {
    /// Longest unused first.
    rankings: Vec<One>,
    candidates: Vec<(Vec<String>, String, Arc<Candidates>)>,
}

/// What is kept. A copy of it is empty.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Inside>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl Kept {
    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: nodes came, went or changed.
    pub(crate) fn clear(&self) {
        *self.inside() = Inside::default();
    }

    /// The nodes that a job may use at all.
    pub(crate) fn candidates(&self, job: &Job, columns: &NodeColumns) -> Arc<Candidates> {
        let known = self
            .inside()
            .candidates
            .iter()
            .find(|(datacenters, pool, _)| {
                *datacenters == job.datacenters && *pool == job.node_pool
            })
            .map(|(_, _, candidates)| Arc::clone(candidates));
        known.unwrap_or_else(|| {
            let found = Arc::new(Candidates::of(job, columns));
            let mut inside = self.inside();
            if inside.candidates.len() >= MAX_CANDIDATES {
                inside.candidates.remove(0);
            }
            let key = (
                job.datacenters.clone(),
                job.node_pool.clone(),
                Arc::clone(&found),
            );
            inside.candidates.push(key);
            found
        })
    }

    /// Takes out a ranking that was made for a job like this one, with the slots that changed since.
    pub(crate) fn take(
        &self,
        job: &Job,
        group: &TaskGroup,
        style: Style,
        columns: &NodeColumns,
    ) -> Option<(Ranking, Vec<u32>)> {
        let mut inside = self.inside();
        let at = inside.rankings.iter().rposition(|one| {
            one.ranking.style == style && alike(&one.ranking.job, one.ranking.group(), job, group)
        })?;
        let one = inside.rankings.remove(at);
        let changed = columns.changed_since(one.seen)?;
        Some((one.ranking, changed))
    }

    /// Keeps a ranking that is done.
    pub(crate) fn put(&self, ranking: Ranking, seen: u64) {
        if ranking.len() > MAX_RANKED_NODES {
            return;
        }
        let mut inside = self.inside();
        inside.rankings.push(One { ranking, seen });
        let mut nodes: usize = inside.rankings.iter().map(|one| one.ranking.len()).sum();
        let mut drop = 0;
        while inside.rankings.len() - drop > MAX_RANKINGS || nodes > MAX_RANKED_NODES {
            nodes -= inside.rankings[drop].ranking.len();
            drop += 1;
        }
        inside.rankings.drain(..drop);
    }
}

/// Whether a ranking of the group can be kept: what it says of a node depends on nothing but the node, its
/// allocations and those of the job.
pub(crate) fn keepable(group: &TaskGroup) -> bool {
    group.volumes.is_empty() && group.tasks.iter().all(|task| task.secrets.is_empty())
}

/// Whether two groups ask the same of nodes. Names, counts (without spreads) and everything that only the client reads
/// may differ.
fn alike(left: &Job, left_group: &TaskGroup, right: &Job, right_group: &TaskGroup) -> bool {
    let spreads = !right.spreads.is_empty() || !right_group.spreads.is_empty();
    keepable(right_group)
        && left.datacenters == right.datacenters
        && left.node_pool == right.node_pool
        && left.constraints == right.constraints
        && left.affinities == right.affinities
        && left.spreads == right.spreads
        && left_group.constraints == right_group.constraints
        && left_group.affinities == right_group.affinities
        && left_group.spreads == right_group.spreads
        && left_group.networks == right_group.networks
        && left_group.disk_mb() == right_group.disk_mb()
        && (!spreads || left_group.count == right_group.count)
        && left_group.tasks.len() == right_group.tasks.len()
        && left_group
            .tasks
            .iter()
            .zip(&right_group.tasks)
            .all(|(left, right)| {
                left.name == right.name
                    && left.driver == right.driver
                    && left.resources == right.resources
                    && left.constraints == right.constraints
                    && left.affinities == right.affinities
                    && left.lifecycle == right.lifecycle
            })
}
