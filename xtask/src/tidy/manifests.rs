//! Rules on manifests: versions and lints live in the workspace, each dependency has its reason, each library its README.

use super::map::Map;
use super::{Finding, TextFile};
use crate::workspace::Workspace;

/// Crates that people put into programs of their own; each has a README with an example.
pub(super) const EMBEDDABLE: [&str; 4] = [
    "nomad-jobspec",
    "nomad-scheduler",
    "nomad-template",
    "nomad-api",
];

/// What every crate takes from `[workspace.package]`.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

/// Rules on one `Cargo.toml`, the workspace's own included.
pub(super) fn check(file: &TextFile, map: &Map) -> Vec<Finding> {
    let entries = entries(&file.text);
    if entries
        .iter()
        .any(|e| e.section == "workspace.dependencies")
    {
        return check_reasons(file, &entries, map);
    }
    let mut findings = Vec::new();
    let mut add = |line: usize, what: String, hint: &str| {
        findings.push(Finding::new(&file.path, line, what, hint))
    };
    for key in INHERITED {
        let inherits = |e: &&Entry| {
            e.section == "package" && e.key == format!("{key}.workspace") && e.value == "true"
        };
        if !entries.iter().any(|e| inherits(&e)) {
            add(
                1,
                format!("`{key}` is not the workspace's"),
                &format!("write `{key}.workspace = true` under [package]"),
            );
        }
    }
    if !entries
        .iter()
        .any(|e| e.section == "lints" && e.key == "workspace" && e.value == "true")
    {
        add(
            1,
            "the workspace's lints are not used".to_owned(),
            "add `[lints]` with `workspace = true`",
        );
    }
    for e in entries
        .iter()
        .filter(|e| e.section.ends_with("dependencies"))
    {
        // A crate that names itself does so to turn on features for its own tests.
        let itself = e.value.contains("path = \".\"");
        let shared =
            itself || e.key.ends_with(".workspace") || e.value.contains("workspace = true");
        if !shared {
            let hint =
                "put its version into [workspace.dependencies] and write `.workspace = true` here";
            add(
                e.line,
                format!("`{}` has a version of its own", e.key),
                hint,
            );
        }
    }
    findings
}

fn check_reasons(file: &TextFile, entries: &[Entry], map: &Map) -> Vec<Finding> {
    entries
        .iter()
        .filter(|e| e.section == "workspace.dependencies" && !e.value.contains("path ="))
        .filter(|e| !map.reasons.contains(&e.key))
        .map(|e| {
            let what = format!("dependency `{}` has no reason", e.key);
            Finding::new(
                &file.path,
                e.line,
                what,
                "add a row to the table \"Outside libraries\" of ARCHITECTURE.md",
            )
        })
        .collect()
}

/// Crates that are meant to be embedded say how.
pub(super) fn check_readmes(ws: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for p in ws
        .packages
        .iter()
        .filter(|p| EMBEDDABLE.contains(&p.name.as_str()))
    {
        let path = format!("{}/README.md", p.name);
        match std::fs::read_to_string(p.dir.join("README.md")) {
            Err(_) => findings.push(Finding::new(
                &path,
                1,
                "is missing",
                "this crate is embedded by others: show how",
            )),
            Ok(text) if !text.contains("```rust") => {
                findings.push(Finding::new(
                    &path,
                    1,
                    "has no example",
                    "add one in a ```rust block",
                ));
            }
            Ok(_) => {}
        }
    }
    findings
}

struct Entry {
    line: usize,
    section: String,
    key: String,
    value: String,
}

/// `key = value` lines with their section; an array or table over several lines is joined to one entry.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    let mut open = 0;
    for (i, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let balance =
            |s: &str| s.matches(['[', '{']).count() as i64 - s.matches([']', '}']).count() as i64;
        if open > 0 {
            open += balance(line);
            if let Some(last) = entries.last_mut() {
                last.value.push_str(line);
            }
        } else if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            name.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            open = balance(&value);
            entries.push(Entry {
                line: i + 1,
                section: section.clone(),
                key,
                value,
            });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n[lints]\nworkspace = true\n";

    fn found(text: &str) -> Vec<String> {
        let mut map = Map::default();
        map.reasons.insert("serde".to_owned());
        let file = TextFile {
            path: "a/Cargo.toml".to_owned(),
            text: text.to_owned(),
        };
        check(&file, &map)
            .iter()
            .map(|f| format!("{}: {}", f.line, f.what))
            .collect()
    }

    #[test]
    fn inherited_dependencies_are_fine() {
        let text = HEAD.to_owned()
            + "[dependencies]\nserde.workspace = true\nb = { workspace = true, features = [\n \"x\",\n] }\n";
        assert!(found(&text).is_empty());
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        let text = HEAD.to_owned() + "[dev-dependencies]\nflate2 = \"1\"\n";
        assert_eq!(found(&text), ["10: `flate2` has a version of its own"]);
    }

    #[test]
    fn missing_inheritance_is_found() {
        let found = found("[package]\nname = \"a\"\nversion = \"1\"\n");
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn each_dependency_has_its_reason() {
        let text =
            "[workspace.dependencies]\na = { path = \"a\" }\nserde = \"1\"\nother = \"1\" # x\n";
        assert_eq!(found(text), ["4: dependency `other` has no reason"]);
    }
}
