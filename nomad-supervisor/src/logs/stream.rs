//! One output stream of a task: moves bytes from its FIFO to its files, one system call at a time.
//!
//! `splice` takes bytes off the FIFO exactly as far as they have reached the file, also when this process is killed in
//! the middle of it: nothing is lost and nothing is written twice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use super::files::{self, Files, LogDir};
use super::rotate::{self, Step};
use super::scratch::{CHUNK_BYTES, Scratch};
use crate::types::{LogSpec, LogStream};

/// Why a stream could not be set up or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("open log directory {path}")]
    Dir { path: String, source: io::Error },
    #[error("make FIFO {name}")]
    Fifo { name: String, source: io::Error },
    #[error("open log file {name}")]
    File { name: String, source: io::Error },
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes (0: the file was changed). There may be more.
    Some(u64),
    /// Nothing waits.
    Empty,
    /// An unfinished line waits.
    Partial,
}

/// See the module.
pub(crate) struct Stream {
    pub(crate) kind: LogStream,
    dir: Rc<LogDir>,
    fifo: Rc<OwnedFd>,
    fifo_name: String,
    files: Files,
    /// The file system cannot splice: copy instead.
    copying: bool,
}

impl Stream {
    /// Makes the FIFO and continues or begins the files.
    pub(crate) fn create(
        dir: &Rc<LogDir>,
        spec: &LogSpec,
        kind: LogStream,
        owner: Option<(u32, u32)>,
    ) -> Result<Self, StreamError> {
        let name = files::fifo_name(&spec.task, kind);
        let fifo = dir
            .make_fifo(&name, owner)
            .map_err(|source| StreamError::Fifo {
                name: name.clone(),
                source,
            })?;
        Self::with_fifo(dir, spec, kind, fifo, name)
    }

    /// Finds the FIFO of a task that was started by an earlier supervisor: as it was held, by name, or through the task
    /// itself.
    pub(crate) fn adopt(
        dir: &Rc<LogDir>,
        spec: &LogSpec,
        kind: LogStream,
        held: Option<OwnedFd>,
        pid: Option<i32>,
    ) -> Result<Self, StreamError> {
        let name = files::fifo_name(&spec.task, kind);
        if let Some(fifo) = held {
            return Self::with_fifo(dir, spec, kind, fifo, name);
        }
        let by_process = |error| pid.map_or(Err(error), |p| files::fifo_of_process(p, kind));
        let fifo = dir
            .open_fifo(&name, true)
            .or_else(by_process)
            .map_err(|source| StreamError::Fifo {
                name: name.clone(),
                source,
            })?;
        Self::with_fifo(dir, spec, kind, fifo, name)
    }

    fn with_fifo(
        dir: &Rc<LogDir>,
        spec: &LogSpec,
        kind: LogStream,
        fifo: OwnedFd,
        fifo_name: String,
    ) -> Result<Self, StreamError> {
        let base = format!("{}.{}", spec.task, kind.as_str());
        let files = Files::new(dir, base.clone(), spec.max_files, spec.max_file_size)
            .map_err(|source| StreamError::File { name: base, source })?;
        Ok(Self {
            kind,
            dir: Rc::clone(dir),
            fifo: Rc::new(fifo),
            fifo_name,
            files,
            copying: false,
        })
    }

    /// The end that the task gets: its own open file, blocking, and readable too so that the task neither dies of
    /// SIGPIPE nor loses what it wrote while no supervisor lives.
    pub(crate) fn task_end(&self) -> io::Result<OwnedFd> {
        self.dir.open_fifo(&self.fifo_name, false)
    }

    /// Our end.
    pub(crate) fn end(&self) -> &OwnedFd {
        &self.fifo
    }

    /// Our end, for waiting.
    pub(crate) fn fifo(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.fifo)
    }

    /// Removes the names of both FIFOs of a task that has no streams.
    pub(crate) fn unlink_all(dir: &LogDir, spec: &LogSpec) {
        for kind in [LogStream::Stdout, LogStream::Stderr] {
            let name = files::fifo_name(&spec.task, kind);
            if let Err(error) = dir.remove(&name) {
                tracing::debug!(name, %error, "FIFO not removed");
            }
        }
    }

    /// Removes the FIFO's name.
    pub(crate) fn unlink(&self) {
        if let Err(error) = self.dir.remove(&self.fifo_name) {
            tracing::debug!(name = self.fifo_name, %error, "FIFO not removed");
        }
    }

    /// Moves some waiting bytes. `flush` writes an unfinished line, too.
    pub(crate) fn step(&mut self, scratch: &mut Scratch, flush: bool) -> io::Result<Moved> {
        let max_size = self.files.max_size();
        let file = self.files.current(&self.dir)?;
        let size = rustix::fs::fstat(file)?.st_size as u64;
        let blind = rotate::blind_budget(size, max_size);
        if blind > 0 && !self.copying {
            return match splice(&self.fifo, file, size, CHUNK_BYTES.min(blind as usize)) {
                Ok(0) | Err(Errno::AGAIN) => Ok(Moved::Empty),
                Ok(n) => Ok(Moved::Some(n as u64)),
                Err(Errno::INVAL) => {
                    self.copying = true;
                    Ok(Moved::Some(0))
                }
                Err(Errno::INTR) => Ok(Moved::Some(0)),
                Err(e) => Err(e.into()),
            };
        }
        let next = scratch.peek(self.fifo.as_fd(), CHUNK_BYTES)?;
        if next.is_empty() {
            return Ok(Moved::Empty);
        }
        let step = match next.len().min(usize::try_from(blind).unwrap_or(usize::MAX)) {
            0 => rotate::step(size, max_size, ends_mid_line(file, size)?, next, flush),
            blind => Step::Write(blind),
        };
        match step {
            Step::Wait => Ok(Moved::Partial),
            Step::Rotate => self.files.rotate(&self.dir).map(|()| Moved::Some(0)),
            Step::Write(count) if self.copying => {
                let written = rustix::io::pwrite(file, &next[..count], size)?;
                scratch.consume(self.fifo.as_fd(), written)?;
                Ok(Moved::Some(written as u64))
            }
            Step::Write(count) => match splice(&self.fifo, file, size, count) {
                Ok(n) => Ok(Moved::Some(n as u64)),
                Err(Errno::AGAIN | Errno::INTR) => Ok(Moved::Some(0)),
                Err(Errno::INVAL) => {
                    self.copying = true;
                    Ok(Moved::Some(0))
                }
                Err(e) => Err(e.into()),
            },
        }
    }

    /// Moves all that waits now. Writers that go on do not hold it up: what comes later is not waited for.
    pub(crate) fn drain(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let mut left = rustix::io::ioctl_fionread(&*self.fifo)?;
        while left > 0 {
            match self.step(scratch, true)? {
                Moved::Some(n) => left = left.saturating_sub(n),
                Moved::Empty | Moved::Partial => break,
            }
        }
        Ok(())
    }

    /// Throws away what waits, so that the task can go on although its output cannot be written. Returns how much.
    pub(crate) fn discard(&mut self, scratch: &mut Scratch) -> io::Result<u64> {
        let waiting = rustix::io::ioctl_fionread(&*self.fifo)?;
        scratch.consume(
            self.fifo.as_fd(),
            usize::try_from(waiting).unwrap_or(usize::MAX),
        )?;
        Ok(waiting)
    }
}

fn splice(
    fifo: &OwnedFd,
    file: BorrowedFd<'_>,
    at: u64,
    count: usize,
) -> rustix::io::Result<usize> {
    let mut offset = at;
    rustix::pipe::splice(
        fifo,
        None,
        file,
        Some(&mut offset),
        count,
        SpliceFlags::NONBLOCK,
    )
}

fn ends_mid_line(file: BorrowedFd<'_>, size: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if size > 0 {
        rustix::io::pread(file, &mut last, size - 1)?;
    }
    Ok(last != *b"\n")
}
