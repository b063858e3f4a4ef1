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
mod recording;
mod rules;
mod run;

use std::collections::BTreeMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    let path = recording::path();
    if !path.exists() {
        println!("skipped: no recording at {}", path.display());
        println!("oracle: 0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("ORACLE_CASE").ok();
    let show: usize = std::env::var("ORACLE_SHOW")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    let mut steps = 0;
    let mut exact = 0;
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let read = recording::read(&path, |case| {
        for (number, step) in case.steps.iter().enumerate() {
            let name = format!("{}.{number}", case.seed);
            if only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            steps += 1;
            let mut differences = Vec::new();
            for order in rules::group_orders(step.groups()) {
                let view = step.view(&order);
                let found = match run::run(step, &view, case.seed) {
                    Ok(ours) => exact::compare(step, &view, &ours),
                    Err(error) => vec![error],
                };
                if found.is_empty() || differences.is_empty() {
                    differences = found;
                }
                if differences.is_empty() {
                    break;
                }
            }
            if differences.is_empty() {
                exact += 1;
            }
            for difference in differences {
                let kind = difference.split(':').next().unwrap_or_default();
                let kind = kind.split(" of ").next().unwrap_or_default();
                kinds
                    .entry(format!("{} {kind}", step.eval.job_type))
                    .or_default()
                    .push(format!(
                        "{name} {} {:?} {difference}",
                        step.event, step.features
                    ));
            }
        }
    });
    if let Err(error) = read {
        println!("failed: {error}");
        println!("oracle: 0 passed, 1 failed, 0 skipped");
        return ExitCode::FAILURE;
    }
    for (kind, list) in &kinds {
        println!("{kind}: {}", list.len());
        for difference in list.iter().take(show) {
            println!("    {difference}");
        }
    }
    println!("point 1: {exact} of {steps} steps");
    let failed = steps - exact;
    println!("oracle: {exact} passed, {failed} failed, 0 skipped");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
