//! Counts out of what `cargo test -- --show-output` writes.
//!
//! A test that cannot run here says `skipped: REASON` and returns; it is counted as skipped, not as passed.

use super::Report;

/// Which list of captured output is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Running,
    Successes,
    Failures,
}

/// Reads the log of a cargo test run that ended with `success`.
pub(super) fn parse(log: &str, success: bool) -> Report {
    let mut report = Report::default();
    let mut section = Section::Running;
    let mut test = String::new();
    let mut target = String::new();
    let mut skips_here = 0;
    for line in log.lines() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed
            .strip_prefix("Running ")
            .or_else(|| trimmed.strip_prefix("Doc-tests "))
        {
            rest.clone_into(&mut target);
            (section, skips_here) = (Section::Running, 0);
            test.clear();
        } else if line == "successes:" {
            section = Section::Successes;
        } else if line == "failures:" {
            section = Section::Failures;
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|l| l.strip_suffix(" stdout ----"))
        {
            name.clone_into(&mut test);
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            let count = |word: &str| number_before(rest, word);
            let skipped = skips_here.min(count("passed"));
            report.passed += count("passed") - skipped;
            report.failed += count("failed");
            report.skipped += skipped + count("ignored");
            (section, skips_here) = (Section::Running, 0);
            test.clear();
        } else if let Some(name) = test_line(line, "FAILED") {
            report.failures.push(format!("{name} ({target})"));
        } else if let Some(name) = test_line(line, "ignored") {
            report.skips.push(format!("{name}: marked as ignored"));
        } else if let Some((_, reason)) = line.split_once("skipped: ") {
            // A reason printed once more by the same test is still one test; a failed test stays failed.
            let fresh = section != Section::Successes || !test.is_empty();
            if section != Section::Failures && fresh {
                skips_here += 1;
                let name = if test.is_empty() {
                    target.as_str()
                } else {
                    test.as_str()
                };
                report.skips.push(format!("{name}: {}", reason.trim()));
                test.clear();
            }
        } else if trimmed.starts_with("process didn't exit successfully")
            && line.contains("(signal: ")
        {
            report.failed += 1;
            report.failures.push(format!("died of a signal: {trimmed}"));
        } else if line.starts_with("error: could not compile") {
            report.failed += 1;
            report.failures.push(line["error: ".len()..].to_owned());
        }
    }
    if !success && report.failed == 0 {
        let said = log
            .lines()
            .rev()
            .find(|l| l.starts_with("error"))
            .unwrap_or("cargo test failed");
        report.add(Report::failure(said));
    }
    report
}

/// `test NAME ... OUTCOME`, where output of the test may stand between.
fn test_line<'a>(line: &'a str, outcome: &str) -> Option<&'a str> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    (rest == outcome || rest.starts_with(&format!("{outcome},"))).then_some(name)
}

/// The number in `12 passed; 3 failed` that stands before a word.
fn number_before(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text
        .split([' ', ';', '.'])
        .filter(|w| !w.is_empty())
        .collect();
    words
        .windows(2)
        .find(|w| w[1] == word)
        .and_then(|w| w[0].parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_TARGETS: &str = "\
   Compiling nomad-core v0.1.0
     Running unittests src/lib.rs (target/debug/deps/nomad_core-1)

running 3 tests
test ids::short ... ok
test ids::needs_recordings ... ok
test ids::broken ... FAILED

successes:

---- ids::needs_recordings stdout ----
skipped: no recordings at ../shared
skipped: said twice

successes:
    ids::short

failures:

---- ids::broken stdout ----
skipped: this does not count
thread panicked

failures:
    ids::broken

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

error: test failed, to rerun pass `-p nomad-core --lib`
   Doc-tests nomad_core

running 2 tests
test src/lib.rs - (line 3) ... ok
test src/lib.rs - (line 9) ... ignored

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn counts_failures_and_skips() {
        let report = parse(TWO_TARGETS, false);
        assert_eq!((report.passed, report.failed, report.skipped), (2, 1, 2));
        assert_eq!(
            report.failures,
            ["ids::broken (unittests src/lib.rs (target/debug/deps/nomad_core-1))"]
        );
        assert_eq!(
            report.skips[0],
            "ids::needs_recordings: no recordings at ../shared"
        );
        assert_eq!(report.skips.len(), 2);
    }

    #[test]
    fn a_skip_said_past_the_capture_counts() {
        let log = "     Running tests/oracle.rs (x)\nskipped: no oracle\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored;\n";
        let report = parse(log, true);
        assert_eq!((report.passed, report.skipped), (0, 1));
        assert_eq!(report.skips, ["tests/oracle.rs (x): no oracle"]);
    }

    #[test]
    fn what_did_not_build_or_died_is_a_failure() {
        let report = parse(
            "error[E0425]: x\nerror: could not compile `nomad-core` (lib) due to 1 previous error\n",
            false,
        );
        assert_eq!(
            (report.failed, report.failures[0].as_str()),
            (
                1,
                "could not compile `nomad-core` (lib) due to 1 previous error"
            )
        );
        let report = parse(
            "  process didn't exit successfully: `x` (signal: 6, SIGABRT: process abort signal)\n",
            false,
        );
        assert_eq!(report.failed, 1);
        let report = parse("error: no test target named `x`\n", false);
        assert_eq!(report.failures, ["error: no test target named `x`"]);
    }
}
