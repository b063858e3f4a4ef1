//! What the agent holds so that a supervisor's death loses nothing: the FIFOs and pidfds of running tasks.
//!
//! A FIFO's content lives as long as somebody has it open. While the supervisor is gone a task may write its last line
//! and end; then only the agent's open end keeps that line for the next supervisor. A pidfd likewise keeps the exit status
//! of a process (Linux 6.15 and later) that nobody else could learn. Nothing is ever read from the FIFOs here.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use crate::sys::pidfd;
use crate::types::{ExitStatus, LogSpec, TaskExit, TaskHandle, TaskInfo};

/// Descriptors by task id.
#[derive(Default)]
pub(super) struct Keeper {
    kept: HashMap<String, Kept>,
}

struct Kept {
    pidfd: Option<OwnedFd>,
    _fifos: Vec<File>,
}

impl Keeper {
    /// Holds a running task.
    pub(super) fn keep(&mut self, handle: &TaskHandle, logs: Option<&LogSpec>) {
        let fifos = logs.map(open_fifos).unwrap_or_default();
        let pidfd = pidfd::open(handle.pid, handle.start_time_ticks)
            .ok()
            .flatten();
        self.kept.insert(
            handle.id.clone(),
            Kept {
                pidfd,
                _fifos: fifos,
            },
        );
    }

    /// Holds exactly the running tasks of a fresh list, what is already held stays so. FIFOs of a task that ended
    /// unwatched are let go: the supervisor has drained them.
    pub(super) fn follow(&mut self, tasks: &mut [TaskInfo]) {
        self.kept
            .retain(|id, _| tasks.iter().any(|t| t.handle.id == *id));
        for task in tasks {
            if let Some(exit) = &mut task.exit {
                self.correct(&task.handle.id, exit);
            } else if !self.kept.contains_key(&task.handle.id) {
                self.keep(&task.handle, task.logs.as_ref());
            }
        }
    }

    /// Replaces a lost exit status by the one that the kernel kept for us.
    pub(super) fn correct(&self, id: &str, exit: &mut TaskExit) {
        if exit.status == ExitStatus::Lost
            && let Some(pidfd) = self.kept.get(id).and_then(|k| k.pidfd.as_ref())
            && let Some(status) = pidfd::exit_info(pidfd)
        {
            exit.status = status;
        }
    }

    /// Lets go of a task.
    pub(super) fn release(&mut self, id: &str) {
        self.kept.remove(id);
    }
}

fn open_fifos(logs: &LogSpec) -> Vec<File> {
    let open = |stream: &str| {
        let path = logs.dir.join(format!(".{}.{stream}.fifo", logs.task));
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .ok()?;
        file.metadata()
            .is_ok_and(|m| m.file_type().is_fifo())
            .then_some(file)
    };
    ["stdout", "stderr"].into_iter().filter_map(open).collect()
}
