//! The shared pool of byte segments: handed out when bytes wait, given back when they are read.

use super::sync::{Arc, Lock};

/// Smallest segment in bytes. A request line with its headers fits.
pub const MIN_SEGMENT: usize = 512;

/// Largest segment in bytes. Longer writes take several, so that no large block need be found.
pub const MAX_SEGMENT: usize = 64 * 1024;

/// Bytes that a pool keeps for reuse by default. What comes back beyond that is freed at once.
pub const DEFAULT_MAX_IDLE_BYTES: usize = 128 * 1024;

/// One free list per power of two from [`MIN_SEGMENT`] to [`MAX_SEGMENT`].
const CLASSES: usize = (MAX_SEGMENT / MIN_SEGMENT).ilog2() as usize + 1;

/// A pool of byte segments shared by many connections. Cloning shares the pool.
#[derive(Debug, Clone)]
pub struct BufferPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Lock<State>,
    max_idle_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    free: [Vec<Vec<u8>>; CLASSES],
    stats: PoolStats,
}

/// What a pool holds at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes in segments that connections hold because bytes wait in them.
    pub in_use_bytes: usize,
    /// Bytes in segments kept for reuse; at most the pool's `max_idle_bytes`.
    pub idle_bytes: usize,
    /// Largest `in_use_bytes` since the pool was made.
    pub peak_in_use_bytes: usize,
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
                state: Lock::new(State::default()),
                max_idle_bytes,
            }),
        }
    }

    /// What the pool holds now.
    pub fn stats(&self) -> PoolStats {
        self.inner.state.lock().stats
    }

    /// Frees every segment kept for reuse.
    pub fn trim(&self) {
        let freed = {
            let mut state = self.inner.state.lock();
            state.stats.idle_bytes = 0;
            std::mem::take(&mut state.free)
        };
        drop(freed);
    }

    /// An empty segment with room for `want` bytes, or for [`MAX_SEGMENT`] if `want` is more.
    pub(super) fn take(&self, want: usize) -> Vec<u8> {
        let size = want.clamp(MIN_SEGMENT, MAX_SEGMENT).next_power_of_two();
        let reused = {
            let mut state = self.inner.state.lock();
            let stats = &mut state.stats;
            stats.in_use_bytes += size;
            stats.peak_in_use_bytes = stats.peak_in_use_bytes.max(stats.in_use_bytes);
            let reused = state.free[class(size)].pop();
            if reused.is_some() {
                state.stats.idle_bytes -= size;
            }
            reused
        };
        reused.unwrap_or_else(|| Vec::with_capacity(size))
    }

    /// Takes back a segment that came from [`Self::take`], whatever it holds.
    pub(super) fn give(&self, mut segment: Vec<u8>) {
        segment.clear();
        let size = segment.capacity();
        debug_assert!(size.is_power_of_two() && (MIN_SEGMENT..=MAX_SEGMENT).contains(&size));
        let surplus = {
            let mut state = self.inner.state.lock();
            state.stats.in_use_bytes -= size;
            if state.stats.idle_bytes + size <= self.inner.max_idle_bytes {
                state.stats.idle_bytes += size;
                state.free[class(size)].push(segment);
                None
            } else {
                Some(segment)
            }
        };
        // Freed outside the lock: returning pages to the system may take long.
        drop(surplus);
    }
}

/// Index of the free list for segments of `size` bytes.
fn class(size: usize) -> usize {
    (size / MIN_SEGMENT).ilog2() as usize
}
