//! Both directions of one connection behind their locks, and the waking.
//!
//! Rule: while a lock is held no waker is cloned, dropped or called, for each of these may run
//! code of an executor that drops a task and thereby an end of this same connection.

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

    fn written_by(&self, side: Side) -> &Lock<Direction> {
        &self.directions[side as usize]
    }

    /// Reads what the other side wrote: hands up to `limit` bytes to `sink`; 0 is the end.
    pub(super) fn poll_read(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        limit: usize,
        mut sink: impl FnMut(&[u8]),
    ) -> Poll<usize> {
        let direction = self.written_by(side.other());
        // The waker is cloned only when it is needed, and then with the lock released.
        let mut spare: Option<Waker> = None;
        loop {
            let mut guard = direction.lock();
            let (got, wakes) = guard.read(limit, &self.pool, &mut sink);
            let replaced = match got {
                Got::Empty if guard.reader_is(cx.waker()) => None,
                Got::Empty => match spare.take() {
                    Some(waker) => guard.park_reader(waker),
                    None => {
                        drop(guard);
                        spare = Some(cx.waker().clone());
                        continue;
                    }
                },
                Got::Bytes(_) | Got::End => None,
            };
            drop(guard);
            drop(replaced);
            wakes.wake();
            return match got {
                Got::Bytes(count) => Poll::Ready(count),
                Got::End => Poll::Ready(0),
                Got::Empty => Poll::Pending,
            };
        }
    }

    /// Queues `parts` as one write, see [`Direction::write`].
    pub(super) fn poll_write(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<io::Result<usize>> {
        let direction = self.written_by(side);
        let mut spare: Option<Waker> = None;
        loop {
            let mut guard = direction.lock();
            let (wrote, wakes) = guard.write(parts, &self.pool);
            let replaced = match wrote {
                Wrote::Full => match spare.take() {
                    Some(waker) => {
                        let total = parts.iter().map(|part| part.len()).sum();
                        guard.park_writer(waker, total)
                    }
                    None => {
                        drop(guard);
                        spare = Some(cx.waker().clone());
                        continue;
                    }
                },
                Wrote::Bytes(_) | Wrote::Broken => None,
            };
            drop(guard);
            drop(replaced);
            wakes.wake();
            return match wrote {
                Wrote::Bytes(count) => Poll::Ready(Ok(count)),
                Wrote::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Wrote::Full => Poll::Pending,
            };
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
