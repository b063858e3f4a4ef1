//! The map of the workspace as ARCHITECTURE.md draws it: layers, allowed edges, and the only homes of heavy libraries.

use super::Finding;
use super::manifests::EMBEDDABLE;
use crate::workspace::{Package, Workspace};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// Headings in ARCHITECTURE.md under which the tables stand.
const EDGES: &str = "## Allowed edges";
const HOMES: &str = "## Only homes";
const REASONS: &str = "## Outside libraries";

/// What no embeddable crate may bring, not even through others: C++ and its bindings, the old protobuf, protoc.
const TOO_HEAVY: [&str; 7] = [
    "librocksdb-sys",
    "bindgen",
    "clang-sys",
    "raft",
    "raft-proto",
    "protobuf-build",
    "prost-build",
];

/// The tables of ARCHITECTURE.md.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Crate → its row.
    crates: BTreeMap<String, Row>,
    /// Library → the crates that may name it.
    homes: BTreeMap<String, BTreeSet<String>>,
    /// Libraries whose reason is given.
    pub(super) reasons: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Row {
    /// `None` for development tools, which stand outside.
    layer: Option<u32>,
    uses: BTreeSet<String>,
}

impl Map {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut map = Self::default();
        for row in rows(text, EDGES)? {
            let [name, layer, uses] = [row[0].as_str(), row[1].as_str(), row[2].as_str()];
            let Some(name) = quoted(name).into_iter().next() else {
                bail!("{EDGES}: no crate name in {name:?}")
            };
            let layer = match layer {
                "-" => None,
                _ => Some(
                    layer
                        .trim_start_matches('L')
                        .parse()
                        .with_context(|| format!("{EDGES}: layer of {name}"))?,
                ),
            };
            map.crates.insert(
                name,
                Row {
                    layer,
                    uses: quoted(uses),
                },
            );
        }
        for row in rows(text, HOMES)? {
            for library in quoted(&row[0]) {
                map.homes.insert(library, quoted(&row[1]));
            }
        }
        for row in rows(text, REASONS)? {
            map.reasons.extend(quoted(&row[0]));
        }
        Ok(map)
    }

    /// Layers 0 and 1 compute and do nothing else.
    pub(super) fn is_pure(&self, krate: &str) -> bool {
        self.crates
            .get(krate)
            .is_some_and(|row| row.layer.is_some_and(|l| l <= 1))
    }

    /// Compares what cargo says with the tables.
    pub(super) fn check(&self, ws: &Workspace) -> Vec<Finding> {
        let mut findings = self.check_table();
        for package in &ws.packages {
            findings.extend(self.check_package(package));
        }
        for name in self
            .crates
            .keys()
            .filter(|n| ws.packages.iter().all(|p| p.name != **n))
        {
            let what = format!("the table of edges names `{name}`");
            findings.push(Finding::new(
                "ARCHITECTURE.md",
                1,
                what,
                "there is no such crate: take the row out",
            ));
        }
        findings
    }

    fn check_table(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, row) in &self.crates {
            for used in &row.uses {
                let fine = match (row.layer, self.crates.get(used)) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some(layer), Some(to)) => {
                        to.layer.is_some_and(|l| l < layer || (l == layer && l > 1))
                    }
                };
                if !fine {
                    let what = format!("the table lets `{name}` use `{used}`");
                    let hint = "an edge goes to a lower layer, or stays within one above L1";
                    findings.push(Finding::new("ARCHITECTURE.md", 1, what, hint));
                }
            }
        }
        findings
    }

    fn check_package(&self, package: &Package) -> Vec<Finding> {
        let manifest = format!("{}/Cargo.toml", package.name);
        let text = std::fs::read_to_string(package.dir.join("Cargo.toml")).unwrap_or_default();
        let line = |name: &str| {
            text.lines()
                .position(|l| l.starts_with(name))
                .map_or(1, |n| n + 1)
        };
        let Some(row) = self.crates.get(&package.name) else {
            let hint = "add it to the table \"Allowed edges\" of ARCHITECTURE.md";
            return vec![Finding::new(&manifest, 1, "this crate has no layer", hint)];
        };
        let mut findings = Vec::new();
        for d in &package.dependencies {
            let what = || format!("`{}` may not use `{}`", package.name, d.name);
            if let Some(to) = self.crates.get(&d.name) {
                // Tests may use what lies on the same layer or below; the program only what the table says.
                let for_tests =
                    d.dev && to.layer.is_some() && (row.layer.is_none() || to.layer <= row.layer);
                if !row.uses.contains(&d.name) && !for_tests {
                    let hint = "go through a crate below both, or argue a row in ARCHITECTURE.md, \"Allowed edges\"";
                    findings.push(Finding::new(&manifest, line(&d.name), what(), hint));
                }
            } else if let Some(homes) = self.homes.get(&d.name)
                && !d.dev
                && !homes.contains(&package.name)
            {
                let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
                let hint = format!(
                    "its only home is {} (ARCHITECTURE.md, \"Only homes\")",
                    homes.join(", ")
                );
                findings.push(Finding::new(&manifest, line(&d.name), what(), hint));
            }
        }
        findings
    }
}

/// Cells of the first markdown table under a heading, without its head. Every row has as many cells as the head.
fn rows(text: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let Some(at) = text.lines().position(|l| l == heading) else {
        bail!("ARCHITECTURE.md has no heading {heading:?}")
    };
    let table = text
        .lines()
        .skip(at + 1)
        .take_while(|l| !l.starts_with("## "))
        .skip_while(|l| !l.starts_with('|'));
    let rows: Vec<Vec<String>> = table
        .take_while(|l| l.starts_with('|'))
        .map(|l| {
            l.trim()
                .trim_matches('|')
                .split('|')
                .map(|c| c.trim().to_owned())
                .collect()
        })
        .collect();
    let width = rows.first().map_or(0, Vec::len);
    if rows.len() < 3 {
        bail!("ARCHITECTURE.md has no table under {heading:?}");
    }
    if let Some(row) = rows.iter().find(|r| r.len() != width || width < 3) {
        bail!(
            "ARCHITECTURE.md, {heading:?}: a row without its {width} cells: {}",
            row.join(" | ")
        );
    }
    Ok(rows.into_iter().skip(2).collect())
}

/// The names in backquotes.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Asks cargo for everything that an embeddable crate brings when it is built alone.
pub(super) fn check_embeddable(ws: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in EMBEDDABLE
        .iter()
        .filter(|n| ws.packages.iter().any(|p| p.name == **n))
    {
        let mut command = ws.cargo();
        command.args([
            "tree",
            "-p",
            name,
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let out = command.output().context("run cargo tree")?;
        if !out.status.success() {
            bail!(
                "cargo tree -p {name} failed: {}",
                String::from_utf8_lossy(&out.stderr).trim()
            );
        }
        findings.extend(heavy(name, &String::from_utf8_lossy(&out.stdout)));
    }
    Ok(findings)
}

fn heavy(name: &str, tree: &str) -> Vec<Finding> {
    let brought: BTreeSet<&str> = tree.lines().filter_map(|l| l.split(' ').next()).collect();
    TOO_HEAVY
        .iter()
        .filter(|heavy| brought.contains(**heavy))
        .map(|heavy| {
            let what = format!("brings `{heavy}` to everyone who embeds it");
            let hint = format!("see `cargo tree -p {name} -i {heavy}`");
            Finding::new(&format!("{name}/Cargo.toml"), 1, what, hint)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    const TEXT: &str = "\
# Map
## Allowed edges
Words.

| crate | layer | may use | why |
|---|---|---|---|
| `core` | L0 | nothing | |
| `spec` | L1 | `core` | |
| `plan` | L1 | `core` | |
| `log` | L2 | nothing | |
| `raft-node` | L2 | `log` | entries |
| `agent` | L4 | `core`, `spec`, `log` | |
| `tool` | - | nothing | |

## Only homes
| library | home | why |
|---|---|---|
| `rocks`, `sled` | `log` | C++ |

## Outside libraries
| library | used for | notes |
|---|---|---|
| `serde` | words | |
";

    fn package(name: &str, uses: &[(&str, bool)]) -> Package {
        Package {
            name: name.to_owned(),
            dir: "/nowhere".into(),
            dependencies: uses
                .iter()
                .map(|(n, dev)| Dependency {
                    name: (*n).to_owned(),
                    dev: *dev,
                })
                .collect(),
            targets: Vec::new(),
        }
    }

    fn found(name: &str, uses: &[(&str, bool)]) -> Vec<String> {
        let map = Map::parse(TEXT).expect("the tables are fine");
        assert!(map.check_table().is_empty());
        map.check_package(&package(name, uses))
            .into_iter()
            .map(|f| f.what)
            .collect()
    }

    #[test]
    fn edges_of_the_table_are_allowed() {
        assert!(found("spec", &[("core", false), ("serde", false)]).is_empty());
        assert!(found("raft-node", &[("log", false)]).is_empty());
        assert!(found("log", &[("rocks", false)]).is_empty());
    }

    #[test]
    fn other_edges_are_not() {
        assert_eq!(
            found("core", &[("spec", false)]),
            ["`core` may not use `spec`"]
        );
        assert_eq!(
            found("plan", &[("spec", false)]),
            ["`plan` may not use `spec`"]
        );
        assert_eq!(
            found("agent", &[("plan", false)]),
            ["`agent` may not use `plan`"]
        );
        assert_eq!(
            found("agent", &[("rocks", false), ("sled", false)]).len(),
            2
        );
        assert!(found("agent", &[("sled", true)]).is_empty());
        assert_eq!(found("stranger", &[]), ["this crate has no layer"]);
    }

    #[test]
    fn tests_may_use_their_own_layer_and_below() {
        assert!(found("plan", &[("spec", true)]).is_empty());
        assert_eq!(
            found("plan", &[("agent", true)]),
            ["`plan` may not use `agent`"]
        );
        assert_eq!(
            found("plan", &[("tool", true)]),
            ["`plan` may not use `tool`"]
        );
    }

    #[test]
    fn the_table_itself_keeps_to_the_layers() {
        let text = TEXT
            .replace("| `core` | L0 | nothing |", "| `core` | L0 | `agent` |")
            .replace("| `plan` | L1 | `core` |", "| `plan` | L1 | `spec` |");
        let what: Vec<String> = Map::parse(&text)
            .expect("readable")
            .check_table()
            .into_iter()
            .map(|f| f.what)
            .collect();
        assert_eq!(
            what,
            [
                "the table lets `core` use `agent`",
                "the table lets `plan` use `spec`"
            ]
        );
    }

    #[test]
    fn pure_layers_and_broken_tables() {
        let map = Map::parse(TEXT).expect("fine");
        assert!(
            map.is_pure("core")
                && map.is_pure("plan")
                && !map.is_pure("log")
                && !map.is_pure("tool")
        );
        assert!(Map::parse("# Map\n").is_err());
        assert!(
            Map::parse(&TEXT.replace("| `plan` | L1 | `core` | |", "| `plan` | L1 |")).is_err()
        );
        assert!(Map::parse(&TEXT.replace("| L2 |", "| Lx |")).is_err());
    }

    #[test]
    fn heavy_libraries_are_seen_through_others() {
        let tree = "plan v0.1.0 (/x)\nserde v1.0.0\nraft v0.7.0\nraftish v1.0.0\n";
        let what: Vec<String> = heavy("plan", tree).into_iter().map(|f| f.what).collect();
        assert_eq!(what, ["brings `raft` to everyone who embeds it"]);
    }
}
