//! A moment in a zone and its parts on the calendar.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment as a clock in some zone shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Time {
    /// Nanoseconds since 1970, UTC.
    pub(super) ns: i64,
    /// Seconds east of UTC.
    pub(super) offset: i32,
    /// Abbreviation of the zone.
    pub(super) zone: String,
}

/// The parts of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanosecond: u32,
    /// Sunday is 0.
    pub(super) weekday: u32,
    /// From 1.
    pub(super) year_day: u32,
}

const DAY_SECONDS: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

impl Time {
    /// A moment in UTC.
    pub(super) fn utc(ns: i64) -> Self {
        Self {
            ns,
            offset: 0,
            zone: "UTC".to_owned(),
        }
    }

    /// Go's zero time is the year 1, which these nanoseconds cannot reach; the earliest stands for it.
    pub(super) fn zero() -> Self {
        Self::utc(i64::MIN)
    }

    /// Seconds since 1970.
    pub(super) fn unix(&self) -> i64 {
        if self.ns == i64::MIN {
            // Go's zero time.
            return -62_135_596_800;
        }
        self.ns.div_euclid(SECOND_NS)
    }

    /// The same moment in the named zone; UTC if there is no such zone, as in sprig.
    pub(super) fn in_zone(&self, name: &str) -> Self {
        if name == "UTC" || name == "Local" || name.is_empty() {
            return Self::utc(self.ns);
        }
        let zone = TimeZone::get(name).ok();
        let moment = Timestamp::from_nanosecond(i128::from(self.ns)).ok();
        match zone.zip(moment) {
            Some((zone, moment)) => {
                let info = zone.to_offset_info(moment);
                Self {
                    ns: self.ns,
                    offset: info.offset().seconds(),
                    zone: info.abbreviation().to_owned(),
                }
            }
            None => Self::utc(self.ns),
        }
    }

    /// So many nanoseconds later.
    pub(super) fn plus(&self, ns: i64) -> Self {
        Self {
            ns: self.ns.saturating_add(ns),
            ..self.clone()
        }
    }

    /// So many years, months and days later; days beyond a month's end run into the next.
    pub(super) fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let civil = self.civil();
        let year = civil.year.saturating_add(years.clamp(-10_000, 10_000));
        let month = i64::from(civil.month).saturating_add(months.clamp(-100_000, 100_000));
        let day = i64::from(civil.day).saturating_add(days.clamp(-4_000_000, 4_000_000));
        let seconds = days_from(year, month, 1)
            .saturating_add(day - 1)
            .saturating_mul(DAY_SECONDS)
            .saturating_add(self.seconds_of_day())
            .saturating_sub(i64::from(self.offset));
        let ns = seconds
            .saturating_mul(SECOND_NS)
            .saturating_add(i64::from(civil.nanosecond));
        Self { ns, ..self.clone() }
    }

    fn local_seconds(&self) -> i64 {
        self.unix() + i64::from(self.offset)
    }

    fn seconds_of_day(&self) -> i64 {
        self.local_seconds().rem_euclid(DAY_SECONDS)
    }

    /// Its parts.
    pub(super) fn civil(&self) -> Civil {
        let days = self.local_seconds().div_euclid(DAY_SECONDS);
        let seconds = self.seconds_of_day() as u32;
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            nanosecond: if self.ns == i64::MIN {
                0
            } else {
                self.ns.rem_euclid(SECOND_NS) as u32
            },
            weekday: (days + 4).rem_euclid(7) as u32,
            year_day: (days - days_from(year, 1, 1) + 1) as u32,
        }
    }
}

/// Days from 1970-01-01 to a date; months beyond 1..=12 run into other years.
pub(super) fn days_from(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day counted from 1970-01-01.
fn date_of(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}
