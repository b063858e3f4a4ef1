//! Dates: RFC 3339 in, a format or another RFC 3339 out.

use nomad_core::time::parse_go_duration;

use super::args::{ArgError, Args, Outcome, bad};

/// A date and time with its zone, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DateTime {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    /// East of UTC, in minutes.
    offset: i32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Days since 1970-01-01 of a date of the Gregorian calendar.
const fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = (month as i64 + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day as i64 - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970-01-01.
const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    } as u32;
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

const fn month_days(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Whether a text is a date and time as RFC 3339 has it.
pub(super) fn is_timestamp(text: &str) -> bool {
    DateTime::parse(text).is_some()
}

impl DateTime {
    fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            let part = text.get(range)?;
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse().ok())?
        };
        let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
        if !(is(4, b'-')
            && is(7, b'-')
            && (is(10, b'T') || is(10, b't'))
            && is(13, b':')
            && is(16, b':'))
        {
            return None;
        }
        let mut date = Self {
            year: i64::from(number(0..4)?),
            month: number(5..7)?,
            day: number(8..10)?,
            hour: number(11..13)?,
            minute: number(14..16)?,
            second: number(17..19)?,
            nanos: 0,
            offset: 0,
        };
        let mut at = 19;
        if is(at, b'.') {
            let digits = bytes[at + 1..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
            let kept = text
                .get(at + 1..at + 1 + digits.min(9))
                .filter(|kept| !kept.is_empty())?;
            date.nanos = kept.parse::<u32>().ok()? * 10_u32.pow(9 - kept.len() as u32);
            at += 1 + digits;
        }
        match text.get(at..)? {
            "Z" | "z" => {}
            zone if zone.len() == 6 && is(at + 3, b':') => {
                let minutes = number(at + 1..at + 3)? * 60 + number(at + 4..at + 6)?;
                date.offset = match bytes[at] {
                    b'+' => minutes as i32,
                    b'-' => -(minutes as i32),
                    _ => return None,
                };
            }
            _ => return None,
        }
        let valid = (1..=12).contains(&date.month)
            && date.day >= 1
            && date.day <= month_days(date.year, date.month)
            && date.hour < 24
            && date.minute < 60
            && date.second < 60
            && date.offset.abs() < 24 * 60;
        valid.then_some(date)
    }

    fn weekday(&self) -> usize {
        (days_from_civil(self.year, self.month, self.day) + 4).rem_euclid(7) as usize
    }

    /// Later by so many nanoseconds, in the same zone.
    fn plus(&self, nanos: i64) -> Self {
        let days = days_from_civil(self.year, self.month, self.day);
        let seconds = i128::from(days) * 86_400
            + i128::from(self.hour) * 3600
            + i128::from(self.minute) * 60
            + i128::from(self.second);
        let total = seconds * 1_000_000_000 + i128::from(self.nanos) + i128::from(nanos);
        let (seconds, nanos) = (
            total.div_euclid(1_000_000_000),
            total.rem_euclid(1_000_000_000),
        );
        let (days, rest) = (
            seconds.div_euclid(86_400) as i64,
            seconds.rem_euclid(86_400) as u32,
        );
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            nanos: nanos as u32,
            offset: self.offset,
        }
    }

    fn zone(&self, separator: &str) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs();
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }

    fn rfc3339(&self) -> String {
        let zone = if self.offset == 0 {
            "Z".to_owned()
        } else {
            self.zone(":")
        };
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{zone}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }
}

fn timestamp(args: &Args<'_>, at: usize) -> Result<DateTime, ArgError> {
    let text = args.string(at)?;
    DateTime::parse(&text).ok_or_else(|| {
        bad(
            at,
            format!("not a valid RFC3339 timestamp: {text:?}; the form is 2006-01-02T15:04:05Z"),
        )
    })
}

pub(super) fn timeadd(args: &Args<'_>) -> Outcome {
    let date = timestamp(args, 0)?;
    let text = args.string(1)?;
    let span =
        parse_go_duration(&text).ok_or_else(|| bad(1, format!("invalid duration {text:?}")))?;
    Ok(date.plus(span.0).rfc3339().into())
}

pub(super) fn formatdate(args: &Args<'_>) -> Outcome {
    let (pattern, date) = (args.string(0)?, timestamp(args, 1)?);
    let mut result = String::new();
    let mut rest = &*pattern;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let (literal, after) = quoted(rest).ok_or_else(|| bad(0, "unterminated literal '"))?;
            result.push_str(&literal);
            rest = after;
        } else if first.is_ascii_alphabetic() {
            let length = rest.find(|c| c != first).unwrap_or(rest.len());
            let verb = &rest[..length];
            result.push_str(
                &verb_text(&date, verb)
                    .ok_or_else(|| bad(0, format!("invalid date format verb {verb:?}")))?,
            );
            rest = &rest[length..];
        } else {
            result.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(result.into())
}

/// The text between single quotes, in which two of them are one, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut literal = String::new();
    let mut rest = &text[1..];
    loop {
        let at = rest.find('\'')?;
        literal.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                literal.push('\'');
                rest = after;
            }
            None => return Some((literal, rest)),
        }
    }
}

fn verb_text(date: &DateTime, verb: &str) -> Option<String> {
    let month = MONTHS[date.month as usize - 1];
    let weekday = WEEKDAYS[date.weekday()];
    let hour = match date.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let half = if date.hour < 12 { "AM" } else { "PM" };
    let utc = date.offset == 0;
    Some(match verb {
        "YYYY" => format!("{:04}", date.year),
        "YY" => format!("{:02}", date.year % 100),
        "MMMM" => month.to_owned(),
        "MMM" => month[..3].to_owned(),
        "MM" => format!("{:02}", date.month),
        "M" => date.month.to_string(),
        "DD" => format!("{:02}", date.day),
        "D" => date.day.to_string(),
        "EEEE" => weekday.to_owned(),
        "EEE" => weekday[..3].to_owned(),
        "hh" => format!("{:02}", date.hour),
        "h" => date.hour.to_string(),
        "HH" => format!("{hour:02}"),
        "H" => hour.to_string(),
        "AA" => half.to_owned(),
        "aa" => half.to_lowercase(),
        "mm" => format!("{:02}", date.minute),
        "m" => date.minute.to_string(),
        "ss" => format!("{:02}", date.second),
        "s" => date.second.to_string(),
        "ZZZZZ" => date.zone(":"),
        "ZZZZ" => date.zone(""),
        "ZZZ" if utc => "UTC".to_owned(),
        "ZZZ" => date.zone(""),
        "Z" if utc => "Z".to_owned(),
        "Z" => date.zone(":"),
        _ => return None,
    })
}
