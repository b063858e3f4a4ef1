//! Directories of an allocation: where they are, how they are made and removed.
//!
//! ```text
//! <alloc_dir>/<alloc id>/      0755
//!   alloc/{data,logs,tmp}      0777, shared by the tasks
//!   <task>/                    0777
//!     local/  tmp/             0777, 1777
//!     secrets/                 0700, the task's user's, in memory where the agent may mount
//!     private/                 0700, the agent's
//! ```
//!
//! Source: client and drivers reference, section 2.2.

mod migrate;
mod mounts;

#[cfg(test)]
mod tests;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nomad_core::AllocId;

use crate::env::Dirs;

pub use self::migrate::move_disk;

/// Name of the directory that the tasks share.
pub const SHARED: &str = "alloc";
/// Size of a task's secrets directory where the job does not say, in MiB.
pub const DEFAULT_SECRETS_MB: i64 = 1;

/// A directory could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct DirError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirError {
    let path = path.to_owned();
    move |source| DirError {
        action,
        path,
        source,
    }
}

/// The directories of one allocation. Holds only the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocDir {
    root: Box<Path>,
}

impl AllocDir {
    /// Those of an allocation, made or not.
    pub fn new(alloc_dir: &Path, id: &AllocId) -> Self {
        Self {
            root: alloc_dir.join(id.to_string()).into_boxed_path(),
        }
    }

    /// The allocation's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that its tasks share.
    pub fn shared(&self) -> PathBuf {
        self.root.join(SHARED)
    }

    /// Log files of its tasks.
    pub fn logs(&self) -> PathBuf {
        self.shared().join("logs")
    }

    /// A task's directory.
    pub fn task(&self, task: &str) -> PathBuf {
        self.root.join(task)
    }

    /// A task's secrets.
    pub fn secrets(&self, task: &str) -> PathBuf {
        self.task(task).join("secrets")
    }

    /// The directories of a task as paths of the host.
    pub fn host_dirs(&self, task: &str) -> Dirs {
        Dirs {
            alloc: self.shared().display().to_string(),
            local: self.task(task).join("local").display().to_string(),
            secrets: self.secrets(task).display().to_string(),
        }
    }

    /// Whether it was made and not removed.
    pub fn exists(&self) -> bool {
        self.shared().is_dir()
    }

    /// Makes the allocation's directory and what its tasks share. What exists stays.
    pub fn build(&self) -> Result<(), DirError> {
        make(&self.root, 0o755)?;
        for (name, mode) in [
            ("", 0o777),
            ("data", 0o777),
            ("logs", 0o777),
            ("tmp", 0o777),
        ] {
            make(&self.shared().join(name), mode)?;
        }
        Ok(())
    }

    /// Makes a task's directories. What exists stays; secrets that are no longer mounted are mounted again.
    /// `owner` is the user and group that the secrets belong to.
    pub fn build_task(
        &self,
        task: &str,
        secrets_mb: i64,
        owner: Option<(u32, u32)>,
    ) -> Result<(), DirError> {
        let dir = self.task(task);
        make(&dir, 0o777)?;
        make(&dir.join("local"), 0o777)?;
        make(&dir.join("tmp"), 0o1777)?;
        make(&dir.join("private"), 0o700)?;
        let secrets = self.secrets(task);
        make(&secrets, 0o700)?;
        let mb = if secrets_mb > 0 {
            secrets_mb
        } else {
            DEFAULT_SECRETS_MB
        };
        if let Err(error) = mounts::in_memory(&secrets, mb) {
            tracing::debug!(path = %secrets.display(), %error, "secrets stay on disk");
        }
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(&secrets, Some(uid), Some(gid))
                .map_err(failed("give away", &secrets))?;
        }
        Ok(())
    }

    /// Removes a task's secrets from memory.
    pub fn release_task(&self, task: &str) -> Result<(), DirError> {
        let secrets = self.secrets(task);
        mounts::release(&secrets).map_err(failed("unmount", &secrets))
    }

    /// Removes everything. It is no error when it is not there.
    pub fn destroy(&self) -> Result<(), DirError> {
        match fs::read_dir(&self.root) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        let secrets = entry.path().join("secrets");
                        mounts::release(&secrets).map_err(failed("unmount", &secrets))?;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("list", &self.root)(error)),
        }
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.root)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a directory with exactly this mode, whatever the umask; an existing one is left alone.
fn make(path: &Path, mode: u32) -> Result<(), DirError> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(failed("set permissions of", path)),
        // A link that somebody put there is no directory of ours.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let meta = fs::symlink_metadata(path).map_err(failed("look at", path))?;
            if meta.is_dir() {
                Ok(())
            } else {
                Err(failed("create directory", path)(error))
            }
        }
        Err(error) => Err(failed("create directory", path)(error)),
    }
}

/// Makes the directory that holds all allocations.
pub fn build_root(alloc_dir: &Path) -> Result<(), DirError> {
    if alloc_dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = alloc_dir.parent() {
        fs::create_dir_all(parent).map_err(failed("create directory", parent))?;
    }
    make(alloc_dir, 0o711)
}

/// Makes the state directory, for nobody else to read.
pub fn build_state_dir(state_dir: &Path) -> Result<(), DirError> {
    fs::create_dir_all(state_dir).map_err(failed("create directory", state_dir))?;
    fs::set_permissions(state_dir, Permissions::from_mode(0o700))
        .map_err(failed("set permissions of", state_dir))
}
