//! A directory that paths cannot leave, whatever links lie in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat,
    openat2, statat,
};

use super::sniff::{SNIFF_BYTES, content_type};
use super::{FileInfo, FsError};

/// Most entries that a listing shows.
const MAX_ENTRIES: usize = 100_000;

/// An open directory. Every path is resolved beneath it by the kernel.
#[derive(Debug)]
pub struct SafeRoot {
    fd: OwnedFd,
    real: PathBuf,
}

impl SafeRoot {
    /// Opens a directory of the host.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let text = || path.display().to_string();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty())
            .map_err(|error| FsError::io("open", &text(), error.into()))?;
        let real = real_path(&fd).map_err(|error| FsError::io("open", &text(), error))?;
        Ok(Self { fd, real })
    }

    /// Opens what lies at a path beneath; a leading slash means the root itself.
    pub(crate) fn open_beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, FsError> {
        self.open_with(path, flags, Mode::empty())
    }

    /// The same for a file that may be created.
    pub(crate) fn open_with(
        &self,
        path: &str,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, FsError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.fd,
            relative(path),
            flags | OFlags::CLOEXEC,
            mode,
            resolve,
        )
        .map_err(|error| match error {
            rustix::io::Errno::XDEV => FsError::Escapes,
            _ => FsError::io("open", path, error.into()),
        })
    }

    /// Makes directories beneath, each with exactly this mode; those that exist stay.
    pub(crate) fn make_dirs(&self, path: &str, mode: u32) -> Result<(), FsError> {
        let mut made = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let parent = if made.is_empty() { "." } else { &made };
            let fd = self.open_beneath(parent, OFlags::PATH | OFlags::DIRECTORY)?;
            if matches!(part, "." | "..") {
                return Err(FsError::Escapes);
            }
            match mkdirat(&fd, part, Mode::from_raw_mode(mode)) {
                Ok(()) => {
                    let new = openat(
                        &fd,
                        part,
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                        Mode::empty(),
                    );
                    new.and_then(|new| fchmod(&new, Mode::from_raw_mode(mode)))
                        .map_err(|error| FsError::io("create", path, error.into()))?;
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(FsError::io("create", path, error.into())),
            }
            if !made.is_empty() {
                made.push('/');
            }
            made.push_str(part);
        }
        Ok(())
    }

    /// Opens a file for reading; secrets are refused, wherever links to them lie.
    pub fn read(&self, path: &str) -> Result<File, FsError> {
        Self::refuse_hidden(path, Path::new(relative(path)))?;
        // A pipe without a writer must not hold the caller.
        let fd = self.open_beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fstat(&fd).map_err(|error| FsError::io("stat", path, error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => {
                return Err(FsError::IsDirectory {
                    path: path.to_owned(),
                });
            }
            _ => {
                let source = io::Error::other("it is not a regular file");
                return Err(FsError::io("open", path, source));
            }
        }
        let real = real_path(&fd).map_err(|error| FsError::io("open", path, error))?;
        let inside = real
            .strip_prefix(&self.real)
            .map_err(|_| FsError::Escapes)?;
        Self::refuse_hidden(path, inside)?;
        Ok(File::from(fd))
    }

    /// Tells about one file or directory.
    pub fn stat(&self, path: &str) -> Result<FileInfo, FsError> {
        let fd = self.open_beneath(path, OFlags::PATH)?;
        let stat = fstat(&fd).map_err(|error| FsError::io("stat", path, error.into()))?;
        let real = real_path(&fd).map_err(|error| FsError::io("stat", path, error))?;
        let name = real
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut info = FileInfo::of(&name, &stat);
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && let Ok(mut file) = self.read(path)
        {
            let mut start = [0_u8; SNIFF_BYTES];
            let count = file.read(&mut start).unwrap_or(0);
            info.content_type = content_type(&start[..count]).to_owned();
        }
        Ok(info)
    }

    /// Lists a directory, sorted by name.
    pub fn list(&self, path: &str) -> Result<Vec<FileInfo>, FsError> {
        let failed = |error: rustix::io::Errno| FsError::io("open", path, error.into());
        let fd = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut infos = Vec::new();
        for entry in Dir::read_from(&fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || infos.len() >= MAX_ENTRIES {
                continue;
            }
            // It may have gone meanwhile.
            if let Ok(stat) = statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                infos.push(FileInfo::of(&name.to_string_lossy(), &stat));
            }
        }
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }

    /// Secrets and the agent's own files of a task are listed but not read.
    fn refuse_hidden(asked: &str, inside: &Path) -> Result<(), FsError> {
        let mut parts = inside.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
            _ => None,
        });
        let (_task, dir) = (parts.next(), parts.next());
        let what = match dir.as_deref() {
            Some("secrets") => "secret",
            Some("private") => "private",
            _ => return Ok(()),
        };
        Err(FsError::Prohibited {
            what,
            path: asked.to_owned(),
        })
    }
}

/// The path below the root, never empty.
fn relative(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

/// Where an open file is.
fn real_path(fd: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
