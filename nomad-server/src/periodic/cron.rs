//! Cron expressions: when the next time is.
//!
//! Five fields (minute, hour, day of month, month, day of week), six with a year behind, seven with seconds before;
//! or a macro such as `@daily`. Source: job specification reference, "Cron grammar".

use jiff::civil::{Date, DateTime, Weekday};
use nomad_core::validate::cron_error;

/// Last year that an expression may name.
const LAST_YEAR: i16 = 2099;

/// The text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cron expression {spec:?}: {reason}")]
pub struct CronError {
    /// The refused text.
    pub spec: String,
    pub reason: String,
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u64,
    days: MonthDays,
    weekdays: Weekdays,
    /// Empty for every year.
    years: Vec<i16>,
}

/// The day-of-month field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct MonthDays {
    any: bool,
    days: u64,
    last: bool,
    last_working: bool,
    /// Days whose nearest working day is meant.
    near: u64,
}

/// The day-of-week field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Weekdays {
    any: bool,
    days: u64,
    /// Last such day of the month.
    last: u64,
    /// Day and number: the n-th such day of the month.
    nth: Vec<(u32, i8)>,
}

impl Cron {
    /// Reads an expression.
    pub fn parse(spec: &str) -> Result<Self, CronError> {
        if let Some(reason) = cron_error(spec) {
            return Err(CronError {
                spec: spec.chars().take(128).collect(),
                reason,
            });
        }
        let text = spec.trim().to_lowercase();
        let text = match text.as_str() {
            "@yearly" | "@annually" => "0 0 0 1 1 * *",
            "@monthly" => "0 0 0 1 * * *",
            "@weekly" => "0 0 0 * * 0 *",
            "@daily" => "0 0 0 * * * *",
            "@hourly" => "0 0 * * * * *",
            other => other,
        };
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() < 7 {
            fields.insert(0, "0");
        }
        let field = |at: usize| fields.get(at).copied().unwrap_or("*");
        Ok(Self {
            seconds: bits(field(0), 0, 59, &number),
            minutes: bits(field(1), 0, 59, &number),
            hours: bits(field(2), 0, 23, &number),
            days: month_days(field(3)),
            months: bits(field(4), 1, 12, &month_number),
            weekdays: weekdays(field(5)),
            years: years(field(6)),
        })
    }

    /// The first time after `after`, on a clock without daylight saving.
    pub fn next_after(&self, after: DateTime) -> Option<DateTime> {
        let start = after.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
        let start = DateTime::from_parts(
            start.date(),
            jiff::civil::Time::new(start.hour(), start.minute(), start.second(), 0).ok()?,
        );
        let mut date = start.date();
        while date.year() <= LAST_YEAR {
            if !self.year_fits(date.year()) {
                date = Date::new(date.year().checked_add(1)?, 1, 1).ok()?;
                continue;
            }
            if self.months & (1 << date.month()) == 0 {
                date = date.last_of_month().tomorrow().ok()?;
                continue;
            }
            if self.day_fits(date) {
                let from = if date == start.date() {
                    Some(start)
                } else {
                    None
                };
                if let Some(found) = self.time_on(date, from) {
                    return Some(found);
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn year_fits(&self, year: i16) -> bool {
        self.years.is_empty() || self.years.contains(&year)
    }

    fn day_fits(&self, date: Date) -> bool {
        match (self.days.any, self.weekdays.any) {
            (true, true) => true,
            (false, true) => self.days.fits(date),
            (true, false) => self.weekdays.fits(date),
            // Where both are given either is enough.
            (false, false) => self.days.fits(date) || self.weekdays.fits(date),
        }
    }

    /// The first fitting time of a day, not before `from`.
    fn time_on(&self, date: Date, from: Option<DateTime>) -> Option<DateTime> {
        let (h, m, s) = from.map_or((0, 0, 0), |from| {
            (from.hour(), from.minute(), from.second())
        });
        for hour in set(self.hours, h, 23) {
            let first_hour = hour == h;
            for minute in set(self.minutes, if first_hour { m } else { 0 }, 59) {
                let first_minute = first_hour && minute == m;
                if let Some(second) = set(self.seconds, if first_minute { s } else { 0 }, 59).next()
                {
                    return Some(date.at(hour, minute, second, 0));
                }
            }
        }
        None
    }
}

/// Members of a set from `from` on.
fn set(bits: u64, from: i8, to: i8) -> impl Iterator<Item = i8> {
    (from..=to).filter(move |value| bits & (1 << value) != 0)
}

impl MonthDays {
    fn fits(&self, date: Date) -> bool {
        let last = date.days_in_month();
        let day = date.day();
        self.days & (1 << day) != 0
            || (self.last && day == last)
            || (self.last_working && day == nearest_working(date, last))
            || (1..=last)
                .filter(|near| self.near & (1 << near) != 0)
                .any(|near| nearest_working(date, near) == day)
    }
}

/// The working day nearest to a day of the same month.
fn nearest_working(month: Date, day: i8) -> i8 {
    let last = month.days_in_month();
    let Ok(date) = Date::new(month.year(), month.month(), day) else {
        return day;
    };
    match date.weekday() {
        Weekday::Saturday if day > 1 => day - 1,
        Weekday::Saturday => day + 2,
        Weekday::Sunday if day < last => day + 1,
        Weekday::Sunday => day - 2,
        _ => day,
    }
}

impl Weekdays {
    fn fits(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset() as u32;
        let nth = (date.day() + 6) / 7;
        let in_last_week = date.day() + 7 > date.days_in_month();
        self.days & (1 << weekday) != 0
            || (in_last_week && self.last & (1 << weekday) != 0)
            || self.nth.contains(&(weekday, nth))
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn named(text: &str, names: &[&str], first: u32) -> Option<u32> {
    // Long names begin with the short ones.
    let short = text.get(..3)?;
    names
        .iter()
        .position(|name| *name == short)
        .map(|at| at as u32 + first)
}

fn month_number(text: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    number(text).or_else(|| named(text, &MONTHS, 1))
}

fn weekday_number(text: &str) -> Option<u32> {
    const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    number(text).or_else(|| named(text, &DAYS, 0))
}

/// What one item of a list (`*`, `a`, `a-b`, each maybe with `/step`) stands for; `None` for other forms.
fn item(text: &str, low: u32, high: u32, value: &dyn Fn(&str) -> Option<u32>) -> Option<Vec<u32>> {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, number(step)?.max(1)),
        None => (text, 0),
    };
    let (from, to) = match range.split_once('-') {
        _ if range == "*" || range == "?" => (low, high),
        Some((from, to)) => (value(from)?, value(to)?),
        // A single value with a step goes on to the end.
        None if step > 0 => (value(range)?, high),
        None => (value(range)?, value(range)?),
    };
    let step = step.max(1) as usize;
    Some(if from <= to {
        (from..=to).step_by(step).collect()
    } else {
        // Friday to Monday.
        (from..=high).chain(low..=to).step_by(step).collect()
    })
}

fn bits(field: &str, low: u32, high: u32, value: &dyn Fn(&str) -> Option<u32>) -> u64 {
    let values = field
        .split(',')
        .filter_map(|text| item(text, low, high, value))
        .flatten();
    values
        .filter(|value| *value < 64)
        .fold(0, |set, value| set | (1 << value))
}

fn is_any(field: &str) -> bool {
    field == "*" || field == "?"
}

fn month_days(field: &str) -> MonthDays {
    let mut result = MonthDays {
        any: is_any(field),
        ..MonthDays::default()
    };
    for text in field.split(',') {
        match text {
            "l" => result.last = true,
            "lw" | "wl" => result.last_working = true,
            _ => match text.strip_suffix('w').and_then(number) {
                Some(near) if near < 32 => result.near |= 1 << near,
                _ => result.days |= bits(text, 1, 31, &number),
            },
        }
    }
    result
}

fn weekdays(field: &str) -> Weekdays {
    let mut result = Weekdays {
        any: is_any(field),
        ..Weekdays::default()
    };
    for text in field.split(',') {
        if let Some((day, nth)) = text.split_once('#') {
            if let (Some(day), Ok(nth)) = (weekday_number(day), nth.parse()) {
                result.nth.push((day % 7, nth));
            }
        } else if let Some(day) = text.strip_suffix('l').and_then(weekday_number) {
            result.last |= 1 << (day % 7);
        } else {
            // Sunday is 0 and 7.
            let set = bits(text, 0, 7, &weekday_number);
            result.days |= (set | (set >> 7)) & 0x7f;
        }
    }
    result
}

fn years(field: &str) -> Vec<i16> {
    if is_any(field) {
        return Vec::new();
    }
    let parts = field.split(',');
    let values = parts
        .filter_map(|text| item(text, 1970, LAST_YEAR as u32, &number))
        .flatten();
    values.filter_map(|year| i16::try_from(year).ok()).collect()
}
