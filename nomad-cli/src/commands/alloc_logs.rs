//! `alloc logs`: what a task wrote.

use anyhow::{Context as _, Result};
use clap::Args;
use futures::{StreamExt, TryStreamExt};
use nomad_api::client::{LogRequest, LogSource};
use nomad_core::alloc::Allocation;

use super::alloc_target;
use crate::command::Verb;
use crate::context::{Context, usage};

/// Bytes that a line is taken to have, when the last lines are asked for.
const BYTES_PER_LINE: i64 = 120;
/// Lines of `-tail` without a number.
const TAIL_LINES: i64 = 10;

/// Flags of `alloc logs`.
#[derive(Debug, Args)]
pub struct AllocLogs {
    /// Show what went to stdout (the default).
    #[arg(long)]
    pub stdout: bool,
    /// Show what went to stderr.
    #[arg(long)]
    pub stderr: bool,
    /// Go on with what is written from now on; without -stdout or -stderr, both.
    #[arg(long)]
    pub f: bool,
    /// Only the end: 10 lines, or what -n or -c say.
    #[arg(long)]
    pub tail: bool,
    /// How many lines from the end.
    #[arg(long, value_name = "lines", default_value_t = -1, allow_hyphen_values = true)]
    pub n: i64,
    /// How many bytes from the end.
    #[arg(long, value_name = "bytes", default_value_t = -1, allow_hyphen_values = true)]
    pub c: i64,
    /// The argument is a job: one of its allocations is taken.
    #[arg(long)]
    pub job: bool,
    /// Group to take the allocation of, with -job.
    #[arg(long, value_name = "group")]
    pub group: Option<String>,
    /// The task; needed where there are several.
    #[arg(long, value_name = "task")]
    pub task: Option<String>,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for AllocLogs {
    const ARGUMENTS: &'static str = "<allocation> [task]";
    const ARITY: (usize, usize) = (1, 2);
    const ABOUT: &'static str =
        "Shows what a task of an allocation wrote, also after it has ended.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.stdout && self.stderr && !self.f {
            return usage("Unable to show both stdout and stderr without -f");
        }
        let alloc = alloc_target::find(
            &context,
            context.arg(0),
            self.job,
            self.group.as_deref().unwrap_or(""),
        )
        .await?;
        let given = match context.arg(1) {
            "" => self.task.clone().unwrap_or_default(),
            task => task.to_owned(),
        };
        let task = alloc_target::task(&alloc, &given, self.verbose)?;
        let sources = match (self.stdout, self.stderr, self.f) {
            (true, true, _) | (false, false, true) => vec![LogSource::Stdout, LogSource::Stderr],
            (false, true, _) => vec![LogSource::Stderr],
            _ => vec![LogSource::Stdout],
        };
        let shows = sources
            .into_iter()
            .map(|source| self.show(&context, &alloc, &task, source));
        let all = futures::future::try_join_all(shows);
        tokio::select! {
            result = all => { result?; }
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(0)
    }
}

impl AllocLogs {
    async fn show(
        &self,
        context: &Context,
        alloc: &Allocation,
        task: &str,
        source: LogSource,
    ) -> Result<()> {
        let (lines, bytes) = self.wanted_end();
        let from_end = lines.is_some() || bytes.is_some();
        let offset = bytes.or(lines.map(|lines| lines * BYTES_PER_LINE));
        let request = LogRequest {
            task: task.to_owned(),
            source,
            from_end,
            offset: offset.unwrap_or(0),
            follow: self.f,
        };
        let mut frames = context
            .client
            .alloc_logs(&alloc.id.to_string(), &request)
            .await
            .context("Error reading file")?;
        let to_stderr = self.f && source == LogSource::Stderr && !self.stderr;
        let print = |data: &[u8]| {
            if to_stderr {
                context.ui.err_bytes(data);
            } else {
                context.ui.out_bytes(data);
            }
        };
        // The last lines come in pieces, but only their end is known to be wanted.
        if let Some(lines) = lines.filter(|_| !self.f) {
            let mut text = Vec::new();
            while let Some(frame) = frames.try_next().await? {
                text.extend_from_slice(&frame.data);
            }
            print(last_lines(&text, lines));
            return Ok(());
        }
        let mut first = true;
        while let Some(frame) = frames.next().await {
            let frame = frame.context("Error reading file")?;
            match lines.filter(|_| std::mem::take(&mut first)) {
                Some(lines) => print(last_lines(&frame.data, lines)),
                None => print(&frame.data),
            }
        }
        Ok(())
    }

    /// Lines or bytes from the end, where only the end is wanted.
    fn wanted_end(&self) -> (Option<i64>, Option<i64>) {
        if self.c >= 0 {
            (None, Some(self.c))
        } else if self.n >= 0 {
            (Some(self.n), None)
        } else if self.tail {
            (Some(TAIL_LINES), None)
        } else {
            (None, None)
        }
    }
}

/// The last lines of a text; a line end at the very end does not count as one more.
pub fn last_lines(text: &[u8], lines: i64) -> &[u8] {
    let lines = usize::try_from(lines).unwrap_or(0);
    if lines == 0 {
        return &[];
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let start = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(lines - 1)
        .map_or(0, |(at, _)| at + 1);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_cut_at_line_ends() {
        let text = b"a\nb\nc\n";
        assert_eq!(last_lines(text, 2), b"b\nc\n");
        assert_eq!(last_lines(text, 9), text);
        assert_eq!(last_lines(b"a\nb", 1), b"b");
        assert_eq!(last_lines(text, 0), b"");
    }
}
