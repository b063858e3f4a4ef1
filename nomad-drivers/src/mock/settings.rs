//! Every knob of the mock driver.

use std::time::Duration;

use nomad_core::job::AnyMap;
use serde::{Deserialize, Deserializer};

use crate::config::{self, FieldError, Kind, Schema};
use crate::driver::FileIsolation;

/// The agent's configuration of the driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MockConfig {
    /// What it says of its isolation.
    pub fs_isolation: FileIsolation,
    /// Seconds until it pretends to be shut down; 0 is never.
    pub shutdown_periodic_after: u64,
    /// Seconds for which it does.
    pub shutdown_periodic_duration: u64,
}

impl MockConfig {
    /// Decodes the plugin block's `config`.
    ///
    /// # Errors
    /// Every mistake.
    pub fn decode(map: &AnyMap) -> Result<Self, Vec<FieldError>> {
        static SCHEMA: Schema = Schema {
            fields: &[
                ("fs_isolation", Kind::String, false),
                ("shutdown_periodic_after", Kind::Int, false),
                ("shutdown_periodic_duration", Kind::Int, false),
            ],
        };
        config::decode(&SCHEMA, map, "config")
    }
}

/// What a pretended command does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Command {
    #[serde(deserialize_with = "nanos")]
    pub(super) run_for: Duration,
    pub(super) exit_code: i32,
    pub(super) exit_signal: i32,
    pub(super) exit_err_msg: String,
    pub(super) signal_error: String,
    pub(super) stdout_string: String,
    pub(super) stdout_repeat: u32,
    #[serde(deserialize_with = "nanos")]
    pub(super) stdout_repeat_duration: Duration,
    pub(super) stderr_string: String,
    pub(super) stderr_repeat: u32,
    #[serde(deserialize_with = "nanos")]
    pub(super) stderr_repeat_duration: Duration,
}

/// A task's `config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct TaskSettings {
    pub(super) start_error: String,
    pub(super) start_error_recoverable: bool,
    #[serde(deserialize_with = "nanos")]
    pub(super) start_block_for: Duration,
    #[serde(deserialize_with = "nanos")]
    pub(super) kill_after: Duration,
    #[serde(deserialize_with = "nanos")]
    pub(super) plugin_exit_after: Duration,
    pub(super) driver_ip: String,
    pub(super) driver_advertise: bool,
    pub(super) driver_port_map: String,
    #[serde(flatten)]
    pub(super) command: Command,
    pub(super) exec_command: Option<Command>,
}

/// The fields of a command, in a list of fields.
macro_rules! with_command_fields {
    ($($other:expr),* $(,)?) => {
        &[
            $($other,)*
            ("run_for", Kind::Duration, false),
            ("exit_code", Kind::Int, false),
            ("exit_signal", Kind::Int, false),
            ("exit_err_msg", Kind::String, false),
            ("signal_error", Kind::String, false),
            ("stdout_string", Kind::String, false),
            ("stdout_repeat", Kind::Int, false),
            ("stdout_repeat_duration", Kind::Duration, false),
            ("stderr_string", Kind::String, false),
            ("stderr_repeat", Kind::Int, false),
            ("stderr_repeat_duration", Kind::Duration, false),
        ]
    };
}

static COMMAND_SCHEMA: Schema = Schema {
    fields: with_command_fields!(),
};

static TASK_SCHEMA: Schema = Schema {
    fields: with_command_fields!(
        ("start_error", Kind::String, false),
        ("start_error_recoverable", Kind::Bool, false),
        ("start_block_for", Kind::Duration, false),
        ("kill_after", Kind::Duration, false),
        ("plugin_exit_after", Kind::Duration, false),
        ("driver_ip", Kind::String, false),
        ("driver_advertise", Kind::Bool, false),
        ("driver_port_map", Kind::String, false),
        ("exec_command", Kind::Block(&COMMAND_SCHEMA), false),
    ),
};

impl TaskSettings {
    pub(super) fn decode(map: &AnyMap) -> Result<Self, Vec<FieldError>> {
        config::decode(&TASK_SCHEMA, map, "config")
    }
}

fn nanos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_knob_is_read() {
        let Value::Object(map) = json!({
            "start_error": "e", "start_error_recoverable": true, "start_block_for": "1s", "kill_after": "2s",
            "plugin_exit_after": "3s", "driver_ip": "1.2.3.4", "driver_advertise": true, "driver_port_map": "a:1",
            "run_for": "4s", "exit_code": 5, "exit_signal": 6, "exit_err_msg": "m", "signal_error": "s",
            "stdout_string": "o", "stdout_repeat": 7, "stdout_repeat_duration": "8ms",
            "stderr_string": "r", "stderr_repeat": 9, "stderr_repeat_duration": "10ms",
            "exec_command": [{"run_for": "11s", "exit_code": 12}],
        }) else {
            panic!("a map")
        };
        let all = TaskSettings::decode(&map).expect("valid");
        assert_eq!(all.start_error, "e");
        assert!(all.start_error_recoverable && all.driver_advertise);
        let seconds = [
            all.start_block_for,
            all.kill_after,
            all.plugin_exit_after,
            all.command.run_for,
        ]
        .map(|d| d.as_secs());
        assert_eq!(seconds, [1, 2, 3, 4]);
        let command = &all.command;
        assert_eq!(
            (
                command.exit_code,
                command.exit_signal,
                command.stdout_repeat,
                command.stderr_repeat
            ),
            (5, 6, 7, 9)
        );
        assert_eq!(
            (command.exit_err_msg.as_str(), command.signal_error.as_str()),
            ("m", "s")
        );
        assert_eq!(
            (
                command.stdout_string.as_str(),
                command.stderr_string.as_str()
            ),
            ("o", "r")
        );
        assert_eq!(
            command.stdout_repeat_duration + command.stderr_repeat_duration,
            Duration::from_millis(18)
        );
        let exec = all.exec_command.expect("block");
        assert_eq!((exec.run_for.as_secs(), exec.exit_code), (11, 12));
        assert_eq!(
            (all.driver_ip.as_str(), all.driver_port_map.as_str()),
            ("1.2.3.4", "a:1")
        );
    }

    #[test]
    fn mistakes_are_named() {
        let Value::Object(map) = json!({"run_for": "x", "exec_command": {"runfor": "1s"}}) else {
            panic!("a map")
        };
        let errors: Vec<_> = TaskSettings::decode(&map)
            .expect_err("mistakes")
            .iter()
            .map(|e| e.path.clone())
            .collect();
        assert_eq!(errors, ["config.run_for", "config.exec_command.runfor"]);
    }
}
