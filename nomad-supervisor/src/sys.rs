//! The kernel interfaces that need care: starting processes, pidfds, `/proc`.

pub(crate) mod fork;
pub(crate) mod pidfd;
pub(crate) mod proc;
pub(crate) mod spawn;
pub(crate) mod watch;

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in nanoseconds since 1970.
pub(crate) fn unix_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
