//! Finding the cgroup2 hierarchy and making cgroups in it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use super::TaskCgroup;
use crate::types::{CgroupSpec, Limits};

/// Controllers that a task's limits need; each is used if it is there.
const WANTED_CONTROLLERS: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];

/// Why a cgroup could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// This machine has no cgroup2 hierarchy that we may write.
    #[error("cgroups cannot be used: {reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
    /// The path leads out of the hierarchy.
    #[error("cgroup path {path:?} is not a relative path of plain names")]
    BadPath {
        /// The path as given.
        path: String,
    },
    /// A file operation failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl CgroupError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }
}

/// The cgroup2 hierarchy of this machine, as far as we may write it.
#[derive(Debug)]
pub struct Cgroups {
    root: Option<PathBuf>,
    controllers: BTreeSet<String>,
    note: Option<String>,
    /// Parents whose controllers are on.
    prepared: Mutex<BTreeSet<PathBuf>>,
}

impl Cgroups {
    /// Looks for the mount point in `/proc/self/mountinfo`.
    pub fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        match mount_point(&mounts) {
            Some((path, true)) => Self::at(path),
            Some((path, false)) => Self::none(format!("{} is mounted read-only", path.display())),
            None => Self::none("no cgroup2 hierarchy is mounted".into()),
        }
    }

    /// Uses the hierarchy mounted at `root`.
    pub fn at(root: PathBuf) -> Self {
        if let Err(e) = rustix::fs::access(&root, rustix::fs::Access::WRITE_OK) {
            return Self::none(format!(
                "{} cannot be written: {}",
                root.display(),
                io::Error::from(e)
            ));
        }
        let there = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let controllers: BTreeSet<String> = there
            .split_whitespace()
            .filter(|c| WANTED_CONTROLLERS.contains(c))
            .map(str::to_owned)
            .collect();
        let missing: Vec<_> = WANTED_CONTROLLERS
            .iter()
            .filter(|c| !controllers.contains(**c))
            .copied()
            .collect();
        let note = (!missing.is_empty()).then(|| {
            format!(
                "{} has no controller {}, so those limits are not set",
                root.display(),
                missing.join(", ")
            )
        });
        Self {
            root: Some(root),
            controllers,
            note,
            prepared: Mutex::default(),
        }
    }

    fn none(reason: String) -> Self {
        Self {
            root: None,
            controllers: BTreeSet::new(),
            note: Some(reason),
            prepared: Mutex::default(),
        }
    }

    /// Mount point, if cgroups can be made.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Controllers that the hierarchy has, of those we use.
    pub fn controllers(&self) -> impl Iterator<Item = &str> {
        self.controllers.iter().map(String::as_str)
    }

    /// Why something cannot be done, in words.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Makes a parent such as `nomad.slice/share.slice` with all its ancestors, their controllers on for those below.
    /// What could not be switched on is returned in words.
    pub fn ensure_parent(&self, relative: &str) -> Result<Vec<String>, CgroupError> {
        let root = self.root.as_ref().ok_or_else(|| self.unusable())?;
        let relative = checked(relative)?;
        let mut warnings = Vec::new();
        let mut path = root.clone();
        self.enable_controllers(&path, &mut warnings);
        for part in relative.components() {
            path.push(part);
            if let Err(e) = fs::create_dir(&path)
                && e.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(CgroupError::io("create cgroup", path, e));
            }
            self.enable_controllers(&path, &mut warnings);
        }
        Ok(warnings)
    }

    /// Makes a task's cgroup and writes its limits. A foreign one must exist and is left as it is.
    /// Limits that cannot be set are returned in words.
    pub fn create(
        &self,
        spec: &CgroupSpec,
        limits: &Limits,
    ) -> Result<(TaskCgroup, Vec<String>), CgroupError> {
        let root = self.root.as_ref().ok_or_else(|| self.unusable())?;
        let relative = checked(&spec.path)?;
        let path = root.join(relative);
        if spec.foreign {
            return match fs::metadata(path.join("cgroup.procs")) {
                Ok(_) => Ok((TaskCgroup::new(path, true), Vec::new())),
                Err(e) => Err(CgroupError::io("find cgroup", path, e)),
            };
        }
        let mut warnings = match relative.parent().and_then(Path::to_str) {
            Some(parent) if !parent.is_empty() => self.ensure_parent(parent)?,
            _ => Vec::new(),
        };
        if let Err(e) = fs::create_dir(&path)
            && e.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(CgroupError::io("create cgroup", path, e));
        }
        let cgroup = TaskCgroup::new(path, false);
        warnings.extend(cgroup.limit(limits));
        Ok((cgroup, warnings))
    }

    fn unusable(&self) -> CgroupError {
        CgroupError::Unusable {
            reason: self.note.clone().unwrap_or_default(),
        }
    }

    /// Each controller alone: one that refuses must not keep the others off.
    fn enable_controllers(&self, path: &Path, warnings: &mut Vec<String>) {
        let mut prepared = self
            .prepared
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if prepared.contains(path) && path.exists() {
            return;
        }
        let file = path.join("cgroup.subtree_control");
        let on = fs::read_to_string(&file).unwrap_or_default();
        for controller in self
            .controllers
            .iter()
            .filter(|c| !on.split_whitespace().any(|o| o == c.as_str()))
        {
            if let Err(e) = fs::write(&file, format!("+{controller}")) {
                warnings.push(format!(
                    "controller {controller} cannot be enabled in {}: {e}",
                    path.display()
                ));
            }
        }
        prepared.insert(path.to_owned());
    }
}

/// A relative path of plain names.
fn checked(path: &str) -> Result<&Path, CgroupError> {
    let plain = !path.is_empty()
        && Path::new(path)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
    if plain {
        Ok(Path::new(path))
    } else {
        Err(CgroupError::BadPath {
            path: path.to_owned(),
        })
    }
}

/// Mount point of the cgroup2 hierarchy and whether it is writable, from the text of `/proc/self/mountinfo`.
fn mount_point(mounts: &str) -> Option<(PathBuf, bool)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = left.split(' ').skip(4);
        let (path, options) = (fields.next()?, fields.next()?);
        Some((PathBuf::from(path), options.split(',').any(|o| o == "rw")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_found_among_others() {
        let mounts = "24 1 0:22 / /proc rw,nosuid - proc proc rw\n\
            30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            mount_point(mounts),
            Some((PathBuf::from("/sys/fs/cgroup/unified"), true))
        );
        assert_eq!(
            mount_point("31 24 0:27 / /c ro,nosuid - cgroup2 cgroup2 rw\n"),
            Some((PathBuf::from("/c"), false))
        );
        assert_eq!(mount_point("junk\n"), None);
    }

    #[test]
    fn paths_stay_in_the_hierarchy() {
        for bad in ["", "/a", "../a", "a/../../b", "."] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(checked("nomad.slice/share.slice/x.scope").is_ok());
    }

    #[test]
    fn without_a_hierarchy_the_reason_is_told() {
        let none = Cgroups::at(PathBuf::from("/nonexistent"));
        let spec = CgroupSpec {
            path: "a".into(),
            foreign: false,
        };
        let error = none
            .create(&spec, &Limits::default())
            .expect_err("no cgroup");
        assert!(
            error.to_string().contains("/nonexistent cannot be written"),
            "{error}"
        );
    }
}
