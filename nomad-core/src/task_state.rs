//! What a node reports of a task: its state and its last events.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::job::StringMap;
use crate::time::{Nanos, Timestamp, parse_go_duration};
use crate::wire;

/// Events kept per task.
pub const MAX_TASK_EVENTS: usize = 10;

/// Whether a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskRunState {
    #[default]
    #[serde(alias = "")]
    Pending,
    Running,
    Dead,
}

impl TaskRunState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for TaskRunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// State of one task of an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    pub state: TaskRunState,
    /// Whether it ended without success and will not be restarted.
    pub failed: bool,
    pub restarts: u64,
    #[serde(with = "wire::rfc3339_or_null")]
    pub last_restart: Timestamp,
    #[serde(with = "wire::rfc3339_or_null")]
    pub started_at: Timestamp,
    #[serde(with = "wire::rfc3339_or_null")]
    pub finished_at: Timestamp,
    /// The last [`MAX_TASK_EVENTS`].
    #[serde(with = "wire::null_default")]
    pub events: Vec<TaskEvent>,
    pub paused: String,
}

impl TaskState {
    /// Whether it ended, and well.
    pub fn successful(&self) -> bool {
        self.state == TaskRunState::Dead && !self.failed
    }

    /// Adds an event, dropping the oldest above the limit.
    pub fn push_event(&mut self, event: TaskEvent) {
        self.events.push(event);
        if self.events.len() > MAX_TASK_EVENTS {
            self.events.remove(0);
        }
    }
}

/// Something that happened to a task.
///
/// The API also shows flat fields (`ExitCode`, `RestartReason`, …); those are written from [`details`](Self::details)
/// and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    /// `Received`, `Task Setup`, `Started`, `Terminated`, …; see [`event_type`].
    #[serde(rename = "Type")]
    pub kind: String,
    pub time: Timestamp,
    /// One sentence for people.
    pub display_message: String,
    /// The event's data as text.
    #[serde(with = "wire::null_default")]
    pub details: StringMap,
}

/// Types of task events, as the API spells them.
pub mod event_type {
    pub const SETUP_FAILURE: &str = "Setup Failure";
    pub const DRIVER_FAILURE: &str = "Driver Failure";
    pub const DRIVER: &str = "Driver";
    pub const RECEIVED: &str = "Received";
    pub const FAILED_VALIDATION: &str = "Failed Validation";
    pub const STARTED: &str = "Started";
    pub const TERMINATED: &str = "Terminated";
    pub const KILLING: &str = "Killing";
    pub const KILLED: &str = "Killed";
    pub const RESTARTING: &str = "Restarting";
    pub const NOT_RESTARTING: &str = "Not Restarting";
    pub const RESTART_SIGNAL: &str = "Restart Signaled";
    pub const SIGNALING: &str = "Signaling";
    pub const DOWNLOADING_ARTIFACTS: &str = "Downloading Artifacts";
    pub const ARTIFACT_DOWNLOAD_FAILED: &str = "Failed Artifact Download";
    pub const BUILDING_TASK_DIR: &str = "Building Task Directory";
    pub const TASK_SETUP: &str = "Task Setup";
    pub const DISK_EXCEEDED: &str = "Disk Resources Exceeded";
    pub const SIBLING_FAILED: &str = "Sibling Task Failed";
    pub const LEADER_DEAD: &str = "Leader Task Dead";
    pub const MAIN_DEAD: &str = "Main Tasks Dead";
    pub const TEMPLATE: &str = "Template";
    pub const HOOK_FAILED: &str = "Task hook failed";
    pub const HOOK_MESSAGE: &str = "Task hook message";
    pub const RESTORE_FAILED: &str = "Failed Restoring Task";
    pub const PLUGIN_UNHEALTHY: &str = "Plugin became unhealthy";
    pub const PLUGIN_HEALTHY: &str = "Plugin became healthy";
    pub const CLIENT_RECONNECTED: &str = "Reconnected";
    pub const WAITING_SHUTDOWN_DELAY: &str = "Waiting for shutdown delay";
    pub const SKIPPED_SHUTDOWN_DELAY: &str = "Skipping shutdown delay";
    pub const RUNNING: &str = "Running";
}

impl TaskEvent {
    /// An event of that type and time, without data.
    pub fn new(kind: &str, time: Timestamp) -> Self {
        Self {
            kind: kind.to_owned(),
            time,
            ..Self::default()
        }
    }

    /// With the sentence shown to people.
    #[must_use]
    pub fn display(mut self, message: impl Into<String>) -> Self {
        self.display_message = message.into();
        self
    }

    /// With one more piece of data.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<String>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Whether it made the task fail.
    pub fn fails_task(&self) -> bool {
        self.details
            .get("fails_task")
            .is_some_and(|value| value == "true")
    }

    fn text(&self, key: &str) -> &str {
        self.details.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str) -> i64 {
        self.text(key).parse().unwrap_or(0)
    }
}

/// The JSON shape with its flat legacy fields.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaskEventShape<'a> {
    #[serde(rename = "Type")]
    kind: &'a str,
    time: Timestamp,
    message: &'a str,
    display_message: &'a str,
    details: &'a StringMap,
    fails_task: bool,
    restart_reason: &'a str,
    setup_error: &'a str,
    driver_error: &'a str,
    exit_code: i64,
    signal: i64,
    kill_timeout: Nanos,
    kill_error: &'a str,
    kill_reason: &'a str,
    start_delay: i64,
    download_error: &'a str,
    validation_error: &'a str,
    disk_limit: i64,
    failed_sibling: &'a str,
    vault_error: &'a str,
    task_signal_reason: &'a str,
    task_signal: &'a str,
    driver_message: &'a str,
    generic_source: &'a str,
}

/// The shape of formats that people do not read: without what is derived.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaskEventStored<'a> {
    #[serde(rename = "Type")]
    kind: &'a str,
    time: Timestamp,
    display_message: &'a str,
    details: &'a StringMap,
}

impl Serialize for TaskEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return TaskEventStored {
                kind: &self.kind,
                time: self.time,
                display_message: &self.display_message,
                details: &self.details,
            }
            .serialize(serializer);
        }
        TaskEventShape {
            kind: &self.kind,
            time: self.time,
            message: self.text("message"),
            display_message: &self.display_message,
            details: &self.details,
            fails_task: self.fails_task(),
            restart_reason: self.text("restart_reason"),
            setup_error: self.text("setup_error"),
            driver_error: self.text("driver_error"),
            exit_code: self.number("exit_code"),
            signal: self.number("signal"),
            kill_timeout: parse_go_duration(self.text("kill_timeout")).unwrap_or_default(),
            kill_error: self.text("kill_error"),
            kill_reason: self.text("kill_reason"),
            start_delay: self.number("start_delay"),
            download_error: self.text("download_error"),
            validation_error: self.text("validation_error"),
            disk_limit: self.number("disk_limit"),
            failed_sibling: self.text("failed_sibling"),
            vault_error: self.text("vault_renewal_error"),
            task_signal_reason: self.text("task_signal_reason"),
            task_signal: self.text("task_signal"),
            driver_message: self.text("driver_message"),
            generic_source: self.text("generic_source"),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_fields_come_from_the_details() {
        let event = TaskEvent::new(event_type::TERMINATED, Timestamp(7))
            .display("Exit Code: 137, Signal: 9")
            .detail("exit_code", "137")
            .detail("signal", "9")
            .detail("oom_killed", "false");
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["ExitCode"], 137);
        assert_eq!(json["Signal"], 9);
        assert_eq!(json.as_object().unwrap().len(), 24);
        assert_eq!(serde_json::from_value::<TaskEvent>(json).unwrap(), event);
    }

    #[test]
    fn only_the_last_events_are_kept() {
        let mut state = TaskState::default();
        for time in 0..25 {
            state.push_event(TaskEvent::new(event_type::STARTED, Timestamp(time)));
        }
        assert_eq!(state.events.len(), MAX_TASK_EVENTS);
        assert_eq!(state.events[0].time, Timestamp(15));
    }
}
