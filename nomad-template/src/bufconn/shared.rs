//! Both directions of one connection behind their locks, and the waking.
//!
//! Rule: while a lock is held no waker is called or dropped, for both may drop a task and with it
//! an end of this same connection. Cloning one under the lock is fine: it counts a reference.

use std::io;
use std::task::{Context, Poll, Waker};

use super::direction::{Direction, Got, Wrote};
use super::pool::BufferPool;
use super::sync::Lock;

/// What the two ends of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Indexed by the side that writes into it.
    directions: [Lock<Direction>; 2],
    pool: BufferPool,
}

/// Which end of the connection one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialer = 0,
    Listener = 1,
}

impl Side {
    #[inline]
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

impl Shared {
    /// An open connection whose sides may queue so many bytes each.
    pub(super) fn new(dialer_ceiling: usize, listener_ceiling: usize, pool: BufferPool) -> Self {
        Self {
            directions: [
                Lock::new(Direction::new(dialer_ceiling)),
                Lock::new(Direction::new(listener_ceiling)),
            ],
            pool,
        }
    }

    #[inline]
    fn written_by(&self, side: Side) -> &Lock<Direction> {
        &self.directions[side as usize]
    }

    /// Reads what the other side wrote: hands up to `limit` bytes to `sink`; 0 is the end.
    #[inline]
    pub(super) fn poll_read(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        limit: usize,
        sink: impl FnMut(&[u8]),
    ) -> Poll<usize> {
        let direction = self.written_by(side.other());
        let mut guard = direction.lock();
        let (got, writer) = guard.read(limit, &self.pool, sink);
        let replaced = match got {
            Got::Empty => guard.park_reader(cx.waker()),
            Got::Bytes(_) | Got::End => None,
        };
        drop(guard);
        drop(replaced);
        writer.into_iter().for_each(Waker::wake);
        match got {
            Got::Bytes(count) => Poll::Ready(count),
            Got::End => Poll::Ready(0),
            Got::Empty => Poll::Pending,
        }
    }

    /// Waits until a read by `side` would not have to wait.
    pub(super) fn poll_readable(&self, side: Side, cx: &mut Context<'_>) -> Poll<()> {
        let mut guard = self.written_by(side.other()).lock();
        if guard.readable() {
            return Poll::Ready(());
        }
        let replaced = guard.park_reader(cx.waker());
        drop(guard);
        drop(replaced);
        Poll::Pending
    }

    /// Queues `parts` as one write, see [`Direction::write`].
    #[inline]
    pub(super) fn poll_write(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<io::Result<usize>> {
        let direction = self.written_by(side);
        let mut guard = direction.lock();
        let (wrote, reader) = guard.write(parts, &self.pool);
        let replaced = match wrote {
            Wrote::Full => {
                let total = parts.iter().map(|part| part.len()).sum();
                guard.park_writer(cx.waker(), total)
            }
            Wrote::Bytes(_) | Wrote::Broken => guard.stale_writer(),
        };
        drop(guard);
        drop(replaced);
        reader.into_iter().for_each(Waker::wake);
        match wrote {
            Wrote::Bytes(count) => Poll::Ready(Ok(count)),
            Wrote::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Wrote::Full => Poll::Pending,
        }
    }

    /// `side` will write no more.
    pub(super) fn close_write(&self, side: Side) {
        let wakes = self.written_by(side).lock().close_writer();
        wakes.wake();
    }

    /// `side` will read no more.
    pub(super) fn close_read(&self, side: Side) {
        let wakes = self
            .written_by(side.other())
            .lock()
            .close_reader(&self.pool);
        wakes.wake();
    }

    /// Bytes that wait for `side` to read them.
    pub(super) fn waiting(&self, side: Side) -> usize {
        self.written_by(side.other()).lock().waiting()
    }
}

impl Drop for Shared {
    /// Both ends close before this runs; what the last close left goes back to the pool.
    fn drop(&mut self) {
        for direction in &self.directions {
            let wakes = direction.lock().close_reader(&self.pool);
            drop(wakes);
        }
    }
}
