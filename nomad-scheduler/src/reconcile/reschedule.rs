//! When a failed allocation is replaced: now, later, or never.
//!
//! Source: servers and scheduling reference, "Rescheduling".

use std::sync::Arc;

use nomad_core::alloc::{
    Allocation, ClientStatus, DesiredStatus, RescheduleEvent, RescheduleTracker,
};
use nomad_core::deployment::Deployment;
use nomad_core::ids::EvalId;
use nomad_core::job::ReschedulePolicy;
use nomad_core::time::{Nanos, Timestamp};

use super::AllocSet;
use super::classify::{last_unknown, replaces};

/// A replacement that is due within this span is placed at once.
const WINDOW: Nanos = Nanos::secs(1);
/// Events that a tracker without a limit of attempts keeps.
const UNLIMITED_EVENTS: usize = 5;
/// `LastReschedule` of an allocation that was replaced.
pub(crate) const OK: &str = "ok";
/// `LastReschedule` of an allocation for which no place was found.
pub(crate) const NO_PLACEMENT: &str = "no placement";

/// A replacement that is not due yet.
#[derive(Debug, Clone)]
pub(super) struct Later {
    pub(super) alloc: Arc<Allocation>,
    pub(super) at: Timestamp,
}

/// A set split by when its members are to be replaced. Members of `later` are in `untainted` too.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) untainted: AllocSet,
    pub(super) now: AllocSet,
    pub(super) later: Vec<Later>,
}

/// What the decision depends on besides the allocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) batch: bool,
    pub(super) now: Timestamp,
    pub(super) eval: EvalId,
    pub(super) deployment: Option<&'a Deployment>,
}

enum Step {
    /// It keeps its place.
    Counts,
    /// It is neither kept nor replaced under its name.
    Drop,
    Candidate,
}

fn failed_to_place(alloc: &Allocation) -> bool {
    alloc
        .reschedule_tracker
        .as_ref()
        .is_some_and(|tracker| tracker.last_reschedule == NO_PLACEMENT)
}

fn first_look(alloc: &Allocation, batch: bool) -> Step {
    let transition = &alloc.desired_transition;
    let if_unplaced = || {
        if failed_to_place(alloc) {
            Step::Candidate
        } else {
            Step::Drop
        }
    };
    if batch {
        if transition.should_disable_migration_placement() {
            return Step::Counts;
        }
        if transition.should_reschedule() {
            return Step::Candidate;
        }
        return match alloc.desired_status {
            DesiredStatus::Stop if alloc.ran_successfully() => Step::Counts,
            DesiredStatus::Stop => if_unplaced(),
            DesiredStatus::Evict => Step::Drop,
            DesiredStatus::Run if alloc.client_status == ClientStatus::Failed => Step::Candidate,
            DesiredStatus::Run => Step::Counts,
        };
    }
    match (alloc.desired_status, alloc.client_status) {
        (DesiredStatus::Stop | DesiredStatus::Evict, _) => if_unplaced(),
        (DesiredStatus::Run, ClientStatus::Complete | ClientStatus::Lost) => Step::Drop,
        (DesiredStatus::Run, _) => Step::Candidate,
    }
}

impl Moment<'_> {
    /// Splits a set by when its members are to be replaced. `disconnecting` says that they have just been lost sight of.
    pub(super) fn split(&self, set: AllocSet, disconnecting: bool) -> Split {
        let mut split = Split::default();
        for (id, alloc) in set {
            if disconnecting && alloc.client_status == ClientStatus::Unknown {
                continue;
            }
            if alloc.next_allocation.is_some() && alloc.terminal() {
                continue;
            }
            match first_look(&alloc, self.batch) {
                Step::Counts if !disconnecting => {
                    split.untainted.insert(id, alloc);
                    continue;
                }
                Step::Drop if !disconnecting => continue,
                _ => {}
            }
            match self.due(&alloc, disconnecting) {
                Some(at) if self.is_now(&alloc, at) => {
                    split.now.insert(id, alloc);
                }
                Some(at) => {
                    if alloc.followup_eval_id.is_none() {
                        split.later.push(Later {
                            alloc: Arc::clone(&alloc),
                            at,
                        });
                    }
                    split.untainted.insert(id, alloc);
                }
                None => {
                    split.untainted.insert(id, alloc);
                }
            }
        }
        split
    }

    fn is_now(&self, alloc: &Allocation, at: Timestamp) -> bool {
        alloc.followup_eval_id == Some(self.eval) || at.since(self.now) <= WINDOW
    }

    /// When it is to be replaced; never where nothing says so.
    fn due(&self, alloc: &Allocation, disconnecting: bool) -> Option<Timestamp> {
        let transition = &alloc.desired_transition;
        if let Some(deployment) = self.deployment
            && alloc.deployment_id == Some(deployment.id)
            && deployment.active()
            && !transition.should_reschedule()
        {
            return None;
        }
        if transition.should_force_reschedule() && alloc.client_terminal() {
            return Some(self.now);
        }
        if disconnecting {
            return replaces(alloc).then(|| next_time(alloc, self.now))?;
        }
        if alloc.client_status == ClientStatus::Unknown && alloc.followup_eval_id == Some(self.eval)
        {
            return next_time(alloc, last_unknown(alloc)?);
        }
        let flagged = self.batch && transition.should_reschedule();
        let ended = matches!(
            alloc.client_status,
            ClientStatus::Failed | ClientStatus::Lost
        );
        if !ended && !flagged {
            return None;
        }
        if alloc.desired_status == DesiredStatus::Stop && !failed_to_place(alloc) && !flagged {
            return None;
        }
        let failed_at = alloc.last_event_time();
        if failed_at.is_zero() {
            return None;
        }
        next_time(alloc, failed_at)
    }
}

/// When the policy replaces an allocation that failed at `failed_at`; never where its attempts are used up.
fn next_time(alloc: &Allocation, failed_at: Timestamp) -> Option<Timestamp> {
    let policy = alloc.group()?.reschedule_policy.as_ref()?;
    let events = alloc
        .reschedule_tracker
        .as_ref()
        .map_or(&[][..], |tracker| &tracker.events);
    is_eligible(policy, events, failed_at)
        .then(|| failed_at + next_delay(policy, events, failed_at))
}

fn is_eligible(
    policy: &ReschedulePolicy,
    events: &[RescheduleEvent],
    failed_at: Timestamp,
) -> bool {
    if policy.unlimited {
        return true;
    }
    if policy.attempts == 0 {
        return false;
    }
    if events.is_empty() {
        return true;
    }
    let recent = events
        .iter()
        .filter(|event| failed_at.since(event.reschedule_time) < policy.interval)
        .count() as i64;
    recent < policy.attempts && next_delay(policy, events, failed_at) < policy.interval
}

/// The delay before the next replacement.
pub(crate) fn next_delay(
    policy: &ReschedulePolicy,
    events: &[RescheduleEvent],
    failed_at: Timestamp,
) -> Nanos {
    let base = policy.delay;
    let Some(last) = events.last() else {
        return base;
    };
    let max = policy.max_delay;
    let delay = match policy.delay_function.as_str() {
        "exponential" => Nanos(last.delay.0.saturating_mul(2)),
        "fibonacci" => match events {
            [.., previous, last] => {
                if previous.delay == max && last.delay == base {
                    // The delay was just reset.
                    base
                } else {
                    Nanos(previous.delay.0.saturating_add(last.delay.0))
                }
            }
            _ => base,
        },
        _ => return base,
    };
    if !max.is_set() || delay <= max {
        return delay;
    }
    if failed_at.since(last.reschedule_time) > max {
        base
    } else {
        max
    }
}

/// The tracker of a replacement of `previous`.
pub(crate) fn tracker(previous: &Allocation, now: Timestamp) -> RescheduleTracker {
    let earlier = previous
        .reschedule_tracker
        .as_ref()
        .map_or(&[][..], |tracker| &tracker.events);
    let policy = previous
        .group()
        .and_then(|group| group.reschedule_policy.clone())
        .unwrap_or_default();
    let mut events: Vec<RescheduleEvent> = if policy.unlimited {
        earlier[earlier.len().saturating_sub(UNLIMITED_EVENTS)..].to_vec()
    } else {
        earlier
            .iter()
            .filter(|event| {
                policy.interval.is_set() && now.since(event.reschedule_time) <= policy.interval
            })
            .cloned()
            .collect()
    };
    events.push(RescheduleEvent {
        reschedule_time: now,
        prev_alloc_id: Some(previous.id),
        prev_node_id: Some(previous.node_id),
        delay: next_delay(&policy, earlier, previous.last_event_time()),
    });
    RescheduleTracker {
        events,
        last_reschedule: OK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(function: &str) -> ReschedulePolicy {
        ReschedulePolicy {
            delay: Nanos::secs(5),
            delay_function: function.to_owned(),
            max_delay: Nanos::secs(60),
            unlimited: true,
            ..ReschedulePolicy::default()
        }
    }

    fn events(delays: &[i64]) -> Vec<RescheduleEvent> {
        delays
            .iter()
            .map(|delay| RescheduleEvent {
                reschedule_time: Timestamp::from_secs(1000),
                delay: Nanos::secs(*delay),
                ..RescheduleEvent::default()
            })
            .collect()
    }

    fn delay(function: &str, delays: &[i64], failed_at: i64) -> i64 {
        let at = Timestamp::from_secs(failed_at);
        next_delay(&policy(function), &events(delays), at).0 / 1_000_000_000
    }

    #[test]
    fn delay_functions() {
        for (function, before, failed_at, expected) in [
            ("constant", &[][..], 1001, 5),
            ("constant", &[5, 5], 1001, 5),
            ("exponential", &[5], 1001, 10),
            ("exponential", &[5, 10, 20], 1001, 40),
            ("exponential", &[40], 1001, 60),
            ("exponential", &[60], 1061, 5),
            ("fibonacci", &[5], 1001, 5),
            ("fibonacci", &[5, 5], 1001, 10),
            ("fibonacci", &[25, 40], 1001, 60),
            ("fibonacci", &[60, 5], 1001, 5),
        ] {
            assert_eq!(
                delay(function, before, failed_at),
                expected,
                "{function} {before:?}"
            );
        }
    }

    #[test]
    fn attempts_run_out_within_the_interval() {
        let policy = ReschedulePolicy {
            attempts: 2,
            interval: Nanos::mins(10),
            unlimited: false,
            ..policy("constant")
        };
        let at = |secs| Timestamp::from_secs(secs);
        assert!(is_eligible(&policy, &[], at(1000)));
        assert!(is_eligible(&policy, &events(&[5]), at(1001)));
        assert!(!is_eligible(&policy, &events(&[5, 5]), at(1001)));
        assert!(is_eligible(&policy, &events(&[5, 5]), at(1700)));
        let never = ReschedulePolicy {
            attempts: 0,
            ..policy
        };
        assert!(!is_eligible(&never, &[], at(1000)));
    }
}
