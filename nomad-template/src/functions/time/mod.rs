//! Times: Go's layouts, durations, and the functions on them.

mod civil;
mod layout;

use super::{Call, Entry, FuncError};
use crate::value::{Object, Value, fmt};

pub(crate) use civil::Time;
pub(super) use layout::{format, parse};

pub(super) const TABLE: &[Entry] = &[
    ("timestamp", "layout?", |c| {
        let now = Time::utc(c.scope.now_ns);
        if !c.has(0) {
            return Ok(format("2006-01-02T15:04:05Z07:00", &now).into());
        }
        match &*c.str(0)? {
            "unix" => Ok(now.unix().to_string().into()),
            layout => Ok(format(layout, &now).into()),
        }
    }),
    ("sprig_now", "", |c| {
        Ok(Value::object(Time::utc(c.scope.now_ns)))
    }),
    ("sprig_date", "layout date", |c| {
        Ok(format(&c.str(0)?, &date(c, 1)).into())
    }),
    ("sprig_dateInZone", "layout date zone", in_zone),
    ("sprig_date_in_zone", "layout date zone", in_zone),
    ("sprig_htmlDate", "date", |c| {
        Ok(format("2006-01-02", &date(c, 0)).into())
    }),
    ("sprig_htmlDateInZone", "date zone", |c| {
        Ok(format("2006-01-02", &date(c, 0).in_zone(&c.str(1)?)).into())
    }),
    ("sprig_dateModify", "duration date", modify),
    ("sprig_date_modify", "duration date", modify),
    ("sprig_mustDateModify", "duration date", must_modify),
    ("sprig_must_date_modify", "duration date", must_modify),
    ("sprig_toDate", "layout text", |c| {
        let parsed = parse(&c.str(0)?, &c.str(1)?);
        Ok(Value::object(parsed.unwrap_or_else(|_| Time::zero())))
    }),
    ("sprig_mustToDate", "layout text", |c| {
        Ok(Value::object(parse(&c.str(0)?, &c.str(1)?)?))
    }),
    ("sprig_unixEpoch", "date", |c| {
        Ok(time_arg(c, 0)?.unix().to_string().into())
    }),
    ("sprig_ago", "date", |c| {
        let age = c.scope.now_ns.saturating_sub(date(c, 0).ns) / SECOND * SECOND;
        Ok(duration_text(age).into())
    }),
    ("sprig_duration", "seconds", |c| {
        let seconds = match c.get(0) {
            Value::Int(n) => *n,
            other => other
                .bytes()
                .and_then(|b| std::str::from_utf8(b).ok()?.parse().ok())
                .unwrap_or(0),
        };
        Ok(duration_text(seconds.saturating_mul(SECOND)).into())
    }),
    ("sprig_durationRound", "duration", |c| {
        let ns = match c.get(0) {
            Value::Int(n) => *n,
            Value::Obj(object) => match object.as_any().downcast_ref::<Time>() {
                Some(time) => c.scope.now_ns.saturating_sub(time.ns),
                None => 0,
            },
            other => parse_duration(&fmt::text(other)).unwrap_or(0),
        };
        Ok(rounded(ns.unsigned_abs()).into())
    }),
];

const SECOND: i64 = 1_000_000_000;

/// A time as a value, from nanoseconds since 1970.
pub(super) fn from_ns(ns: i64) -> Value {
    Value::object(Time::utc(ns))
}

/// A time, or seconds since 1970; anything else counts as now, as in sprig.
fn date(c: &Call<'_>, i: usize) -> Time {
    match c.get(i) {
        Value::Int(n) => Time::utc(n.saturating_mul(SECOND)),
        Value::Obj(object) => match object.as_any().downcast_ref::<Time>() {
            Some(time) => time.clone(),
            None => Time::utc(c.scope.now_ns),
        },
        _ => Time::utc(c.scope.now_ns),
    }
}

fn time_arg(c: &Call<'_>, i: usize) -> Result<Time, FuncError> {
    match c.get(i) {
        Value::Obj(object) if object.as_any().is::<Time>() => Ok(date(c, i)),
        other => Err(FuncError::new(format!(
            "{}: expected time.Time, got {}",
            c.name,
            other.go_type()
        ))),
    }
}

fn in_zone(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(format(&c.str(0)?, &date(c, 1).in_zone(&c.str(2)?)).into())
}

fn modify(c: &Call<'_>) -> Result<Value, FuncError> {
    let time = time_arg(c, 1)?;
    Ok(Value::object(match parse_duration(&c.str(0)?) {
        Ok(ns) => time.plus(ns),
        Err(_) => time,
    }))
}

fn must_modify(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(Value::object(
        time_arg(c, 1)?.plus(parse_duration(&c.str(0)?)?),
    ))
}

/// `time.ParseDuration`, in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, FuncError> {
    let bad = || FuncError::new(format!("time: invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .ok_or_else(bad)?;
        let number: f64 = rest[..end].parse().map_err(|_| bad())?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        rest = &rest[end..];
        total += number * unit;
    }
    if total > i64::MAX as f64 {
        return Err(bad());
    }
    Ok(if negative {
        -(total as i64)
    } else {
        total as i64
    })
}

/// A duration as Go prints it: `1h2m3.5s`, `1.5ms`.
pub(crate) fn duration_text(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let size = ns.unsigned_abs();
    if size == 0 {
        return "0s".to_owned();
    }
    let part = |unit: u64, name: &str| {
        let text = format!(
            "{}.{:0width$}",
            size / unit,
            size % unit,
            width = unit.ilog10() as usize
        );
        format!(
            "{sign}{}{name}",
            text.trim_end_matches('0').trim_end_matches('.')
        )
    };
    if size < 1_000 {
        return format!("{sign}{size}ns");
    }
    if size < 1_000_000 {
        return part(1_000, "µs");
    }
    if size < 1_000_000_000 {
        return part(1_000_000, "ms");
    }
    let (minutes, rest) = (size / 60_000_000_000, size % 60_000_000_000);
    let seconds = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    let (hours, minutes) = (minutes / 60, minutes % 60);
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{seconds}s")
    } else {
        format!("{sign}{seconds}s")
    }
}

/// The largest unit alone, as sprig's `durationRound`.
fn rounded(ns: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (365 * 86_400, "y"),
        (30 * 86_400, "mo"),
        (86_400, "d"),
        (3_600, "h"),
        (60, "m"),
        (1, "s"),
    ];
    let seconds = ns / 1_000_000_000;
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size);
    unit.map_or("0s".to_owned(), |(size, name)| {
        format!("{}{name}", seconds / size)
    })
}

impl Object for Time {
    fn go_type(&self) -> &'static str {
        "time.Time"
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        let civil = self.civil();
        let number = |n: i64| Some(Value::Int(n));
        let value = match (name, args) {
            ("Format", [layout]) => {
                return Ok(Some(format(&fmt::text(layout), self).into()));
            }
            ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
                return Ok(Some(Value::object(self.add_date(*years, *months, *days))));
            }
            ("Unix", _) => number(self.unix()),
            ("UnixNano", _) => number(self.ns),
            ("UnixMilli", _) => number(self.ns.div_euclid(1_000_000)),
            ("Year", _) => number(civil.year),
            ("Month", _) => Some(layout::MONTHS[civil.month as usize - 1].into()),
            ("Day", _) => number(i64::from(civil.day)),
            ("Hour", _) => number(i64::from(civil.hour)),
            ("Minute", _) => number(i64::from(civil.minute)),
            ("Second", _) => number(i64::from(civil.second)),
            ("Nanosecond", _) => number(i64::from(civil.nanosecond)),
            ("YearDay", _) => number(i64::from(civil.year_day)),
            ("Weekday", _) => Some(layout::DAYS[civil.weekday as usize].into()),
            ("UTC", _) => Some(Value::object(Self::utc(self.ns))),
            ("IsZero", _) => Some((self.ns == Self::zero().ns).into()),
            ("String", _) => Some(self.display().into()),
            _ => None,
        };
        crate::value::object_no_args(name, args, value)
    }

    fn display(&self) -> String {
        format("2006-01-02 15:04:05.999999999 -0700 MST", self)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests;
