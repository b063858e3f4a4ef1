//! Ephemeral disk: what a replacement on the same node takes over from its predecessor.

use std::fs;
use std::io;
use std::path::Path;

use super::{AllocDir, DirError, failed};

/// Moves `alloc/data` and each task's `local` from an ended allocation to a new one whose directories are made and empty.
///
/// # Errors
/// A directory cannot be moved; what was moved before stays moved.
pub fn move_disk(from: &AllocDir, to: &AllocDir, tasks: &[String]) -> Result<(), DirError> {
    replace(&from.shared().join("data"), &to.shared().join("data"))?;
    for task in tasks {
        replace(&from.task(task).join("local"), &to.task(task).join("local"))?;
    }
    Ok(())
}

/// Puts `from` where `to` is. A missing source is no error.
fn replace(from: &Path, to: &Path) -> Result<(), DirError> {
    match fs::symlink_metadata(from) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", from)(error)),
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed("create directory", parent))?;
    }
    match fs::remove_dir(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", to)(error));
        }
        _ => {}
    }
    fs::rename(from, to).map_err(failed("move", from))
}
