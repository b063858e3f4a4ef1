//! What job files may see of this machine: environment, files, fresh ids.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use nomad_jobspec::{Files, Host, HostError};

/// This machine, as job files may see it.
#[derive(Debug, Default)]
pub struct Machine {
    /// Where relative paths count from, if not from the working directory.
    pub base: Option<PathBuf>,
}

impl Machine {
    fn at(&self, path: &str) -> PathBuf {
        self.base
            .as_ref()
            .map_or_else(|| PathBuf::from(path), |base| base.join(path))
    }
}

/// The environment alone: what a job file may see where it must not depend on this machine.
#[derive(Debug)]
pub struct Environment;

impl Host for Environment {
    fn variables(&self) -> Vec<(String, String)> {
        Machine::default().variables()
    }
}

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
        std::path::absolute(self.at(path))
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(HostError::new)
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        read_file(&self.at(path), path, limit)
    }

    fn read_below(&self, directory: &str, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let fail = |error: std::io::Error| HostError::new(format!("{path}: {error}"));
        let directory = Path::new(directory).canonicalize().map_err(fail)?;
        let target = directory.join(path).canonicalize().map_err(fail)?;
        // A link may not lead out of the directory.
        if !target.starts_with(&directory) {
            return Err(HostError::new(format!(
                "{path} lies outside of the job's directory"
            )));
        }
        if !target.is_file() {
            return Err(HostError::new(format!("{path} is not a regular file")));
        }
        read_file(&target, path, limit)
    }

    fn exists(&self, path: &str) -> Result<bool, HostError> {
        match fs::metadata(self.at(path)) {
            Ok(found) if found.is_file() => Ok(true),
            Ok(_) => Err(HostError::new(format!("{path} is not a regular file"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(HostError::new(format!("{path}: {error}"))),
        }
    }

    fn glob(&self, path: &str, pattern: &str) -> Result<Vec<String>, HostError> {
        // Without `**` nothing deeper than the pattern itself can match.
        let deepest = if pattern.contains("**") {
            MAX_GLOB_DEPTH
        } else {
            pattern.matches('/').count().min(MAX_GLOB_DEPTH)
        };
        let pattern = glob_regex(pattern)?;
        let root = self.at(path);
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
                    if depth < deepest {
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

/// A file's bytes; `name` is what messages call it.
fn read_file(path: &Path, name: &str, limit: usize) -> Result<Vec<u8>, HostError> {
    let fail = |error: std::io::Error| HostError::new(format!("{name}: {error}"));
    let mut bytes = Vec::new();
    fs::File::open(path)
        .map_err(fail)?
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() > limit {
        return Err(HostError::new(format!(
            "{name} is larger than {limit} bytes"
        )));
    }
    Ok(bytes)
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
    fn files_below_a_directory_stay_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("job");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("in.hcl"), "a").unwrap();
        fs::write(dir.path().join("out.hcl"), "b").unwrap();
        std::os::unix::fs::symlink("../out.hcl", root.join("link.hcl")).unwrap();
        let machine = Machine::default();
        let root = root.to_str().unwrap();
        assert_eq!(machine.read_below(root, "in.hcl", 10).unwrap(), b"a");
        for path in ["link.hcl", "../out.hcl", ".", "none.hcl"] {
            assert!(machine.read_below(root, path, 10).is_err(), "{path}");
        }
        assert!(machine.read_below(root, "in.hcl", 0).is_err());
    }
}
