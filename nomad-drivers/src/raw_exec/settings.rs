//! What can be set for `raw_exec`, by the agent's configuration and by a task.

use std::path::{Component, Path, PathBuf};

use nomad_core::job::AnyMap;
use nomad_supervisor::Credentials;
use serde::Deserialize;

use crate::config::{self, FieldError, Kind, Schema};
use crate::driver::DriverError;
use crate::users::IdRanges;

/// Where cgroup hierarchies are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The agent's `plugin "raw_exec" { config { … } }`. Source: agent configuration reference, section 3.8.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RawExecConfig {
    /// Off unless set.
    pub enabled: bool,
    /// User ids that tasks may not have: `0,100-200`.
    pub denied_host_uids: String,
    /// Group ids that tasks may not have.
    pub denied_host_gids: String,
    /// Variables kept from tasks, with `*` for anything.
    pub denied_envvars: Vec<String>,
}

impl RawExecConfig {
    /// Decodes the block's `config`.
    ///
    /// # Errors
    /// Every mistake.
    pub fn decode(map: &AnyMap) -> Result<Self, Vec<FieldError>> {
        static SCHEMA: Schema = Schema {
            fields: &[
                ("enabled", Kind::Bool, false),
                ("denied_host_uids", Kind::String, false),
                ("denied_host_gids", Kind::String, false),
                ("denied_envvars", Kind::List(&Kind::String), false),
            ],
        };
        config::decode(&SCHEMA, map, "config")
    }
}

/// The agent's configuration, checked.
pub(super) struct Settings {
    config: RawExecConfig,
    denied_uids: IdRanges,
    denied_gids: IdRanges,
}

impl Settings {
    pub(super) fn new(config: &RawExecConfig) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut ranges = |key: &str, text: &str| {
            IdRanges::parse(text).unwrap_or_else(|e| {
                errors.push(FieldError::new(format!("config.{key}"), e.to_string()));
                IdRanges::default()
            })
        };
        let denied_uids = ranges("denied_host_uids", &config.denied_host_uids);
        let denied_gids = ranges("denied_host_gids", &config.denied_host_gids);
        if errors.is_empty() {
            Ok(Self {
                config: config.clone(),
                denied_uids,
                denied_gids,
            })
        } else {
            Err(errors)
        }
    }

    pub(super) fn enabled(&self) -> bool {
        self.config.enabled
    }

    pub(super) fn denied_envvars(&self) -> std::slice::Iter<'_, String> {
        self.config.denied_envvars.iter()
    }

    pub(super) fn check_user(&self, user: &Credentials) -> Result<(), DriverError> {
        Ok(IdRanges::check(&self.denied_uids, &self.denied_gids, user)?)
    }
}

/// A task's `config`. Source: client and drivers reference, section 6.5.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct TaskSettings {
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) denied_envvars: Vec<String>,
    pub(super) oom_score_adj: Option<i32>,
    pub(super) work_dir: Option<PathBuf>,
    cgroup_v2_override: String,
    cgroup_v1_override: Vec<std::collections::BTreeMap<String, String>>,
}

static TASK_SCHEMA: Schema = Schema {
    fields: &[
        ("command", Kind::String, true),
        ("args", Kind::List(&Kind::String), false),
        ("cgroup_v2_override", Kind::String, false),
        ("cgroup_v1_override", Kind::StringMaps, false),
        ("oom_score_adj", Kind::Int, false),
        ("work_dir", Kind::String, false),
        ("denied_envvars", Kind::List(&Kind::String), false),
    ],
};

impl TaskSettings {
    pub(super) fn decode(map: &AnyMap) -> Result<Self, Vec<FieldError>> {
        let mut task: Self = config::decode(&TASK_SCHEMA, map, "config")?;
        task.work_dir = task.work_dir.filter(|dir| !dir.as_os_str().is_empty());
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: &str| {
            errors.push(FieldError::new(format!("config.{key}"), message))
        };
        if task.command.is_empty() {
            wrong("command", "must not be empty");
        }
        if task.oom_score_adj.is_some_and(|s| !(0..=1000).contains(&s)) {
            wrong("oom_score_adj", "must be between 0 and 1000");
        }
        if task.work_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            wrong("work_dir", "must be an absolute path");
        }
        if !task.cgroup_v2_override.is_empty() && !task.cgroup_v1_override.is_empty() {
            wrong(
                "cgroup_v1_override",
                "only one of cgroup_v1_override and cgroup_v2_override may be set",
            );
        }
        if !task.cgroup_v2_override.is_empty() && task.cgroup_v2().is_none_or(|p| !is_plain(&p)) {
            wrong("cgroup_v2_override", "must be the path of a cgroup");
        }
        let v1 = task.cgroup_v1_override.iter().flatten();
        if v1
            .clone()
            .any(|(controller, path)| !is_plain(controller) || !is_plain(below_root(path)))
        {
            wrong("cgroup_v1_override", "must give a path for each controller");
        }
        if errors.is_empty() {
            Ok(task)
        } else {
            Err(errors)
        }
    }

    /// The cgroup to join instead of the task's own, below the cgroup2 mount point.
    pub(super) fn cgroup_v2(&self) -> Option<String> {
        let path = below_root(&self.cgroup_v2_override);
        (!path.is_empty()).then(|| path.to_owned())
    }

    /// The directories of cgroup v1 hierarchies to join.
    pub(super) fn cgroup_v1(&self) -> Vec<PathBuf> {
        let pairs = self.cgroup_v1_override.iter().flatten();
        pairs
            .map(|(controller, path)| {
                Path::new(CGROUP_ROOT)
                    .join(controller)
                    .join(below_root(path))
            })
            .collect()
    }
}

/// Paths may be given from the mount point or in full.
fn below_root(path: &str) -> &str {
    path.strip_prefix(CGROUP_ROOT)
        .unwrap_or(path)
        .trim_matches('/')
}

fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decode(config: Value) -> Result<TaskSettings, Vec<String>> {
        let Value::Object(map) = config else {
            panic!("a map")
        };
        TaskSettings::decode(&map)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_is_read() {
        let task = decode(json!({
            "command": "/bin/sh", "args": ["-c", 5], "oom_score_adj": 10.0, "work_dir": "/srv", "denied_envvars": ["A*"],
            "cgroup_v1_override": [{"memory": "a/b"}, {"pids": "/sys/fs/cgroup/x"}],
        }))
        .expect("valid");
        assert_eq!(
            (task.command.as_str(), task.args, task.oom_score_adj),
            ("/bin/sh", vec!["-c".into(), "5".into()], Some(10))
        );
        assert_eq!(
            (task.work_dir.clone(), task.denied_envvars.clone()),
            (Some("/srv".into()), vec!["A*".to_owned()])
        );
        let expected = ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/pids/x"].map(PathBuf::from);
        assert_eq!(
            TaskSettings {
                args: vec![],
                ..task
            }
            .cgroup_v1(),
            expected
        );
        let v2 = decode(json!({"command": "c", "cgroup_v2_override": "/sys/fs/cgroup/a.slice/b"}))
            .expect("valid");
        assert_eq!(v2.cgroup_v2().as_deref(), Some("a.slice/b"));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            decode(json!({"command": "", "oom_score_adj": -1, "work_dir": "x", "cgroup_v2_override": "a/../b",
                "cgroup_v1_override": {"memory": ""}}))
            .expect_err("mistakes"),
            [
                "config.command: must not be empty",
                "config.oom_score_adj: must be between 0 and 1000",
                "config.work_dir: must be an absolute path",
                "config.cgroup_v1_override: only one of cgroup_v1_override and cgroup_v2_override may be set",
                "config.cgroup_v2_override: must be the path of a cgroup",
                "config.cgroup_v1_override: must give a path for each controller",
            ]
        );
        assert_eq!(
            decode(json!({})).expect_err("mistakes"),
            ["config.command: is required"]
        );
    }

    #[test]
    fn the_agents_ranges_are_checked() {
        let config = RawExecConfig {
            denied_host_uids: "9-1".into(),
            denied_host_gids: "x".into(),
            ..RawExecConfig::default()
        };
        let errors = Settings::new(&config).err().expect("mistakes");
        assert_eq!(
            errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
            ["config.denied_host_uids", "config.denied_host_gids"]
        );
    }
}
