//! A template block as the runner takes it, and the client's settings for all of them.

use std::time::Duration;

use nomad_core::job;

use crate::engine::{DEFAULT_DENYLIST, EngineKind};

/// What a change of the rendered file sets off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeMode {
    /// Nothing.
    Noop,
    /// The task is restarted.
    Restart,
    /// The task gets this signal, in upper case.
    Signal(String),
    /// A command is run inside the task.
    Script(ChangeScript),
    /// The tasks of the group are restarted a few at a time, by the group's `update` block.
    Rolling,
}

/// The command of `change_mode = "script"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeScript {
    /// Path of the command within the task.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// How long it may run.
    pub timeout: Duration,
    /// Whether the task is killed if it fails.
    pub fail_on_error: bool,
    /// Whether it also runs when the task has started for the first time.
    pub run_on_first_render: bool,
}

/// How long data must be quiet before a template is rendered again, and how long that may be put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Quiet time. Zero: render at once.
    pub min: Duration,
    /// Longest delay since the first change.
    pub max: Duration,
}

/// One template block. Paths are interpolated already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTemplate {
    /// Text of the template, unless `source` is set.
    pub data: String,
    /// Path of a file with the text, within the task's or the allocation's directory.
    pub source: String,
    /// Where the result goes: relative to the task directory, or absolute within it or the
    /// allocation's shared directory.
    pub destination: String,
    /// What a change sets off.
    pub change_mode: ChangeMode,
    /// Upper bound of the random delay before that.
    pub splay: Duration,
    /// Permission bits of the file, at most 12 bits.
    pub perms: u32,
    /// Owner of the file; the agent's if not given.
    pub uid: Option<u32>,
    /// Group of the file; the agent's if not given.
    pub gid: Option<u32>,
    /// Whether the result is also read as the task's environment.
    pub env: bool,
    /// Left delimiter.
    pub left_delimiter: String,
    /// Right delimiter.
    pub right_delimiter: String,
    /// Whether a key that a map does not have fails the rendering.
    pub error_on_missing_key: bool,
    /// Whether it is rendered once and not watched.
    pub once: bool,
    /// Its own wait, if it has one.
    pub wait: Option<Wait>,
    /// Language.
    pub engine: EngineKind,
}

impl Default for TaskTemplate {
    /// The defaults of a template block (jobspec.md 1.5).
    fn default() -> Self {
        Self {
            data: String::new(),
            source: String::new(),
            destination: String::new(),
            change_mode: ChangeMode::Restart,
            splay: Duration::from_secs(5),
            perms: 0o644,
            uid: None,
            gid: None,
            env: false,
            left_delimiter: "{{".to_owned(),
            right_delimiter: "}}".to_owned(),
            error_on_missing_key: false,
            once: false,
            wait: None,
            engine: EngineKind::Go,
        }
    }
}

/// A template block that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Neither text nor file.
    #[error("template {destination}: needs data or source")]
    NoSource {
        /// Destination of the template.
        destination: String,
    },
    /// Nowhere to write to.
    #[error("template: needs a destination")]
    NoDestination,
    /// A change mode that there is not.
    #[error("template {destination}: unknown change_mode {mode:?}")]
    ChangeMode {
        /// Destination of the template.
        destination: String,
        /// What stands there.
        mode: String,
    },
    /// Mode signal without a signal, or script without a command.
    #[error("template {destination}: change_mode {mode} needs its {needs}")]
    Incomplete {
        /// Destination of the template.
        destination: String,
        /// The mode.
        mode: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// Permissions that are not octal digits of at most 12 bits.
    #[error("template {destination}: perms {perms:?} is not an octal mode")]
    Perms {
        /// Destination of the template.
        destination: String,
        /// What stands there.
        perms: String,
    },
    /// An owner that cannot be one.
    #[error("template {destination}: {what} {id} is out of range")]
    Owner {
        /// Destination of the template.
        destination: String,
        /// `uid` or `gid`.
        what: &'static str,
        /// What stands there.
        id: i64,
    },
    /// An engine that there is not.
    #[error("template {destination}: unknown engine {engine:?}, want go or tera")]
    Engine {
        /// Destination of the template.
        destination: String,
        /// What stands there.
        engine: String,
    },
}

impl TryFrom<&job::Template> for TaskTemplate {
    type Error = SpecError;

    fn try_from(block: &job::Template) -> Result<Self, SpecError> {
        let destination = block.dest_path.clone();
        if destination.is_empty() {
            return Err(SpecError::NoDestination);
        }
        if block.embedded_tmpl.is_empty() && block.source_path.is_empty() {
            return Err(SpecError::NoSource { destination });
        }
        let engine = EngineKind::from_name(&block.engine).ok_or_else(|| SpecError::Engine {
            destination: destination.clone(),
            engine: block.engine.clone(),
        })?;
        Ok(Self {
            data: block.embedded_tmpl.clone(),
            source: block.source_path.clone(),
            change_mode: change_mode(block)?,
            splay: duration(block.splay.0),
            perms: perms(block)?,
            uid: owner(block, "uid", block.uid)?,
            gid: owner(block, "gid", block.gid)?,
            env: block.envvars,
            left_delimiter: block.left_delim.clone(),
            right_delimiter: block.right_delim.clone(),
            error_on_missing_key: block.err_missing_key,
            once: block.once,
            wait: block.wait.as_ref().map(|wait| {
                let min = duration(wait.min.map_or(0, |min| min.0));
                let max = wait.max.map_or(min * 4, |max| duration(max.0));
                Wait { min, max }
            }),
            engine,
            destination,
        })
    }
}

fn duration(ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

fn change_mode(block: &job::Template) -> Result<ChangeMode, SpecError> {
    let incomplete = |mode, needs| SpecError::Incomplete {
        destination: block.dest_path.clone(),
        mode,
        needs,
    };
    Ok(match block.change_mode.as_str() {
        "noop" => ChangeMode::Noop,
        "" | "restart" => ChangeMode::Restart,
        "rolling" => ChangeMode::Rolling,
        "signal" if block.change_signal.is_empty() => {
            return Err(incomplete("signal", "change_signal"));
        }
        "signal" => ChangeMode::Signal(block.change_signal.to_uppercase()),
        "script" => {
            let script = block.change_script.as_ref();
            let script = script.filter(|script| !script.command.is_empty());
            let script = script.ok_or_else(|| incomplete("script", "change_script.command"))?;
            ChangeMode::Script(ChangeScript {
                command: script.command.clone(),
                args: script.args.clone(),
                timeout: duration(script.timeout.0),
                fail_on_error: script.fail_on_error,
                run_on_first_render: script.run_on_first_render,
            })
        }
        other => {
            return Err(SpecError::ChangeMode {
                destination: block.dest_path.clone(),
                mode: other.to_owned(),
            });
        }
    })
}

fn perms(block: &job::Template) -> Result<u32, SpecError> {
    if block.perms.is_empty() {
        return Ok(0o644);
    }
    u32::from_str_radix(&block.perms, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| SpecError::Perms {
            destination: block.dest_path.clone(),
            perms: block.perms.clone(),
        })
}

/// Negative means "leave it", as in the reference.
fn owner(
    block: &job::Template,
    what: &'static str,
    id: Option<i64>,
) -> Result<Option<u32>, SpecError> {
    match id {
        None => Ok(None),
        Some(id) if id < 0 => Ok(None),
        Some(id) => match u32::try_from(id) {
            Ok(id) if id != u32::MAX => Ok(Some(id)),
            _ => Err(SpecError::Owner {
                destination: block.dest_path.clone(),
                what,
                id,
            }),
        },
    }
}

/// The client's `template` block (agent-config.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Functions that templates may not call; globs.
    pub function_denylist: Vec<String>,
    /// Whether templates may read and write outside the task's directories.
    pub disable_file_sandbox: bool,
    /// Wait of templates that have none of their own; `None` if waiting is off.
    pub wait: Option<Wait>,
    /// Least and most that a template's own wait may be.
    pub wait_bounds: Option<Wait>,
    /// How long a blocking query may be parked.
    pub block_query_wait: Duration,
    /// Failed attempts at a query after which rendering fails; 0 is never.
    pub retry_attempts: u32,
    /// Delay after the first failed attempt; doubles each time.
    pub retry_backoff: Duration,
    /// Longest delay between attempts.
    pub retry_max_backoff: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            function_denylist: DEFAULT_DENYLIST.map(str::to_owned).to_vec(),
            disable_file_sandbox: false,
            wait: Some(Wait {
                min: Duration::from_secs(5),
                max: Duration::from_mins(4),
            }),
            wait_bounds: None,
            block_query_wait: Duration::from_mins(5),
            retry_attempts: 12,
            retry_backoff: Duration::from_millis(250),
            retry_max_backoff: Duration::from_mins(1),
        }
    }
}

impl ClientSettings {
    /// The wait that holds for a template: its own within the bounds, or the client's.
    pub fn wait_of(&self, template: &TaskTemplate) -> Wait {
        const NO_WAIT: Wait = Wait {
            min: Duration::ZERO,
            max: Duration::ZERO,
        };
        match (template.wait, self.wait_bounds) {
            (Some(own), Some(bounds)) => Wait {
                min: own.min.max(bounds.min),
                max: own.max.min(bounds.max),
            },
            (Some(own), None) => own,
            (None, _) => self.wait.unwrap_or(NO_WAIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::time::Nanos;

    use super::*;

    fn block() -> job::Template {
        job::Template {
            embedded_tmpl: "x".to_owned(),
            dest_path: "local/x".to_owned(),
            change_mode: "restart".to_owned(),
            perms: "0640".to_owned(),
            splay: Nanos::secs(3),
            ..job::Template::default()
        }
    }

    #[test]
    fn a_block_becomes_a_template() {
        let spec = TaskTemplate::try_from(&block()).unwrap();
        assert_eq!((spec.perms, spec.splay), (0o640, Duration::from_secs(3)));
        assert_eq!(spec.change_mode, ChangeMode::Restart);
        let signal = job::Template {
            change_mode: "signal".to_owned(),
            change_signal: "sighup".to_owned(),
            engine: "tera".to_owned(),
            ..block()
        };
        let spec = TaskTemplate::try_from(&signal).unwrap();
        assert_eq!(spec.change_mode, ChangeMode::Signal("SIGHUP".to_owned()));
        assert_eq!(spec.engine, EngineKind::Tera);
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |change: fn(&mut job::Template)| {
            let mut block = block();
            change(&mut block);
            TaskTemplate::try_from(&block).unwrap_err().to_string()
        };
        assert!(refused(|b| b.perms = "999".to_owned()).contains("octal"));
        assert!(refused(|b| b.perms = "10000".to_owned()).contains("octal"));
        assert!(refused(|b| b.change_mode = "explode".to_owned()).contains("explode"));
        assert!(refused(|b| b.change_mode = "signal".to_owned()).contains("change_signal"));
        assert!(refused(|b| b.change_mode = "script".to_owned()).contains("change_script"));
        assert!(refused(|b| b.embedded_tmpl.clear()).contains("data or source"));
        assert!(refused(|b| b.dest_path.clear()).contains("destination"));
        assert!(refused(|b| b.engine = "jinja".to_owned()).contains("jinja"));
        assert!(refused(|b| b.uid = Some(1 << 40)).contains("uid"));
    }

    #[test]
    fn waits_are_bounded_only_if_they_are_the_templates_own() {
        let secs = |min, max| Wait {
            min: Duration::from_secs(min),
            max: Duration::from_secs(max),
        };
        let mut settings = ClientSettings::default();
        let mut template = TaskTemplate::default();
        assert_eq!(settings.wait_of(&template), secs(5, 240));
        settings.wait_bounds = Some(secs(10, 60));
        assert_eq!(settings.wait_of(&template), secs(5, 240));
        template.wait = Some(secs(1, 500));
        assert_eq!(settings.wait_of(&template), secs(10, 60));
        settings.wait = None;
        template.wait = None;
        assert_eq!(settings.wait_of(&template), secs(0, 0));
    }
}
