//! `cargo xtask bench [NAME...] [--against PATH]`: figures in a table, and as JSON under `target/bench/`.

mod criterion;
mod e2e;

use crate::workspace::Workspace;
use crate::{setup, ui};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One figure. A bar is what the project promises (SPECIFICATION.md).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) bar: Option<Bar>,
}

/// A promise about a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(bar) => format!("<= {} {unit}", number(bar)),
            Self::AtLeast(bar) => format!(">= {} {unit}", number(bar)),
        }
    }
}

/// What a name stands for.
enum Source {
    /// Bench targets of a package whose name contains a word, built with a feature.
    Targets {
        package: &'static str,
        containing: &'static str,
        features: &'static str,
    },
    WholeProgram,
}

const BENCHES: [(&str, Source, &str); 7] = [
    (
        "scheduler",
        targets("nomad-scheduler", "", ""),
        "placing, ranking and reconciling",
    ),
    (
        "template-memory",
        targets("nomad-template", "memory", ""),
        "memory of idle template connections",
    ),
    (
        "store",
        targets("nomad-store", "", "rocksdb"),
        "the durable log",
    ),
    (
        "raft",
        targets("nomad-raft", "", "rocksdb"),
        "proposing on one server",
    ),
    (
        "jobspec",
        targets("nomad-jobspec", "", ""),
        "parsing job files",
    ),
    (
        "loops",
        targets("nomad-server", "loops", ""),
        "the leader's control loops",
    ),
    (
        "e2e",
        Source::WholeProgram,
        "the release binary from outside",
    ),
];

const fn targets(
    package: &'static str,
    containing: &'static str,
    features: &'static str,
) -> Source {
    Source::Targets {
        package,
        containing,
        features,
    }
}

/// The command.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|a| a == "--list") {
        let rows: Vec<Vec<String>> = BENCHES
            .iter()
            .map(|(n, _, about)| vec![(*n).to_owned(), (*about).to_owned()])
            .collect();
        print!("{}", ui::table(&rows));
        return Ok(true);
    }
    let (names, against) = parse_args(args)?;
    let ws = Workspace::load()?;
    let mut held = true;
    for (name, source, about) in BENCHES
        .iter()
        .filter(|(n, ..)| names.is_empty() || names.iter().any(|x| x == n))
    {
        println!("\n== {name}: {about}");
        let started = Instant::now();
        let done = match source {
            Source::Targets {
                package,
                containing,
                features,
            } => run_targets(&ws, name, package, containing, features)?,
            Source::WholeProgram => run_e2e(&ws, &against)?,
        };
        held &= done;
        println!("{name}: took {}", ui::duration(started.elapsed()));
    }
    Ok(held)
}

fn parse_args(args: &[String]) -> Result<(Vec<&str>, Vec<PathBuf>)> {
    let (mut names, mut against) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--against" {
            let path = PathBuf::from(
                args.next()
                    .context("--against needs the path of a binary")?,
            );
            against.push(
                path.canonicalize()
                    .with_context(|| format!("find {}", path.display()))?,
            );
        } else if BENCHES.iter().any(|(n, ..)| n == arg) {
            names.push(arg.as_str());
        } else {
            let known: Vec<&str> = BENCHES.iter().map(|(n, ..)| *n).collect();
            bail!("no benchmark `{arg}`; there are {}", known.join(", "));
        }
    }
    Ok((names, against))
}

fn run_targets(
    ws: &Workspace,
    name: &str,
    package: &str,
    containing: &str,
    features: &str,
) -> Result<bool> {
    let found: Vec<&str> = ws
        .targets("bench")
        .into_iter()
        .filter(|(p, t)| *p == package && t.contains(containing))
        .map(|(_, t)| t)
        .collect();
    if found.is_empty() {
        println!("   skipped: {package} has no bench target for it yet");
        return Ok(true);
    }
    setup::ensure(ws)?;
    let mut command = ws.cargo();
    command.args(["bench", "-p", package]);
    if !features.is_empty() {
        command.args(["--features", features]);
    }
    for target in found {
        command.args(["--bench", target]);
    }
    let figures = criterion::run(
        name,
        command,
        &ws.target
            .join("xtask-logs")
            .join(format!("bench-{name}.log")),
    )?;
    report(ws, name, &[("ours".to_owned(), figures)])
}

fn run_e2e(ws: &Workspace, against: &[PathBuf]) -> Result<bool> {
    let ours = if let Some(path) = std::env::var_os("NOMAD_BIN") {
        println!("   ours is NOMAD_BIN={}", path.display());
        PathBuf::from(path)
            .canonicalize()
            .context("find NOMAD_BIN")?
    } else {
        setup::ensure(ws)?;
        println!("   building the release binary");
        crate::quickstart::build_release(ws, &ws.target.join("xtask-logs/bench-build.log"))?
    };
    let mut columns = vec![("ours".to_owned(), e2e::measure(&ours))];
    for path in against {
        println!("   now {}", path.display());
        columns.push((path.display().to_string(), e2e::measure(path)));
    }
    report(ws, "e2e", &columns)
}

/// Prints the table and writes the JSON; says whether our figures hold their bars.
fn report(ws: &Workspace, name: &str, columns: &[(String, Vec<Figure>)]) -> Result<bool> {
    let Some((_, ours)) = columns.first().filter(|(_, figures)| !figures.is_empty()) else {
        return Ok(true);
    };
    let with_bars = ours.iter().any(|f| f.bar.is_some());
    let mut head = vec!["figure".to_owned(), "ours".to_owned()];
    if with_bars {
        head.extend(["bar".to_owned(), String::new()]);
    }
    head.extend(columns.iter().skip(1).map(|(label, _)| label.clone()));
    let mut rows = vec![head];
    let mut held = true;
    for figure in ours {
        let mut row = vec![figure.name.clone(), shown(figure)];
        if let Some(bar) = figure.bar {
            let ok = bar.holds(figure.value);
            held &= ok;
            row.extend([
                bar.text(&figure.unit),
                if ok { "ok" } else { "over" }.to_owned(),
            ]);
        } else if with_bars {
            row.extend([String::new(), String::new()]);
        }
        for (_, theirs) in &columns[1..] {
            row.push(
                theirs
                    .iter()
                    .find(|t| t.name == figure.name)
                    .map_or("-".to_owned(), shown),
            );
        }
        rows.push(row);
    }
    print!("{}", ui::table(&rows));
    let path = ws.target.join("bench").join(format!("{name}.json"));
    write_json(&path, name, columns)?;
    println!("   written to {}", ws.relative(&path));
    Ok(held)
}

fn write_json(path: &Path, name: &str, columns: &[(String, Vec<Figure>)]) -> Result<()> {
    let column = |(label, figures): &(String, Vec<Figure>)| {
        let rows: Vec<Value> = figures
            .iter()
            .map(|f| {
                let bar = f.bar.map(|b| b.text(&f.unit));
                json!({"name": f.name, "value": finite(f.value), "unit": f.unit, "bar": bar, "ok": f.bar.map(|b| b.holds(f.value))})
            })
            .collect();
        json!({"program": label, "figures": rows})
    };
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let columns: Vec<Value> = columns.iter().map(column).collect();
    let text =
        serde_json::to_string_pretty(&json!({"bench": name, "unix_time": at, "columns": columns}))
            .context("write JSON")?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}

/// A figure that could not be measured is no number in JSON either.
fn finite(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else {
        Value::Null
    }
}

fn shown(figure: &Figure) -> String {
    if figure.value.is_finite() {
        format!("{} {}", number(figure.value), figure.unit)
    } else {
        "not measured".to_owned()
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_judged() {
        assert!(Bar::AtMost(50.0).holds(50.0) && !Bar::AtMost(50.0).holds(50.1));
        assert!(Bar::AtLeast(800.0).holds(900.0) && !Bar::AtLeast(800.0).holds(f64::NAN));
        assert!(!Bar::AtMost(1.0).holds(f64::NAN));
        assert_eq!(Bar::AtMost(0.5).text("s"), "<= 0.500 s");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [1234.5, 12.345, 1.2345, 0.0123, 0.0].map(number),
            ["1234", "12.3", "1.23", "0.012", "0"]
        );
    }

    #[test]
    fn arguments_are_names_and_binaries() {
        let args = ["e2e", "--against", "/bin/sh", "store"].map(str::to_owned);
        let (names, against) = parse_args(&args).expect("known names");
        assert_eq!((names, against.len()), (vec!["e2e", "store"], 1));
        assert!(parse_args(&["nothing".to_owned()]).is_err());
        assert!(parse_args(&["--against".to_owned()]).is_err());
    }
}
