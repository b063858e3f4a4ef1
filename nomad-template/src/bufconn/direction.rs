//! One direction of a connection as a synchronous state machine: a bounded byte queue with two ends.
//!
//! Nothing here locks, blocks or calls a waker. Operations that may let the other end go on put
//! its waker into [`Wakes`]; the caller wakes when it has released its lock, because a waker may
//! run arbitrary code (drop a task, and with it the other end of this very connection).

use std::collections::VecDeque;
use std::task::Waker;

use super::pool::BufferPool;

/// Bytes that may wait in one direction by default: 640 KiB.
///
/// Sized for the largest Variable as JSON. Its items are at most 65,536 bytes of keys and values
/// together. In the worst escaping every byte becomes `\u00XX`, six bytes: 393,216. Every item
/// adds six more (four quotes, colon, comma), and because keys differ there are at most about
/// 33,000 of them: 198,000. With metadata and HTTP headers that stays under 640 KiB = 655,360.
/// A ceiling costs nothing while no bytes wait.
pub const DEFAULT_CEILING: usize = 640 * 1024;

/// The queue of one direction. Reader and writer are the two ends of the same direction.
#[derive(Debug)]
pub(super) struct Direction {
    /// The oldest waiting segment; without capacity when nothing waits.
    first: Vec<u8>,
    /// Bytes of `first` that were read already.
    read_pos: usize,
    /// Segments behind `first`. Holds no memory while empty.
    rest: VecDeque<Vec<u8>>,
    /// Bytes that wait in all segments.
    len: usize,
    /// Most bytes that may wait.
    ceiling: usize,
    writer_open: bool,
    reader_open: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Free bytes the sleeping writer needs; 0 if none sleeps.
    writer_wants: usize,
}

/// Wakers to call once no lock is held, at most one for each end.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Wakes {
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// A waker that nobody waits with any more, here only to be dropped without a lock.
    stale: Option<Waker>,
}

impl Wakes {
    /// Calls them. No lock may be held.
    pub(super) fn wake(self) {
        if let Some(waker) = self.reader {
            waker.wake();
        }
        if let Some(waker) = self.writer {
            waker.wake();
        }
    }
}

/// What a write attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// So many bytes were queued.
    Bytes(usize),
    /// No room: wait for the reader.
    Full,
    /// The reader is gone or the writer has closed: `BrokenPipe`.
    Broken,
}

/// What a read attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes were handed over, at least one.
    Bytes(usize),
    /// Nothing waits: wait for the writer.
    Empty,
    /// Nothing waits and nothing will come.
    End,
}

impl Direction {
    /// An empty, open direction. A ceiling of 0 would never let a byte through and counts as 1.
    pub(super) fn new(ceiling: usize) -> Self {
        Self {
            first: Vec::new(),
            read_pos: 0,
            rest: VecDeque::new(),
            len: 0,
            ceiling: ceiling.max(1),
            writer_open: true,
            reader_open: true,
            reader: None,
            writer: None,
            writer_wants: 0,
        }
    }

    /// Queues the bytes of `parts`, taken as one write.
    ///
    /// All of them if they fit under the ceiling together; if they fit only beside what waits
    /// now, none (`Full`); if they could never fit, as many as fit now.
    pub(super) fn write(&mut self, parts: &[&[u8]], pool: &BufferPool) -> (Wrote, Wakes) {
        let mut wakes = Wakes::default();
        if !self.reader_open || !self.writer_open {
            return (Wrote::Broken, wakes);
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total == 0 {
            return (Wrote::Bytes(0), wakes);
        }
        let room = self.ceiling - self.len;
        let count = if total > self.ceiling {
            room.min(total)
        } else {
            total
        };
        if count == 0 || count > room {
            return (Wrote::Full, wakes);
        }
        let mut left = count;
        for part in parts {
            let take = part.len().min(left);
            left -= take;
            self.append(&part[..take], left, pool);
        }
        self.len += count;
        self.writer_wants = 0;
        wakes.reader = self.reader.take();
        wakes.stale = self.writer.take();
        (Wrote::Bytes(count), wakes)
    }

    /// Copies `bytes` behind the last segment; `more` bytes of the same write will follow.
    fn append(&mut self, mut bytes: &[u8], more: usize, pool: &BufferPool) {
        while !bytes.is_empty() {
            let tail = self.rest.back_mut().unwrap_or(&mut self.first);
            let space = tail.capacity() - tail.len();
            if space == 0 {
                let segment = pool.take(bytes.len() + more);
                if self.first.capacity() == 0 {
                    self.first = segment;
                } else {
                    self.rest.push_back(segment);
                }
                continue;
            }
            let take = space.min(bytes.len());
            tail.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
        }
    }

    /// Hands waiting bytes to `sink` in order, at most `limit` of them, and gives emptied segments back.
    pub(super) fn read(
        &mut self,
        limit: usize,
        pool: &BufferPool,
        mut sink: impl FnMut(&[u8]),
    ) -> (Got, Wakes) {
        let mut wakes = Wakes::default();
        if self.len == 0 {
            let got = if self.writer_open {
                Got::Empty
            } else {
                Got::End
            };
            return (got, wakes);
        }
        let mut taken = 0;
        while taken < limit && self.len > 0 {
            let waiting = &self.first[self.read_pos..];
            let take = waiting.len().min(limit - taken);
            sink(&waiting[..take]);
            taken += take;
            self.read_pos += take;
            self.len -= take;
            if self.read_pos == self.first.len() {
                self.next_segment(pool);
            }
        }
        if self.writer_wants > 0 && self.ceiling - self.len >= self.writer_wants {
            self.writer_wants = 0;
            wakes.writer = self.writer.take();
        }
        (Got::Bytes(taken), wakes)
    }

    /// Gives `first` back and brings the next segment forward.
    fn next_segment(&mut self, pool: &BufferPool) {
        let next = self.rest.pop_front().unwrap_or_default();
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        self.read_pos = 0;
        pool.give(std::mem::replace(&mut self.first, next));
    }

    /// Registers the reader's waker. Returns the one it replaces, to be dropped without a lock.
    pub(super) fn park_reader(&mut self, waker: Waker) -> Option<Waker> {
        self.reader.replace(waker)
    }

    /// Registers the writer's waker for a write of `total` bytes. Returns the one it replaces.
    pub(super) fn park_writer(&mut self, waker: Waker, total: usize) -> Option<Waker> {
        self.writer_wants = if total > self.ceiling { 1 } else { total };
        self.writer.replace(waker)
    }

    /// Whether `waker` would wake the task that sleeps as reader already.
    pub(super) fn reader_is(&self, waker: &Waker) -> bool {
        self.reader
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
    }

    /// The writer ends the stream: what waits can still be read. May be called again.
    pub(super) fn close_writer(&mut self) -> Wakes {
        self.writer_open = false;
        self.writer_wants = 0;
        Wakes {
            reader: self.reader.take(),
            writer: self.writer.take(),
            stale: None,
        }
    }

    /// The reader goes away: what waits is given back, the writer finds a broken pipe.
    pub(super) fn close_reader(&mut self, pool: &BufferPool) -> Wakes {
        self.reader_open = false;
        self.len = 0;
        while self.first.capacity() > 0 {
            self.next_segment(pool);
        }
        self.writer_wants = 0;
        Wakes {
            reader: self.reader.take(),
            writer: self.writer.take(),
            stale: None,
        }
    }

    /// Bytes that wait to be read.
    pub(super) fn waiting(&self) -> usize {
        self.len
    }
}
