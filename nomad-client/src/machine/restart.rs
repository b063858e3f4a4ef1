//! The restart policy of a task: whether, and when, it is started again.
//!
//! Source: client and drivers reference, section 2.6 "Restart policy".

use nomad_core::job::{RestartMode, RestartPolicy};
use nomad_core::{Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use super::events::{REASON_DELAY, REASON_NO_RESTARTS, REASON_UNRECOVERABLE, REASON_WITHIN_POLICY};

/// The part of a delay by which it may grow at random.
const JITTER: f64 = 0.25;

/// Why the task is not running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Somebody killed it.
    Killed,
    /// Somebody asked for a restart that is nobody's failure.
    RestartAsked,
    /// It could not be started.
    StartError {
        /// In words.
        error: String,
        /// Whether another try may do better.
        recoverable: bool,
    },
    /// Its process ended.
    Exited {
        /// With code 0 and no signal.
        success: bool,
    },
    /// It runs but is to be restarted because it is unhealthy; counted as a failure.
    Unhealthy,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays dead because somebody killed it.
    Killed,
    /// It stays dead, and did its work.
    Done,
    /// It stays dead and has failed.
    Failed {
        /// Why it is not started again.
        reason: String,
    },
    /// It is started again.
    Restart {
        /// After this span.
        delay: Nanos,
        /// Why.
        reason: String,
    },
}

/// Counts starts within the policy's interval.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestartTracker {
    /// Restarts in the current window, successful exits included.
    count: i64,
    window_start: Timestamp,
}

impl RestartTracker {
    /// A tracker whose first window begins now.
    pub fn new(now: Timestamp) -> Self {
        Self {
            count: 0,
            window_start: now,
        }
    }

    /// Decides. `success_is_final` holds for batch jobs, ephemeral hooks and poststop tasks; `jitter` is at random in
    /// `[0, 1)`.
    pub fn decide(
        &mut self,
        policy: &RestartPolicy,
        ended: &Ended,
        success_is_final: bool,
        now: Timestamp,
        jitter: f64,
    ) -> Verdict {
        let success = *ended == Ended::Exited { success: true };
        match ended {
            Ended::Killed => return Verdict::Killed,
            Ended::RestartAsked => {
                return Verdict::Restart {
                    delay: Nanos::ZERO,
                    reason: String::new(),
                };
            }
            _ if policy.attempts == 0 => {
                return if success && success_is_final {
                    Verdict::Done
                } else {
                    failed(REASON_NO_RESTARTS)
                };
            }
            _ => {}
        }
        if now > self.window_start + policy.interval {
            self.count = 0;
            self.window_start = now;
        }
        self.count += 1;
        if let Ended::StartError {
            recoverable: false, ..
        } = ended
        {
            return failed(REASON_UNRECOVERABLE);
        }
        if success && success_is_final {
            return Verdict::Done;
        }
        if self.count > policy.attempts {
            return match policy.mode {
                RestartMode::Fail => failed(&format!(
                    "Exceeded allowed attempts {} in interval {} and mode is \"fail\"",
                    policy.attempts, policy.interval
                )),
                RestartMode::Delay => Verdict::Restart {
                    delay: Nanos((self.window_start + policy.interval).since(now).0.max(0)),
                    reason: REASON_DELAY.to_owned(),
                },
            };
        }
        let extra = policy.delay.0 as f64 * JITTER * jitter;
        Verdict::Restart {
            delay: Nanos(policy.delay.0.saturating_add(extra as i64).max(1)),
            reason: REASON_WITHIN_POLICY.to_owned(),
        }
    }
}

fn failed(reason: &str) -> Verdict {
    Verdict::Failed {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attempts: i64, mode: RestartMode) -> RestartPolicy {
        RestartPolicy {
            attempts,
            interval: Nanos::hours(24),
            delay: Nanos::secs(1),
            mode,
            render_templates: false,
        }
    }

    const CRASH: Ended = Ended::Exited { success: false };
    const WELL: Ended = Ended::Exited { success: true };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn one_attempt_then_the_task_fails_with_the_recorded_words() {
        let mut tracker = RestartTracker::new(at(100));
        let policy = policy(1, RestartMode::Fail);
        assert_eq!(
            tracker.decide(&policy, &CRASH, true, at(101), 0.5),
            Verdict::Restart {
                delay: Nanos(1_125_000_000),
                reason: REASON_WITHIN_POLICY.to_owned()
            }
        );
        assert_eq!(
            tracker.decide(&policy, &CRASH, true, at(103), 0.5),
            failed("Exceeded allowed attempts 1 in interval 24h0m0s and mode is \"fail\"")
        );
    }

    #[test]
    fn a_new_window_forgets_old_restarts() {
        let mut tracker = RestartTracker::new(at(0));
        let policy = policy(1, RestartMode::Fail);
        for day in 1..10 {
            let now = at(day * 86_400 + day);
            assert!(matches!(
                tracker.decide(&policy, &CRASH, false, now, 0.0),
                Verdict::Restart { .. }
            ));
        }
    }

    #[test]
    fn delay_mode_waits_for_the_rest_of_the_window() {
        let mut tracker = RestartTracker::new(at(0));
        let policy = policy(1, RestartMode::Delay);
        tracker.decide(&policy, &CRASH, false, at(10), 0.0);
        assert_eq!(
            tracker.decide(&policy, &CRASH, false, at(3_600), 0.0),
            Verdict::Restart {
                delay: Nanos::hours(23),
                reason: REASON_DELAY.to_owned()
            }
        );
    }

    #[test]
    fn success_ends_batch_tasks_and_counts_for_services() {
        let mut tracker = RestartTracker::new(at(0));
        let policy = policy(1, RestartMode::Fail);
        assert_eq!(
            tracker.decide(&policy, &WELL, true, at(1), 0.0),
            Verdict::Done
        );
        let mut tracker = RestartTracker::new(at(0));
        assert!(matches!(
            tracker.decide(&policy, &WELL, false, at(1), 0.0),
            Verdict::Restart { .. }
        ));
        assert!(matches!(
            tracker.decide(&policy, &CRASH, false, at(2), 0.0),
            Verdict::Failed { .. }
        ));
    }

    #[test]
    fn no_attempts_and_unrecoverable_errors_fail_at_once() {
        let mut tracker = RestartTracker::new(at(0));
        let none = policy(0, RestartMode::Fail);
        assert_eq!(
            tracker.decide(&none, &CRASH, true, at(1), 0.0),
            failed(REASON_NO_RESTARTS)
        );
        assert_eq!(
            tracker.decide(&none, &WELL, true, at(1), 0.0),
            Verdict::Done
        );
        let error = Ended::StartError {
            error: "no such file".to_owned(),
            recoverable: false,
        };
        assert_eq!(
            tracker.decide(&policy(3, RestartMode::Fail), &error, false, at(1), 0.0),
            failed(REASON_UNRECOVERABLE)
        );
    }

    #[test]
    fn asked_restarts_are_not_counted() {
        let mut tracker = RestartTracker::new(at(0));
        let policy = policy(1, RestartMode::Fail);
        for _ in 0..5 {
            assert_eq!(
                tracker.decide(&policy, &Ended::RestartAsked, false, at(1), 0.9),
                Verdict::Restart {
                    delay: Nanos::ZERO,
                    reason: String::new()
                }
            );
        }
        assert!(matches!(
            tracker.decide(&policy, &CRASH, false, at(1), 0.0),
            Verdict::Restart { .. }
        ));
        assert_eq!(
            tracker.decide(&policy, &Ended::Killed, false, at(1), 0.0),
            Verdict::Killed
        );
    }
}
