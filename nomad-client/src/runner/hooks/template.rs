//! Renders a task's templates before it starts, from its environment and files.
//!
//! Data of the cluster (Variables, services) is not connected yet: a template that asks for it fails the start with
//! the query's name, instead of waiting for an answer that never comes.
//!
//! Source: client and drivers reference, section 5.2.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nomad_core::job::Template;
use nomad_template::{EngineKind, Limits, RenderInput, Source};
use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::super::prepare::Prep;
use crate::env::TaskEnv;
use crate::fs::SafeRoot;
use crate::machine::alloc::StartError;

/// Largest template file that is read.
const MAX_SOURCE_BYTES: u64 = 4 << 20;

pub(super) async fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    if prep.task.templates.is_empty() {
        return Ok(());
    }
    let env = prep.env();
    let work = Work {
        root: prep.runner.dir.root().to_owned(),
        task: prep.task.name.clone(),
        templates: prep.task.templates.clone(),
        now_ns: prep.runner.shared.clock.now().0,
        vars: Arc::new(env.clone().into_vars()),
        env,
        owner: prep.owner,
    };
    match tokio::task::spawn_blocking(move || work.render()).await {
        Ok(Ok(variables)) => {
            prep.template_env = variables;
            Ok(())
        }
        Ok(Err(text)) => Err(prep.setup_failed(&text, false)),
        Err(error) => Err(prep.setup_failed(&error.to_string(), true)),
    }
}

struct Work {
    /// The allocation's directory, which no path leaves.
    root: PathBuf,
    task: String,
    templates: Vec<Template>,
    now_ns: i64,
    env: TaskEnv,
    vars: Arc<BTreeMap<String, String>>,
    owner: Option<(u32, u32)>,
}

impl Work {
    /// Writes every template; gives the variables of those that are environments.
    fn render(self) -> Result<BTreeMap<String, String>, String> {
        let mut variables = BTreeMap::new();
        for template in &self.templates {
            let output = self.output(template)?;
            self.write(template, &output)?;
            if template.envvars {
                let text = String::from_utf8_lossy(&output);
                variables.extend(parse_env(&text).map_err(|line| {
                    format!(
                        "template {}: line {line} is no variable of the form KEY=value",
                        template.dest_path
                    )
                })?);
            }
        }
        Ok(variables)
    }

    fn output(&self, template: &Template) -> Result<Vec<u8>, String> {
        let name = template.dest_path.as_str();
        let kind = EngineKind::from_name(&template.engine)
            .ok_or_else(|| format!("template {name}: unknown engine {:?}", template.engine))?;
        let text = if template.embedded_tmpl.is_empty() {
            self.read(&template.source_path)?
        } else {
            template.embedded_tmpl.clone()
        };
        let mut source = Source::new(name, text);
        if !template.left_delim.is_empty() {
            source.left_delimiter.clone_from(&template.left_delim);
        }
        if !template.right_delim.is_empty() {
            source.right_delimiter.clone_from(&template.right_delim);
        }
        source.error_on_missing_key = template.err_missing_key;
        let limits = Limits::default();
        let end = Instant::now() + Duration::from_millis(limits.max_time_ms);
        let input = RenderInput {
            env: Arc::clone(&self.vars),
            files: Arc::new(Files(self.root.clone(), self.task.clone())),
            now_ns: self.now_ns,
            seed: self.now_ns.unsigned_abs(),
            limits,
            expired: Arc::new(move || Instant::now() >= end),
            ..RenderInput::default()
        };
        let compiled = kind
            .engine()
            .compile(&source, &limits)
            .map_err(|error| error.to_string())?;
        let rendered = compiled.render(&input).map_err(|error| error.to_string())?;
        if let Some(query) = rendered.missing.first() {
            return Err(format!(
                "template {name}: {}",
                nomad_template::data::not_configured(query)
            ));
        }
        Ok(rendered.output)
    }

    /// A path as the job wrote it, below the allocation's directory.
    fn place(&self, path: &str) -> String {
        below(&self.root, &self.task, &self.env.replace_host(path))
    }

    fn read(&self, path: &str) -> Result<String, String> {
        let bytes = read(&self.root, &self.place(path))?;
        String::from_utf8(bytes).map_err(|_| format!("template source {path} is no UTF-8 text"))
    }

    fn write(&self, template: &Template, output: &[u8]) -> Result<(), String> {
        let path = self.place(&template.dest_path);
        let failed = |error: &dyn std::fmt::Display| {
            format!("failed to write template {}: {error}", template.dest_path)
        };
        let root = SafeRoot::open(&self.root).map_err(|error| failed(&error))?;
        if let Some((parent, _)) = path.rsplit_once('/') {
            root.make_dirs(parent, 0o755)
                .map_err(|error| failed(&error))?;
        }
        let mode = u32::from_str_radix(&template.perms, 8).unwrap_or(0o644);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        // Nobody else may read it before it has its owner and mode.
        let fd = root
            .open_with(&path, flags, Mode::from_raw_mode(0o600))
            .map_err(|error| failed(&error))?;
        let given = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
        let owner = self.owner;
        let uid = given(template.uid).or(owner.map(|(uid, _)| uid));
        let gid = given(template.gid).or(owner.map(|(_, gid)| gid));
        if uid.is_some() || gid.is_some() {
            rustix::fs::fchown(&fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
                .map_err(|error| failed(&error))?;
        }
        let mut file = File::from(fd);
        file.write_all(output).map_err(|error| failed(&error))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|error| failed(&error))
    }
}

/// The path from the allocation's directory: what is not below it counts from the task's directory.
fn below(root: &Path, task: &str, path: &str) -> String {
    if let Ok(inside) = Path::new(path).strip_prefix(root) {
        return inside.to_string_lossy().into_owned();
    }
    format!("{task}/{}", path.trim_start_matches('/'))
}

fn read(root: &Path, path: &str) -> Result<Vec<u8>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("open {path}: {error}");
    let safe = SafeRoot::open(root).map_err(|error| failed(&error))?;
    let fd = safe
        .open_with(path, OFlags::RDONLY, Mode::empty())
        .map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    File::from(fd)
        .take(MAX_SOURCE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_SOURCE_BYTES {
        return Err(format!("{path} is larger than {MAX_SOURCE_BYTES} bytes"));
    }
    Ok(bytes)
}

/// What the `file` function may read: the allocation's directory, by paths from the task's.
struct Files(PathBuf, String);

impl nomad_template::data::FileSource for Files {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        read(&self.0, &below(&self.0, &self.1, path))
    }
}

/// Variables of a file of lines `KEY=value`: blank lines and `#` comments are left out, `export` and quotes are
/// allowed. The error is the number of the first line that fits nothing of this.
fn parse_env(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=').ok_or(number + 1)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(number + 1);
        }
        variables.insert(key.to_owned(), unquoted(value));
    }
    Ok(variables)
}

/// The value without its quotes; double quotes know escapes, an unquoted value ends at ` #`.
fn unquoted(value: &str) -> String {
    if let Some(inner) = value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return inner.to_owned();
    }
    if value.len() >= 2
        && let Some(inner) = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
    {
        let mut text = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match (c, c == '\\') {
                (_, true) => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some(other) => text.push(other),
                    None => text.push('\\'),
                },
                (c, false) => text.push(c),
            }
        }
        return text;
    }
    value
        .split(" #")
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_read_with_quotes_and_comments() {
        let text = "# top\nA=1\nexport B = 'x y'\n\nC=\"a\\nb\"\nD=v # note\nE=\n";
        let variables = parse_env(text).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "x y"),
            ("C", "a\nb"),
            ("D", "v"),
            ("E", ""),
        ];
        assert_eq!(variables.len(), expected.len());
        for (key, value) in expected {
            assert_eq!(variables[key], value, "{key}");
        }
        assert_eq!(parse_env("A=1\nnonsense\n"), Err(2));
    }

    #[test]
    fn paths_count_from_the_task_or_stay_below_the_allocation() {
        let root = Path::new("/allocs/a");
        assert_eq!(below(root, "web", "local/x"), "web/local/x");
        assert_eq!(below(root, "web", "/allocs/a/alloc/x"), "alloc/x");
        assert_eq!(below(root, "web", "/etc/passwd"), "web/etc/passwd");
    }
}
