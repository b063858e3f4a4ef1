//! Taking over the tasks of a supervisor that is gone.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::state::Supervisor;
use super::task::Task;
use crate::journal::TaskRecord;
use crate::logs::{LogDir, Stream, StreamError};
use crate::sys::pidfd;
use crate::types::{Event, LogStream};

/// Adopts every task of the journal. Those whose process is gone get their end right away, as far as it can be known.
pub(super) fn adopt_all(supervisor: &Rc<Supervisor>, records: BTreeMap<String, TaskRecord>) {
    for record in records.into_values() {
        adopt(supervisor, record);
    }
}

fn adopt(supervisor: &Rc<Supervisor>, record: TaskRecord) {
    let same_boot = record.boot_id == supervisor.boot_id;
    let pidfd = match same_boot.then(|| pidfd::open(record.pid, record.start_time_ticks)) {
        Some(Ok(pidfd)) => pidfd,
        Some(Err(error)) => {
            tracing::warn!(id = record.id, pid = record.pid, %error, "the task's process cannot be opened");
            None
        }
        None => None,
    };
    let alive = pidfd.is_some();
    tracing::info!(id = record.id, pid = record.pid, alive, "task adopted");
    let streams = if same_boot {
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
            // An ended task may have been given up its FIFO to its successor.
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
