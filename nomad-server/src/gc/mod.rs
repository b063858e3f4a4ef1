//! Garbage collection: what is old and referenced by nothing leaves, in log entries of bounded size.
//!
//! Source: servers and scheduling reference, "Core jobs".

mod collect;
#[cfg(test)]
mod tests;

use nomad_core::{Nanos, Timestamp};

pub use collect::{Garbage, collect};

/// Ids collected in one log entry at most.
pub const MAX_IDS_PER_ENTRY: usize = 7281;
/// Jobs collected in one log entry at most.
pub const MAX_JOBS_PER_ENTRY: usize = 2048;

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcConfig {
    /// How often it is looked.
    pub interval: Nanos,
    /// `eval_gc_threshold`.
    pub eval_threshold: Nanos,
    /// `batch_eval_gc_threshold`.
    pub batch_eval_threshold: Nanos,
    /// `job_gc_threshold`.
    pub job_threshold: Nanos,
    /// `node_gc_threshold`.
    pub node_threshold: Nanos,
    /// `deployment_gc_threshold`.
    pub deployment_threshold: Nanos,
}

impl Default for GcConfig {
    fn default() -> Self {
        Self {
            interval: Nanos::mins(5),
            eval_threshold: Nanos::hours(1),
            batch_eval_threshold: Nanos::hours(24),
            job_threshold: Nanos::hours(4),
            node_threshold: Nanos::hours(24),
            deployment_threshold: Nanos::hours(1),
        }
    }
}

impl GcConfig {
    /// Keeps nothing that may go: for a collection that was asked for.
    pub fn at_once(&self) -> Self {
        let instant = Nanos::millis(1);
        Self {
            interval: self.interval,
            eval_threshold: instant,
            batch_eval_threshold: instant,
            job_threshold: instant,
            node_threshold: instant,
            deployment_threshold: instant,
        }
    }
}

/// When to look for garbage.
#[derive(Debug)]
pub struct GcTimer {
    interval: Nanos,
    next: Option<Timestamp>,
}

impl GcTimer {
    /// First after one interval.
    pub fn new(interval: Nanos, now: Timestamp) -> Self {
        Self {
            interval,
            next: Some(now + interval),
        }
    }

    /// When it is time.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether it is time; then nothing follows before [`done`](Self::done).
    pub fn tick(&mut self, now: Timestamp) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = None;
        }
        due
    }

    /// The collection has ended.
    pub fn done(&mut self, now: Timestamp) {
        self.next = Some(now + self.interval);
    }
}
