//! The indexes of a group's names: `job.group[index]`.
//!
//! Source: servers and scheduling reference, "Stops, names, limits".

use std::collections::BTreeSet;

use nomad_core::alloc::alloc_name;

use super::AllocSet;

/// Which indexes of a group are taken.
#[derive(Debug, Clone)]
pub(super) struct Names {
    job: String,
    group: String,
    count: u64,
    taken: BTreeSet<u64>,
}

/// Indexes of the names of a set.
pub(super) fn indexes(set: &AllocSet) -> BTreeSet<u64> {
    set.values().filter_map(|alloc| alloc.index()).collect()
}

impl Names {
    pub(super) fn new(job: &str, group: &str, count: i64, taken: BTreeSet<u64>) -> Self {
        Self {
            job: job.to_owned(),
            group: group.to_owned(),
            count: u64::try_from(count).unwrap_or(0),
            taken,
        }
    }

    pub(super) fn name(&self, index: u64) -> String {
        alloc_name(&self.job, &self.group, index)
    }

    pub(super) fn free(&mut self, index: u64) {
        self.taken.remove(&index);
    }

    /// The `n` highest indexes that are taken; they are free then.
    pub(super) fn highest(&mut self, n: usize) -> BTreeSet<u64> {
        let highest: BTreeSet<u64> = self.taken.iter().rev().take(n).copied().collect();
        for index in &highest {
            self.taken.remove(index);
        }
        highest
    }

    /// `n` names for new allocations: free indexes below the count first, then indexes from 0 again.
    pub(super) fn next(&mut self, n: usize) -> Vec<String> {
        let free: Vec<u64> = (0..self.count)
            .filter(|index| !self.taken.contains(index))
            .take(n)
            .collect();
        self.taken.extend(&free);
        let again = (n - free.len()) as u64;
        free.into_iter()
            .chain(0..again)
            .map(|index| self.name(index))
            .collect()
    }

    /// `n` names for canaries: indexes that will be updated, then free ones, then ones from the count on.
    pub(super) fn next_canaries(
        &mut self,
        n: usize,
        canaries: &AllocSet,
        destructive: &AllocSet,
    ) -> Vec<String> {
        let existing = indexes(canaries);
        let updated = indexes(destructive);
        let mut chosen: Vec<u64> = (0..self.count)
            .filter(|index| updated.contains(index) && !existing.contains(index))
            .take(n)
            .collect();
        let free: Vec<u64> = (0..self.count)
            .filter(|index| {
                !self.taken.contains(index) && !existing.contains(index) && !chosen.contains(index)
            })
            .take(n - chosen.len())
            .collect();
        chosen.extend(free);
        let missing = n - chosen.len();
        chosen.extend(
            (self.count..)
                .filter(|index| !existing.contains(index))
                .take(missing),
        );
        self.taken.extend(&chosen);
        chosen.into_iter().map(|index| self.name(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_indexes_come_first() {
        let mut names = Names::new("job", "web", 4, BTreeSet::from([0, 2, 7]));
        assert_eq!(names.highest(1), BTreeSet::from([7]));
        assert_eq!(names.next(3), ["job.web[1]", "job.web[3]", "job.web[0]"]);
    }
}
