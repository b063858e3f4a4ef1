//! Files of a task: read and written below its directories only, whatever its paths and links say.
//!
//! Every path is cleaned by its text, given a root (the task's directory or the allocation's shared
//! one), and opened by `openat2` with `RESOLVE_BENEATH`: the kernel refuses any step outside the
//! root, also through symbolic links that the task puts there while we look. On kernels without
//! `openat2` each step is taken by itself and links are refused altogether. Files are written
//! beside their place and moved over it, so a link that stands there is replaced, never followed.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use crate::data::FileSource;

/// Largest file that a template reads, in bytes.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// Deepest path below a root.
const MAX_COMPONENTS: usize = 64;

/// Attempts at a free name for the file that is moved into place, and at a lookup that was disturbed.
const ATTEMPTS: u32 = 16;

/// Permission bits of directories that are made on the way.
const DIR_MODE: u32 = 0o755;

/// The directories of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The task's directory on the host.
    pub task_dir: PathBuf,
    /// The allocation's shared directory on the host, `alloc` within the allocation's.
    pub alloc_dir: PathBuf,
    /// Whether paths are confined; the client's `disable_file_sandbox` turns it off.
    pub confined: bool,
}

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The path leads outside the task's directories.
    #[error("{path}: leads outside the task's directories")]
    Escapes {
        /// The path as it was given.
        path: String,
    },
    /// The path names no file.
    #[error("{path}: names no file")]
    NoName {
        /// The path as it was given.
        path: String,
    },
    /// The file is larger than may be read.
    #[error("{path}: larger than {limit} bytes")]
    TooLarge {
        /// The path as it was given.
        path: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// What is there is no regular file.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// The path as it was given.
        path: String,
    },
    /// The system refused.
    #[error("{path}: {action}")]
    Io {
        /// The path as it was given.
        path: String,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// How a file is to be owned and protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Permission bits.
    pub mode: u32,
    /// Owner, if it is to be changed.
    pub uid: Option<u32>,
    /// Group, if it is to be changed.
    pub gid: Option<u32>,
}

/// A path below a root.
#[derive(Debug, PartialEq, Eq)]
struct Place<'s> {
    root: &'s Path,
    parts: Vec<String>,
}

impl Sandbox {
    /// Reads a file. `join` takes an absolute path outside the roots as below the task's directory.
    ///
    /// # Errors
    /// [`SandboxError`], among them that it escapes or is larger than [`MAX_FILE_BYTES`].
    pub fn read_file(&self, path: &str, join: bool) -> Result<Vec<u8>, SandboxError> {
        let failed = |action, errno: Errno| io(path, action, errno);
        let file = if self.confined {
            let place = self.place(path, join)?;
            let (dir, name) = parent(path, &place, false)?;
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            open_from_root(path, &place, flags, &dir, name)?
        } else {
            let host = self.task_dir.join(path);
            fs::open(
                host,
                OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
                Mode::empty(),
            )
            .map_err(|errno| failed("open", errno))?
        };
        let stat = fs::fstat(&file).map_err(|errno| failed("look at", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(SandboxError::NotAFile {
                path: path.to_owned(),
            });
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(MAX_FILE_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| SandboxError::Io {
                path: path.to_owned(),
                action: "read",
                source,
            })?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(SandboxError::TooLarge {
                path: path.to_owned(),
                limit: MAX_FILE_BYTES,
            });
        }
        Ok(bytes)
    }

    /// Writes a file at once: who reads it sees the old content or the new. Makes the directories
    /// on the way. Returns whether the content was another before.
    ///
    /// # Errors
    /// [`SandboxError`]; the old content is then untouched.
    pub fn write_file(
        &self,
        path: &str,
        bytes: &[u8],
        ownership: Ownership,
    ) -> Result<bool, SandboxError> {
        let (dir, name) = if self.confined {
            let place = self.place(path, true)?;
            let (dir, name) = parent(path, &place, true)?;
            (dir, name.to_owned())
        } else {
            self.host_parent(path)?
        };
        if same_content(&dir, &name, bytes) {
            own(path, &dir, &name, ownership)?;
            return Ok(false);
        }
        let (file, temporary) = create_beside(path, &dir)?;
        let written = write_into(path, file, bytes, ownership).and_then(|()| {
            fs::renameat(&dir, &temporary, &dir, &name).map_err(|e| io(path, "put in place", e))
        });
        if written.is_err() {
            // The error is what counts; a leftover is only untidy.
            let _ = fs::unlinkat(&dir, &temporary, AtFlags::empty());
        }
        written.map(|()| true)
    }

    /// The root and the parts of a path, by its text alone.
    fn place(&self, path: &str, join: bool) -> Result<Place<'_>, SandboxError> {
        let escapes = || SandboxError::Escapes {
            path: path.to_owned(),
        };
        if path.contains('\0') {
            return Err(escapes());
        }
        let given = Path::new(path);
        let relative = given.is_relative();
        let full = clean(&self.task_dir.join(given));
        for root in [&self.task_dir, &self.alloc_dir] {
            if let Ok(rest) = full.strip_prefix(root) {
                return place_at(root, rest).ok_or_else(escapes);
            }
        }
        if relative || !join {
            return Err(escapes());
        }
        // As the task sees it: /alloc is shared, everything else is its own.
        let cleaned = clean(given);
        let inside = cleaned.strip_prefix("/").unwrap_or(&cleaned);
        if let Ok(rest) = inside.strip_prefix("alloc") {
            return place_at(&self.alloc_dir, rest).ok_or_else(escapes);
        }
        place_at(&self.task_dir, inside).ok_or_else(escapes)
    }

    /// The directory of a path that is not confined.
    fn host_parent(&self, path: &str) -> Result<(OwnedFd, String), SandboxError> {
        let host = clean(&self.task_dir.join(path));
        let no_name = || SandboxError::NoName {
            path: path.to_owned(),
        };
        let name = host
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(no_name)?;
        let parent = host.parent().ok_or_else(no_name)?;
        std::fs::create_dir_all(parent).map_err(|source| SandboxError::Io {
            path: path.to_owned(),
            action: "make a directory",
            source,
        })?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = fs::open(parent, flags, Mode::empty())
            .map_err(|errno| io(path, "open its directory", errno))?;
        Ok((dir, name.to_owned()))
    }
}

impl FileSource for Sandbox {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.read_file(path, true).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        })
    }
}

fn io(path: &str, action: &'static str, errno: Errno) -> SandboxError {
    SandboxError::Io {
        path: path.to_owned(),
        action,
        source: errno.into(),
    }
}

/// The directory a place is in, and its name there.
fn parent<'p>(
    path: &str,
    place: &'p Place<'_>,
    create: bool,
) -> Result<(OwnedFd, &'p str), SandboxError> {
    let (name, dirs) = place
        .parts
        .split_last()
        .ok_or_else(|| SandboxError::NoName {
            path: path.to_owned(),
        })?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(place.root, flags, Mode::empty())
        .map_err(|errno| io(path, "open the task's directory", errno))?;
    let mut below = PathBuf::new();
    let mut dir = beneath(&root, Path::new("."), flags).map_err(|errno| refused(path, errno))?;
    for part in dirs {
        if create {
            match fs::mkdirat(&dir, part.as_str(), Mode::from_raw_mode(DIR_MODE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(io(path, "make a directory", errno)),
            }
        }
        below.push(part);
        // From the root each time: a link may lead elsewhere below the root, but not out of it.
        dir = beneath(&root, &below, flags).map_err(|errno| refused(path, errno))?;
    }
    Ok((dir, name))
}

fn open_from_root(
    path: &str,
    place: &Place<'_>,
    flags: OFlags,
    dir: &OwnedFd,
    name: &str,
) -> Result<OwnedFd, SandboxError> {
    let root_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(place.root, root_flags, Mode::empty())
        .map_err(|errno| io(path, "open the task's directory", errno))?;
    let below: PathBuf = place.parts.iter().collect();
    match beneath(&root, &below, flags) {
        Err(Errno::NOSYS | Errno::PERM) => {
            fs::openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty())
                .map_err(|errno| refused(path, errno))
        }
        other => other.map_err(|errno| refused(path, errno)),
    }
}

/// Gives an unchanged file the owner and mode it is to have.
fn own(path: &str, dir: &OwnedFd, name: &str, ownership: Ownership) -> Result<(), SandboxError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = fs::openat(dir, name, flags, Mode::empty()).map_err(|e| io(path, "open", e))?;
    apply(path, &file, ownership)
}

/// What the kernel says when a step would leave the root, or a link is met where none may be.
fn refused(path: &str, errno: Errno) -> SandboxError {
    match errno {
        Errno::XDEV | Errno::LOOP => SandboxError::Escapes {
            path: path.to_owned(),
        },
        other => io(path, "open", other),
    }
}

/// Removes `.` and `..` by the text of the path.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !cleaned.pop() && !cleaned.is_absolute() {
                    cleaned.push("..");
                }
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

fn place_at<'s>(root: &'s Path, rest: &Path) -> Option<Place<'s>> {
    let mut parts = Vec::new();
    for component in rest.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            _ => return None,
        }
    }
    (parts.len() <= MAX_COMPONENTS).then_some(Place { root, parts })
}

/// Opens `path` below `root`, wherever its links lead, but never outside.
fn beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // Something was renamed on the way: the kernel cannot tell, we look again.
            Err(Errno::AGAIN) => {}
            // No such call, or a filter forbids it.
            Err(Errno::NOSYS | Errno::PERM) => return step_by_step(root, path, flags),
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The same without `openat2`: links are refused.
fn step_by_step(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let dir_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dir = fs::openat(root, ".", dir_flags, Mode::empty())?;
    let mut components = path
        .components()
        .filter(|c| *c != Component::CurDir)
        .peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else {
            return Err(Errno::XDEV);
        };
        let last = components.peek().is_none();
        let flags = if last {
            flags | OFlags::NOFOLLOW
        } else {
            dir_flags
        };
        dir = fs::openat(&dir, name, flags, Mode::empty()).map_err(|errno| match errno {
            // With O_PATH and O_DIRECTORY a link is "not a directory".
            Errno::NOTDIR if !last => Errno::LOOP,
            other => other,
        })?;
    }
    Ok(dir)
}

/// Whether the file there has exactly this content. A link or anything else is another.
fn same_content(dir: &OwnedFd, name: &str, bytes: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(file) = fs::openat(dir, name, flags, Mode::empty()) else {
        return false;
    };
    let regular = fs::fstat(&file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && u64::try_from(stat.st_size) == Ok(bytes.len() as u64)
    });
    if !regular {
        return false;
    }
    let mut file = std::fs::File::from(file);
    let mut chunk = vec![0; bytes.len().clamp(1, 64 * 1024)];
    let mut rest = bytes;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return rest.is_empty(),
            Ok(count) => match rest.split_at_checked(count) {
                Some((head, tail)) if head == &chunk[..count] => rest = tail,
                _ => return false,
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// A new file in the directory, readable by nobody else, and its name.
fn create_beside(path: &str, dir: &OwnedFd) -> Result<(OwnedFd, String), SandboxError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..ATTEMPTS {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".nomad-template-{}-{n}", std::process::id());
        match fs::openat(dir, &name, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => return Ok((file, name)),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(io(path, "create a file", errno)),
        }
    }
    Err(io(path, "create a file", Errno::EXIST))
}

fn write_into(
    path: &str,
    file: OwnedFd,
    bytes: &[u8],
    ownership: Ownership,
) -> Result<(), SandboxError> {
    let mut file = std::fs::File::from(file);
    file.write_all(bytes).map_err(|source| SandboxError::Io {
        path: path.to_owned(),
        action: "write",
        source,
    })?;
    apply(path, &file, ownership)
}

fn apply(path: &str, file: impl AsFd, ownership: Ownership) -> Result<(), SandboxError> {
    let Ownership { mode, uid, gid } = ownership;
    if uid.is_some() || gid.is_some() {
        fs::fchown(&file, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
            .map_err(|errno| io(path, "change its owner", errno))?;
    }
    // Behind the owner: changing that clears set-user-id bits.
    fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|errno| io(path, "change its mode", errno))
}

#[cfg(test)]
mod tests;
