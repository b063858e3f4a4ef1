//! The schedule of a periodic job: its expressions in its time zone.

use jiff::tz::TimeZone;
use nomad_core::Timestamp;
use nomad_core::job::Periodic;

use super::cron::{Cron, CronError};

/// Why a schedule cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error(transparent)]
    Cron(#[from] CronError),
    #[error("unknown time zone {name:?}")]
    TimeZone { name: String },
    #[error("no cron expression")]
    Empty,
}

/// When a periodic job is launched.
#[derive(Debug, Clone)]
pub struct Schedule {
    crons: Vec<Cron>,
    zone: TimeZone,
}

/// Whether a name is that of a time zone; "" is UTC, and `Local` the zone of the machine that leads.
pub fn is_time_zone(name: &str) -> bool {
    zone(name).is_some()
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() || name == "UTC" {
        return Some(TimeZone::UTC);
    }
    if name == "Local" {
        return TimeZone::try_system().ok();
    }
    TimeZone::get(name).ok()
}

impl Schedule {
    /// Reads the schedule of a job.
    pub fn of(periodic: &Periodic) -> Result<Self, ScheduleError> {
        let zone = zone(&periodic.time_zone).ok_or_else(|| ScheduleError::TimeZone {
            name: periodic.time_zone.clone(),
        })?;
        let specs = periodic
            .specs
            .iter()
            .chain((!periodic.spec.is_empty()).then_some(&periodic.spec));
        let crons = specs
            .map(|spec| Cron::parse(spec))
            .collect::<Result<Vec<_>, _>>()?;
        if crons.is_empty() {
            return Err(ScheduleError::Empty);
        }
        Ok(Self { crons, zone })
    }

    /// The first launch after a time: the earliest of all expressions.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.crons
            .iter()
            .filter_map(|cron| self.next_of(cron, after))
            .min()
    }

    /// The last launch that is after `since` and not after `until`.
    pub fn last_between(&self, since: Timestamp, until: Timestamp) -> Option<Timestamp> {
        // Found from behind, by halving the span: a long absence must not cost one step per missed second.
        let mut low = since;
        let mut found = self.next_after(low).filter(|at| *at <= until)?;
        let mut step = until.since(found).0 / 2;
        loop {
            while step > 0 {
                let probe = Timestamp(until.0 - step);
                match self.next_after(probe.max(found)).filter(|at| *at <= until) {
                    Some(later) => {
                        found = later;
                        step /= 2;
                    }
                    None => break,
                }
            }
            low = found;
            match self.next_after(low).filter(|at| *at <= until) {
                Some(later) => {
                    found = later;
                    step = until.since(found).0 / 2;
                }
                None => return Some(found),
            }
        }
    }

    /// A wall time that the clock skips is moved behind the gap; of one that comes twice the first counts, unless it
    /// has gone by.
    fn next_of(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(after.0)).ok()?;
        let mut wall = instant.to_zoned(self.zone.clone()).datetime();
        loop {
            wall = cron.next_after(wall)?;
            let ambiguous = self.zone.to_ambiguous_timestamp(wall);
            let candidates = [ambiguous.compatible(), ambiguous.later()];
            let found = candidates
                .into_iter()
                .flatten()
                .filter_map(|at| i64::try_from(at.as_nanosecond()).ok())
                .map(Timestamp)
                .find(|at| *at > after);
            if found.is_some() {
                return found;
            }
        }
    }
}
