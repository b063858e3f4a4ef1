//! Periodic jobs: launches children by cron, each instant exactly once, across changes of leadership.
//!
//! Source: servers and scheduling reference, "Periodic".

mod cron;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use nomad_core::job::Job;
use nomad_core::{JobKey, Nanos, Timestamp};

pub use cron::{Cron, CronError};
pub use schedule::{Schedule, ScheduleError, is_time_zone};

/// A launch that could not be written is tried again after this span.
const RETRY: Nanos = Nanos::secs(1);

/// What happens to periodic jobs.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A job was written.
    Written { job: &'a Job },
    /// A job was deleted.
    Deleted { key: &'a JobKey },
    /// A launch was written (or found needless), or could not be.
    Launched {
        key: &'a JobKey,
        at: Timestamp,
        done: bool,
    },
    /// Time went by.
    Tick,
}

/// What is to be done; answered by [`Event::Launched`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Launch a child for this instant, unless the job forbids overlap and an older child still runs.
    Launch { key: JobKey, at: Timestamp },
}

/// A job that is launched.
#[derive(Debug)]
struct Tracked {
    schedule: Schedule,
    /// The job version that the schedule is from.
    version: u64,
    next: Option<Timestamp>,
    /// The instant whose launch is tried again, where that is not [`Self::next`] itself.
    again: Option<Timestamp>,
}

/// The periodic dispatcher. Lives on the leader, in memory.
#[derive(Debug, Default)]
pub struct Dispatcher {
    jobs: BTreeMap<JobKey, Tracked>,
    order: BTreeSet<(Timestamp, JobKey)>,
    /// Launches that are being written.
    launching: BTreeSet<JobKey>,
}

impl Dispatcher {
    /// No job yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event in, and says what is to be done.
    pub fn handle(&mut self, event: Event<'_>, now: Timestamp) -> Vec<Action> {
        match event {
            Event::Written { job } => self.written(job, now),
            Event::Deleted { key } => self.forget(key),
            Event::Launched { key, at, done } => {
                self.launching.remove(key);
                if let Some(tracked) = self.jobs.get_mut(key) {
                    tracked.again = (!done).then_some(at);
                    let next = if done {
                        tracked.schedule.next_after(at.max(now))
                    } else {
                        Some(now + RETRY)
                    };
                    self.set_next(key, next);
                }
            }
            Event::Tick => {}
        }
        let mut actions = Vec::new();
        while let Some((at, key)) = self.order.first().cloned().filter(|(at, _)| *at <= now) {
            self.order.remove(&(at, key.clone()));
            let Some(tracked) = self.jobs.get_mut(&key) else {
                continue;
            };
            tracked.next = None;
            let at = tracked.again.take().unwrap_or(at);
            if self.launching.insert(key.clone()) {
                actions.push(Action::Launch { key, at });
            }
        }
        actions
    }

    /// Takes over the periodic jobs of a state, each with its last launch, as when leadership is gained. One that
    /// missed launches is launched once, for the last instant that it missed.
    pub fn recover<'a>(
        &mut self,
        jobs: impl Iterator<Item = (&'a Job, Option<Timestamp>)>,
        now: Timestamp,
    ) -> Vec<Action> {
        *self = Self::default();
        for (job, launched) in jobs.filter(|(job, _)| job.is_periodic_active()) {
            let key = job.key();
            self.written(job, now);
            let missed = launched
                .and_then(|launched| self.jobs.get(&key)?.schedule.last_between(launched, now));
            if missed.is_some() {
                self.set_next(&key, missed);
            }
        }
        self.handle(Event::Tick, now)
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// When a job is launched next.
    pub fn next_launch(&self, key: &JobKey) -> Option<Timestamp> {
        self.jobs.get(key)?.next
    }

    fn written(&mut self, job: &Job, now: Timestamp) {
        let key = job.key();
        if !job.is_periodic_active() {
            self.forget(&key);
            return;
        }
        // A change of status only, or the row that a launch left: the schedule is the same.
        if self
            .jobs
            .get(&key)
            .is_some_and(|tracked| tracked.version == job.version)
        {
            return;
        }
        self.forget(&key);
        let schedule = job.periodic.as_ref().map(Schedule::of);
        match schedule {
            Some(Ok(schedule)) => {
                let next = schedule.next_after(now);
                self.jobs.insert(
                    key.clone(),
                    Tracked {
                        schedule,
                        version: job.version,
                        next: None,
                        again: None,
                    },
                );
                self.set_next(&key, next);
            }
            Some(Err(error)) => {
                tracing::error!(job = %job.id, %error, "periodic job cannot be launched");
            }
            None => {}
        }
    }

    fn set_next(&mut self, key: &JobKey, next: Option<Timestamp>) {
        let Some(tracked) = self.jobs.get_mut(key) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut tracked.next, next) {
            self.order.remove(&(old, key.clone()));
        }
        self.order.extend(next.map(|at| (at, key.clone())));
    }

    fn forget(&mut self, key: &JobKey) {
        self.set_next(key, None);
        self.jobs.remove(key);
    }
}

/// The id of the child for an instant.
pub fn child_id(parent: &str, at: Timestamp) -> String {
    format!("{parent}/periodic-{}", at.as_secs())
}
