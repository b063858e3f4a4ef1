//! Cron times, daylight saving, and launches exactly once.

use jiff::civil::datetime;
use nomad_core::job::{JobType, Periodic};
use proptest::prelude::*;

use super::*;

fn next(spec: &str, after: jiff::civil::DateTime) -> Option<jiff::civil::DateTime> {
    Cron::parse(spec).unwrap().next_after(after)
}

#[test]
fn expressions_mean_what_cron_means() {
    let after = datetime(2026, 3, 4, 10, 17, 30, 0); // a Wednesday
    for (spec, expected) in [
        ("* * * * *", datetime(2026, 3, 4, 10, 18, 0, 0)),
        ("*/15 * * * *", datetime(2026, 3, 4, 10, 30, 0, 0)),
        ("*/15 * * * * * *", datetime(2026, 3, 4, 10, 17, 45, 0)),
        ("5/20 * * * *", datetime(2026, 3, 4, 10, 25, 0, 0)),
        ("0 9-17/4 * * *", datetime(2026, 3, 4, 13, 0, 0, 0)),
        ("30 2 * * *", datetime(2026, 3, 5, 2, 30, 0, 0)),
        ("0 0 31 * *", datetime(2026, 3, 31, 0, 0, 0, 0)),
        ("0 0 29 2 *", datetime(2028, 2, 29, 0, 0, 0, 0)),
        ("0 0 * * MON-FRI", datetime(2026, 3, 5, 0, 0, 0, 0)),
        ("0 0 * * fri-mon", datetime(2026, 3, 6, 0, 0, 0, 0)),
        ("0 0 * * 7", datetime(2026, 3, 8, 0, 0, 0, 0)),
        ("0 0 * JUL *", datetime(2026, 7, 1, 0, 0, 0, 0)),
        ("0 0 L * *", datetime(2026, 3, 31, 0, 0, 0, 0)),
        ("0 0 LW 5 *", datetime(2026, 5, 29, 0, 0, 0, 0)),
        ("0 0 1W 8 *", datetime(2026, 8, 3, 0, 0, 0, 0)),
        ("0 0 15W * *", datetime(2026, 3, 16, 0, 0, 0, 0)),
        ("0 0 * * 5L", datetime(2026, 3, 27, 0, 0, 0, 0)),
        ("0 0 * * 1#2", datetime(2026, 3, 9, 0, 0, 0, 0)),
        ("0 0 10 * sun", datetime(2026, 3, 8, 0, 0, 0, 0)),
        ("0 0 1 1 * 2030", datetime(2030, 1, 1, 0, 0, 0, 0)),
        ("30 5 7 1 1 * 2031", datetime(2031, 1, 1, 7, 5, 30, 0)),
        ("@hourly", datetime(2026, 3, 4, 11, 0, 0, 0)),
        ("@daily", datetime(2026, 3, 5, 0, 0, 0, 0)),
        ("@weekly", datetime(2026, 3, 8, 0, 0, 0, 0)),
        ("@monthly", datetime(2026, 4, 1, 0, 0, 0, 0)),
        ("@yearly", datetime(2027, 1, 1, 0, 0, 0, 0)),
    ] {
        assert_eq!(next(spec, after), Some(expected), "{spec}");
    }
    assert_eq!(next("0 0 30 2 *", after), None);
    assert_eq!(next("0 0 1 1 * 2020", after), None);
    for bad in [
        "",
        "* * * *",
        "60 * * * *",
        "@reboot",
        "* * * * * * * *",
        "x * * * *",
    ] {
        assert!(Cron::parse(bad).is_err(), "{bad}");
    }
}

fn schedule(specs: &[&str], zone: &str) -> Schedule {
    Schedule::of(&Periodic {
        enabled: true,
        specs: specs.iter().map(|spec| (*spec).to_owned()).collect(),
        time_zone: zone.to_owned(),
        ..Periodic::default()
    })
    .unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

#[test]
fn the_earliest_of_several_expressions_counts() {
    let schedule = schedule(&["0 12 * * *", "0 6 * * *"], "");
    assert_eq!(
        schedule.next_after(at("2026-03-04T05:00:00Z")),
        Some(at("2026-03-04T06:00:00Z"))
    );
    assert_eq!(
        schedule.next_after(at("2026-03-04T06:00:00Z")),
        Some(at("2026-03-04T12:00:00Z"))
    );
}

#[test]
fn daylight_saving_skips_and_repeats_nothing() {
    let daily = schedule(&["30 2 * * *"], "America/New_York");
    // 2026-03-08: 2:00 becomes 3:00, so 2:30 is moved behind the gap.
    assert_eq!(
        daily.next_after(at("2026-03-08T05:00:00Z")),
        Some(at("2026-03-08T07:30:00Z"))
    );
    assert_eq!(
        daily.next_after(at("2026-03-08T07:30:00Z")),
        Some(at("2026-03-09T06:30:00Z"))
    );
    // 2026-11-01: 1:30 comes twice; the first one counts.
    let daily = schedule(&["30 1 * * *"], "America/New_York");
    assert_eq!(
        daily.next_after(at("2026-11-01T04:00:00Z")),
        Some(at("2026-11-01T05:30:00Z"))
    );
    assert_eq!(
        daily.next_after(at("2026-11-01T06:45:00Z")),
        Some(at("2026-11-02T06:30:00Z"))
    );
    assert!(is_time_zone("Europe/Berlin") && is_time_zone("") && !is_time_zone("Mars/Olympus"));
}

fn job(spec: &str) -> Job {
    Job {
        id: "cron".into(),
        namespace: "default".into(),
        job_type: JobType::Batch,
        periodic: Some(Periodic {
            enabled: true,
            specs: vec![spec.to_owned()],
            ..Periodic::default()
        }),
        ..Job::default()
    }
}

#[test]
fn stopped_disabled_and_deleted_jobs_are_not_launched() {
    let mut dispatcher = Dispatcher::new();
    let now = at("2026-03-04T10:00:30Z");
    let mut job = job("* * * * *");
    assert!(
        dispatcher
            .handle(Event::Written { job: &job }, now)
            .is_empty()
    );
    assert_eq!(dispatcher.next_wake(), Some(at("2026-03-04T10:01:00Z")));
    job.stop = true;
    dispatcher.handle(Event::Written { job: &job }, now);
    assert_eq!(dispatcher.next_wake(), None);
    job.stop = false;
    dispatcher.handle(Event::Written { job: &job }, now);
    dispatcher.handle(Event::Deleted { key: &job.key() }, now);
    assert_eq!(dispatcher.next_wake(), None);
}

#[test]
fn a_launch_that_failed_is_tried_again_for_the_same_instant() {
    let mut dispatcher = Dispatcher::new();
    let job = job("* * * * *");
    let due = at("2026-03-04T10:01:00Z");
    dispatcher.handle(Event::Written { job: &job }, at("2026-03-04T10:00:30Z"));
    let launch = dispatcher.handle(Event::Tick, due);
    assert_eq!(
        launch,
        [Action::Launch {
            key: job.key(),
            at: due
        }]
    );
    assert!(
        dispatcher
            .handle(Event::Tick, due + Nanos::mins(5))
            .is_empty(),
        "one at a time"
    );
    let key = job.key();
    dispatcher.handle(
        Event::Launched {
            key: &key,
            at: due,
            done: false,
        },
        due,
    );
    assert_eq!(dispatcher.next_wake(), Some(due + RETRY));
    let again = dispatcher.handle(Event::Tick, due + RETRY);
    assert_eq!(
        again,
        [Action::Launch {
            key: job.key(),
            at: due
        }]
    );
}

#[test]
fn missed_launches_are_made_up_once() {
    let mut dispatcher = Dispatcher::new();
    let job = job("*/10 * * * *");
    let launched = Some(at("2026-03-04T08:00:00Z"));
    let actions = dispatcher.recover([(&job, launched)].into_iter(), at("2026-03-04T10:05:00Z"));
    let missed = at("2026-03-04T10:00:00Z");
    assert_eq!(
        actions,
        [Action::Launch {
            key: job.key(),
            at: missed
        }]
    );
    let key = job.key();
    let now = at("2026-03-04T10:05:01Z");
    dispatcher.handle(
        Event::Launched {
            key: &key,
            at: missed,
            done: true,
        },
        now,
    );
    assert_eq!(dispatcher.next_wake(), Some(at("2026-03-04T10:10:00Z")));
    // Nothing missed: nothing launched.
    let fresh = Some(missed);
    assert!(
        dispatcher
            .recover([(&job, fresh)].into_iter(), now)
            .is_empty()
    );
}

proptest! {
    #[test]
    fn next_is_after_and_nothing_lies_between(
        minute in 0..60_u32, hour in 0..24_u32, step in 1..30_u32, start in 0..4_000_000_000_i64,
    ) {
        let spec = format!("{minute}/{step} {hour} * * *");
        let schedule = schedule(&[&spec], "Europe/Berlin");
        let after = Timestamp::from_secs(start);
        let next = schedule.next_after(after).unwrap();
        prop_assert!(next > after);
        // Looking from any time between gives the same answer.
        let middle = Timestamp(after.0 + (next.0 - after.0) / 2);
        prop_assert_eq!(schedule.next_after(middle), Some(next));
        prop_assert_eq!(schedule.last_between(after, next), Some(next));
        prop_assert_eq!(schedule.last_between(after, Timestamp(next.0 - 1)), None);
    }

    #[test]
    fn the_last_of_many_is_the_one_that_stepping_finds(
        start in 1_700_000_000..1_800_000_000_i64, span in 1..200_000_i64,
    ) {
        let schedule = schedule(&["*/7 3-20 * * *"], "America/New_York");
        let (since, until) = (Timestamp::from_secs(start), Timestamp::from_secs(start + span));
        let mut stepped = None;
        let mut at = since;
        while let Some(next) = schedule.next_after(at).filter(|next| *next <= until) {
            stepped = Some(next);
            at = next;
        }
        prop_assert_eq!(schedule.last_between(since, until), stepped);
    }
}
