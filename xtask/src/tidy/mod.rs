//! `cargo xtask tidy`: the house rules that no compiler checks, all findings at once as `path:line: what: hint`.
//!
//! Which crate may use which is said once, in the tables of ARCHITECTURE.md; this reads them.
//! A line that must break a rule says so beside itself: `// tidy-allow: RULE, reason`.

mod manifests;
mod map;
mod mask;
mod sources;

use crate::ui;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.path, self.line, self.what, self.hint
        )
    }
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
            hint: hint.into(),
        }
    }
}

/// What a check of the whole workspace found.
pub(crate) struct Outcome {
    /// Files and manifests without a finding.
    pub(crate) passed: u64,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
}

/// A text file of the workspace.
struct TextFile {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
}

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 4] = ["target", ".git", "node_modules", "proptest-regressions"];
/// Kinds of files that are looked at.
const EXTENSIONS: [&str; 14] = [
    "rs", "toml", "md", "hcl", "proto", "sh", "txt", "snap", "json", "yml", "yaml", "css", "js",
    "html",
];
/// Larger files are data, not text that people read.
const MAX_BYTES: u64 = 4 << 20;

/// `cargo xtask tidy`.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("tidy takes no argument, got `{arg}`");
    }
    let started = Instant::now();
    let outcome = check(&Workspace::load()?)?;
    for finding in &outcome.findings {
        println!("{finding}");
    }
    for note in &outcome.notes {
        println!("note: {note}");
    }
    println!(
        "tidy: {} files fine, {} findings ({})",
        outcome.passed,
        outcome.findings.len(),
        ui::duration(started.elapsed())
    );
    Ok(outcome.findings.is_empty())
}

/// All rules on the whole workspace.
pub(crate) fn check(ws: &Workspace) -> Result<Outcome> {
    let path = ws.root.join("ARCHITECTURE.md");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let map = map::Map::parse(&text)?;
    let mut findings = map.check(ws);
    let files = text_files(&ws.root)?;
    let mut sizes = Vec::new();
    for file in &files {
        findings.extend(sources::check_any(file));
        if Path::new(&file.path).extension().is_some_and(|e| e == "rs") {
            let krate = file.path.split('/').next().unwrap_or("");
            findings.extend(sources::check_rust(file, map.is_pure(krate)));
            if !sources::is_generated(&file.path) {
                sizes.push(file.text.lines().count());
            }
        } else if file.path.ends_with("Cargo.toml") {
            findings.extend(manifests::check(file, &map));
        }
    }
    findings.extend(manifests::check_readmes(ws));
    findings.extend(map::check_embeddable(ws)?);
    findings.sort();
    findings.dedup();
    let bad = files
        .iter()
        .filter(|f| findings.iter().any(|x| x.path == f.path))
        .count();
    Ok(Outcome {
        passed: (files.len() - bad) as u64,
        findings,
        notes: vec![size_note(sizes)],
    })
}

/// The shape of our files, next to what we aim at.
fn size_note(mut sizes: Vec<usize>) -> String {
    sizes.sort_unstable();
    let at = |percent: usize| sizes.get(sizes.len() * percent / 100).copied().unwrap_or(0);
    format!(
        "{} Rust files; lines: half under {}, nine in ten under {} (aim: 400), longest {} (limit: {})",
        sizes.len(),
        at(50),
        at(90),
        sizes.last().unwrap_or(&0),
        sources::MAX_LINES
    )
}

fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", folder.display()))?;
            let (path, name) = (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            );
            let kind = entry
                .file_type()
                .with_context(|| format!("look at {}", path.display()))?;
            if kind.is_dir() {
                if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if kind.is_file()
                && is_text(&path)
                && entry.metadata().is_ok_and(|m| m.len() <= MAX_BYTES)
            {
                // A file that goes away while we read is no finding.
                let Ok(bytes) = std::fs::read(&path) else {
                    continue;
                };
                let relative: PathBuf = path.strip_prefix(root).unwrap_or(&path).to_owned();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                files.push(TextFile {
                    path: relative.display().to_string(),
                    text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| EXTENSIONS.iter().any(|x| e == *x))
        || path.components().any(|c| c.as_os_str() == ".ci")
}
