//! The decisions of a runner: a machine that knows no clock, no files and no task.
//!
//! Before the first render is complete the task is held back; afterwards the machine watches:
//! changed data makes templates due, after their wait; what they became is gathered, and after
//! one splay one action follows for all of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::spec::{ChangeMode, Wait};

/// Time between two events of what is missing.
const MISSING_EVERY: Duration = Duration::from_secs(3);
/// How many missing names an event shows.
const MISSING_SHOWN: usize = 3;

/// What the machine needs to know of a template.
#[derive(Debug, Clone)]
struct Entry {
    change_mode: ChangeMode,
    splay: Duration,
    wait: Wait,
    once: bool,
    /// Rendered completely at least once.
    rendered: bool,
    /// What it waits for, if it does.
    missing: BTreeSet<String>,
    /// When it is due to be rendered again, and when at the latest.
    due: Option<Due>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Duration,
    latest: Duration,
}

/// What becomes known to the machine. Times are durations since any fixed moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The task is to be started, or runs already because the agent was restarted.
    Start {
        /// Whether the task runs already.
        task_running: bool,
    },
    /// Data that these templates use has changed.
    Changed(BTreeSet<usize>),
    /// These templates were rendered, all that [`Action::Render`] named.
    Rendered(BTreeMap<usize, Outcome>),
    /// The time of [`Action::Timer`] has come.
    Timer,
    /// The task has started for the first time.
    TaskStarted,
    /// The task is restarted with `render_templates`: everything is rendered again first.
    RenderAgain,
}

/// What came of rendering a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It waits for data, shown by these names.
    Waits(BTreeSet<String>),
    /// The file is as it was.
    Unchanged,
    /// The file was written.
    Changed,
    /// It cannot be rendered or written.
    Failed(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Render these templates together and report them in one [`Event::Rendered`].
    Render(BTreeSet<usize>),
    /// Send [`Event::Timer`] at this time; replaces the timer before. `None`: no timer.
    Timer(Option<Duration>),
    /// The task may start: every template is there.
    Unblock,
    /// A task event of type `Template` with this text.
    Message(String),
    /// Restart the task; not counted as a failure.
    Restart,
    /// Restart the group's tasks by its `update` block.
    Rolling,
    /// Send the task these signals.
    Signal(BTreeSet<String>),
    /// Run the scripts of these templates in the task, at the same time.
    Scripts(BTreeSet<usize>),
    /// Kill the task as failed, for this reason.
    Fail(String),
}

/// The decisions for all templates of a task.
#[derive(Debug)]
pub struct Machine {
    entries: Vec<Entry>,
    /// Whether the first render is complete.
    unblocked: bool,
    /// Whether the task ran when the runner started.
    was_running: bool,
    /// Whether a rendering is in progress.
    rendering: BTreeSet<usize>,
    /// Templates whose change has not been acted upon.
    gathered: BTreeSet<usize>,
    /// When to act upon it.
    act_at: Option<Duration>,
    /// What the last event of missing data said, and when.
    said_missing: Option<(BTreeSet<String>, Duration)>,
    say_at: Option<Duration>,
    failed: bool,
    random: u64,
}

impl Machine {
    /// For these templates, given as mode, splay, wait and `once`; `seed` decides the splays.
    pub fn new(templates: Vec<(ChangeMode, Duration, Wait, bool)>, seed: u64) -> Self {
        let entries = templates
            .into_iter()
            .map(|(change_mode, splay, wait, once)| Entry {
                change_mode,
                splay,
                wait,
                once,
                rendered: false,
                missing: BTreeSet::new(),
                due: None,
            });
        Self {
            entries: entries.collect(),
            unblocked: false,
            was_running: false,
            rendering: BTreeSet::new(),
            gathered: BTreeSet::new(),
            act_at: None,
            said_missing: None,
            say_at: None,
            failed: false,
            random: seed,
        }
    }

    /// Whether every template is there and the task may start or run on.
    pub fn is_unblocked(&self) -> bool {
        self.unblocked
    }

    /// Whether the template is still watched.
    pub fn watches(&self, template: usize) -> bool {
        let entry = self.entries.get(template);
        entry.is_some_and(|entry| !(entry.once && entry.rendered))
    }

    /// Takes an event that happened at `now` and returns what is to be done.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.failed {
            return actions;
        }
        match event {
            Event::Start { task_running } => {
                self.was_running = task_running;
                for entry in &mut self.entries {
                    // What is rendered once was so before the agent was restarted.
                    entry.rendered = task_running && entry.once;
                }
                let all = self.pick(|entry| !entry.rendered);
                self.render(all, &mut actions);
                self.settle_first(now, &mut actions);
            }
            Event::RenderAgain => {
                self.unblocked = false;
                self.was_running = false;
                self.gathered.clear();
                self.act_at = None;
                for entry in &mut self.entries {
                    entry.rendered = false;
                    entry.due = None;
                }
                let all = self.pick(|_| true);
                self.render(all, &mut actions);
                self.settle_first(now, &mut actions);
            }
            Event::Changed(templates) => {
                self.data_changed(templates, now);
                self.render_due(now, &mut actions);
            }
            Event::Rendered(outcomes) => self.outcomes(outcomes, now, &mut actions),
            Event::Timer => {
                self.render_due(now, &mut actions);
                self.act(now, &mut actions);
                self.say_missing(now, &mut actions);
            }
            Event::TaskStarted => {
                let first = self.pick(|entry| {
                    matches!(&entry.change_mode, ChangeMode::Script(s) if s.run_on_first_render)
                });
                if !first.is_empty() && !self.was_running {
                    actions.push(Action::Scripts(first));
                }
            }
        }
        if !self.failed {
            actions.push(Action::Timer(self.next_timer()));
        }
        actions
    }

    fn pick(&self, wanted: impl Fn(&Entry) -> bool) -> BTreeSet<usize> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| wanted(entry))
            .map(|(i, _)| i)
            .collect()
    }

    fn data_changed(&mut self, templates: BTreeSet<usize>, now: Duration) {
        for i in templates {
            let Some(entry) = self.entries.get_mut(i) else {
                continue;
            };
            if entry.once && entry.rendered {
                continue;
            }
            // Only what stands already is worth letting the data come to rest.
            let wait = if entry.rendered {
                entry.wait
            } else {
                Wait {
                    min: Duration::ZERO,
                    max: Duration::ZERO,
                }
            };
            let latest = entry
                .due
                .map_or(now + wait.max.max(wait.min), |due| due.latest);
            entry.due = Some(Due {
                at: (now + wait.min).min(latest),
                latest,
            });
        }
    }

    /// Renders what is due, unless a rendering is in progress; its end looks again.
    fn render_due(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if !self.rendering.is_empty() {
            return;
        }
        let due = self.pick(|entry| entry.due.is_some_and(|due| due.at <= now));
        self.render(due, actions);
    }

    fn render(&mut self, templates: BTreeSet<usize>, actions: &mut Vec<Action>) {
        if templates.is_empty() {
            return;
        }
        for i in &templates {
            self.entries[*i].due = None;
        }
        self.rendering.extend(&templates);
        actions.push(Action::Render(templates));
    }

    fn outcomes(
        &mut self,
        outcomes: BTreeMap<usize, Outcome>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        for (i, outcome) in outcomes {
            self.rendering.remove(&i);
            let Some(entry) = self.entries.get_mut(i) else {
                continue;
            };
            entry.missing.clear();
            match outcome {
                Outcome::Failed(reason) => {
                    self.failed = true;
                    actions.clear();
                    actions.push(Action::Fail(format!("Template failed: {reason}")));
                    actions.push(Action::Timer(None));
                    return;
                }
                // A template that stood already stays as it is while data is missing again.
                Outcome::Waits(missing) => entry.missing = missing,
                Outcome::Unchanged => entry.rendered = true,
                Outcome::Changed => {
                    entry.rendered = true;
                    if self.unblocked || self.was_running {
                        self.gathered.insert(i);
                    }
                }
            }
        }
        if !self.unblocked {
            self.settle_first(now, actions);
        }
        if self.unblocked {
            self.schedule(now);
            self.act(now, actions);
        }
        self.say_missing(now, actions);
        self.render_due(now, actions);
    }

    /// Lets the task start if every template is there.
    fn settle_first(&mut self, _now: Duration, actions: &mut Vec<Action>) {
        if self.rendering.is_empty() && self.entries.iter().all(|entry| entry.rendered) {
            self.unblocked = true;
            self.said_missing = None;
            self.say_at = None;
            actions.push(Action::Unblock);
        }
    }

    /// Fixes when what is gathered is acted upon: one random delay for all.
    fn schedule(&mut self, now: Duration) {
        if self.act_at.is_some() {
            return;
        }
        let acting = self.gathered.iter().map(|i| &self.entries[*i]);
        let splays = acting.filter(|entry| entry.change_mode != ChangeMode::Noop);
        let Some(splay) = splays.map(|entry| entry.splay).max() else {
            self.gathered.clear();
            return;
        };
        self.act_at = Some(now + self.share_of(splay));
    }

    /// A random part of a duration.
    fn share_of(&mut self, whole: Duration) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(if nanos == 0 { 0 } else { z % nanos })
    }

    /// One action for everything gathered, when its time has come.
    fn act(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.act_at.is_none_or(|at| at > now) {
            return;
        }
        self.act_at = None;
        let gathered = std::mem::take(&mut self.gathered);
        let modes = || gathered.iter().map(|i| (*i, &self.entries[*i].change_mode));
        if modes().any(|(_, mode)| *mode == ChangeMode::Restart) {
            actions.push(Action::Restart);
            return;
        }
        if modes().any(|(_, mode)| *mode == ChangeMode::Rolling) {
            actions.push(Action::Rolling);
            return;
        }
        let mut signals = BTreeSet::new();
        let mut scripts = BTreeSet::new();
        for (i, mode) in modes() {
            match mode {
                ChangeMode::Signal(signal) => {
                    signals.insert(signal.clone());
                }
                ChangeMode::Script(_) => {
                    scripts.insert(i);
                }
                ChangeMode::Noop | ChangeMode::Restart | ChangeMode::Rolling => {}
            }
        }
        if !signals.is_empty() {
            actions.push(Action::Signal(signals));
        }
        if !scripts.is_empty() {
            actions.push(Action::Scripts(scripts));
        }
    }

    /// Says what the task still waits for: at most every three seconds, and only if it is news.
    fn say_missing(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.say_at = None;
        if self.unblocked {
            return;
        }
        let missing: BTreeSet<String> = self
            .entries
            .iter()
            .flat_map(|entry| entry.missing.iter().cloned())
            .collect();
        if missing.is_empty() {
            return;
        }
        if let Some((said, at)) = &self.said_missing {
            if *said == missing {
                return;
            }
            if now < *at + MISSING_EVERY {
                self.say_at = Some(*at + MISSING_EVERY);
                return;
            }
        }
        actions.push(Action::Message(missing_text(&missing)));
        self.said_missing = Some((missing, now));
    }

    fn next_timer(&self) -> Option<Duration> {
        // While a rendering is in progress its end looks at what is due.
        let due = self
            .entries
            .iter()
            .filter_map(|entry| entry.due.map(|due| due.at));
        let due = due.filter(|_| self.rendering.is_empty());
        due.chain(self.act_at).chain(self.say_at).min()
    }
}

/// "Missing: a, b, c, and 2 more".
fn missing_text(missing: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = missing
        .iter()
        .take(MISSING_SHOWN)
        .map(String::as_str)
        .collect();
    let more = missing.len() - shown.len();
    let mut text = format!("Missing: {}", shown.join(", "));
    if more > 0 {
        push!(text, ", and {more} more");
    }
    text
}

#[cfg(test)]
mod tests;
