//! Which program a task means.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::driver::DriverError;
use crate::task::TaskDirs;

/// Any of the three execute bits.
const EXECUTE_BITS: u32 = 0o111;

/// Finds a task's program: in `local/`, in the task directory, as an absolute path, in the agent's `PATH`. The file is
/// made executable if it is not. Source: client and drivers reference, section 6.2.
pub(super) fn find(command: &str, dirs: &TaskDirs) -> Result<PathBuf, DriverError> {
    find_in(
        command,
        &dirs.task_dir,
        std::env::var("PATH").ok().as_deref(),
    )
}

/// The same with another `PATH`, for commands run in a task.
pub(super) fn find_in(
    command: &str,
    task_dir: &Path,
    path: Option<&str>,
) -> Result<PathBuf, DriverError> {
    let relative = command.trim_start_matches('/');
    let candidates = [
        task_dir.join("local").join(relative),
        task_dir.join(relative),
        PathBuf::from(command),
    ];
    let found = candidates
        .into_iter()
        .find(|p| p.is_absolute() && p.is_file());
    let found = found.or_else(|| {
        // A path with a slash is not looked up.
        let dirs = path.filter(|_| !command.contains('/') && !command.is_empty())?;
        std::env::split_paths(dirs)
            .map(|dir| dir.join(command))
            .find(|p| p.is_absolute() && is_executable(p))
    });
    let found = found.ok_or_else(|| DriverError::Start {
        message: format!("executable file {command:?} not found in the task directory or PATH"),
        recoverable: false,
    })?;
    make_executable(&found)?;
    Ok(found)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & EXECUTE_BITS != 0)
}

fn make_executable(path: &Path) -> Result<(), DriverError> {
    let failed = |e: std::io::Error| DriverError::Start {
        message: format!("make {} executable: {e}", path.display()),
        recoverable: false,
    };
    let mut permissions = fs::metadata(path).map_err(failed)?.permissions();
    if permissions.mode() & EXECUTE_BITS == 0 {
        permissions.set_mode(permissions.mode() | EXECUTE_BITS);
        fs::set_permissions(path, permissions).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_directory_comes_first() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let path = |p: &str| tmp.path().join(p);
        for dir in ["local/bin", "other"] {
            fs::create_dir_all(path(dir)).expect("mkdir");
        }
        let find = |command: &str| {
            find_in(
                command,
                tmp.path(),
                Some(&format!("relative:{}", path("other").display())),
            )
            .map_err(|e| e.to_string())
        };
        fs::write(path("other/tool"), "").expect("write");
        assert_eq!(
            find("tool").expect_err("not executable"),
            "executable file \"tool\" not found in the task directory or PATH"
        );
        fs::set_permissions(path("other/tool"), fs::Permissions::from_mode(0o755)).expect("chmod");
        assert_eq!(find("tool"), Ok(path("other/tool")));
        fs::write(path("tool"), "").expect("write");
        assert_eq!(find("tool"), Ok(path("tool")));
        assert!(is_executable(&path("tool")), "made executable");
        fs::write(path("local/tool"), "").expect("write");
        assert_eq!(find("tool"), Ok(path("local/tool")));
        assert_eq!(find("local/tool"), Ok(path("local/tool")));
        // Even an absolute path is first looked for in the task directory.
        fs::write(path("local/bin/sh"), "").expect("write");
        assert_eq!(find("/bin/sh"), Ok(path("local/bin/sh")));
        assert_eq!(find("/bin/cat"), Ok(PathBuf::from("/bin/cat")));
        assert!(find("../x").is_err() && find("").is_err() && find("/").is_err());
    }
}
