//! Job files: where they come from, their variables, and what is sent beside the job.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_api::types::JobSubmission;
use nomad_core::spec::Job;
use nomad_jobspec::{Diagnostic, Failure, JobFile, Lint, MAX_SOURCE_BYTES, Options, Source};
use serde_json::Value;

use crate::job_host::{Environment, Machine};

/// Flags of every command that reads a job file.
#[derive(Debug, Clone, Args)]
pub struct JobFileFlags {
    /// The file is JSON as the API takes it, bare or as {"Job": ...}.
    #[arg(long)]
    pub json: bool,
    /// Whether a value for a variable that the file does not declare is an error.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub hcl2_strict: bool,
    /// A variable's value: name=value. May be given several times.
    #[arg(long, value_name = "name=value")]
    pub var: Vec<String>,
    /// File with values of variables. May be given several times.
    #[arg(long, value_name = "path")]
    pub var_file: Vec<String>,
}

/// A job that was read.
#[derive(Debug, Clone)]
pub struct LoadedJob {
    pub job: Job,
    pub submission: JobSubmission,
    /// What the file says that is surely not meant, where that was asked for.
    pub warnings: Vec<Diagnostic>,
}

/// The mistakes of a job file.
#[derive(Debug)]
pub struct Mistakes {
    path: String,
    pub failure: Failure,
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, failure } = self;
        write!(
            f,
            "Error parsing job file from {path}:\n{}",
            rendered(&failure.diagnostics)
        )
    }
}

impl std::error::Error for Mistakes {}

/// Diagnostics for a terminal, a blank line between them.
pub fn rendered(diagnostics: &[Diagnostic]) -> String {
    let texts: Vec<String> = diagnostics.iter().map(Diagnostic::render).collect();
    texts.join("\n")
}

impl JobFileFlags {
    /// Reads the job of a file, of a directory, or from stdin for `-`.
    pub fn load(&self, path: &str) -> Result<LoadedJob> {
        self.load_and_lint(path, None)
    }

    /// Reads a job, and warns of what `lint` looks for.
    pub fn load_and_lint(&self, path: &str, lint: Option<Lint<'_>>) -> Result<LoadedJob> {
        self.load_inner(path, lint)
            .context("Error getting job struct")
    }

    fn load_inner(&self, path: &str, lint: Option<Lint<'_>>) -> Result<LoadedJob> {
        if self.json && !(self.var.is_empty() && self.var_file.is_empty()) {
            bail!("Cannot use variables with JSON files.");
        }
        let loaded = if self.json {
            let text = read_source(path)
                .with_context(|| format!("Error getting jobfile from {path:?}"))?;
            let job =
                json_job(&text).with_context(|| format!("Error parsing job file from {path}"))?;
            LoadedJob {
                job,
                submission: JobSubmission {
                    source: text,
                    format: "json".to_owned(),
                    ..JobSubmission::default()
                },
                warnings: Vec::new(),
            }
        } else {
            self.hcl(path, lint)?
        };
        if loaded.job.id.as_deref().unwrap_or("").is_empty()
            && loaded.job.name.as_deref().unwrap_or("").is_empty()
        {
            bail!("Error parsing job file from {path}: the job has no id");
        }
        Ok(loaded)
    }

    fn hcl(&self, path: &str, lint: Option<Lint<'_>>) -> Result<LoadedJob> {
        let input = Input::read(path)?;
        let mut files = Vec::new();
        for name in &self.var_file {
            let text = read_source(name)
                .with_context(|| format!("Error reading variable file {name:?}"))?;
            files.push((name.as_str(), text));
        }
        let variables = self
            .var
            .iter()
            .map(|pair| {
                pair.split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .ok_or_else(|| anyhow!("invalid -var {pair:?}: want name=value"))
            })
            .collect::<Result<Vec<_>>>()?;
        let options = Options {
            variables: variables.clone(),
            variable_files: files
                .iter()
                .map(|(name, text)| Source { name, text })
                .collect(),
            strict: self.hcl2_strict,
            directory: Some(&input.directory),
            lint,
        };
        let sources: Vec<Source<'_>> = input
            .files
            .iter()
            .map(|file| Source {
                name: &file.name,
                text: &file.text,
            })
            .collect();
        let parsed =
            nomad_jobspec::parse_all(&sources, &options, &input.host).map_err(|failure| {
                Mistakes {
                    path: path.to_owned(),
                    failure,
                }
            })?;
        let joined: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
        let (source, format) = input.submitted(&parsed.job, &options)?;
        Ok(LoadedJob {
            job: parsed.job,
            submission: JobSubmission {
                format: format.to_owned(),
                variable_flags: variables.into_iter().collect(),
                variables: joined.join("\n"),
                source,
                ..JobSubmission::default()
            },
            warnings: parsed.warnings,
        })
    }
}

/// The files of one job and where they are from.
struct Input {
    files: Vec<JobFile>,
    /// Where included files are found.
    directory: String,
    host: Machine,
    /// Whether the path is a directory.
    whole_directory: bool,
}

impl Input {
    fn read(path: &str) -> Result<Self> {
        if path != "-" && Path::new(path).is_dir() {
            let host = Machine {
                base: Some(PathBuf::from(path)),
            };
            // The directory itself is not looked for below the base.
            let files = nomad_jobspec::read_directory(&Machine::default(), path)
                .map_err(|failure| anyhow!("{}", rendered(&failure.diagnostics)))
                .with_context(|| format!("Error getting jobfile from {path:?}"))?;
            return Ok(Self {
                files,
                directory: path.to_owned(),
                host,
                whole_directory: true,
            });
        }
        let text =
            read_source(path).with_context(|| format!("Error getting jobfile from {path:?}"))?;
        let (name, directory) = if path == "-" {
            ("stdin".to_owned(), String::new())
        } else {
            let path = Path::new(path);
            let name = path.file_name().unwrap_or(path.as_os_str());
            let parent = path.parent().unwrap_or_else(|| Path::new(""));
            (
                name.to_string_lossy().into_owned(),
                parent.to_string_lossy().into_owned(),
            )
        };
        let directory = if directory.is_empty() {
            ".".to_owned()
        } else {
            directory
        };
        Ok(Self {
            files: vec![JobFile { name, text }],
            directory,
            host: Machine::default(),
            whole_directory: false,
        })
    }

    /// What the server keeps beside the job, and its format: the text where the server can read the job from it again,
    /// else the job itself as JSON.
    fn submitted(&self, job: &Job, options: &Options<'_>) -> Result<(String, &'static str)> {
        let composed = self.whole_directory
            || self.files.iter().any(|file| {
                file.text.contains("include \"") || file.text.contains("templatefile(")
            });
        let text = if let [only] = self.files.as_slice() {
            only.text.clone()
        } else {
            let parts: Vec<String> = self
                .files
                .iter()
                .map(|file| format!("# {}\n{}\n", file.name, file.text.trim_end()))
                .collect();
            parts.concat()
        };
        if !composed {
            return Ok((text, "hcl2"));
        }
        let source = Source {
            name: "job",
            text: &text,
        };
        let alone = Options {
            variables: options.variables.clone(),
            variable_files: options.variable_files.clone(),
            ..Options::default()
        };
        match nomad_jobspec::parse(source, &alone, &Environment) {
            Ok(read) if read.job == *job => Ok((text, "hcl2")),
            _ => Ok((serde_json::to_string_pretty(job)?, "json")),
        }
    }
}

fn read_source(path: &str) -> Result<String> {
    let bytes = if path == "-" {
        read_bounded(std::io::stdin().lock())?
    } else {
        read_bounded(fs::File::open(path)?)?
    };
    String::from_utf8(bytes).map_err(|_| anyhow!("the file is not UTF-8 text"))
}

fn read_bounded(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_SOURCE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SOURCE_BYTES {
        bail!("the file is larger than {MAX_SOURCE_BYTES} bytes");
    }
    Ok(bytes)
}

/// A bare job, or one in its envelope.
fn json_job(text: &str) -> Result<Job> {
    let value: Value = serde_json::from_str(text)?;
    let inner = value
        .as_object()
        .and_then(|map| map.get("Job").or_else(|| map.get("job")))
        .unwrap_or(&value);
    let bytes = serde_json::to_vec(inner)?;
    Ok(nomad_core::spec::decode(&bytes, MAX_SOURCE_BYTES)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_jobs_may_stand_in_an_envelope() {
        for text in [r#"{"ID": "a"}"#, r#"{"Job": {"ID": "a"}}"#] {
            assert_eq!(json_job(text).unwrap().id.as_deref(), Some("a"));
        }
        assert!(json_job("[").is_err());
    }
}
