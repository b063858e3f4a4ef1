//! Times, spans, sizes and ids as people read them.

use jiff::tz::TimeZone;
use nomad_core::{Nanos, Timestamp};

/// A time to the second in this machine's zone; "" for never.
pub fn time(time: Timestamp) -> String {
    time_in(time, &TimeZone::system())
}

/// A time, or `N/A` for never.
pub fn optional_time(at: Timestamp) -> String {
    if at.is_zero() {
        "N/A".to_owned()
    } else {
        time(at)
    }
}

/// A time to the second in a zone, `Z` for UTC; "" for never.
fn time_in(time: Timestamp, zone: &TimeZone) -> String {
    if time.is_zero() {
        return String::new();
    }
    let Ok(at) = jiff::Timestamp::from_nanosecond(i128::from(time.0)) else {
        return String::new();
    };
    let zoned = at.to_zoned(zone.clone());
    if zoned.offset().is_zero() {
        zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

/// A time to the second in the zone of that IANA name, or in UTC where there is none such.
pub fn clock(at: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    time_in(at, &zone)
}

/// How long ago, or how far ahead: the two largest units. "" for never.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    if time.is_zero() {
        return String::new();
    }
    let secs = now.since(time).0 / 1_000_000_000;
    let text = two_units(secs.unsigned_abs());
    if secs < 0 {
        format!("{text} from now")
    } else {
        format!("{text} ago")
    }
}

fn two_units(secs: u64) -> String {
    const UNITS: [(&str, u64); 6] = [
        ("y", 365 * 86_400),
        ("mo", 30 * 86_400),
        ("d", 86_400),
        ("h", 3_600),
        ("m", 60),
        ("s", 1),
    ];
    let Some(first) = UNITS.iter().position(|(_, size)| secs >= *size) else {
        return "0s".to_owned();
    };
    let (name, size) = UNITS[first];
    let mut text = format!("{}{name}", secs / size);
    if let Some((name, next)) = UNITS.get(first + 1) {
        let rest = secs % size / next;
        if rest > 0 {
            text.push_str(&format!("{rest}{name}"));
        }
    }
    text
}

/// A span to the second, as Go prints it.
pub fn span(span: Nanos) -> String {
    Nanos(span.0 / 1_000_000_000 * 1_000_000_000).to_string()
}

/// Bytes with a binary unit: `17 B`, `4.0 KiB`, `296 KiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 10 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// MiB with the unit that fits.
pub fn megabytes(count: i64) -> String {
    bytes(u64::try_from(count).unwrap_or(0).saturating_mul(1 << 20))
}

/// An id as it is shown: whole, or its first 8 characters.
pub fn short_id(id: &str, whole: bool) -> String {
    if whole {
        id.to_owned()
    } else {
        id.chars().take(8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_their_zone() {
        let at = Timestamp::from_rfc3339("2026-11-22T09:31:50.9Z").unwrap();
        assert_eq!(clock(at, ""), "2026-11-22T09:31:50Z");
        assert_eq!(clock(at, "Europe/Berlin"), "2026-11-22T10:31:50+01:00");
        assert_eq!(clock(Timestamp::ZERO, ""), "");
    }

    #[test]
    fn ages_have_two_units() {
        let now = Timestamp::from_secs(100_000_000);
        for (secs, text) in [
            (0, "0s ago"),
            (5, "5s ago"),
            (65, "1m5s ago"),
            (3 * 3600 + 12 * 60 + 5, "3h12m ago"),
            (32 * 86_400, "1mo2d ago"),
            (-5, "5s from now"),
        ] {
            assert_eq!(ago(now - Nanos::secs(secs), now), text);
        }
        assert_eq!(ago(Timestamp::ZERO, now), "");
    }

    #[test]
    fn sizes_are_binary() {
        for (count, text) in [
            (0, "0 B"),
            (17, "17 B"),
            (4096, "4.0 KiB"),
            (303_104, "296 KiB"),
            (1 << 30, "1.0 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(megabytes(150), "150 MiB");
        assert_eq!(megabytes(-1), "0 B");
    }
}
