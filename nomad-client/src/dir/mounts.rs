//! Secrets in memory: a small file system of their own that never reaches a disk.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Name of the file that says that the directory is mounted.
const MARKER: &str = ".nomad-mount";

/// Mounts an empty file system of `size_mb` MiB over a directory, unless one is there.
pub(super) fn in_memory(dir: &Path, size_mb: i64) -> io::Result<()> {
    if is_mounted(dir)? {
        return Ok(());
    }
    let flags = MountFlags::NOEXEC | MountFlags::NOSUID | MountFlags::NODEV;
    let options = |extra: &str| {
        std::ffi::CString::new(format!("size={size_mb}m,mode=0700{extra}"))
            .map_err(io::Error::other)
    };
    // Kernels before 6.4 know no `noswap`.
    mount("tmpfs", dir, "tmpfs", flags, options(",noswap")?.as_c_str()).or_else(|_| {
        mount(
            "tmpfs",
            dir,
            "tmpfs",
            flags,
            options("").unwrap_or_default().as_c_str(),
        )
    })?;
    std::fs::File::create(dir.join(MARKER)).map(|_| ())
}

/// Unmounts what [`in_memory`] mounted. Nothing happens where nothing is mounted.
pub(super) fn release(dir: &Path) -> io::Result<()> {
    match is_mounted(dir) {
        Ok(true) => Ok(unmount(dir, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a directory lies on another file system than its parent.
pub(super) fn is_mounted(dir: &Path) -> io::Result<bool> {
    let own = std::fs::symlink_metadata(dir)?;
    let parent = dir.parent().unwrap_or(dir);
    Ok(own.is_dir() && own.dev() != std::fs::metadata(parent)?.dev())
}
