//! Go's layouts, written by example: `Mon Jan 2 15:04:05 2006`.

use super::FuncError;
use super::civil::{Time, days_from};

pub(super) const MONTHS: [&str; 12] = [
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
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A part of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'l> {
    Text(&'l str),
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    SpaceDay,
    ZeroDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    Pm,
    LowerPm,
    Zone,
    /// An offset: `Z` for UTC, with colon, with minutes, with seconds.
    Offset {
        z: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    /// Fractional seconds: how many digits, and whether trailing zeros are left out.
    Fraction {
        digits: usize,
        trim: bool,
        mark: char,
    },
}

const OFFSETS: [(&str, bool, bool, bool, bool); 10] = [
    ("Z07:00:00", true, true, true, true),
    ("-07:00:00", false, true, true, true),
    ("Z070000", true, false, true, true),
    ("-070000", false, false, true, true),
    ("Z07:00", true, true, true, false),
    ("-07:00", false, true, true, false),
    ("Z0700", true, false, true, false),
    ("-0700", false, false, true, false),
    ("Z07", true, false, false, false),
    ("-07", false, false, false, false),
];

const WORDS: [(&str, Part<'static>); 23] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekDay),
    ("Mon", Part::WeekDay),
    ("MST", Part::Zone),
    ("2006", Part::LongYear),
    ("_2006", Part::Text("_")),
    ("002", Part::ZeroYearDay),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("_2", Part::SpaceDay),
    ("PM", Part::Pm),
    ("pm", Part::LowerPm),
    ("1", Part::NumMonth),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
];

/// The first part of a layout and what follows it.
fn next(layout: &str) -> Option<(Part<'_>, &str)> {
    for (text, z, colon, minutes, seconds) in OFFSETS {
        if let Some(rest) = layout.strip_prefix(text) {
            return Some((
                Part::Offset {
                    z,
                    colon,
                    minutes,
                    seconds,
                },
                rest,
            ));
        }
    }
    if let Some(mark @ ('.' | ',')) = layout.chars().next() {
        for (digit, trim) in [('0', false), ('9', true)] {
            let digits = layout[1..].chars().take_while(|c| *c == digit).count();
            let rest = &layout[1 + digits..];
            if digits > 0 && !rest.starts_with(|c: char| c.is_ascii_digit()) {
                return Some((Part::Fraction { digits, trim, mark }, rest));
            }
        }
    }
    for (text, part) in WORDS {
        if let Some(rest) = layout.strip_prefix(text) {
            // "Jan" of "Janet" is no month.
            let word = matches!(part, Part::Month | Part::WeekDay);
            if word && rest.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            if text == "_2006" {
                return Some((Part::Text("_"), &layout[1..]));
            }
            return Some((part, rest));
        }
    }
    None
}

fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = layout;
    let mut text_from = layout;
    while !rest.is_empty() {
        if let Some((part, after)) = next(rest) {
            let text = &text_from[..text_from.len() - rest.len()];
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
            parts.push(part);
            rest = after;
            text_from = after;
        } else {
            let step = rest.chars().next().map_or(1, char::len_utf8);
            rest = &rest[step..];
        }
    }
    if !text_from.is_empty() {
        parts.push(Part::Text(text_from));
    }
    parts
}

/// `time.Format`.
pub(crate) fn format(layout: &str, time: &Time) -> String {
    let t = time.civil();
    let hour12 = (t.hour + 11) % 12 + 1;
    let mut out = String::new();
    for part in parts(layout) {
        let text = match part {
            Part::Text(text) => text.to_owned(),
            Part::LongMonth => MONTHS[t.month as usize - 1].to_owned(),
            Part::Month => MONTHS[t.month as usize - 1][..3].to_owned(),
            Part::NumMonth => t.month.to_string(),
            Part::ZeroMonth => format!("{:02}", t.month),
            Part::LongWeekDay => DAYS[t.weekday as usize].to_owned(),
            Part::WeekDay => DAYS[t.weekday as usize][..3].to_owned(),
            Part::Day => t.day.to_string(),
            Part::SpaceDay => format!("{:2}", t.day),
            Part::ZeroDay => format!("{:02}", t.day),
            Part::ZeroYearDay => format!("{:03}", t.year_day),
            Part::Hour => format!("{:02}", t.hour),
            Part::Hour12 => hour12.to_string(),
            Part::ZeroHour12 => format!("{hour12:02}"),
            Part::Minute => t.minute.to_string(),
            Part::ZeroMinute => format!("{:02}", t.minute),
            Part::Second => t.second.to_string(),
            Part::ZeroSecond => format!("{:02}", t.second),
            Part::LongYear => format!("{:04}", t.year),
            Part::Year => format!("{:02}", t.year.rem_euclid(100)),
            Part::Pm => if t.hour >= 12 { "PM" } else { "AM" }.to_owned(),
            Part::LowerPm => if t.hour >= 12 { "pm" } else { "am" }.to_owned(),
            Part::Zone => time.zone.clone(),
            Part::Offset { z: true, .. } if time.offset == 0 => "Z".to_owned(),
            Part::Offset {
                colon,
                minutes,
                seconds,
                ..
            } => offset_text(time.offset, colon, minutes, seconds),
            Part::Fraction { digits, trim, mark } => {
                let all = format!("{:09}", t.nanosecond);
                let digits = &all[..digits.min(9)];
                let digits = if trim {
                    digits.trim_end_matches('0')
                } else {
                    digits
                };
                if digits.is_empty() {
                    String::new()
                } else {
                    format!("{mark}{digits}")
                }
            }
        };
        out.push_str(&text);
    }
    out
}

fn offset_text(offset: i32, colon: bool, minutes: bool, seconds: bool) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let size = offset.unsigned_abs();
    let between = if colon { ":" } else { "" };
    let mut text = format!("{sign}{:02}", size / 3_600);
    if minutes {
        push!(text, "{between}{:02}", size / 60 % 60);
    }
    if seconds {
        push!(text, "{between}{:02}", size % 60);
    }
    text
}

/// `time.Parse`: what the layout does not name is the start of the year 0, UTC.
pub(crate) fn parse(layout: &str, text: &str) -> Result<Time, FuncError> {
    let bad = || {
        FuncError::new(format!(
            "parsing time {text:?} as {layout:?}: cannot parse it"
        ))
    };
    let mut rest = text;
    let (mut year, mut month, mut day) = (0_i64, 1_i64, 1_i64);
    let (mut hour, mut minute, mut second, mut nanosecond) = (0_i64, 0_i64, 0_i64, 0_i64);
    let mut year_day = None;
    let (mut pm, mut twelve) = (None, false);
    let (mut offset, mut zone) = (0_i32, None);
    for part in parts(layout) {
        match part {
            Part::Text(want) => {
                rest = rest.strip_prefix(want).ok_or_else(bad)?;
            }
            Part::LongMonth | Part::Month => {
                let long = part == Part::LongMonth;
                month = name(&mut rest, &MONTHS, long).ok_or_else(bad)? + 1;
            }
            Part::LongWeekDay | Part::WeekDay => {
                let long = part == Part::LongWeekDay;
                name(&mut rest, &DAYS, long).ok_or_else(bad)?;
            }
            Part::NumMonth | Part::ZeroMonth => {
                month = digits(&mut rest, part == Part::ZeroMonth, 2).ok_or_else(bad)?;
                if !(1..=12).contains(&month) {
                    return Err(bad());
                }
            }
            Part::Day | Part::SpaceDay | Part::ZeroDay => {
                if part == Part::SpaceDay {
                    rest = rest.strip_prefix(' ').unwrap_or(rest);
                }
                day = digits(&mut rest, part == Part::ZeroDay, 2).ok_or_else(bad)?;
            }
            Part::ZeroYearDay => {
                year_day = Some(digits(&mut rest, true, 3).ok_or_else(bad)?);
            }
            Part::Hour => hour = digits(&mut rest, true, 2).ok_or_else(bad)?,
            Part::Hour12 | Part::ZeroHour12 => {
                twelve = true;
                hour = digits(&mut rest, part == Part::ZeroHour12, 2).ok_or_else(bad)?;
            }
            Part::Minute | Part::ZeroMinute => {
                minute = digits(&mut rest, part == Part::ZeroMinute, 2).ok_or_else(bad)?;
            }
            Part::Second | Part::ZeroSecond => {
                second = digits(&mut rest, part == Part::ZeroSecond, 2).ok_or_else(bad)?;
                if !layout.contains(".0") && !layout.contains(".9") {
                    nanosecond = fraction(&mut rest).unwrap_or(0);
                }
            }
            Part::LongYear => year = digits(&mut rest, true, 4).ok_or_else(bad)?,
            Part::Year => {
                let short = digits(&mut rest, true, 2).ok_or_else(bad)?;
                year = if short >= 69 {
                    1900 + short
                } else {
                    2000 + short
                };
            }
            Part::Pm | Part::LowerPm => {
                let (mark, after) = rest.split_at_checked(2).ok_or_else(bad)?;
                pm = Some(mark.eq_ignore_ascii_case("pm"));
                rest = after;
            }
            Part::Zone => {
                let end = rest
                    .find(|c: char| !c.is_ascii_uppercase())
                    .unwrap_or(rest.len());
                if end < 3 {
                    return Err(bad());
                }
                zone = Some(rest[..end].to_owned());
                rest = &rest[end..];
            }
            Part::Offset {
                z,
                colon,
                minutes,
                seconds,
            } => {
                if let Some(after) = rest.strip_prefix('Z').filter(|_| z) {
                    rest = after;
                } else {
                    offset = parse_offset(&mut rest, colon, minutes, seconds).ok_or_else(bad)?;
                }
            }
            Part::Fraction { trim, .. } => match fraction(&mut rest) {
                Some(ns) => nanosecond = ns,
                None if trim => {}
                None => return Err(bad()),
            },
        }
    }
    if twelve || pm.is_some() {
        hour = match pm {
            Some(true) if hour < 12 => hour + 12,
            Some(false) if hour == 12 => 0,
            _ => hour,
        };
    }
    let good = rest.is_empty()
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && (1..=days_in(year, month)).contains(&day);
    if !good {
        return Err(bad());
    }
    let days = match year_day {
        Some(of_year) => days_from(year, 1, 1) + of_year - 1,
        None => days_from(year, month, day),
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - i64::from(offset);
    let ns = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanosecond);
    let zone = zone.unwrap_or_else(|| {
        if offset == 0 {
            "UTC".to_owned()
        } else {
            offset_text(offset, false, true, false)
        }
    });
    Ok(Time { ns, offset, zone })
}

fn days_in(year: i64, month: i64) -> i64 {
    days_from(year, month + 1, 1) - days_from(year, month, 1)
}

/// A number of one to `most` digits, or exactly `most`.
fn digits(rest: &mut &str, exact: bool, most: usize) -> Option<i64> {
    let count = rest
        .chars()
        .take(most)
        .take_while(char::is_ascii_digit)
        .count();
    if count == 0 || exact && count < most {
        return None;
    }
    let (number, after) = rest.split_at(count);
    *rest = after;
    number.parse().ok()
}

/// The place of a name in a list, by its first three letters or in full.
fn name(rest: &mut &str, names: &[&str], long: bool) -> Option<i64> {
    names.iter().enumerate().find_map(|(i, name)| {
        let want = if long { name } else { &name[..3] };
        let (found, after) = rest.split_at_checked(want.len())?;
        found.eq_ignore_ascii_case(want).then(|| {
            *rest = after;
            i as i64
        })
    })
}

fn fraction(rest: &mut &str) -> Option<i64> {
    let after = rest.strip_prefix(['.', ','])?;
    let count = after.chars().take_while(char::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    let (found, tail) = after.split_at(count);
    *rest = tail;
    let padded = format!("{found:0<9}");
    padded[..9].parse().ok()
}

fn parse_offset(rest: &mut &str, colon: bool, minutes: bool, seconds: bool) -> Option<i32> {
    let negative = match rest.chars().next()? {
        '-' => true,
        '+' => false,
        _ => return None,
    };
    *rest = &rest[1..];
    let mut total = digits(rest, true, 2)? * 3_600;
    for (wanted, unit) in [(minutes, 60), (seconds, 1)] {
        if wanted {
            if colon {
                *rest = rest.strip_prefix(':')?;
            }
            total += digits(rest, true, 2)? * unit;
        }
    }
    let total = i32::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}
