//! A look at the bytes waiting in a FIFO that leaves them there, and a buffer, both shared by all streams.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// Most bytes looked at or moved in one step: what a FIFO holds by default.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// One per supervisor: every step that uses it ends before the next begins.
#[derive(Default)]
pub(crate) struct Scratch {
    parts: Option<Parts>,
}

struct Parts {
    read: OwnedFd,
    write: OwnedFd,
    buffer: Box<[u8]>,
}

impl Scratch {
    fn parts(&mut self) -> io::Result<&mut Parts> {
        if self.parts.is_none() {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            self.parts = Some(Parts {
                read,
                write,
                buffer: vec![0; CHUNK_BYTES].into_boxed_slice(),
            });
        }
        self.parts
            .as_mut()
            .ok_or_else(|| io::Error::other("no scratch pipe"))
    }

    /// The next bytes of the FIFO, at most `limit` of them, without consuming any. Empty if none wait.
    pub(crate) fn peek(&mut self, fifo: BorrowedFd<'_>, limit: usize) -> io::Result<&[u8]> {
        let parts = self.parts()?;
        let wanted = limit.min(CHUNK_BYTES);
        let copied =
            match rustix::pipe::tee(fifo, parts.write.as_fd(), wanted, SpliceFlags::NONBLOCK) {
                Ok(n) => n,
                Err(Errno::AGAIN) => 0,
                Err(e) => return Err(e.into()),
            };
        let mut filled = 0;
        while filled < copied {
            match rustix::io::read(&parts.read, &mut parts.buffer[filled..copied]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(e) => {
                    // A pipe with left-overs would lie at the next look.
                    self.parts = None;
                    return Err(e.into());
                }
            }
        }
        Ok(self.parts.as_ref().map_or(&[], |p| &p.buffer[..filled]))
    }

    /// Takes exactly `count` bytes off the FIFO, which are known to wait there, and forgets them.
    pub(crate) fn consume(&mut self, fifo: BorrowedFd<'_>, count: usize) -> io::Result<()> {
        let parts = self.parts()?;
        let mut left = count;
        while left > 0 {
            let wanted = left.min(CHUNK_BYTES);
            match rustix::io::read(fifo, &mut parts.buffer[..wanted]) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(n) => left -= n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}
