//! Taking over the tasks of a supervisor that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::state::Supervisor;
use super::task::Task;
use crate::cgroup::TaskCgroup;
use crate::fdstore::Held;
use crate::journal::{Record, TaskRecord};
use crate::logs::{LogDir, Stream, StreamError};
use crate::sys::{pidfd, proc};
use crate::types::{Event, LogStream};

/// How long a process that was killed before it began may take to be gone.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Adopts every task of the journal. Those whose process is gone get their end right away, as far as it can be known.
pub(super) fn adopt_all(
    supervisor: &Rc<Supervisor>,
    records: BTreeMap<String, TaskRecord>,
    mut held: BTreeMap<String, Held>,
) {
    let newest = newest_writers(records.values());
    for record in records.into_values() {
        let writes = newest.contains(&record.id);
        let held = held.remove(&record.id).unwrap_or_default();
        adopt(supervisor, record, held, writes);
    }
    // Removed by the journal's last word, but not by the store's; or the journal has lost them. Nobody will ever ask for
    // what still runs of them, and its successor must not find it there.
    for (id, held) in held {
        if let Some(pidfd) = &held.pidfd
            && let Ok(true) = pidfd::signal_group(pidfd.as_fd(), 0, libc::SIGKILL, false)
        {
            tracing::warn!(id, "a process that the journal does not know is ended");
        }
        supervisor.let_go(&id);
    }
}

/// Of the tasks that write the same log files only the one that was started last still has them: an ended one gives them
/// up to its successor.
fn newest_writers<'a>(records: impl Iterator<Item = &'a TaskRecord>) -> BTreeSet<String> {
    let mut newest: BTreeMap<(&Path, &str), &TaskRecord> = BTreeMap::new();
    for record in records {
        let Some(logs) = &record.logs else { continue };
        let holder = newest.entry((&logs.dir, &logs.task)).or_insert(record);
        if record.started_unix_ns > holder.started_unix_ns {
            *holder = record;
        }
    }
    newest.values().map(|record| record.id.clone()).collect()
}

fn adopt(supervisor: &Rc<Supervisor>, record: TaskRecord, mut held: Held, writes: bool) {
    let same_boot = record.boot_id == supervisor.boot_id;
    if same_boot && record.exit.is_none() && never_released(&held) {
        forget(supervisor, record, &held, writes);
        return;
    }
    let found = match held.pidfd.take().filter(|fd| is_of(fd, &record)) {
        Some(pidfd) => Ok(Some(pidfd)),
        None if same_boot => pidfd::open(record.pid, record.start_time_ticks),
        None => Ok(None),
    };
    let pidfd = found.unwrap_or_else(|error| {
        tracing::warn!(id = record.id, pid = record.pid, %error, "the task's process cannot be opened");
        None
    });
    let found = pidfd.is_some();
    tracing::info!(id = record.id, pid = record.pid, found, "task adopted");
    let streams = if same_boot && writes {
        streams(supervisor, &record, held, found)
    } else {
        Vec::new()
    };
    // A task without a process ends as soon as it is watched, after its FIFOs were drained.
    let task = Task::new(record, pidfd.map(Rc::new), true);
    task.attach(supervisor, streams);
    supervisor.keep_task(&task);
}

/// Whether the last supervisor died before it let the process run its program; then it never will.
fn never_released(held: &Held) -> bool {
    held.gate
        .as_ref()
        .is_some_and(|gate| rustix::io::ioctl_fionread(gate).is_ok_and(|waiting| waiting == 0))
}

/// Clears away a task that was never begun, so that whoever wanted it may start it.
fn forget(supervisor: &Rc<Supervisor>, record: TaskRecord, held: &Held, writes: bool) {
    tracing::info!(id = record.id, pid = record.pid, "the task was not begun");
    if let Some(pidfd) = &held.pidfd {
        // It ends by itself, but only as soon as it notices.
        let _ = pidfd::signal(pidfd.as_fd(), libc::SIGKILL);
        pidfd::await_end(pidfd.as_fd(), END_PATIENCE);
    }
    if let Some(logs) = record.logs.as_ref().filter(|_| writes)
        && let Ok(dir) = LogDir::open(&logs.dir)
    {
        Stream::unlink_all(&dir, logs);
    }
    let id = record.id.clone();
    let _ = supervisor.record(&Record::Removed { id });
    supervisor.let_go(&record.id);
    // Now or never: a successor may soon be in it.
    if let Some((path, spec)) = record.cgroup
        && !spec.foreign
    {
        let _ = TaskCgroup::new(path, false).remove();
    }
}

/// Whether a held pidfd is that of the record's process: if it lives, its start time is the record's.
fn is_of(pidfd: &OwnedFd, record: &TaskRecord) -> bool {
    let alive = pidfd::alive(pidfd.as_fd());
    !alive
        || proc::stat(record.pid).is_ok_and(|stat| stat.start_time_ticks == record.start_time_ticks)
}

fn streams(
    supervisor: &Supervisor,
    record: &TaskRecord,
    mut held: Held,
    found: bool,
) -> Vec<Stream> {
    let Some(logs) = &record.logs else {
        return Vec::new();
    };
    let mut streams = Vec::new();
    let dir = match LogDir::open(&logs.dir) {
        Ok(dir) => Rc::new(dir),
        Err(source) => {
            let error = StreamError::Dir {
                path: logs.dir.display().to_string(),
                source,
            };
            report(supervisor, record, LogStream::Stdout, &error);
            return streams;
        }
    };
    for kind in [LogStream::Stdout, LogStream::Stderr] {
        let fifo = match kind {
            LogStream::Stdout => held.stdout.take(),
            LogStream::Stderr => held.stderr.take(),
        };
        match Stream::adopt(&dir, logs, kind, fifo, found.then_some(record.pid)) {
            Ok(stream) => streams.push(stream),
            // An ended task may have given its FIFO up already.
            Err(_) if record.exit.is_some() => {}
            Err(error) => report(supervisor, record, kind, &error),
        }
    }
    streams
}

fn report(supervisor: &Supervisor, record: &TaskRecord, stream: LogStream, error: &StreamError) {
    let source = std::error::Error::source(error)
        .map(|s| format!(": {s}"))
        .unwrap_or_default();
    let message = format!("{error}{source}");
    tracing::warn!(
        id = record.id,
        stream = stream.as_str(),
        message,
        "the task's output is not collected"
    );
    supervisor.emit(Event::LogError {
        id: record.id.clone(),
        stream,
        message,
        dropped_bytes: 0,
    });
}
