//! One direction of a connection as a synchronous state machine: a bounded byte queue with two ends.
//!
//! Nothing here locks, blocks or calls a waker. Operations that may let the other end go on put
//! its waker into [`Wakes`]; the caller wakes when it has released its lock, because a waker may
//! run arbitrary code (drop a task, and with it the other end of this very connection).

use std::collections::VecDeque;
use std::task::Waker;

use super::pool::{BufferPool, MAX_SEGMENT};

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
#[derive(Debug)]
#[must_use]
pub(super) struct Wakes {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wakes {
    /// Calls them. No lock may be held.
    pub(super) fn wake(self) {
        self.reader.into_iter().for_each(Waker::wake);
        self.writer.into_iter().for_each(Waker::wake);
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
    /// now, none (`Full`); if they could never fit, as many as fit now. Returns the reader to wake.
    #[inline]
    pub(super) fn write(&mut self, parts: &[&[u8]], pool: &BufferPool) -> (Wrote, Option<Waker>) {
        if !self.reader_open || !self.writer_open {
            return (Wrote::Broken, None);
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total == 0 {
            return (Wrote::Bytes(0), None);
        }
        let room = self.ceiling - self.len;
        let count = if total > self.ceiling { room } else { total };
        if count == 0 || count > room {
            return (Wrote::Full, None);
        }
        if let ([part], true) = (parts, self.len == 0 && count <= MAX_SEGMENT) {
            // The usual case, a message into an idle connection: one segment, one copy.
            self.first = pool.take(count);
            self.first.extend_from_slice(&part[..count]);
        } else {
            self.write_parts(parts, count, pool);
        }
        self.len += count;
        self.writer_wants = 0;
        (Wrote::Bytes(count), self.reader.take())
    }

    /// Appends the first `count` bytes of `parts`.
    #[inline(never)]
    fn write_parts(&mut self, parts: &[&[u8]], count: usize, pool: &BufferPool) {
        let mut left = count;
        for part in parts {
            let take = part.len().min(left);
            left -= take;
            self.append(&part[..take], left, pool);
        }
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

    /// Hands waiting bytes to `sink` in order, at most `limit` of them, and gives emptied segments
    /// back. Returns the writer to wake.
    #[inline]
    pub(super) fn read(
        &mut self,
        limit: usize,
        pool: &BufferPool,
        mut sink: impl FnMut(&[u8]),
    ) -> (Got, Option<Waker>) {
        if self.len == 0 {
            let got = if self.writer_open {
                Got::Empty
            } else {
                Got::End
            };
            return (got, None);
        }
        let mut taken = 0;
        if self.len == self.first.len() - self.read_pos && self.len <= limit {
            // The usual case: one segment, wholly read.
            sink(&self.first[self.read_pos..]);
            taken = self.len;
            self.len = 0;
            self.read_pos = 0;
            pool.give(std::mem::take(&mut self.first));
        }
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
        let mut writer = None;
        if self.writer_wants > 0 && self.ceiling - self.len >= self.writer_wants {
            self.writer_wants = 0;
            writer = self.writer.take();
        }
        (Got::Bytes(taken), writer)
    }

    /// Gives `first` back and brings the next segment forward.
    fn next_segment(&mut self, pool: &BufferPool) {
        let next = self.rest.pop_front().unwrap_or_default();
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
        self.read_pos = 0;
        pool.give(std::mem::replace(&mut self.first, next));
    }

    /// Registers the reader's waker. Returns the one it replaces, to be dropped without a lock.
    #[inline]
    pub(super) fn park_reader(&mut self, waker: &Waker) -> Option<Waker> {
        park(&mut self.reader, waker)
    }

    /// Registers the writer's waker for a write of `total` bytes. Returns the one it replaces.
    pub(super) fn park_writer(&mut self, waker: &Waker, total: usize) -> Option<Waker> {
        self.writer_wants = if total > self.ceiling { 1 } else { total };
        park(&mut self.writer, waker)
    }

    /// Takes out a waker left by a write that was given up, to be dropped without a lock.
    #[inline]
    pub(super) fn stale_writer(&mut self) -> Option<Waker> {
        if self.writer_wants == 0 {
            self.writer.take()
        } else {
            None
        }
    }

    /// The writer ends the stream: what waits can still be read. May be called again.
    pub(super) fn close_writer(&mut self) -> Wakes {
        self.writer_open = false;
        self.writer_wants = 0;
        Wakes {
            reader: self.reader.take(),
            writer: self.writer.take(),
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
        }
    }

    /// Whether a read would not have to wait: bytes are there, or the end is.
    pub(super) fn readable(&self) -> bool {
        self.len > 0 || !self.writer_open
    }

    /// Bytes that wait to be read.
    pub(super) fn waiting(&self) -> usize {
        self.len
    }
}

/// Puts a clone of `waker` into `slot` unless what is there wakes the same task.
#[inline]
fn park(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match slot {
        Some(known) if known.will_wake(waker) => None,
        _ => slot.replace(waker.clone()),
    }
}
