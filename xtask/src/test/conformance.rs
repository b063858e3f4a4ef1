//! Answers of the real binary against recordings of the reference, which lie in the folder of recordings.
//!
//! Each group has a bar: the share of its steps that must agree. Above the bar, steps that still differ are counted as
//! skipped, with their number; below it they are failures.

use super::{Report, suites};
use crate::agent::{Agent, Ports};
use crate::workspace::Workspace;
use crate::{setup, ui};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What must agree, in percent of a group's steps. `None`: recorded, but not asked for yet.
const GROUPS: [(&str, Option<u64>); 7] = [
    ("agent", Some(80)),
    ("nodes", Some(90)),
    ("parsing", Some(100)),
    ("jobs", Some(85)),
    ("allocs", Some(75)),
    ("variables", Some(100)),
    ("acl", None),
];
const CLI_BAR: u64 = 78;
/// Waits inside a group add up when much is missing.
const GROUP_LIMIT: Duration = Duration::from_mins(15);
const READY_LIMIT: Duration = Duration::from_mins(1);

pub(super) fn http(ws: &Workspace) -> Result<Report> {
    let script = match recordings(ws, "conformance.py") {
        Ok(script) => script,
        Err(reason) => return Ok(Report::skip(reason)),
    };
    let agent = start(ws, "conformance", &script)?;
    let mut report = Report::default();
    for (group, bar) in GROUPS {
        let Some(bar) = bar else {
            report.add(Report::skip(format!("group {group}: not asked for yet")));
            continue;
        };
        report.add(replay(
            ws,
            "conformance",
            group,
            bar,
            &script,
            &["check", &agent.url(), group],
        )?);
    }
    keep_log(ws, "conformance", &agent);
    Ok(report)
}

pub(super) fn cli(ws: &Workspace) -> Result<Report> {
    let script = match recordings(ws, "cli_conformance.py") {
        Ok(script) => script,
        Err(reason) => return Ok(Report::skip(reason)),
    };
    let binary = suites::nomad_binary(ws, "cli")?;
    let agent = start(ws, "cli", &script)?;
    let report = replay(
        ws,
        "cli",
        "command lines",
        CLI_BAR,
        &script,
        &["check", &binary.display().to_string(), &agent.url()],
    )?;
    keep_log(ws, "cli", &agent);
    Ok(report)
}

/// The script, or why it cannot run.
fn recordings(ws: &Workspace, name: &str) -> Result<PathBuf, String> {
    let script = ws
        .shared()
        .map(|s| s.join("conformance").join(name))
        .filter(|s| s.is_file());
    let Some(script) = script else {
        return Err(format!(
            "no recordings: {name} is not in $NOMAD_SHARED/conformance"
        ));
    };
    if !setup::runs("python3") {
        return Err(format!(
            "{name} needs python3; run `apt-get install python3`"
        ));
    }
    Ok(script)
}

fn start(ws: &Workspace, suite: &str, script: &Path) -> Result<Agent> {
    // Groups append to one log; what an earlier run left there goes first.
    let _ = std::fs::remove_file(suites::log_path(ws, suite));
    let binary = suites::nomad_binary(ws, suite)?;
    let config = script.with_file_name("dev.hcl");
    let mut agent = Agent::start(&binary, &[config], Ports::Default)?;
    match agent.wait_ready(READY_LIMIT) {
        Ok(_) => Ok(agent),
        Err(err) => {
            keep_log(ws, suite, &agent);
            Err(err)
        }
    }
}

fn keep_log(ws: &Workspace, suite: &str, agent: &Agent) {
    // A log that cannot be kept takes nothing from the result.
    let _ = std::fs::write(suites::log_path(ws, &format!("{suite}-agent")), agent.log());
}

fn replay(
    ws: &Workspace,
    suite: &str,
    group: &str,
    bar: u64,
    script: &Path,
    args: &[&str],
) -> Result<Report> {
    let mut command = ws.command("python3");
    // Bytecode would be written beside the recordings.
    command
        .arg("-B")
        .arg(script)
        .args(args)
        .env("PYTHONUNBUFFERED", "1");
    let log = suites::log_path(ws, suite);
    let done = ui::run_logged(
        &format!("{suite} {group}"),
        command,
        &log,
        GROUP_LIMIT,
        true,
    )?;
    let Some((passed, failed)) = last_counts(&done.log) else {
        suites::show_tail(ws, suite, &done.log);
        let why = if done.timed_out {
            "was not done in time"
        } else {
            "ended without its counts"
        };
        return Ok(Report::failure(format!("{group}: the comparison {why}")));
    };
    let report = judge(group, bar, passed, failed);
    if report.failed > 0 {
        suites::show_tail(ws, suite, &done.log);
    }
    Ok(report)
}

/// `N passed, M failed` in the last line that has it.
fn last_counts(log: &str) -> Option<(u64, u64)> {
    log.lines().rev().find_map(|line| {
        let (passed, rest) = line.split_once(" passed, ")?;
        let failed = rest.strip_suffix(" failed")?;
        Some((passed.parse().ok()?, failed.parse().ok()?))
    })
}

fn judge(group: &str, bar: u64, passed: u64, differ: u64) -> Report {
    let total = passed + differ;
    let share = (passed * 100).checked_div(total).unwrap_or(0);
    let mut report = Report {
        passed,
        ..Report::default()
    };
    let standing = format!("{group}: {passed} of {total} steps agree, {share} % (bar {bar} %)");
    if passed * 100 < bar * total || total == 0 {
        report.failed = differ.max(1);
        report.failures.push(standing);
    } else if differ > 0 {
        report.skipped = differ;
        report
            .skips
            .push(format!("{standing}; the other {differ} are work to come"));
    } else {
        report.notes.push(standing);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counts_are_taken() {
        assert_eq!(
            last_counts("FAIL x\n3 passed, 4 failed\nnoise\n"),
            Some((3, 4))
        );
        assert_eq!(last_counts("no counts here"), None);
    }

    #[test]
    fn a_group_is_judged_by_its_bar() {
        let over = judge("jobs", 40, 4, 6);
        assert_eq!((over.passed, over.failed, over.skipped), (4, 0, 6));
        let under = judge("jobs", 40, 3, 7);
        assert_eq!((under.passed, under.failed, under.skipped), (3, 7, 0));
        let all = judge("parsing", 100, 5, 0);
        assert_eq!((all.passed, all.failed, all.skipped), (5, 0, 0));
        assert_eq!(judge("agent", 75, 0, 0).failed, 1);
    }
}
