//! `alloc fs`: files of an allocation.

use anyhow::{Context as _, Result};
use clap::Args;
use futures::TryStreamExt;
use nomad_api::types::AllocFileInfo;

use super::alloc_logs::last_lines;
use super::alloc_target;
use super::shared::row;
use crate::command::Verb;
use crate::context::Context;
use crate::format::{bytes, table, time};

/// Bytes that a line is taken to have, when the last lines are asked for.
const BYTES_PER_LINE: i64 = 120;
/// Lines of `-tail` without a number.
const TAIL_LINES: i64 = 10;

/// Flags of `alloc fs`.
#[derive(Debug, Args)]
pub struct AllocFs {
    /// Sizes for machines are not offered; sizes are always with units.
    #[arg(long = "H", hide = true)]
    pub human: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    /// The argument is a job: one of its allocations is taken.
    #[arg(long)]
    pub job: bool,
    /// Group to take the allocation of, with -job.
    #[arg(long, value_name = "group")]
    pub group: Option<String>,
    /// Tell of the file instead of printing it.
    #[arg(long)]
    pub stat: bool,
    /// Go on with what is written from now on.
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
}

impl Verb for AllocFs {
    const ARGUMENTS: &'static str = "<allocation> [path]";
    const ARITY: (usize, usize) = (1, 2);
    const ABOUT: &'static str =
        "Lists a directory of an allocation, or prints a file of it. The path is / by default.";

    async fn run(self, context: Context) -> Result<i32> {
        let alloc = alloc_target::find(
            &context,
            context.arg(0),
            self.job,
            self.group.as_deref().unwrap_or(""),
        )
        .await?;
        let id = alloc.id.to_string();
        let path = match context.arg(1) {
            "" => "/",
            path => path,
        };
        let file = context
            .client
            .alloc_stat_file(&id, path)
            .await
            .context("Error stat-ing file")?;
        if self.stat {
            context.ui.out(stat_table(&file));
            return Ok(0);
        }
        if file.is_dir {
            let files = context
                .client
                .alloc_list_files(&id, path)
                .await
                .context("Error listing alloc dir")?;
            context.ui.out(listing(&files));
            return Ok(0);
        }
        tokio::select! {
            result = self.print(&context, &id, path, file.size) => result?,
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(0)
    }
}

impl AllocFs {
    async fn print(&self, context: &Context, id: &str, path: &str, size: i64) -> Result<()> {
        let lines = match (self.c, self.n, self.tail) {
            (0.., _, _) => None,
            (_, 0.., _) => Some(self.n),
            (_, _, true) => Some(TAIL_LINES),
            _ => None,
        };
        let wanted = if self.c >= 0 {
            Some(self.c)
        } else {
            lines.map(|lines| lines * BYTES_PER_LINE)
        };
        if self.f {
            let from_end = wanted.is_some();
            let mut frames = context
                .client
                .alloc_stream_file(id, path, from_end, wanted.unwrap_or(0))
                .await
                .context("Error reading file")?;
            let mut first = lines;
            while let Some(frame) = frames.try_next().await.context("Error reading file")? {
                match first.take() {
                    Some(lines) => context.ui.out_bytes(last_lines(&frame.data, lines)),
                    None => context.ui.out_bytes(&frame.data),
                }
            }
            return Ok(());
        }
        let offset = wanted.map_or(0, |wanted| (size - wanted).max(0));
        let mut pieces = context
            .client
            .alloc_read_file(id, path, offset, -1)
            .await
            .context("Error reading file")?;
        if let Some(lines) = lines {
            let mut text = Vec::new();
            while let Some(piece) = pieces.try_next().await.context("Error reading file")? {
                text.extend_from_slice(&piece);
            }
            context.ui.out_bytes(last_lines(&text, lines));
            return Ok(());
        }
        while let Some(piece) = pieces.try_next().await.context("Error reading file")? {
            context.ui.out_bytes(&piece);
        }
        Ok(())
    }
}

fn size(file: &AllocFileInfo) -> String {
    bytes(u64::try_from(file.size).unwrap_or(0))
}

fn name(file: &AllocFileInfo) -> String {
    if file.is_dir {
        format!("{}/", file.name)
    } else {
        file.name.clone()
    }
}

fn listing(files: &[AllocFileInfo]) -> String {
    let mut rows = vec![row(["Mode", "Size", "Modified Time", "Name"])];
    rows.extend(files.iter().map(|file| {
        vec![
            file.file_mode.clone(),
            size(file),
            time(file.mod_time),
            name(file),
        ]
    }));
    table(&rows)
}

fn stat_table(file: &AllocFileInfo) -> String {
    table(&[
        row(["Mode", "Size", "Modified Time", "Content Type", "Name"]),
        vec![
            file.file_mode.clone(),
            size(file),
            time(file.mod_time),
            file.content_type.clone(),
            name(file),
        ],
    ])
}
