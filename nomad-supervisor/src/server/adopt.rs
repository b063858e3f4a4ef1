//! Taking over the tasks of a supervisor that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use super::state::Supervisor;
use super::task::Task;
use crate::journal::TaskRecord;
use crate::logs::{LogDir, Stream, StreamError};
use crate::sys::pidfd;
use crate::types::{Event, LogStream};

/// Adopts every task of the journal. Those whose process is gone get their end right away, as far as it can be known.
pub(super) fn adopt_all(supervisor: &Rc<Supervisor>, records: BTreeMap<String, TaskRecord>) {
    let newest = newest_writers(records.values());
    for record in records.into_values() {
        let writes = newest.contains(&record.id);
        adopt(supervisor, record, writes);
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

fn adopt(supervisor: &Rc<Supervisor>, record: TaskRecord, writes: bool) {
    let same_boot = record.boot_id == supervisor.boot_id;
    let pidfd = match same_boot.then(|| pidfd::open(record.pid, record.start_time_ticks)) {
        Some(Ok(pidfd)) => pidfd.map(Rc::new),
        Some(Err(error)) => {
            tracing::warn!(id = record.id, pid = record.pid, %error, "the task's process cannot be opened");
            None
        }
        None => None,
    };
    let alive = pidfd.is_some();
    tracing::info!(id = record.id, pid = record.pid, alive, "task adopted");
    let streams = if same_boot && writes {
        streams(supervisor, &record, alive)
    } else {
        Vec::new()
    };
    // A task without a process ends as soon as it is watched, after its FIFOs were drained.
    Task::new(record, pidfd, true).attach(supervisor, streams);
}

fn streams(supervisor: &Supervisor, record: &TaskRecord, alive: bool) -> Vec<Stream> {
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
        match Stream::adopt(&dir, logs, kind, alive.then_some(record.pid)) {
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
