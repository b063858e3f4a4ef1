//! The files of one stream in the log directory: which is the newest, opening it, beginning the next, removing the oldest.
//!
//! The log directory is writable by the task, so everything is opened relative to a directory descriptor and never
//! through a symbolic link.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::types::LogStream;

/// Mode of log files.
const FILE_MODE: u32 = 0o644;
/// Mode of FIFOs.
const FIFO_MODE: u32 = 0o600;
/// How many directories or foreign files in the way are skipped before giving up.
const MAX_SKIPPED: u64 = 10_000;

/// A log directory held open.
pub(crate) struct LogDir(OwnedFd);

impl LogDir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Makes the FIFO anew, so that nothing a task planted under its name is used, and opens our end.
    pub(crate) fn make_fifo(&self, name: &str, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
        self.remove(name)?;
        rustix::fs::mknodat(
            self.fd(),
            name,
            FileType::Fifo,
            Mode::from_raw_mode(FIFO_MODE),
            0,
        )?;
        let fifo = self.open_fifo(name, true)?;
        if let Some((uid, gid)) = owner {
            // A task may open /dev/stdout again; this may fail without root, where the task runs as us anyway.
            let owner = (
                Some(rustix::process::Uid::from_raw(uid)),
                Some(rustix::process::Gid::from_raw(gid)),
            );
            let _ = rustix::fs::fchown(&fifo, owner.0, owner.1);
        }
        Ok(fifo)
    }

    /// Opens a FIFO for reading and writing, so that neither the last writer's nor the last reader's going empties it.
    pub(crate) fn open_fifo(&self, name: &str, nonblocking: bool) -> io::Result<OwnedFd> {
        let mut flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        flags.set(OFlags::NONBLOCK, nonblocking);
        let fd = rustix::fs::openat(self.fd(), name, flags | OFlags::NOCTTY, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Fifo {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name} is not a FIFO"),
            ));
        }
        Ok(fd)
    }

    /// Removes a file; that it is not there is no error.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(self.fd(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Name of a stream's FIFO.
pub(crate) fn fifo_name(task: &str, stream: LogStream) -> String {
    format!(".{task}.{}.fifo", stream.as_str())
}

/// Opens a FIFO again through a process that holds it, for when its name is gone from the directory.
pub(crate) fn fifo_of_process(pid: i32, stream: LogStream) -> io::Result<OwnedFd> {
    let number = if stream == LogStream::Stdout { 1 } else { 2 };
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = rustix::fs::open(format!("/proc/{pid}/fd/{number}"), flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Fifo {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the task's stream is not a FIFO",
        ));
    }
    Ok(fd)
}

/// The rotated files of one stream.
pub(crate) struct Files {
    /// `<task>.stdout`
    base: String,
    max_files: u32,
    max_size: u64,
    index: u64,
    oldest: u64,
    open: Option<OwnedFd>,
}

impl Files {
    /// Continues with the newest file of the directory, or begins with number 0, and makes sure that it exists.
    pub(crate) fn new(
        dir: &LogDir,
        base: String,
        max_files: u32,
        max_size: u64,
    ) -> io::Result<Self> {
        let mut found: Vec<u64> = Vec::new();
        let view = rustix::fs::Dir::read_from(dir.fd())?;
        for entry in view.flatten() {
            let index = entry
                .file_name()
                .to_str()
                .ok()
                .and_then(|n| index_of(n, &base));
            found.extend(index);
        }
        let index = found.iter().copied().max().unwrap_or(0);
        let oldest = found.iter().copied().min().unwrap_or(0);
        let mut files = Self {
            base,
            max_files: max_files.max(1),
            max_size: max_size.max(1),
            index,
            oldest,
            open: None,
        };
        files.current(dir)?;
        // An idle stream holds no file open.
        files.open = None;
        Ok(files)
    }

    pub(crate) fn max_size(&self) -> u64 {
        self.max_size
    }

    /// The newest file, open for reading and writing.
    pub(crate) fn current(&mut self, dir: &LogDir) -> io::Result<BorrowedFd<'_>> {
        let mut skipped = 0;
        while self.open.is_none() {
            match self.open_index(dir, self.index) {
                Ok(fd) => self.open = Some(fd),
                // A directory or a link in the way.
                Err(Errno::ISDIR | Errno::LOOP | Errno::NXIO | Errno::INVAL)
                    if skipped < MAX_SKIPPED =>
                {
                    skipped += 1;
                    self.index += 1;
                }
                Err(e) => return Err(e.into()),
            }
        }
        self.open
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or_else(|| io::Error::other("no log file"))
    }

    fn open_index(&self, dir: &LogDir, index: u64) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC
            | OFlags::NOCTTY;
        let name = format!("{}.{index}", self.base);
        let fd = rustix::fs::openat(dir.fd(), name, flags, Mode::from_raw_mode(FILE_MODE))?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        Ok(fd)
    }

    /// Begins the next file that is not full, and removes those beyond the number to keep.
    pub(crate) fn rotate(&mut self, dir: &LogDir) -> io::Result<()> {
        self.open = None;
        let mut skipped = 0;
        loop {
            self.index += 1;
            let size = rustix::fs::fstat(self.current(dir)?)?.st_size as u64;
            if size < self.max_size {
                break;
            }
            self.open = None;
            skipped += 1;
            if skipped > MAX_SKIPPED {
                return Err(io::Error::other("too many full log files in the way"));
            }
        }
        while self.index - self.oldest >= u64::from(self.max_files) {
            let name = format!("{}.{}", self.base, self.oldest);
            // A directory of that name is not ours to remove.
            if let Err(error) = dir.remove(&name) {
                tracing::debug!(name, %error, "old log file not removed");
            }
            self.oldest += 1;
        }
        Ok(())
    }
}

fn index_of(name: &str, base: &str) -> Option<u64> {
    let digits = name.strip_prefix(base)?.strip_prefix('.')?;
    let plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|n| plain && *n < u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_count_as_rotated_files() {
        assert_eq!(index_of("web.stdout.12", "web.stdout"), Some(12));
        assert_eq!(index_of("web.stdout.0", "web.stdout"), Some(0));
        for other in [
            "web.stdout",
            "web.stdout.",
            "web.stdout.x",
            "web.stdout.01",
            "web.stdout.+1",
            "web2.stdout.1",
        ] {
            assert_eq!(index_of(other, "web.stdout"), None, "{other}");
        }
        assert_eq!(
            index_of("web.stdout.18446744073709551615", "web.stdout"),
            None
        );
    }

    #[test]
    fn a_link_planted_by_the_task_is_not_followed() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let victim = tmp.path().join("victim");
        std::fs::write(&victim, "precious").expect("write");
        let logs = tmp.path().join("logs");
        std::fs::create_dir(&logs).expect("mkdir");
        std::os::unix::fs::symlink(&victim, logs.join("t.stdout.0")).expect("symlink");
        std::fs::create_dir(logs.join("t.stdout.1")).expect("mkdir");
        let dir = LogDir::open(&logs).expect("open");
        let mut files = Files::new(&dir, "t.stdout".into(), 3, 100).expect("files");
        let fd = files.current(&dir).expect("current");
        rustix::io::write(fd, b"hello").expect("write");
        assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
        assert_eq!(
            std::fs::read_to_string(logs.join("t.stdout.2")).expect("read"),
            "hello"
        );
        assert!(LogDir::open(&logs.join("t.stdout.0")).is_err());
    }
}
