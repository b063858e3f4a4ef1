//! Waiting for files to change: the kernel tells, and now and then somebody looks in case it did not.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A change that was not told is noticed after so long.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);

/// Tells when anything in a directory changes.
#[derive(Debug)]
pub(super) struct Watch {
    /// Without it (too many watches on the host) only looking helps.
    notify: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    /// Watches a directory and the files in it.
    pub(super) fn dir(path: &Path) -> Self {
        let notify = open(path).and_then(register);
        if let Err(error) = &notify {
            tracing::debug!(path = %path.display(), %error, "the kernel does not tell of changes");
        }
        Self {
            notify: notify.ok(),
        }
    }

    /// Returns when something changed since the last call, or may have.
    pub(super) async fn changed(&mut self) {
        let Some(notify) = &mut self.notify else {
            return tokio::time::sleep(Duration::from_millis(250)).await;
        };
        if let Ok(Ok(mut guard)) = tokio::time::timeout(LOOK_ANYWAY, notify.readable_mut()).await {
            drain(guard.get_inner());
            guard.clear_ready();
        }
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let what = WatchFlags::MODIFY
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE_SELF
        | WatchFlags::CLOSE_WRITE;
    inotify::add_watch(&fd, path, what)?;
    Ok(fd)
}

#[expect(
    unsafe_code,
    reason = "the safe constructors are deprecated because a type may lie about its descriptor"
)]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names one descriptor as long as it lives, and nothing here closes or replaces it.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

/// Throws away what is waiting: that something changed is all that matters.
fn drain(fd: &OwnedFd) {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
    while rustix::io::read(fd, &mut buffer[..]).is_ok_and(|(read, _)| !read.is_empty()) {}
}
