//! The machine by example, and against any order of events.

use proptest::prelude::*;

use super::super::spec::ChangeScript;
use super::*;

const ZERO: Duration = Duration::ZERO;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn template(mode: ChangeMode) -> (ChangeMode, Duration, Wait, bool) {
    let wait = Wait {
        min: secs(5),
        max: secs(12),
    };
    (mode, ZERO, wait, false)
}

fn signal(name: &str) -> ChangeMode {
    ChangeMode::Signal(name.to_owned())
}

fn script(first: bool) -> ChangeMode {
    ChangeMode::Script(ChangeScript {
        command: "/bin/true".to_owned(),
        args: Vec::new(),
        timeout: secs(5),
        fail_on_error: false,
        run_on_first_render: first,
    })
}

fn set<const N: usize>(items: [usize; N]) -> BTreeSet<usize> {
    items.into()
}

fn rendered<const N: usize>(outcomes: [(usize, Outcome); N]) -> Event {
    Event::Rendered(outcomes.into())
}

fn waits(names: &[&str]) -> Outcome {
    Outcome::Waits(names.iter().map(|name| (*name).to_owned()).collect())
}

/// What the machine does but for its timer.
fn deeds(machine: &mut Machine, event: Event, now: Duration) -> Vec<Action> {
    let actions = machine.handle(event, now);
    actions
        .into_iter()
        .filter(|action| !matches!(action, Action::Timer(_)))
        .collect()
}

fn timer(actions: &[Action]) -> Option<Duration> {
    actions.iter().find_map(|action| match action {
        Action::Timer(at) => *at,
        _ => None,
    })
}

fn started(templates: Vec<(ChangeMode, Duration, Wait, bool)>) -> Machine {
    let count = templates.len();
    let mut machine = Machine::new(templates, 7);
    machine.handle(
        Event::Start {
            task_running: false,
        },
        ZERO,
    );
    let all = (0..count).map(|i| (i, Outcome::Changed)).collect();
    let done = deeds(&mut machine, Event::Rendered(all), ZERO);
    assert_eq!(done, [Action::Unblock]);
    machine
}

#[test]
fn the_first_render_holds_the_task_back() {
    let mut machine = Machine::new(
        vec![template(ChangeMode::Restart), template(ChangeMode::Noop)],
        1,
    );
    let start = deeds(
        &mut machine,
        Event::Start {
            task_running: false,
        },
        ZERO,
    );
    assert_eq!(start, [Action::Render(set([0, 1]))]);
    let some = rendered([
        (0, waits(&["a", "b", "c", "d", "e"])),
        (1, Outcome::Changed),
    ]);
    let said = deeds(&mut machine, some, ZERO);
    assert_eq!(
        said,
        [Action::Message("Missing: a, b, c, and 2 more".to_owned())]
    );
    assert!(!machine.is_unblocked());
    // Data that comes is rendered at once, without a wait.
    assert_eq!(
        deeds(&mut machine, Event::Changed(set([0])), secs(1)),
        [Action::Render(set([0]))]
    );
    let last = deeds(&mut machine, rendered([(0, Outcome::Changed)]), secs(1));
    assert_eq!(last, [Action::Unblock]);
}

#[test]
fn what_is_missing_is_said_when_it_is_news_and_not_too_often() {
    let mut machine = Machine::new(vec![template(ChangeMode::Restart)], 1);
    machine.handle(
        Event::Start {
            task_running: false,
        },
        ZERO,
    );
    assert_eq!(
        deeds(&mut machine, rendered([(0, waits(&["a", "b"]))]), ZERO).len(),
        1
    );
    machine.handle(Event::Changed(set([0])), secs(1));
    assert_eq!(
        deeds(&mut machine, rendered([(0, waits(&["a", "b"]))]), secs(1)),
        []
    );
    machine.handle(Event::Changed(set([0])), secs(2));
    let actions = machine.handle(rendered([(0, waits(&["b"]))]), secs(2));
    assert_eq!(timer(&actions), Some(secs(3)));
    assert_eq!(
        deeds(&mut machine, Event::Timer, secs(3)),
        [Action::Message("Missing: b".to_owned())]
    );
}

#[test]
fn no_templates_hold_nothing_back() {
    let mut machine = Machine::new(Vec::new(), 1);
    assert_eq!(
        deeds(
            &mut machine,
            Event::Start {
                task_running: false
            },
            ZERO
        ),
        [Action::Unblock]
    );
}

#[test]
fn a_change_waits_for_quiet_but_not_for_ever() {
    let mut machine = started(vec![template(ChangeMode::Restart)]);
    for (now, due) in [(10, 15), (14, 19), (18, 22), (21, 22)] {
        let actions = machine.handle(Event::Changed(set([0])), secs(now));
        assert_eq!(timer(&actions), Some(secs(due)), "changed at {now}");
        assert_eq!(actions.len(), 1);
    }
    assert_eq!(
        deeds(&mut machine, Event::Timer, secs(22)),
        [Action::Render(set([0]))]
    );
    assert_eq!(
        deeds(&mut machine, rendered([(0, Outcome::Changed)]), secs(22)),
        [Action::Restart]
    );
}

#[test]
fn several_changes_make_one_action() {
    let mut machine = started(vec![
        template(ChangeMode::Restart),
        template(signal("SIGHUP")),
        template(script(false)),
    ]);
    let all = || {
        rendered([
            (0, Outcome::Changed),
            (1, Outcome::Changed),
            (2, Outcome::Changed),
        ])
    };
    machine.handle(Event::Changed(set([0, 1, 2])), secs(1));
    assert_eq!(
        deeds(&mut machine, Event::Timer, secs(6)),
        [Action::Render(set([0, 1, 2]))]
    );
    assert_eq!(deeds(&mut machine, all(), secs(6)), [Action::Restart]);

    let mut machine = started(vec![
        template(signal("SIGHUP")),
        template(signal("SIGHUP")),
        template(script(false)),
    ]);
    let done = deeds(&mut machine, all(), secs(6));
    let hup = BTreeSet::from(["SIGHUP".to_owned()]);
    assert_eq!(done, [Action::Signal(hup), Action::Scripts(set([2]))]);
}

#[test]
fn unchanged_files_and_noop_set_nothing_off() {
    let mut machine = started(vec![
        template(ChangeMode::Restart),
        template(ChangeMode::Noop),
    ]);
    let outcome = rendered([(0, Outcome::Unchanged), (1, Outcome::Changed)]);
    assert_eq!(deeds(&mut machine, outcome, secs(6)), []);
    let outcome = rendered([(0, waits(&["x"]))]);
    assert_eq!(
        deeds(&mut machine, outcome, secs(7)),
        [],
        "it stays as it is while data is gone"
    );
}

#[test]
fn one_splay_for_all_and_changes_meanwhile_join() {
    let mut templates = vec![template(signal("SIGHUP")), template(ChangeMode::Restart)];
    templates[0].1 = secs(30);
    templates[1].1 = secs(10);
    let mut machine = started(templates);
    let actions = machine.handle(rendered([(0, Outcome::Changed)]), secs(100));
    let at = timer(&actions).unwrap();
    assert!(at >= secs(100) && at < secs(130), "{at:?}");
    assert_eq!(
        deeds(
            &mut machine,
            rendered([(1, Outcome::Changed)]),
            at.saturating_sub(Duration::from_nanos(1))
        ),
        []
    );
    assert_eq!(deeds(&mut machine, Event::Timer, at), [Action::Restart]);
    assert_eq!(deeds(&mut machine, Event::Timer, at + secs(60)), [], "once");
}

#[test]
fn after_an_agent_restart_only_what_changed_meanwhile_counts() {
    let mut machine = Machine::new(
        vec![template(ChangeMode::Restart), template(signal("SIGHUP"))],
        1,
    );
    machine.handle(Event::Start { task_running: true }, ZERO);
    let same = rendered([(0, Outcome::Unchanged), (1, Outcome::Unchanged)]);
    assert_eq!(deeds(&mut machine, same, ZERO), [Action::Unblock]);

    let mut machine = Machine::new(
        vec![template(ChangeMode::Restart), template(signal("SIGHUP"))],
        1,
    );
    machine.handle(Event::Start { task_running: true }, ZERO);
    let news = rendered([(0, Outcome::Unchanged), (1, Outcome::Changed)]);
    let hup = BTreeSet::from(["SIGHUP".to_owned()]);
    assert_eq!(
        deeds(&mut machine, news, ZERO),
        [Action::Unblock, Action::Signal(hup)]
    );
}

#[test]
fn once_is_rendered_once() {
    let mut once = template(ChangeMode::Restart);
    once.3 = true;
    let mut machine = started(vec![once.clone()]);
    assert!(!machine.watches(0));
    assert_eq!(
        machine.handle(Event::Changed(set([0])), secs(5)),
        [Action::Timer(None)]
    );
    let mut machine = Machine::new(vec![once], 1);
    assert_eq!(
        deeds(&mut machine, Event::Start { task_running: true }, ZERO),
        [Action::Unblock]
    );
}

#[test]
fn failure_kills_and_ends() {
    let mut machine = started(vec![template(ChangeMode::Restart)]);
    let done = deeds(
        &mut machine,
        rendered([(0, Outcome::Failed("no".to_owned()))]),
        secs(1),
    );
    assert_eq!(done, [Action::Fail("Template failed: no".to_owned())]);
    assert_eq!(machine.handle(Event::Changed(set([0])), secs(2)), []);
}

#[test]
fn scripts_of_the_first_render_run_when_the_task_has_started() {
    let mut machine = started(vec![template(script(true)), template(script(false))]);
    assert_eq!(
        deeds(&mut machine, Event::TaskStarted, secs(1)),
        [Action::Scripts(set([0]))]
    );
}

#[test]
fn render_again_blocks_the_task_again() {
    let mut machine = started(vec![template(ChangeMode::Restart)]);
    assert_eq!(
        deeds(&mut machine, Event::RenderAgain, secs(9)),
        [Action::Render(set([0]))]
    );
    assert!(!machine.is_unblocked());
    let done = deeds(&mut machine, rendered([(0, Outcome::Changed)]), secs(9));
    assert_eq!(
        done,
        [Action::Unblock],
        "the task starts anyway: no restart"
    );
}

#[test]
fn data_that_changes_during_a_rendering_is_rendered_after_it() {
    let mut machine = started(vec![template(ChangeMode::Restart)]);
    machine.handle(Event::Changed(set([0])), secs(1));
    assert_eq!(
        deeds(&mut machine, Event::Timer, secs(6)),
        [Action::Render(set([0]))]
    );
    assert_eq!(deeds(&mut machine, Event::Changed(set([0])), secs(6)), []);
    let actions = machine.handle(rendered([(0, Outcome::Unchanged)]), secs(7));
    assert_eq!(timer(&actions), Some(secs(11)));
    assert_eq!(
        deeds(&mut machine, Event::Timer, secs(11)),
        [Action::Render(set([0]))]
    );
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Change(BTreeSet<usize>),
    Finish(Vec<bool>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u64..20).prop_map(Step::Pass),
        proptest::collection::btree_set(0usize..4, 1..4).prop_map(Step::Change),
        proptest::collection::vec(any::<bool>(), 4).prop_map(Step::Finish),
    ]
}

proptest! {
    /// Whatever the order: nothing is rendered twice at once, every change is rendered in the end,
    /// and every changed file is acted upon exactly once, by one action for all that were gathered.
    #[test]
    fn no_change_is_lost_and_none_acted_upon_twice(steps in proptest::collection::vec(step(), 1..60), splay in 0u64..15) {
        let mut templates = vec![template(signal("A")), template(signal("B")), template(script(false)), template(signal("A"))];
        for template in &mut templates {
            template.1 = secs(splay);
        }
        let mut machine = started(templates);
        let mut now = ZERO;
        let mut at: Option<Duration> = None;
        let mut rendering: Option<BTreeSet<usize>> = None;
        let mut dirty: BTreeSet<usize> = BTreeSet::new();
        let mut owed: BTreeSet<usize> = BTreeSet::new();
        let end = vec![Step::Pass(100), Step::Finish(vec![true; 4]), Step::Pass(100), Step::Finish(vec![true; 4]), Step::Pass(100)];
        for step in steps.into_iter().chain(end) {
            let mut events = Vec::new();
            match step {
                Step::Pass(n) => {
                    let until = now + secs(n);
                    while let Some(due) = at.filter(|due| *due <= until) {
                        now = now.max(due);
                        let actions = machine.handle(Event::Timer, now);
                        take(&actions, &mut at, &mut rendering, &mut dirty, &mut owed)?;
                        if at == Some(due) {
                            prop_assert!(false, "the timer does not move on");
                        }
                    }
                    now = until;
                }
                Step::Change(templates) => {
                    dirty.extend(&templates);
                    events.push(Event::Changed(templates));
                }
                Step::Finish(changed) => {
                    if let Some(done) = rendering.take() {
                        let outcomes: BTreeMap<usize, Outcome> = done.iter().map(|i| {
                            (*i, if changed[*i] { Outcome::Changed } else { Outcome::Unchanged })
                        }).collect();
                        owed.extend(done.iter().filter(|i| changed[**i]));
                        events.push(Event::Rendered(outcomes));
                    }
                }
            }
            for event in events {
                let actions = machine.handle(event, now);
                take(&actions, &mut at, &mut rendering, &mut dirty, &mut owed)?;
            }
        }
        prop_assert!(dirty.is_empty(), "never rendered: {dirty:?}");
        prop_assert!(rendering.is_none());
        prop_assert!(owed.is_empty(), "never acted upon: {owed:?}");
    }
}

fn take(
    actions: &[Action],
    at: &mut Option<Duration>,
    rendering: &mut Option<BTreeSet<usize>>,
    dirty: &mut BTreeSet<usize>,
    owed: &mut BTreeSet<usize>,
) -> Result<(), TestCaseError> {
    let mut acted: BTreeSet<usize> = BTreeSet::new();
    for action in actions {
        match action {
            Action::Timer(time) => *at = *time,
            Action::Render(templates) => {
                prop_assert!(rendering.is_none(), "two renderings at once");
                dirty.retain(|i| !templates.contains(i));
                *rendering = Some(templates.clone());
            }
            Action::Signal(names) => {
                for (i, name) in [(0, "A"), (1, "B"), (3, "A")] {
                    if names.contains(name) && owed.contains(&i) {
                        acted.insert(i);
                    }
                }
                prop_assert!(!acted.is_empty(), "a signal for nothing");
            }
            Action::Scripts(templates) => {
                prop_assert!(
                    templates.iter().all(|i| owed.contains(i)),
                    "a script for nothing"
                );
                acted.extend(templates);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
    owed.retain(|i| !acted.contains(i));
    Ok(())
}
