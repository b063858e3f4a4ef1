//! The shared pool of byte segments: handed out when bytes wait, given back when they are read.

#[cfg(test)]
use std::sync::atomic::{AtomicIsize, Ordering};

use super::sync::{Arc, Lock};

/// Smallest segment in bytes. A request line with its headers fits.
pub const MIN_SEGMENT: usize = 512;

/// Largest segment in bytes. Longer writes take several, so that no large block need be found.
pub const MAX_SEGMENT: usize = 64 * 1024;

/// Bytes that a pool keeps for reuse by default. What comes back beyond that is freed at once.
pub const DEFAULT_MAX_IDLE_BYTES: usize = 128 * 1024;

/// Segments smaller than this are not kept in a free list: the allocator's own per-thread caches
/// hand them out faster than a list behind a lock could.
const SMALLEST_KEPT: usize = 8 * 1024;

/// One free list per power of two from [`SMALLEST_KEPT`] to [`MAX_SEGMENT`].
const CLASSES: usize = (MAX_SEGMENT / SMALLEST_KEPT).ilog2() as usize + 1;

/// A pool of byte segments shared by many connections. Cloning shares the pool.
#[derive(Debug, Clone)]
pub struct BufferPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: Lock<Kept>,
    max_idle_bytes: usize,
    /// Bytes handed out, counted for tests: that nothing leaks.
    #[cfg(test)]
    in_use_bytes: AtomicIsize,
}

/// Free segments by size.
#[derive(Debug, Default)]
struct Kept {
    free: [Vec<Vec<u8>>; CLASSES],
    bytes: usize,
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_IDLE_BYTES)
    }
}

impl BufferPool {
    /// A pool that keeps at most `max_idle_bytes` of free segments.
    pub fn new(max_idle_bytes: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                kept: Lock::new(Kept::default()),
                max_idle_bytes,
                #[cfg(test)]
                in_use_bytes: AtomicIsize::new(0),
            }),
        }
    }

    /// Bytes in free segments kept for reuse; at most the pool's `max_idle_bytes`.
    pub fn idle_bytes(&self) -> usize {
        self.inner.kept.lock().bytes
    }

    /// Bytes in segments that connections hold because bytes wait in them.
    #[cfg(test)]
    pub(super) fn in_use_bytes(&self) -> usize {
        let bytes = self.inner.in_use_bytes.load(Ordering::SeqCst);
        usize::try_from(bytes).expect("no more is given back than was taken")
    }

    /// Frees every segment kept for reuse.
    pub fn trim(&self) {
        let freed = std::mem::take(&mut *self.inner.kept.lock());
        drop(freed);
    }

    /// An empty segment with room for `want` bytes, or for [`MAX_SEGMENT`] if `want` is more.
    #[inline]
    pub(super) fn take(&self, want: usize) -> Vec<u8> {
        let size = want.clamp(MIN_SEGMENT, MAX_SEGMENT).next_power_of_two();
        self.count(size.cast_signed());
        if size < SMALLEST_KEPT {
            return Vec::with_capacity(size);
        }
        self.take_kept(size)
    }

    #[inline(never)]
    fn take_kept(&self, size: usize) -> Vec<u8> {
        let kept = {
            let mut kept = self.inner.kept.lock();
            let segment = kept.free[class(size)].pop();
            if segment.is_some() {
                kept.bytes -= size;
            }
            segment
        };
        kept.unwrap_or_else(|| Vec::with_capacity(size))
    }

    /// Takes back a segment that came from [`Self::take`], whatever it holds.
    #[inline]
    pub(super) fn give(&self, segment: Vec<u8>) {
        let size = segment.capacity();
        debug_assert!(size.is_power_of_two() && (MIN_SEGMENT..=MAX_SEGMENT).contains(&size));
        self.count(-size.cast_signed());
        if size >= SMALLEST_KEPT {
            self.keep(segment);
        }
    }

    #[inline(never)]
    fn keep(&self, mut segment: Vec<u8>) {
        let size = segment.capacity();
        segment.clear();
        let mut kept = self.inner.kept.lock();
        if kept.bytes + size <= self.inner.max_idle_bytes {
            kept.bytes += size;
            kept.free[class(size)].push(segment);
        } else {
            // Freed outside the lock: returning pages to the system may take long.
            drop(kept);
            drop(segment);
        }
    }

    #[cfg(test)]
    fn count(&self, bytes: isize) {
        self.inner.in_use_bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "counts in tests only")]
    #[inline]
    fn count(&self, _: isize) {}
}

/// Index of the free list for segments of `size` bytes.
fn class(size: usize) -> usize {
    (size / SMALLEST_KEPT).ilog2() as usize
}
