//! `fmt`: files in canonical layout.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use nomad_jobspec::{MAX_SOURCE_BYTES, Source};

use crate::command::Verb;
use crate::context::Context;

/// How deep directories are followed.
const MAX_DEPTH: usize = 64;

/// Flags of `fmt`.
#[derive(Debug, Args)]
pub struct Fmt {
    /// Change nothing; exit code 1 if a file is not as it should be.
    #[arg(long)]
    pub check: bool,
    /// Whether to print the names of files that change.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub list: bool,
    /// Also in directories within directories.
    #[arg(long)]
    pub recursive: bool,
    /// Whether to write the files.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub write: bool,
}

impl Verb for Fmt {
    const ARGUMENTS: &'static str = "[<path>...]";
    const ARITY: (usize, usize) = (0, usize::MAX);
    const ABOUT: &'static str = "Brings job files and other HCL files into canonical layout: the named files, and the \
        .hcl and .nomad files of named directories; stdin for \"-\"; this directory without a name.";

    async fn run(self, context: Context) -> Result<i32> {
        if context.arg(0) == "-" {
            return self.stdin(&context);
        }
        let here = [".".to_owned()];
        let paths: &[String] = if context.args.is_empty() {
            &here
        } else {
            &context.args
        };
        let mut files = Vec::new();
        let mut failed = false;
        for path in paths {
            let path = Path::new(path);
            let found = if path.is_dir() {
                collect(path, self.recursive, 0, &mut files)
            } else {
                files.push(path.to_owned());
                Ok(())
            };
            if let Err(error) = found {
                context.ui.error(format!("{error:#}"));
                failed = true;
            }
        }
        let mut differs = false;
        for file in files {
            match self.file(&context, &file) {
                Ok(changed) => differs |= changed,
                Err(error) => {
                    context.ui.error(format!("{error:#}"));
                    failed = true;
                }
            }
        }
        Ok(i32::from(failed || (self.check && differs)))
    }
}

impl Fmt {
    fn stdin(&self, context: &Context) -> Result<i32> {
        use std::io::Read;
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(MAX_SOURCE_BYTES as u64)
            .read_to_string(&mut text)
            .context("Failed to read stdin")?;
        let formatted = format("<stdin>", &text)?;
        if self.check {
            return Ok(i32::from(formatted != text));
        }
        context.ui.out_bytes(formatted.as_bytes());
        Ok(0)
    }

    /// Whether the file was not as it should be.
    fn file(&self, context: &Context, path: &Path) -> Result<bool> {
        let name = path.display().to_string();
        let size = std::fs::metadata(path)
            .with_context(|| format!("Failed to read {name}"))?
            .len();
        if size > MAX_SOURCE_BYTES as u64 {
            anyhow::bail!("{name} is larger than {MAX_SOURCE_BYTES} bytes");
        }
        let text =
            std::fs::read_to_string(path).with_context(|| format!("Failed to read {name}"))?;
        let formatted = format(&name, &text)?;
        if formatted == text {
            return Ok(false);
        }
        if self.list {
            context.ui.out(&name);
        }
        if self.write && !self.check {
            std::fs::write(path, formatted).with_context(|| format!("Failed to write {name}"))?;
        }
        Ok(true)
    }
}

fn format(name: &str, text: &str) -> Result<String> {
    nomad_jobspec::format(Source { name, text }).map_err(|error| anyhow!("{error}"))
}

fn is_ours(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "hcl" || extension == "nomad")
}

fn collect(dir: &Path, recursive: bool, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| format!("Failed to read {}", dir.display()))?
        .flatten()
        .collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if recursive && depth < MAX_DEPTH {
                collect(&path, recursive, depth + 1, files)?;
            }
        } else if is_ours(&path) {
            files.push(path.strip_prefix(".").map_or(path.clone(), Path::to_owned));
        }
    }
    Ok(())
}
