//! Rules for restart, reschedule, update, migrate and the ephemeral disk.

use super::errors::Messages;
use super::text;
use crate::spec::{MigrateStrategy, ReschedulePolicy, RestartPolicy, TaskGroup, UpdateStrategy};
use crate::time::Nanos;

const MIN_RESTART_INTERVAL: Nanos = Nanos::secs(5);
const MIN_RESCHEDULE_INTERVAL: Nanos = Nanos::secs(15);
const MIN_RESCHEDULE_DELAY: Nanos = Nanos::secs(5);
const MIN_DISK_MB: i64 = 10;

pub(super) fn errors(group: &TaskGroup, kind: &str) -> Messages {
    let mut errors = Messages::new();
    let name = text(group.name.as_ref());
    match &group.restart_policy {
        Some(policy) => errors.append(restart(policy)),
        None => errors.add(format!("Task Group {name} should have a restart policy")),
    }
    match (&group.reschedule_policy, kind) {
        (Some(_), "system" | "sysbatch") => {
            errors.add(format!("Job type {kind:?} does not allow reschedule block"))
        }
        (Some(policy), _) => errors.append(reschedule(policy)),
        (None, "service" | "batch") => {
            errors.add(format!("Task Group {name} should have a reschedule policy"))
        }
        (None, _) => {}
    }
    match &group.ephemeral_disk {
        Some(disk) => {
            let size = disk.size_mb.unwrap_or_default();
            errors.require(size >= MIN_DISK_MB, || {
                format!("minimum DiskMB value is {MIN_DISK_MB}; got {size}")
            });
        }
        None => errors.add(format!(
            "Task Group {name} should have an ephemeral disk object"
        )),
    }
    if let Some(strategy) = &group.update {
        match kind {
            "service" | "system" => errors.append(update(strategy)),
            _ => errors.add(format!("Job type {kind:?} does not allow update block")),
        }
    }
    if let Some(strategy) = &group.migrate {
        match kind {
            "service" => errors.append(migrate(strategy)),
            _ => errors.add(format!("Job type {kind:?} does not allow migrate block")),
        }
    } else if kind == "service" {
        errors.add(format!("Task Group {name} should have a migrate strategy"));
    }
    errors
}

fn restart(policy: &RestartPolicy) -> Messages {
    let mut errors = Messages::new();
    let mode = text(policy.mode.as_ref());
    errors.require(matches!(mode, "fail" | "delay"), || {
        format!("Unsupported restart mode: {mode:?}")
    });
    let attempts = policy.attempts.unwrap_or_default();
    let (interval, delay) = (
        policy.interval.unwrap_or_default(),
        policy.delay.unwrap_or_default(),
    );
    errors.require(attempts != 0 || mode == "fail", || {
        format!("Restart policy {mode:?} with {attempts} attempts is ambiguous")
    });
    errors.require(interval >= MIN_RESTART_INTERVAL, || {
        format!("Interval can not be less than {MIN_RESTART_INTERVAL} (got {interval})")
    });
    errors.require(i128::from(attempts) * i128::from(delay.0) <= i128::from(interval.0), || {
        format!("Nomad can't restart the TaskGroup {attempts} times in an interval of {interval} with a delay of {delay}")
    });
    errors
}

fn reschedule(policy: &ReschedulePolicy) -> Messages {
    let mut errors = Messages::new();
    let attempts = policy.attempts.unwrap_or_default();
    let unlimited = policy.unlimited.unwrap_or_default();
    if attempts <= 0 && !unlimited {
        return errors;
    }
    let interval = policy.interval.unwrap_or_default();
    let (delay, max_delay) = (
        policy.delay.unwrap_or_default(),
        policy.max_delay.unwrap_or_default(),
    );
    if attempts > 0 {
        errors.require(interval.0 > 0, || {
            "Interval must be a non zero value if Attempts > 0".to_owned()
        });
        errors.require(!unlimited, || {
            format!("Reschedule Policy with Attempts = {attempts}, Interval = {interval}, and Unlimited = {unlimited} is ambiguous")
        });
    }
    let mut delay_fits = true;
    if delay < MIN_RESCHEDULE_DELAY {
        errors.add(format!(
            "Delay cannot be less than {MIN_RESCHEDULE_DELAY} (got {delay})"
        ));
        delay_fits = false;
    }
    let function = text(policy.delay_function.as_ref());
    if !matches!(function, "constant" | "exponential" | "fibonacci") {
        errors.add(format!("Invalid delay function {function:?}, must be one of [\"constant\" \"exponential\" \"fibonacci\"]"));
        delay_fits = false;
    }
    if function != "constant" {
        if max_delay < MIN_RESCHEDULE_DELAY {
            errors.add(format!(
                "Max Delay cannot be less than {MIN_RESCHEDULE_DELAY} (got {max_delay})"
            ));
            delay_fits = false;
        }
        if max_delay < delay {
            errors.add(format!(
                "Max Delay cannot be less than Delay {delay} (got {max_delay})"
            ));
            delay_fits = false;
        }
    }
    if !unlimited {
        errors.require(interval >= MIN_RESCHEDULE_INTERVAL, || {
            format!("Interval cannot be less than {MIN_RESCHEDULE_INTERVAL} (got {interval})")
        });
        if delay_fits
            && let Some(needed) = needed_interval(function, attempts, delay, max_delay, interval)
        {
            errors.add(format!(
                "Nomad can only make fewer than {attempts} attempts in {interval} with initial delay {delay} and delay \
                 function {function:?}; set the interval to at least {needed} to accommodate {attempts} attempts"
            ));
        }
    }
    errors
}

/// The interval that all the attempts need, if it is longer than the one there is.
fn needed_interval(
    function: &str,
    attempts: i64,
    delay: Nanos,
    max_delay: Nanos,
    interval: Nanos,
) -> Option<Nanos> {
    // More attempts than this take longer than any interval that can be written.
    let attempts = attempts.min(100_000);
    let (delay, max, interval) = (
        i128::from(delay.0),
        i128::from(max_delay.0),
        i128::from(interval.0),
    );
    let as_nanos = |value: i128| Nanos(i64::try_from(value).unwrap_or(i64::MAX));
    match function {
        "constant" => {
            let needed = delay * i128::from(attempts);
            (needed > interval).then(|| as_nanos(needed))
        }
        "exponential" => {
            let mut fits = true;
            let (mut total, mut next) = (0_i128, delay);
            for _ in 0..attempts {
                let step = if next > max {
                    total += max;
                    total
                } else {
                    total = next;
                    next
                };
                fits &= step < interval;
                next = next.saturating_mul(2).min(1 << 100);
            }
            (!fits).then(|| as_nanos(total))
        }
        _ => {
            let (mut a, mut b) = (delay, delay);
            let mut last = delay;
            for at in 0..attempts {
                last = if at < 2 {
                    delay
                } else {
                    (a + b).min(if max > 0 { max } else { a + b })
                };
                (a, b) = (b, last);
            }
            (last > interval).then(|| as_nanos(last))
        }
    }
}

fn update(strategy: &UpdateStrategy) -> Messages {
    let mut errors = Messages::new();
    let check = text(strategy.health_check.as_ref());
    errors.require(matches!(check, "checks" | "task_states" | "manual"), || {
        format!("Invalid health check given: {check:?}")
    });
    let (parallel, canary) = (
        strategy.max_parallel.unwrap_or_default(),
        strategy.canary.unwrap_or_default(),
    );
    errors.require(parallel >= 0, || {
        format!("Max parallel can not be less than zero: {parallel} < 0")
    });
    errors.require(canary >= 0, || {
        format!("Canary count can not be less than zero: {canary} < 0")
    });
    errors.require(
        canary != 0 || !strategy.auto_promote.unwrap_or_default(),
        || "Auto Promote requires a Canary count greater than zero".to_owned(),
    );
    let healthy = strategy.min_healthy_time.unwrap_or_default();
    let deadline = strategy.healthy_deadline.unwrap_or_default();
    let progress = strategy.progress_deadline.unwrap_or_default();
    let stagger = strategy.stagger.unwrap_or_default();
    errors.require(healthy.0 >= 0, || {
        format!("Minimum healthy time may not be less than zero: {healthy}")
    });
    errors.require(deadline.0 > 0, || {
        format!("Healthy deadline must be greater than zero: {deadline}")
    });
    errors.require(progress.0 >= 0, || {
        format!("Progress deadline must be zero or greater: {progress}")
    });
    errors.require(healthy < deadline, || {
        format!("Minimum healthy time must be less than healthy deadline: {healthy} > {deadline}")
    });
    errors.require(progress.is_zero() || deadline < progress, || {
        format!("Healthy deadline must be less than progress deadline: {deadline} > {progress}")
    });
    errors.require(stagger.0 > 0, || {
        format!("Stagger must be greater than zero: {stagger}")
    });
    errors
}

fn migrate(strategy: &MigrateStrategy) -> Messages {
    let mut errors = Messages::new();
    let parallel = strategy.max_parallel.unwrap_or_default();
    errors.require(parallel >= 0, || {
        format!("MaxParallel must be >= 0 but found {parallel}")
    });
    let check = text(strategy.health_check.as_ref());
    match check {
        "checks" | "task_states" => {}
        "" => errors.require(parallel == 0, || "Missing HealthCheck".to_owned()),
        other => errors.add(format!("Invalid HealthCheck: {other:?}")),
    }
    let healthy = strategy.min_healthy_time.unwrap_or_default();
    let deadline = strategy.healthy_deadline.unwrap_or_default();
    errors.require(healthy.0 >= 0, || {
        format!("MinHealthyTime is {healthy} but must be >= 0")
    });
    errors.require(deadline.0 >= 0, || {
        format!("HealthyDeadline is {deadline} but must be >= 0")
    });
    errors.require(healthy <= deadline, || {
        "MinHealthyTime must be less than HealthyDeadline".to_owned()
    });
    errors
}
