//! File descriptors in the event loop.
#![expect(
    unsafe_code,
    reason = "registering asks for a promise about the descriptor, given here once"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime.
pub(crate) fn watch(fd: Rc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Rc<OwnedFd>>> {
    // SAFETY: the shared `OwnedFd` stays open, and the same, for as long as the `AsyncFd` holds it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
