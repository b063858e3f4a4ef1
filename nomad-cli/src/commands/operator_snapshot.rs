//! `operator snapshot save|inspect|restore`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args;
use futures::TryStreamExt;
use nomad_api::client::QueryOptions;
use serde_json::json;

use super::shared::row;
use crate::command::Verb;
use crate::context::Context;
use crate::format::{self, bytes, kv, table_with_blanks};

/// Version of the archive's format, as `inspect` tells it.
const FORMAT_VERSION: u32 = 1;

/// Flags of `operator snapshot save`.
#[derive(Debug, Args)]
pub struct SnapshotSave {
    /// Ask any server, not only the leader.
    #[arg(long)]
    pub stale: bool,
}

impl Verb for SnapshotSave {
    const ARGUMENTS: &'static str = "[file]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str =
        "Writes the whole state of the servers to a file. It holds secrets: keep it safe.";

    async fn run(self, context: Context) -> Result<i32> {
        let name = match context.arg(0) {
            "" => {
                let now = jiff::Timestamp::now();
                format!(
                    "nomad-state-{}-{}.snap",
                    now.strftime("%Y%m%d"),
                    now.as_second()
                )
            }
            name => name.to_owned(),
        };
        let options = QueryOptions {
            stale: self.stale,
            ..QueryOptions::new()
        };
        let (mut pieces, _) = context
            .client
            .snapshot_save(&options)
            .await
            .context("Error saving snapshot")?;
        // A name of its own until it is whole, so that a broken download is never taken for a snapshot.
        let part = PathBuf::from(format!("{name}.part"));
        let written = async {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&part)?;
            while let Some(piece) = pieces.try_next().await? {
                file.write_all(&piece)?;
            }
            file.sync_all()?;
            drop(file);
            check(&part)?;
            std::fs::rename(&part, &name)?;
            anyhow::Ok(())
        };
        if let Err(error) = written.await {
            let _ = std::fs::remove_file(&part);
            return Err(error).context("Error saving snapshot");
        }
        context.ui.out(format!("State file written to {name}"));
        Ok(0)
    }
}

fn check(path: &Path) -> Result<nomad_store::snapshot::SnapshotInfo> {
    let file = std::fs::File::open(path)?;
    Ok(nomad_store::snapshot::inspect(
        std::io::BufReader::new(file),
        path,
    )?)
}

/// Flags of `operator snapshot inspect`.
#[derive(Debug, Args)]
pub struct SnapshotInspect {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Verb for SnapshotInspect {
    const ARGUMENTS: &'static str = "<file>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Reads a snapshot file, checks it, and tells what it is.";

    async fn run(self, context: Context) -> Result<i32> {
        let path = PathBuf::from(context.arg(0));
        let info = check(&path).context("Error inspecting snapshot")?;
        let created = std::fs::metadata(&path)
            .and_then(|found| found.modified())
            .ok()
            .and_then(|at| jiff::Timestamp::try_from(at).ok())
            .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .unwrap_or_default();
        let id = format!("{}-{}", info.meta.term, info.meta.index);
        if self.json {
            let value = json!({
                "Meta": {
                    "ID": id, "Size": info.bytes, "Index": info.meta.index,
                    "Term": info.meta.term, "Version": FORMAT_VERSION,
                }
            });
            context.ui.out(format::json(&format::sorted(value)));
            return Ok(0);
        }
        context.ui.out(kv(&[
            ("Created", created),
            ("ID", id),
            ("Size", bytes(info.bytes)),
            ("Index", info.meta.index.to_string()),
            ("Term", info.meta.term.to_string()),
            ("Version", FORMAT_VERSION.to_string()),
        ]));
        context.ui.out(format!(
            "\n{}",
            table_with_blanks(&[
                row(["Type", "Count", "Size"]),
                vec!["Total".to_owned(), String::new(), bytes(info.bytes)],
            ])
        ));
        Ok(0)
    }
}

/// No flags of its own.
#[derive(Debug, Args)]
pub struct SnapshotRestore {}

impl Verb for SnapshotRestore {
    const ARGUMENTS: &'static str = "<file>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str = "Puts the state of a snapshot file in place of the servers' own.";

    async fn run(self, context: Context) -> Result<i32> {
        let archive = std::fs::read(context.arg(0))
            .with_context(|| format!("Error opening snapshot file {:?}", context.arg(0)))?;
        context
            .client
            .snapshot_restore(Bytes::from(archive))
            .await
            .context("Error restoring snapshot")?;
        context.ui.out("Snapshot Restored");
        Ok(0)
    }
}
