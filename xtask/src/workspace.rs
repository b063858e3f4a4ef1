//! What cargo says about this workspace, and commands started with the environment that all checks share.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `NOMAD_*` variables that checks may see; all others would point them at somebody's cluster.
const KEPT_VARIABLES: [&str; 7] = [
    "NOMAD_SHARED",
    "NOMAD_BIN",
    "NOMAD_SCHEDULER_ORACLE",
    "NOMAD_TEMPLATE_ORACLE",
    "NOMAD_FUZZ_SECONDS",
    "NOMAD_FUZZ_SEED",
    "NOMAD_FUZZ_BYTES",
];

/// The workspace as `cargo metadata --no-deps` describes it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One crate of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Folder of its manifest.
    pub(crate) dir: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a dependency section.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) dev: bool,
}

/// Something cargo builds: `kind` is `lib`, `bin`, `test`, `bench` or `example`.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: String,
}

impl Workspace {
    /// Asks cargo. Needs no network and no lock file.
    pub(crate) fn load() -> Result<Self> {
        let out = Command::new(cargo_program())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("run cargo metadata")?;
        if !out.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&out.stderr).trim()
            );
        }
        let value: Value =
            serde_json::from_slice(&out.stdout).context("read the answer of cargo metadata")?;
        Self::from_metadata(&value).context("cargo metadata has an unexpected shape")
    }

    fn from_metadata(value: &Value) -> Option<Self> {
        let mut packages = Vec::new();
        for p in value["packages"].as_array()? {
            packages.push(Package {
                name: p["name"].as_str()?.to_owned(),
                dir: Path::new(p["manifest_path"].as_str()?).parent()?.to_owned(),
                dependencies: p["dependencies"]
                    .as_array()?
                    .iter()
                    .filter_map(|d| {
                        Some(Dependency {
                            name: d["name"].as_str()?.to_owned(),
                            dev: d["kind"].as_str() == Some("dev"),
                        })
                    })
                    .collect(),
                targets: p["targets"]
                    .as_array()?
                    .iter()
                    .filter_map(|t| {
                        Some(Target {
                            name: t["name"].as_str()?.to_owned(),
                            kind: t["kind"][0].as_str()?.to_owned(),
                        })
                    })
                    .collect(),
            });
        }
        Some(Self {
            root: PathBuf::from(value["workspace_root"].as_str()?),
            target: PathBuf::from(value["target_directory"].as_str()?),
            packages,
        })
    }

    /// Targets of one kind, as (package, target name).
    pub(crate) fn targets(&self, kind: &str) -> Vec<(&str, &str)> {
        self.packages
            .iter()
            .flat_map(|p| p.targets.iter().map(move |t| (p, t)))
            .filter(|(_, t)| t.kind == kind)
            .map(|(p, t)| (p.name.as_str(), t.name.as_str()))
            .collect()
    }

    /// The folder of recordings beside the checkout (`NOMAD_SHARED`), where there is one.
    pub(crate) fn shared(&self) -> Option<PathBuf> {
        let dir = match std::env::var_os("NOMAD_SHARED") {
            Some(dir) => PathBuf::from(dir),
            None => self.root.join("../shared"),
        };
        dir.canonicalize().ok()
    }

    /// Folder of a RocksDB compiled before, where there is one.
    pub(crate) fn prebuilt_rocksdb(&self) -> Option<PathBuf> {
        let dir = self.shared()?.join("prebuilt");
        dir.join("librocksdb.a").is_file().then_some(dir)
    }

    /// What a build by hand must have in its environment to share artifacts with ours.
    pub(crate) fn build_environment(&self) -> Vec<(&'static str, String)> {
        if std::env::var_os("ROCKSDB_LIB_DIR").is_some() {
            return Vec::new();
        }
        match self.prebuilt_rocksdb() {
            Some(dir) => vec![
                ("ROCKSDB_LIB_DIR", dir.display().to_string()),
                ("ROCKSDB_STATIC", "1".to_owned()),
            ],
            None => Vec::new(),
        }
    }

    /// A cargo command at the workspace root in the scrubbed environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(cargo_program());
        command.env("CARGO_TERM_COLOR", "never");
        command
    }

    /// Any command at the workspace root in the scrubbed environment.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            let foreign = name.starts_with("NOMAD_") && !KEPT_VARIABLES.contains(&name.as_ref());
            // `cargo run` describes xtask in these; a nested cargo must not take them for its own.
            let ours = name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            if foreign || ours {
                command.env_remove(&key);
            }
        }
        for (key, value) in self.build_environment() {
            command.env(key, value);
        }
        if let Some(shared) = self.shared() {
            command.env("NOMAD_SHARED", shared);
        }
        command
    }

    /// A path as people read it: relative to the workspace where it lies inside.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// The cargo that started us, so that a toolchain override holds for nested calls too.
fn cargo_program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read() {
        let value = serde_json::json!({
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [{"name": "a", "manifest_path": "/w/a/Cargo.toml",
                "dependencies": [{"name": "b", "kind": null}, {"name": "c", "kind": "dev"}],
                "targets": [{"name": "property", "kind": ["test"]}]}]
        });
        let ws = Workspace::from_metadata(&value).expect("the shape is right");
        assert_eq!(ws.packages[0].dir, Path::new("/w/a"));
        assert_eq!(ws.targets("test"), [("a", "property")]);
        assert!(ws.packages[0].dependencies[1].dev);
        assert!(Workspace::from_metadata(&serde_json::json!({"packages": 1})).is_none());
    }
}
