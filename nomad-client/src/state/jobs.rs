//! Job versions, each in memory once for all its allocations.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use nomad_core::job::Job;
use parking_lot::Mutex;

/// Entries above which dead ones are looked for.
const SWEEP_ABOVE: usize = 64;

/// Knows every job version that some allocation holds.
#[derive(Debug, Default)]
pub struct JobCache {
    jobs: Mutex<BTreeMap<Vec<u8>, Weak<Job>>>,
}

impl JobCache {
    /// The one copy of a job version: this one, unless there is another.
    pub fn intern(&self, job: Job) -> Arc<Job> {
        let key = key(&job);
        let mut jobs = self.jobs.lock();
        if let Some(known) = jobs.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if jobs.len() > SWEEP_ABOVE {
            jobs.retain(|_, job| job.strong_count() > 0);
        }
        let job = Arc::new(job);
        jobs.insert(key, Arc::downgrade(&job));
        job
    }

    /// Whether some allocation still holds the job of that key.
    pub fn in_use(&self, key: &[u8]) -> bool {
        self.jobs
            .lock()
            .get(key)
            .is_some_and(|job| job.strong_count() > 0)
    }
}

/// What a job version is known by. The creation index tells a job from one of the same name that was purged.
pub(super) fn key(job: &Job) -> Vec<u8> {
    let mut key = Vec::with_capacity(job.namespace.len() + job.id.len() + 18);
    key.extend(job.namespace.as_bytes());
    key.push(0);
    key.extend(job.id.as_bytes());
    key.push(0);
    key.extend(job.create_index.to_be_bytes());
    key.extend(job.version.to_be_bytes());
    key
}

impl super::AllocRow {
    /// The row of an allocation whose job is attached.
    pub fn of(alloc: nomad_core::alloc::Allocation) -> Self {
        Self {
            job: alloc.job.as_deref().map(key).unwrap_or_default(),
            alloc,
            ..Self::default()
        }
    }
}
