//! What pretended commands print: into log files, or to whoever runs them.

use std::io::{self, Write};

use async_trait::async_trait;
use bytes::Bytes;
use nomad_supervisor::{ExitStatus, LogStream};
use tokio::sync::mpsc;

use super::settings::Command;
use super::task::LogTarget;
use crate::driver::{DriverError, ExecOutput, ExecSink, ExecSource, ExecStream, WindowSize};

/// Outputs that may wait for a reader.
const MAX_QUEUED_OUTPUTS: usize = 16;

/// Where a pretended command's output goes.
pub(super) enum Target {
    /// Log files.
    Logs(LogTarget),
    /// Whoever runs it.
    Reader(mpsc::Sender<ExecOutput>),
}

impl Target {
    async fn write(&self, stream: LogStream, text: &str) {
        match self {
            Self::Logs(target) => {
                if let Err(error) = append(target, stream, text) {
                    tracing::warn!(task = target.task, stream = stream.as_str(), %error, "output cannot be written");
                }
            }
            Self::Reader(sender) => {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                let output = match stream {
                    LogStream::Stdout => ExecOutput::Stdout(bytes),
                    LogStream::Stderr => ExecOutput::Stderr(bytes),
                };
                let _ = sender.send(output).await;
            }
        }
    }
}

/// Prints what a command prints, with its pauses, both streams at once.
pub(super) async fn print(command: &Command, to: &Target) {
    let one = async |stream, text: &str, repeat: u32, pause| {
        if text.is_empty() {
            return;
        }
        to.write(stream, text).await;
        for _ in 0..repeat {
            tokio::time::sleep(pause).await;
            to.write(stream, text).await;
        }
    };
    tokio::join!(
        one(
            LogStream::Stdout,
            &command.stdout_string,
            command.stdout_repeat,
            command.stdout_repeat_duration
        ),
        one(
            LogStream::Stderr,
            &command.stderr_string,
            command.stderr_repeat,
            command.stderr_repeat_duration
        ),
    );
}

/// Appends to the newest log file of a stream, beginning the next when it is full.
fn append(target: &LogTarget, stream: LogStream, text: &str) -> io::Result<()> {
    let base = format!("{}.{}.", target.task, stream.as_str());
    let indexes = std::fs::read_dir(&target.dir)?
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix(&base)?
                .parse::<u64>()
                .ok()
        });
    let indexes: Vec<u64> = indexes.collect();
    let mut index = indexes.iter().copied().max().unwrap_or(0);
    let path = |index: u64| target.dir.join(format!("{base}{index}"));
    if std::fs::metadata(path(index)).is_ok_and(|m| m.len() >= target.settings.max_file_size_bytes)
    {
        index += 1;
        for old in indexes
            .into_iter()
            .filter(|i| index - i >= u64::from(target.settings.max_files))
        {
            std::fs::remove_file(path(old))?;
        }
    }
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path(index))?
        .write_all(text.as_bytes())
}

/// Pretends to run a command with streams.
pub(super) fn exec(command: Command) -> ExecStream {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED_OUTPUTS);
    tokio::spawn(async move {
        print(&command, &Target::Reader(sender.clone())).await;
        tokio::select! {
            () = tokio::time::sleep(command.run_for) => {}
            () = sender.closed() => return,
        }
        let status = match command.exit_signal {
            0 => ExitStatus::Exited {
                code: command.exit_code,
            },
            signal => ExitStatus::Signaled {
                signal,
                core_dumped: false,
            },
        };
        let _ = sender.send(ExecOutput::Exited(status)).await;
    });
    ExecStream {
        input: Box::new(Nowhere),
        output: Box::new(Outputs(receiver)),
    }
}

struct Outputs(mpsc::Receiver<ExecOutput>);

#[async_trait]
impl ExecSource for Outputs {
    async fn next(&mut self) -> Result<ExecOutput, DriverError> {
        self.0
            .recv()
            .await
            .ok_or_else(|| DriverError::Failed("the command has ended".to_owned()))
    }
}

/// Takes everything and does nothing with it.
struct Nowhere;

#[async_trait]
impl ExecSink for Nowhere {
    async fn stdin(&mut self, _: Bytes) -> Result<(), DriverError> {
        Ok(())
    }

    async fn close_stdin(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn resize(&mut self, _: WindowSize) -> Result<(), DriverError> {
        Ok(())
    }
}
