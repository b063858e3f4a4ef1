//! Job files: where they come from, their variables, and what is sent beside the job.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_api::types::JobSubmission;
use nomad_core::spec::Job;
use nomad_jobspec::{Files, Host, HostError, MAX_SOURCE_BYTES, Options, Source};
use serde_json::Value;

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
}

impl JobFileFlags {
    /// Reads the job file at a path, or from stdin for `-`.
    pub fn load(&self, path: &str) -> Result<LoadedJob> {
        self.load_inner(path).context("Error getting job struct")
    }

    fn load_inner(&self, path: &str) -> Result<LoadedJob> {
        if self.json && !(self.var.is_empty() && self.var_file.is_empty()) {
            bail!("Cannot use variables with JSON files.");
        }
        let text =
            read_source(path).with_context(|| format!("Error getting jobfile from {path:?}"))?;
        let loaded = if self.json {
            let job =
                json_job(&text).with_context(|| format!("Error parsing job file from {path}"))?;
            LoadedJob {
                job,
                submission: JobSubmission {
                    source: text,
                    format: "json".to_owned(),
                    ..JobSubmission::default()
                },
            }
        } else {
            self.hcl(path, text)?
        };
        if loaded.job.id.as_deref().unwrap_or("").is_empty()
            && loaded.job.name.as_deref().unwrap_or("").is_empty()
        {
            bail!("Error parsing job file from {path}: the job has no id");
        }
        Ok(loaded)
    }

    fn hcl(&self, path: &str, text: String) -> Result<LoadedJob> {
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
        let name = if path == "-" {
            "stdin".to_owned()
        } else {
            Path::new(path).file_name().map_or_else(
                || path.to_owned(),
                |name| name.to_string_lossy().into_owned(),
            )
        };
        let options = Options {
            variables: variables.clone(),
            variable_files: files
                .iter()
                .map(|(name, text)| Source { name, text })
                .collect(),
            strict: self.hcl2_strict,
        };
        let source = Source {
            name: &name,
            text: &text,
        };
        let parsed = nomad_jobspec::parse(source, &options, &Machine)
            .map_err(|failure| anyhow!("Error parsing job file from {path}:\n{failure}"))?;
        let joined: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
        Ok(LoadedJob {
            job: parsed.job,
            submission: JobSubmission {
                format: "hcl2".to_owned(),
                variable_flags: variables.into_iter().collect(),
                variables: joined.join("\n"),
                source: text,
                ..JobSubmission::default()
            },
        })
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

/// This machine, as job files may see it.
struct Machine;

impl Host for Machine {
    fn variables(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                let name = name.strip_prefix("NOMAD_VAR_")?.to_owned();
                Some((name, value.into_string().ok()?))
            })
            .collect()
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }

    fn uuid(&self) -> Result<String, HostError> {
        fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map(|text| text.trim().to_owned())
            .map_err(HostError::new)
    }
}

impl Files for Machine {
    fn absolute(&self, path: &str) -> Result<String, HostError> {
        std::path::absolute(path)
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(HostError::new)
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let file =
            fs::File::open(path).map_err(|error| HostError::new(format!("{path}: {error}")))?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(HostError::new)?;
        if bytes.len() > limit {
            return Err(HostError::new(format!(
                "{path} is larger than {limit} bytes"
            )));
        }
        Ok(bytes)
    }

    fn exists(&self, path: &str) -> Result<bool, HostError> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(true),
            Ok(_) => Err(HostError::new(format!("{path} is not a regular file"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(HostError::new(format!("{path}: {error}"))),
        }
    }

    fn glob(&self, path: &str, pattern: &str) -> Result<Vec<String>, HostError> {
        let pattern = glob_regex(pattern)?;
        let root = PathBuf::from(path);
        let mut found = Vec::new();
        let mut waiting = vec![(root.clone(), 0)];
        while let Some((dir, depth)) = waiting.pop() {
            let entries = fs::read_dir(&dir)
                .map_err(|error| HostError::new(format!("{}: {error}", dir.display())))?;
            for entry in entries.flatten() {
                let path = entry.path();
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if kind.is_dir() {
                    if depth < MAX_GLOB_DEPTH {
                        waiting.push((path, depth + 1));
                    }
                    continue;
                }
                let relative = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy();
                if pattern.is_match(&relative) {
                    found.push(relative.into_owned());
                }
                if found.len() > MAX_GLOB_FILES {
                    return Err(HostError::new(format!(
                        "the pattern matches more than {MAX_GLOB_FILES} files"
                    )));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn expand_home(&self, path: &str) -> Result<String, HostError> {
        match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => std::env::var("HOME")
                .map(|home| format!("{home}{rest}"))
                .map_err(|_| HostError::new("there is no home directory")),
            Some(_) => Err(HostError::new(
                "cannot expand another user's home directory",
            )),
            None => Ok(path.to_owned()),
        }
    }
}

/// How deep and how wide `fileset` looks.
const MAX_GLOB_DEPTH: usize = 64;
const MAX_GLOB_FILES: usize = 10_000;

/// `*` and `?` stay within a directory, `**` does not, `{a,b}` are alternatives.
fn glob_regex(pattern: &str) -> Result<regex::Regex, HostError> {
    let mut text = String::from("^");
    let mut chars = pattern.chars().peekable();
    let mut depth = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                if chars.peek() == Some(&'/') {
                    chars.next();
                    text.push_str("(?:.*/)?");
                } else {
                    text.push_str(".*");
                }
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '{' => {
                depth += 1;
                text.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                text.push(')');
            }
            ',' if depth > 0 => text.push('|'),
            '[' => {
                text.push('[');
                if chars.peek() == Some(&'!') || chars.peek() == Some(&'^') {
                    chars.next();
                    text.push('^');
                }
                for c in chars.by_ref() {
                    if matches!(c, '\\' | '&' | '~' | '[') {
                        text.push('\\');
                    }
                    text.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    text.push('$');
    regex::Regex::new(&text).map_err(|_| HostError::new(format!("invalid pattern {pattern:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_like_a_shell() {
        for (pattern, path, matches) in [
            ("*.hcl", "a.hcl", true),
            ("*.hcl", "b/a.hcl", false),
            ("**/*.hcl", "b/c/a.hcl", true),
            ("**/*.hcl", "a.hcl", true),
            ("a.{hcl,json}", "a.json", true),
            ("[ab]?.hcl", "bx.hcl", true),
            ("[!ab]?.hcl", "bx.hcl", false),
        ] {
            let regex = glob_regex(pattern).unwrap();
            assert_eq!(regex.is_match(path), matches, "{pattern} {path}");
        }
        assert!(glob_regex("[").is_err());
    }

    #[test]
    fn json_jobs_may_stand_in_an_envelope() {
        for text in [r#"{"ID": "a"}"#, r#"{"Job": {"ID": "a"}}"#] {
            assert_eq!(json_job(text).unwrap().id.as_deref(), Some("a"));
        }
        assert!(json_job("[").is_err());
    }
}
