//! Task events with the texts and details that the API shows.
//!
//! Source: HTTP API reference, appendix B "Task events".

use std::fmt::Write as _;

use nomad_core::task_state::{TaskEvent, event_type};
use nomad_core::{Nanos, Timestamp};

/// Reason of a restart that the policy allows; left out of the sentence for people.
pub const REASON_WITHIN_POLICY: &str = "Restart within policy";
/// Reason when the policy has no attempts at all.
pub const REASON_NO_RESTARTS: &str = "Policy allows no restarts";
/// Reason when the attempts are used up and the mode is `delay`.
pub const REASON_DELAY: &str = "Exceeded allowed attempts, applying a delay";
/// Reason of a start error that another try cannot mend.
pub const REASON_UNRECOVERABLE: &str = "Error was unrecoverable";
/// Reason of a restart that a user asked for.
pub const REASON_USER_RESTART: &str = "User requested task to restart";
/// What is said of an exit that nobody could learn the code of.
pub const EXIT_LOST: &str = "exit status is not known: the task ended while nobody watched it";

/// How a task's process ended, as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExitReport {
    /// The code; 128 + N for signal N; -1 when nobody could learn it.
    pub code: i32,
    /// The signal, or 0.
    pub signal: i32,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// What went wrong beside the code, or "".
    pub message: String,
    /// Whether the code could not be learned. Never success.
    pub lost: bool,
}

impl ExitReport {
    /// An end whose code nobody could learn.
    pub fn lost() -> Self {
        Self {
            code: -1,
            message: EXIT_LOST.to_owned(),
            lost: true,
            ..Self::default()
        }
    }

    /// Whether the task ended well.
    pub fn success(&self) -> bool {
        self.code == 0 && self.signal == 0 && !self.lost && self.message.is_empty()
    }
}

/// The node has heard of the task.
pub fn received(now: Timestamp) -> TaskEvent {
    TaskEvent::new(event_type::RECEIVED, now).display("Task received by client")
}

/// The task is being prepared.
pub fn setup(now: Timestamp, message: &str) -> TaskEvent {
    with_message(event_type::TASK_SETUP, now, message)
}

/// Any event whose sentence is its message.
pub fn with_message(kind: &str, now: Timestamp, message: &str) -> TaskEvent {
    TaskEvent::new(kind, now)
        .display(message)
        .detail("message", message)
}

/// The process runs.
pub fn started(now: Timestamp) -> TaskEvent {
    TaskEvent::new(event_type::STARTED, now).display("Task started by client")
}

/// The process has ended.
pub fn terminated(now: Timestamp, exit: &ExitReport) -> TaskEvent {
    let mut text = format!("Exit Code: {}", exit.code);
    // Writing to a string cannot fail.
    if exit.signal != 0 {
        let _ = write!(text, ", Signal: {}", exit.signal);
    }
    if !exit.message.is_empty() {
        let _ = write!(text, ", Exit Message: {:?}", exit.message);
    }
    let mut event = TaskEvent::new(event_type::TERMINATED, now)
        .display(text)
        .detail("exit_code", exit.code.to_string())
        .detail("signal", exit.signal.to_string())
        .detail("oom_killed", exit.oom_killed.to_string());
    if !exit.message.is_empty() {
        event = event.detail("exit_message", exit.message.clone());
    }
    event
}

/// The task is asked to end; `reason` replaces the sentence about the timeout.
pub fn killing(now: Timestamp, timeout: Nanos, reason: &str) -> TaskEvent {
    let event =
        TaskEvent::new(event_type::KILLING, now).detail("kill_timeout", timeout.to_string());
    if reason.is_empty() {
        event.display(format!(
            "Sent interrupt. Waiting {timeout} before force killing"
        ))
    } else {
        event.display(reason).detail("kill_reason", reason)
    }
}

/// The task was killed; `error` says what went wrong on the way, or "".
pub fn killed(now: Timestamp, error: &str) -> TaskEvent {
    let event = TaskEvent::new(event_type::KILLED, now);
    if error.is_empty() {
        event.display("Task successfully killed")
    } else {
        event.display(error).detail("kill_error", error)
    }
}

/// The task will be started again after `delay`.
pub fn restarting(now: Timestamp, delay: Nanos, reason: &str) -> TaskEvent {
    let sentence = format!("Task restarting in {delay}");
    let display = if reason.is_empty() || reason == REASON_WITHIN_POLICY {
        sentence
    } else {
        format!("{reason} - {sentence}")
    };
    TaskEvent::new(event_type::RESTARTING, now)
        .display(display)
        .detail("restart_reason", reason)
        .detail("start_delay", delay.0.to_string())
}

/// The task will not be started again, and so has failed.
pub fn not_restarting(now: Timestamp, reason: &str) -> TaskEvent {
    let display = if reason.is_empty() {
        "Task exceeded restart policy"
    } else {
        reason
    };
    TaskEvent::new(event_type::NOT_RESTARTING, now)
        .display(display)
        .detail("restart_reason", reason)
        .detail("fails_task", "true")
}

/// Somebody asked for a restart.
pub fn restart_signaled(now: Timestamp, reason: &str) -> TaskEvent {
    let display = if reason.is_empty() {
        "Task signaled to restart"
    } else {
        reason
    };
    TaskEvent::new(event_type::RESTART_SIGNAL, now)
        .display(display)
        .detail("restart_reason", reason)
}

/// A signal is being sent; `reason` is empty when a user asked.
pub fn signaling(now: Timestamp, signal: &str, reason: &str) -> TaskEvent {
    let event = TaskEvent::new(event_type::SIGNALING, now).detail("signal", signal);
    if reason.is_empty() {
        event.display("Task being sent a signal")
    } else {
        event
            .display(format!("Task being sent signal {signal}: {reason}"))
            .detail("task_signal", signal)
            .detail("task_signal_reason", reason)
    }
}

/// The task could not be prepared.
pub fn setup_failure(now: Timestamp, error: &str) -> TaskEvent {
    TaskEvent::new(event_type::SETUP_FAILURE, now)
        .display(or(error, "Task setup failed"))
        .detail("setup_error", error)
        .detail("fails_task", "true")
}

/// The task's configuration makes no sense to its driver.
pub fn failed_validation(now: Timestamp, error: &str) -> TaskEvent {
    TaskEvent::new(event_type::FAILED_VALIDATION, now)
        .display(or(error, "Validation of task failed"))
        .detail("validation_error", error)
        .detail("fails_task", "true")
}

/// The driver could not start the task. Whether that fails the task is the restart policy's decision.
pub fn driver_failure(now: Timestamp, error: &str) -> TaskEvent {
    TaskEvent::new(event_type::DRIVER_FAILURE, now)
        .display(or(error, "Failed to start task"))
        .detail("driver_error", error)
}

/// The driver has something to say.
pub fn driver_message(now: Timestamp, message: &str) -> TaskEvent {
    TaskEvent::new(event_type::DRIVER, now)
        .display(message)
        .detail("driver_message", message)
}

/// Another task of the allocation failed.
pub fn sibling_failed(now: Timestamp, sibling: &str) -> TaskEvent {
    let display = if sibling.is_empty() {
        "Task's sibling failed".to_owned()
    } else {
        format!("Task's sibling \"{sibling}\" failed")
    };
    TaskEvent::new(event_type::SIBLING_FAILED, now)
        .display(display)
        .detail("failed_sibling", sibling)
}

/// The allocation's leader ended.
pub fn leader_dead(now: Timestamp) -> TaskEvent {
    TaskEvent::new(event_type::LEADER_DEAD, now).display("Leader Task in Group dead")
}

/// Only sidecars are left.
pub fn main_dead(now: Timestamp) -> TaskEvent {
    TaskEvent::new(event_type::MAIN_DEAD, now).display("Main tasks in the group died")
}

/// The servers hear from the node again.
pub fn reconnected(now: Timestamp) -> TaskEvent {
    TaskEvent::new(event_type::CLIENT_RECONNECTED, now).display("Client reconnected")
}

/// A hook failed.
pub fn hook_failed(now: Timestamp, hook: &str, error: &str) -> TaskEvent {
    let text = format!("{hook}: {error}");
    with_message(event_type::HOOK_FAILED, now, &text)
}

/// Whether these events make their task fail is in their details.
fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(7);

    #[test]
    fn sentences_are_as_recorded() {
        let exit = |code, signal| ExitReport {
            code,
            signal,
            ..ExitReport::default()
        };
        let cases = [
            (terminated(NOW, &exit(7, 0)), "Exit Code: 7"),
            (terminated(NOW, &exit(137, 9)), "Exit Code: 137, Signal: 9"),
            (
                restarting(NOW, Nanos(1_050_896_566), REASON_WITHIN_POLICY),
                "Task restarting in 1.050896566s",
            ),
            (restarting(NOW, Nanos(0), ""), "Task restarting in 0s"),
            (
                restarting(NOW, Nanos::secs(3), REASON_DELAY),
                "Exceeded allowed attempts, applying a delay - Task restarting in 3s",
            ),
            (
                killing(NOW, Nanos::secs(2), ""),
                "Sent interrupt. Waiting 2s before force killing",
            ),
            (signaling(NOW, "SIGKILL", ""), "Task being sent a signal"),
            (
                restart_signaled(NOW, REASON_USER_RESTART),
                "User requested task to restart",
            ),
            (sibling_failed(NOW, "web"), "Task's sibling \"web\" failed"),
        ];
        for (event, text) in cases {
            assert_eq!(event.display_message, text);
        }
    }

    #[test]
    fn details_are_as_recorded() {
        let json = |event: TaskEvent| serde_json::to_value(event).unwrap()["Details"].clone();
        assert_eq!(
            json(terminated(
                NOW,
                &ExitReport {
                    code: 130,
                    signal: 2,
                    ..ExitReport::default()
                }
            )),
            serde_json::json!({"exit_code": "130", "oom_killed": "false", "signal": "2"})
        );
        assert_eq!(
            json(restarting(NOW, Nanos(1_002_158_000), REASON_WITHIN_POLICY)),
            serde_json::json!({"restart_reason": "Restart within policy", "start_delay": "1002158000"})
        );
        assert_eq!(json(started(NOW)), serde_json::json!({}));
        assert_eq!(
            json(killing(NOW, Nanos::secs(2), "")),
            serde_json::json!({"kill_timeout": "2s"})
        );
        assert!(not_restarting(NOW, "x").fails_task());
    }

    #[test]
    fn an_unknown_end_is_no_success() {
        assert!(!ExitReport::lost().success());
        assert!(ExitReport::default().success());
    }
}
