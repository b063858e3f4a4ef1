//! `cargo xtask test [NAME...]`: every check there is, in one order, counted in one way.
//!
//! A suite reports `NAME: N passed, N failed, N skipped` with the reasons of its skips above that line.
//! Test targets find their suite by their file name (see [`suite_of`]), so a new one needs no change here.

mod conformance;
mod libtest;
mod suites;

use crate::ui;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// What a suite found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// One sentence for each skip.
    pub(crate) skips: Vec<String>,
    /// One line for each failure that has a name.
    pub(crate) failures: Vec<String>,
    /// Remarks that change no count.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Nothing ran, for a reason.
    pub(crate) fn skip(reason: impl Into<String>) -> Self {
        Self {
            skipped: 1,
            skips: vec![reason.into()],
            ..Self::default()
        }
    }

    /// One failure that is no test's: it did not build, it did not start.
    pub(crate) fn failure(what: impl Into<String>) -> Self {
        Self {
            failed: 1,
            failures: vec![what.into()],
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skips.extend(other.skips);
        self.failures.extend(other.failures);
        self.notes.extend(other.notes);
    }

    fn counts(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// How a suite does its work.
#[derive(Clone, Copy)]
enum Kind {
    Fmt,
    Clippy,
    Tidy,
    Unit,
    /// The test targets that belong to the suite; the flag says that they start the real binary.
    Targets {
        binary: bool,
    },
    Conformance,
    Cli,
}

struct Suite {
    name: &'static str,
    about: &'static str,
    kind: Kind,
}

const SUITES: [Suite; 15] = [
    suite("fmt", "rustfmt would change nothing", Kind::Fmt),
    suite(
        "tidy",
        "layering, banned calls, file sizes, house rules",
        Kind::Tidy,
    ),
    suite("clippy", "lints of all targets", Kind::Clippy),
    suite(
        "codegen",
        "generated code is what its sources give",
        Kind::Targets { binary: false },
    ),
    suite(
        "unit",
        "tests beside the code, and documentation examples",
        Kind::Unit,
    ),
    suite(
        "snapshot",
        "printed text and JSON are as recorded",
        Kind::Targets { binary: false },
    ),
    suite(
        "property",
        "invariants under generated input",
        Kind::Targets { binary: false },
    ),
    suite(
        "sim",
        "simulated clusters by seed",
        Kind::Targets { binary: false },
    ),
    suite(
        "integration",
        "crates together, and the real binary",
        Kind::Targets { binary: true },
    ),
    suite(
        "conformance",
        "HTTP answers against recordings of the reference",
        Kind::Conformance,
    ),
    suite(
        "cli",
        "command lines against recordings of the reference",
        Kind::Cli,
    ),
    suite(
        "oracle",
        "scheduling decisions against recordings",
        Kind::Targets { binary: false },
    ),
    suite(
        "template-oracle",
        "rendered templates against recordings",
        Kind::Targets { binary: false },
    ),
    suite(
        "crash",
        "kill -9 under load loses and doubles nothing",
        Kind::Targets { binary: true },
    ),
    suite(
        "fuzz-smoke",
        "fuzz targets for a short while",
        Kind::Targets { binary: false },
    ),
];

const fn suite(name: &'static str, about: &'static str, kind: Kind) -> Suite {
    Suite { name, about, kind }
}

/// Which suite a test target belongs to, by the first word of its name; all others are integration tests.
pub(crate) fn suite_of(target: &str) -> &'static str {
    let target = target.replace('-', "_");
    let has = |word: &str| {
        target == word
            || target
                .strip_prefix(word)
                .is_some_and(|rest| rest.starts_with('_'))
    };
    match () {
        () if has("codegen") => "codegen",
        () if has("snapshot") || has("snapshots") => "snapshot",
        () if has("property") || has("properties") => "property",
        () if has("sim") || has("simulation") => "sim",
        () if has("oracle") => "oracle",
        () if has("template_oracle") => "template-oracle",
        () if has("crash") => "crash",
        () if has("fuzz") => "fuzz-smoke",
        () => "integration",
    }
}

/// Names of the test targets of one suite, each once.
pub(crate) fn suite_targets<'a>(ws: &'a Workspace, suite: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = ws
        .targets("test")
        .into_iter()
        .map(|(_, t)| t)
        .filter(|t| suite_of(t) == suite)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// `cargo xtask test`.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|a| a == "--list") {
        let rows: Vec<Vec<String>> = SUITES
            .iter()
            .map(|s| vec![s.name.to_owned(), s.about.to_owned()])
            .collect();
        print!("{}", ui::table(&rows));
        return Ok(true);
    }
    let chosen = choose(args)?;
    let ws = Workspace::load()?;
    let started = Instant::now();
    let mut rows = vec![
        ["name", "passed", "failed", "skipped", "time"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut total = Report::default();
    for suite in chosen {
        let (report, took) = run_one(&ws, suite);
        let cells = [report.passed, report.failed, report.skipped].map(|n| n.to_string());
        rows.push(
            [
                vec![suite.name.to_owned()],
                cells.to_vec(),
                vec![ui::duration(took)],
            ]
            .concat(),
        );
        total.add(report);
    }
    println!(
        "\n{}total {}",
        ui::table(&rows),
        ui::duration(started.elapsed())
    );
    println!("{}", total.counts());
    Ok(total.failed == 0)
}

/// The suites named, in the order of the table; all of them if none is named.
fn choose(args: &[String]) -> Result<Vec<&'static Suite>> {
    let unknown: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|a| SUITES.iter().all(|s| s.name != *a))
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = SUITES.iter().map(|s| s.name).collect();
        bail!(
            "no check named {}; there are {}",
            unknown.join(", "),
            known.join(", ")
        );
    }
    Ok(SUITES
        .iter()
        .filter(|s| args.is_empty() || args.iter().any(|a| a == s.name))
        .collect())
}

fn run_one(ws: &Workspace, suite: &Suite) -> (Report, Duration) {
    println!("\n== {}: {}", suite.name, suite.about);
    let started = Instant::now();
    let result = match suite.kind {
        Kind::Fmt => suites::fmt(ws),
        Kind::Clippy => suites::clippy(ws),
        Kind::Tidy => suites::tidy(ws),
        Kind::Unit => suites::unit(ws),
        Kind::Targets { binary } => suites::targets(ws, suite.name, binary),
        Kind::Conformance => conformance::http(ws),
        Kind::Cli => conformance::cli(ws),
    };
    let report = result.unwrap_or_else(|err| Report::failure(format!("{err:#}")));
    for note in &report.notes {
        println!("   note: {note}");
    }
    for failure in &report.failures {
        println!("   FAILED {failure}");
    }
    for reason in &report.skips {
        println!("   skipped: {reason}");
    }
    println!("{}: {}", suite.name, report.counts());
    (report, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_find_their_suite() {
        for (target, suite) in [
            ("property", "property"),
            ("property_plan", "property"),
            ("template_oracle", "template-oracle"),
            ("template-oracle", "template-oracle"),
            ("oracle", "oracle"),
            ("simple", "integration"),
            ("sim", "sim"),
            ("crash", "crash"),
            ("fuzz_smoke", "fuzz-smoke"),
            ("agent", "integration"),
            ("cli", "integration"),
        ] {
            assert_eq!(suite_of(target), suite, "{target}");
            assert!(SUITES.iter().any(|s| s.name == suite_of(target)));
        }
    }

    #[test]
    fn names_are_checked_all_at_once() {
        let args = ["unit", "nope", "fmt", "also"].map(str::to_owned);
        let Err(err) = choose(&args) else {
            panic!("two names are unknown")
        };
        assert!(
            err.to_string()
                .starts_with("no check named nope, also; there are fmt, "),
            "{err}"
        );
        let chosen: Vec<&str> = choose(&["unit".to_owned(), "fmt".to_owned()])
            .expect("known")
            .iter()
            .map(|s| s.name)
            .collect();
        assert_eq!(chosen, ["fmt", "unit"]);
        assert_eq!(choose(&[]).expect("all").len(), SUITES.len());
    }
}
