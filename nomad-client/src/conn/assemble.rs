//! Allocations as they come: in parts, each job once per part.

use std::collections::BTreeSet;

use nomad_core::AllocId;
use nomad_core::alloc::Allocation;
use nomad_core::job::Job;
use nomad_proto::node::Allocs;
use nomad_proto::{PackError, unpack};

use crate::client::Assignment;
use crate::state::JobCache;

/// Gathers the parts of a full set, so that what is missing in it can be told from what is in a later part.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Ids of the parts of a full set so far.
    seen: BTreeSet<AllocId>,
}

/// A part that makes no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("an allocation refers to job {index} of {count}")]
    NoJob { index: u32, count: usize },
    #[error(transparent)]
    Id(#[from] nomad_core::ids::ParseIdError),
}

impl Assembler {
    /// Takes a part; gives what can be taken over now, and the index if the set is complete.
    ///
    /// New and changed allocations are given at once; only the end of a full set tells which are gone.
    pub(super) fn part(
        &mut self,
        part: &Allocs,
        cache: &JobCache,
        known: impl FnOnce() -> Vec<AllocId>,
    ) -> Result<(Assignment, Option<u64>), PartError> {
        let mut jobs = Vec::with_capacity(part.jobs.len());
        for row in &part.jobs {
            jobs.push(cache.intern(unpack::<Job>(&row.job)?));
        }
        let mut assignment = Assignment {
            resync: part.full,
            ..Assignment::default()
        };
        for row in &part.allocs {
            let mut alloc: Allocation = unpack(&row.alloc)?;
            let job = jobs.get(row.job as usize).ok_or(PartError::NoJob {
                index: row.job,
                count: jobs.len(),
            })?;
            alloc.job = Some(job.clone());
            if part.full {
                self.seen.insert(alloc.id);
            }
            assignment.allocs.push(alloc);
        }
        for id in &part.removed {
            assignment.removed.push(id.parse()?);
        }
        if !part.last {
            return Ok((assignment, None));
        }
        let seen = std::mem::take(&mut self.seen);
        if part.full {
            assignment
                .removed
                .extend(known().into_iter().filter(|id| !seen.contains(id)));
        }
        Ok((assignment, Some(part.index)))
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::Uuid;
    use nomad_proto::node::{AllocRow, JobRow};
    use nomad_proto::pack;

    use super::*;

    fn id(n: u8) -> AllocId {
        AllocId(Uuid([n; 16]))
    }

    fn part(full: bool, last: bool, ids: &[u8]) -> Allocs {
        let alloc = |n: &u8| Allocation {
            id: id(*n),
            ..Allocation::default()
        };
        Allocs {
            full,
            last,
            index: 7,
            jobs: vec![JobRow {
                job: pack(&Job::default()).unwrap(),
            }],
            allocs: ids
                .iter()
                .map(|n| AllocRow {
                    alloc: pack(&alloc(n)).unwrap(),
                    job: 0,
                })
                .collect(),
            removed: Vec::new(),
        }
    }

    #[test]
    fn what_is_gone_is_known_at_the_end_of_a_full_set() {
        let (mut assembler, cache) = (Assembler::default(), JobCache::default());
        let known = || vec![id(1), id(2), id(9)];
        let (first, done) = assembler
            .part(&part(true, false, &[1]), &cache, known)
            .unwrap();
        assert_eq!((first.allocs.len(), done), (1, None));
        assert!(first.removed.is_empty());
        let (second, done) = assembler
            .part(&part(true, true, &[2]), &cache, known)
            .unwrap();
        assert_eq!(second.removed, [id(9)]);
        assert_eq!(done, Some(7));
        // A set of changes removes only what it names.
        let mut changes = part(false, true, &[3]);
        changes.removed = vec![id(1).to_string()];
        let (changes, _) = assembler.part(&changes, &cache, known).unwrap();
        assert_eq!(changes.removed, [id(1)]);
    }

    #[test]
    fn parts_that_make_no_sense_are_refused() {
        let (mut assembler, cache) = (Assembler::default(), JobCache::default());
        let mut bad = part(false, true, &[1]);
        bad.allocs[0].job = 3;
        assert!(assembler.part(&bad, &cache, Vec::new).is_err());
        let mut bad = part(false, true, &[1]);
        bad.allocs[0].alloc = b"\xc1"[..].into();
        assert!(assembler.part(&bad, &cache, Vec::new).is_err());
        let mut bad = part(false, true, &[]);
        bad.removed = vec!["nonsense".to_owned()];
        assert!(assembler.part(&bad, &cache, Vec::new).is_err());
    }
}
