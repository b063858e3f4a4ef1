//! The suites that cargo runs: formatting, lints, and test targets of every kind.

use super::{Report, libtest, suite_targets};
use crate::workspace::Workspace;
use crate::{setup, tidy as rules, ui};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// No suite may take longer; compiling RocksDB from source fits in.
const SUITE_LIMIT: Duration = Duration::from_mins(50);
/// How long each fuzz target runs, for those that read it.
const FUZZ_SECONDS: &str = "NOMAD_FUZZ_SECONDS";
/// Enough to see that a target works and finds nothing that is easy to find.
const SMOKE_SECONDS: &str = "20";
/// Lines of a failed log that are shown.
const TAIL: usize = 40;

pub(super) fn log_path(ws: &Workspace, name: &str) -> PathBuf {
    ws.target.join("xtask-logs").join(format!("{name}.log"))
}

/// Shows the end of a log that explains a failure, and where the rest is.
pub(super) fn show_tail(ws: &Workspace, name: &str, log: &str) {
    print!("{}", ui::tail(log, TAIL));
    println!("   whole log: {}", ws.relative(&log_path(ws, name)));
}

pub(super) fn fmt(ws: &Workspace) -> Result<Report> {
    if let Err(err) = setup::component(ws, "rustfmt", "fmt") {
        return Ok(Report::skip(format!("{err:#}")));
    }
    let mut command = ws.cargo();
    command.args(["fmt", "--all", "--", "--check"]);
    let done = ui::run_logged("fmt", command, &log_path(ws, "fmt"), SUITE_LIMIT, false)?;
    let files: BTreeSet<&str> = done
        .log
        .lines()
        .filter_map(|l| l.strip_prefix("Diff in "))
        .map(|l| l.split(".rs").next().unwrap_or(l))
        .collect();
    let mut report = Report::default();
    for file in files {
        let path = PathBuf::from(format!("{file}.rs"));
        report.add(Report::failure(format!(
            "{}: not formatted; run `cargo fmt --all`",
            ws.relative(&path)
        )));
    }
    if done.success {
        report.passed = ws.packages.len() as u64;
    } else if report.failed == 0 {
        show_tail(ws, "fmt", &done.log);
        report.add(Report::failure("cargo fmt failed"));
    }
    Ok(report)
}

pub(super) fn clippy(ws: &Workspace) -> Result<Report> {
    if let Err(err) = setup::component(ws, "clippy", "clippy") {
        return Ok(Report::skip(format!("{err:#}")));
    }
    setup::ensure(ws)?;
    let mut command = ws.cargo();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--keep-going",
        "--message-format",
        "short",
    ]);
    let done = ui::run_logged(
        "clippy",
        command,
        &log_path(ws, "clippy"),
        SUITE_LIMIT,
        false,
    )?;
    let findings: BTreeSet<&str> = done.log.lines().filter(|l| is_finding(l)).collect();
    let mut report = Report::default();
    for finding in findings {
        report.add(Report::failure(finding));
    }
    if !done.success && report.failed == 0 {
        show_tail(ws, "clippy", &done.log);
        report.add(Report::failure("cargo clippy failed"));
    }
    if report.failed == 0 {
        report.passed = ws.packages.len() as u64;
    }
    Ok(report)
}

/// `path:line:column: warning: ...`; summaries by crate are not findings.
fn is_finding(line: &str) -> bool {
    let mut parts = line.splitn(4, ':');
    let (_, number, column) = (parts.next(), parts.next(), parts.next());
    let digits =
        |s: Option<&str>| s.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()));
    let message = parts.next().unwrap_or("").trim_start();
    digits(number)
        && digits(column)
        && (message.starts_with("warning") || message.starts_with("error"))
}

pub(super) fn tidy(ws: &Workspace) -> Result<Report> {
    let outcome = rules::check(ws)?;
    let mut report = Report {
        passed: outcome.passed,
        notes: outcome.notes,
        ..Report::default()
    };
    for finding in outcome.findings {
        report.add(Report::failure(finding.to_string()));
    }
    Ok(report)
}

pub(super) fn unit(ws: &Workspace) -> Result<Report> {
    setup::ensure(ws)?;
    let mut beside = ws.cargo();
    beside.args(["test", "--workspace", "--lib", "--bins"]);
    let mut report = cargo_test(ws, "unit", beside, false)?;
    let mut examples = ws.cargo();
    examples.args(["test", "--workspace", "--doc"]);
    report.add(cargo_test(ws, "unit", examples, true)?);
    Ok(report)
}

/// The test targets of one suite. All are built with the features of the whole workspace, so nothing is compiled twice.
pub(super) fn targets(ws: &Workspace, suite: &str, binary: bool) -> Result<Report> {
    let names = suite_targets(ws, suite);
    if names.is_empty() {
        return Ok(Report::skip(format!(
            "no crate has a test target of suite {suite} yet"
        )));
    }
    setup::ensure(ws)?;
    let mut command = ws.cargo();
    command.args(["test", "--workspace"]);
    for name in names {
        command.args(["--test", name]);
    }
    if binary {
        command.env("NOMAD_BIN", nomad_binary(ws, suite)?);
    }
    if suite == "fuzz-smoke" && std::env::var_os(FUZZ_SECONDS).is_none() {
        command.env(FUZZ_SECONDS, SMOKE_SECONDS);
    }
    cargo_test(ws, suite, command, binary)
}

fn cargo_test(ws: &Workspace, suite: &str, mut command: Command, append: bool) -> Result<Report> {
    command.args(["--no-fail-fast", "--", "--show-output"]);
    let done = ui::run_logged(suite, command, &log_path(ws, suite), SUITE_LIMIT, append)?;
    let mut report = libtest::parse(&done.log, done.success);
    if done.timed_out {
        report.add(Report::failure(format!(
            "not done after {}",
            ui::duration(SUITE_LIMIT)
        )));
    }
    if report.failed > 0 {
        show_tail(ws, suite, &done.log);
    }
    Ok(report)
}

/// The binary under test: `NOMAD_BIN` where set, else built here.
pub(super) fn nomad_binary(ws: &Workspace, suite: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("NOMAD_BIN") {
        let path = PathBuf::from(path);
        return path
            .canonicalize()
            .with_context(|| format!("NOMAD_BIN names {}", path.display()));
    }
    setup::ensure(ws)?;
    let mut command = ws.cargo();
    command.args(["build", "--workspace", "--bin", "nomad"]);
    let done = ui::run_logged(suite, command, &log_path(ws, suite), SUITE_LIMIT, false)?;
    if !done.success {
        show_tail(ws, suite, &done.log);
        bail!("the binary nomad did not build");
    }
    Ok(ws.target.join("debug/nomad"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_from_summaries() {
        assert!(is_finding(
            "nomad-core/src/lib.rs:3:1: warning: unused import: `x`"
        ));
        assert!(is_finding(
            "xtask/src/a.rs:10:22: error[E0425]: cannot find value"
        ));
        assert!(!is_finding(
            "warning: `nomad-core` (lib) generated 3 warnings"
        ));
        assert!(!is_finding("    Checking nomad-core v0.1.0 (x)"));
    }
}
