//! Go's own examples of times.

use super::*;

#[test]
fn layouts_of_the_package_documentation() {
    // 2006-01-02 15:04:05.123456789 at -0700.
    let time = Time {
        ns: 1_136_239_445_123_456_789,
        offset: -7 * 3_600,
        zone: "MST".to_owned(),
    };
    for (layout, want) in [
        ("Mon Jan _2 15:04:05 2006", "Mon Jan  2 15:04:05 2006"),
        ("02 Jan 06 15:04 MST", "02 Jan 06 15:04 MST"),
        (
            "Monday, 02-Jan-06 15:04:05 MST",
            "Monday, 02-Jan-06 15:04:05 MST",
        ),
        (
            "2006-01-02T15:04:05.999999999Z07:00",
            "2006-01-02T15:04:05.123456789-07:00",
        ),
        ("3:04PM .000 January 002", "3:04PM .123 January 002"),
        ("2006-01-02 -07 -070000", "2006-01-02 -07 -070000"),
        ("Janet 1/2/06", "Janet 1/2/06"),
    ] {
        assert_eq!(format(layout, &time), want, "{layout}");
    }
    assert_eq!(time.display(), "2006-01-02 15:04:05.123456789 -0700 MST");
}

#[test]
fn parsing_is_the_way_back() {
    let time = parse("2006-01-02T15:04:05Z07:00", "2020-02-29T23:59:58.5+02:00").unwrap();
    assert_eq!(time.unix(), 1_583_013_598);
    assert_eq!(
        format("Jan 2, 2006 15:04:05.0 -0700", &time),
        "Feb 29, 2020 23:59:58.5 +0200"
    );
    assert!(parse("2006-01-02", "2019-02-29").is_err());
    assert!(parse("2006-01-02", "2019-02-2x").is_err());
    assert_eq!(
        parse("Jan _2 3PM 06", "Mar  4 12AM 99").unwrap().display(),
        "1999-03-04 00:00:00 +0000 UTC"
    );
}

#[test]
fn zones_and_calendar() {
    let winter = Time::utc(1_577_836_800 * SECOND).in_zone("America/New_York");
    assert_eq!(winter.display(), "2019-12-31 19:00:00 -0500 EST");
    let civil = winter.civil();
    assert_eq!((civil.weekday, civil.year_day), (2, 365));
    assert_eq!(
        winter.add_date(0, 2, 0).display(),
        "2020-03-02 19:00:00 -0500 EST"
    );
}

#[test]
fn durations() {
    for (text, ns) in [
        ("1h2m3.5s", 3_723_500_000_000),
        ("1.5ms", 1_500_000),
        ("2µs", 2_000),
        ("-1m0s", -60 * SECOND),
    ] {
        assert_eq!(parse_duration(text).unwrap(), ns);
        assert_eq!(duration_text(ns), text);
    }
    assert_eq!(duration_text(95 * SECOND), "1m35s");
    assert_eq!(duration_text(3_600 * SECOND), "1h0m0s");
    assert!(
        parse_duration("1").is_err()
            && parse_duration("").is_err()
            && parse_duration("1x").is_err()
    );
}
