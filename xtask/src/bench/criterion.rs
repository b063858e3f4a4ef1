//! Runs bench targets and reads their figures: criterion's `time:` lines, and plain `bench: NAME = VALUE UNIT [<= BAR]`.

use super::{Bar, Figure};
use crate::ui;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Compiling in release and measuring.
const LIMIT: Duration = Duration::from_hours(1);

pub(super) fn run(label: &str, command: Command, log: &Path) -> Result<Vec<Figure>> {
    let done = ui::run_logged(label, command, log, LIMIT, false)?;
    if !done.success {
        print!("{}", ui::tail(&done.log, 30));
        bail!(
            "benchmark {label} failed; the whole log is {}",
            log.display()
        );
    }
    let figures = parse(&done.log);
    if figures.is_empty() {
        // A bench that prints a report of its own.
        print!("{}", own_words(&done.log));
    }
    Ok(figures)
}

/// What the bench itself wrote, without what cargo said before it.
fn own_words(log: &str) -> String {
    let lines = log
        .lines()
        .skip_while(|l| !l.trim_start().starts_with("Running "));
    lines.skip(1).flat_map(|l| [l, "\n"]).collect()
}

fn parse(log: &str) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut before = "";
    for line in log.lines() {
        if let Some((name, times)) = line.split_once("time:   [") {
            // A long name stands on the line before its figures.
            let name = if name.trim().is_empty() {
                before.trim()
            } else {
                name.trim()
            };
            if let Some((value, unit)) = middle(times) {
                figures.push(Figure {
                    name: name.to_owned(),
                    value,
                    unit,
                    bar: None,
                });
            }
        } else if let Some(figure) = line.trim().strip_prefix("bench: ").and_then(plain) {
            figures.push(figure);
        }
        before = line;
    }
    figures
}

/// `1.0 µs 1.1 µs 1.2 µs]`: the estimate is the one between its bounds.
fn middle(times: &str) -> Option<(f64, String)> {
    let words: Vec<&str> = times
        .trim_end()
        .trim_end_matches(']')
        .split_whitespace()
        .collect();
    Some((words.get(2)?.parse().ok()?, (*words.get(3)?).to_owned()))
}

fn plain(line: &str) -> Option<Figure> {
    let (name, rest) = line.split_once(" = ")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let value = words.first()?.parse().ok()?;
    let bar = words
        .iter()
        .position(|w| *w == "<=" || *w == ">=")
        .and_then(|at| {
            let limit = words.get(at + 1)?.parse().ok()?;
            Some(if words[at] == "<=" {
                Bar::AtMost(limit)
            } else {
                Bar::AtLeast(limit)
            })
        });
    let unit = words
        .get(1)
        .filter(|w| **w != "<=" && **w != ">=")
        .copied()
        .unwrap_or("");
    Some(Figure {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        bar,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_its_own_is_shown_without_cargo() {
        let log = "   Compiling x\n     Running benches/a.rs (x)\n| a | b |\nend\n";
        assert_eq!(own_words(log), "| a | b |\nend\n");
    }

    #[test]
    fn criterion_and_plain_lines_are_read() {
        let log = "\
place/100               time:   [1.20 ms 1.25 ms 1.30 ms]
                        change: [-1% +0% +1%]
a very long name of a benchmark
                        time:   [10.0 µs 11.0 µs 12.0 µs]
bench: idle connection = 512 B <= 1024 B
bench: writes = 900.5 /s
bench: nonsense
";
        let figures = parse(log);
        let short: Vec<(&str, f64, &str)> = figures
            .iter()
            .map(|f| (f.name.as_str(), f.value, f.unit.as_str()))
            .collect();
        assert_eq!(
            short,
            [
                ("place/100", 1.25, "ms"),
                ("a very long name of a benchmark", 11.0, "µs"),
                ("idle connection", 512.0, "B"),
                ("writes", 900.5, "/s")
            ]
        );
        assert_eq!(figures[2].bar, Some(Bar::AtMost(1024.0)));
    }
}
