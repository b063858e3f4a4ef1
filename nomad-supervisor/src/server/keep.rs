//! What of each task lies in the descriptor store, and since when.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::state::Supervisor;
use super::task::Task;
use crate::fdstore::Fds;
use crate::logs::Stream;
use crate::types::LogStream;

/// The descriptors of a task that is being started or runs.
pub(super) fn fds<'a>(
    pidfd: BorrowedFd<'a>,
    streams: impl Iterator<Item = (LogStream, &'a OwnedFd)>,
) -> Fds<'a> {
    let mut fds = Fds {
        pidfd: Some(pidfd),
        ..Fds::default()
    };
    for (kind, fifo) in streams {
        match kind {
            LogStream::Stdout => fds.stdout = Some(fifo.as_fd()),
            LogStream::Stderr => fds.stderr = Some(fifo.as_fd()),
        }
    }
    fds
}

impl Supervisor {
    /// Has descriptors of a task held beyond our own death. A store that died is started again and gets all that runs.
    pub(super) fn keep(&self, id: &str, fds: Fds<'_>) {
        let Some(store) = &self.store else { return };
        let Err(error) = store.put(id, fds) else {
            return;
        };
        tracing::warn!(%error, "the descriptor store is gone and is started again");
        let again = store.restart().and_then(|()| {
            let tasks: Vec<_> = self.tasks.borrow().values().cloned().collect();
            for task in &tasks {
                self.keep_task(task);
            }
            store.put(id, fds)
        });
        if let Err(error) = again {
            tracing::error!(%error, "the descriptor store cannot be started");
        }
    }

    /// The same for a task that was started.
    pub(super) fn keep_task(&self, task: &Task) {
        let (Some(store), Some(pidfd)) = (&self.store, task.pidfd()) else {
            return;
        };
        let fifos = task.fifos();
        let streams = fifos.iter().map(|(kind, fifo)| (*kind, &**fifo));
        if let Err(error) = store.put(task.id(), fds(pidfd, streams)) {
            tracing::debug!(id = task.id(), %error, "a task is not held");
        }
    }

    /// Nothing of the task is needed any more.
    pub(super) fn let_go(&self, id: &str) {
        if let Some(store) = &self.store {
            store.release(id);
        }
    }
}

/// The FIFO ends of streams that are not a task's yet.
pub(super) fn ends(streams: &[Stream]) -> impl Iterator<Item = (LogStream, &OwnedFd)> {
    streams.iter().map(|stream| (stream.kind, stream.end()))
}
