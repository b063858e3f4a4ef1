//! Points in time and spans, as integers of nanoseconds; the clock itself is a trait that callers hand in.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch; zero stands for "never".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A span of time in nanoseconds, as the API writes durations.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub i64);

/// Tells the time. Only the agent, the drivers and the supervisor have a real one.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// How Go prints its zero time; the API shows it where a time was never set.
pub const ZERO_RFC3339: &str = "0001-01-01T00:00:00Z";

impl Timestamp {
    /// The time that stands for "never".
    pub const ZERO: Self = Self(0);

    /// Whether this is "never".
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// How long after `earlier` this is; negative if it is before.
    pub const fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with as many fractional digits as needed, `0001-01-01T00:00:00Z` for "never".
    pub fn to_rfc3339(self) -> String {
        if self.is_zero() {
            return ZERO_RFC3339.to_owned();
        }
        jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .map_or_else(|_| ZERO_RFC3339.to_owned(), |t| t.to_string())
    }

    /// Reads RFC 3339; Go's zero time, and any time outside the range of this type, becomes "never".
    ///
    /// # Errors
    /// The text is not an RFC 3339 time.
    pub fn from_rfc3339(text: &str) -> Result<Self, ParseTimeError> {
        if text.is_empty() || text.starts_with("0001-01-01T00:00:00") {
            return Ok(Self::ZERO);
        }
        let parsed: jiff::Timestamp = text.parse().map_err(|_| ParseTimeError {
            text: text.chars().take(64).collect(),
        })?;
        Ok(i64::try_from(parsed.as_nanosecond()).map_or(Self::ZERO, Self))
    }
}

/// The text is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time")]
pub struct ParseTimeError {
    /// The refused text, cut to 64 characters.
    pub text: String,
}

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From whole seconds.
    pub const fn secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// From whole minutes.
    pub const fn mins(mins: i64) -> Self {
        Self::secs(mins.saturating_mul(60))
    }

    /// From whole hours.
    pub const fn hours(hours: i64) -> Self {
        Self::secs(hours.saturating_mul(3600))
    }

    /// From milliseconds.
    pub const fn millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// As the standard library's type; negative spans become zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// From the standard library's type, capped at about 292 years.
    pub fn from_std(span: std::time::Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Seconds with fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Nanos {
    /// As Go prints durations: `1h30m0s`, `15s`, `1.5ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        if total == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let with_fraction = |f: &mut fmt::Formatter<'_>, unit: u64, name: &str, value: u64| {
            let (whole, rest) = (value / unit, value % unit);
            if rest == 0 {
                return write!(f, "{whole}{name}");
            }
            let width = unit.ilog10() as usize;
            let digits = format!("{rest:0width$}");
            write!(f, "{whole}.{}{name}", digits.trim_end_matches('0'))
        };
        match total {
            0..1_000 => write!(f, "{total}ns"),
            1_000..1_000_000 => with_fraction(f, 1_000, "µs", total),
            1_000_000..1_000_000_000 => with_fraction(f, 1_000_000, "ms", total),
            _ => {
                let minutes = total / 60_000_000_000;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                with_fraction(f, 1_000_000_000, "s", total % 60_000_000_000)
            }
        }
    }
}

impl Add<Nanos> for Timestamp {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Nanos> for Timestamp {
    type Output = Self;

    fn sub(self, span: Nanos) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Parses a Go duration: `1h30m`, `500ms`, `-1.5s`; units ns us µs ms s m h.
///
/// # Errors
/// Gives back nothing but the fact that the text is no duration; the caller names the place.
pub fn parse_go_duration(text: &str) -> Option<Nanos> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Nanos::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_len = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail
            .bytes()
            .take_while(|b| !b.is_ascii_digit() && *b != b'.')
            .count();
        let (unit, tail) = tail.split_at(unit_len);
        rest = tail;
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 19 || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total += whole * scale;
        // More than 18 fractional digits cannot change a nanosecond.
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let digits: i128 = fraction.parse().ok()?;
            total += digits * scale / 10_i128.pow(fraction.len() as u32);
        }
    }
    i64::try_from(if negative { -total } else { total })
        .ok()
        .map(Nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_and_parse_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (15_000_000_000, "15s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_400_500_000_000, "1h30m0.5s"),
            (-1_500_000_000, "-1.5s"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), text);
            assert_eq!(parse_go_duration(text), Some(Nanos(nanos)));
        }
        for bad in [
            "",
            "-",
            "1",
            "s",
            "1d",
            "1.5.5s",
            "1h 30m",
            "99999999999999999999h",
        ] {
            assert_eq!(parse_go_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn rfc3339_keeps_nanoseconds_and_gos_zero() {
        let text = "2026-11-22T09:30:36.432698234Z";
        let time = Timestamp::from_rfc3339(text).unwrap();
        assert_eq!(time.to_rfc3339(), text);
        assert_eq!(Timestamp::from_rfc3339(ZERO_RFC3339), Ok(Timestamp::ZERO));
        assert_eq!(Timestamp::ZERO.to_rfc3339(), ZERO_RFC3339);
        assert!(Timestamp::from_rfc3339("yesterday").is_err());
    }
}
