//! Rules for task groups.

use std::collections::BTreeMap;

use super::errors::Messages;
use super::{constraint, network, policy, service, task, text, volume};
use crate::spec::{DisconnectStrategy, ScalingPolicy, TaskGroup};

pub(super) fn errors(group: &TaskGroup, kind: &str) -> Messages {
    let mut errors = Messages::new();
    let name = text(group.name.as_ref());
    errors.require(!name.is_empty(), || "Missing task group name".to_owned());
    errors.require(!name.contains('\0'), || {
        "Task group name contains null character".to_owned()
    });
    let count = group.count.unwrap_or_default();
    errors.require(count >= 0, || {
        "Task group count can't be negative".to_owned()
    });
    let tasks = group.tasks.as_deref().unwrap_or_default();
    errors.require(!tasks.is_empty(), || {
        "Missing tasks for task group".to_owned()
    });
    if let Some(strategy) = &group.disconnect {
        errors.append(disconnect(strategy, kind));
    }
    if let Some(duration) = group.max_run_duration {
        errors.require(duration.0 > 0, || {
            "max_run_duration must be greater than 0".to_owned()
        });
        errors.require(matches!(kind, "batch" | "sysbatch"), || {
            format!("max_run_duration can only be set for batch and sysbatch jobs, not {kind:?}")
        });
    }
    errors.append(placement(group, kind));
    errors.append(policy::errors(group, kind));
    errors.append(task_set(group));
    errors.append(volume::errors(group, kind));
    errors.append(network::errors(group));
    errors.nest(
        "Task group service validation failed",
        &service::group_errors(group),
    );
    if let Some(scaling) = &group.scaling {
        errors.nest(
            "Task group scaling policy validation failed",
            &self::scaling(scaling, count),
        );
    }
    for task in tasks {
        errors.nest(
            &format!("Task {} validation failed", task.name),
            &task::errors(task, group, kind),
        );
    }
    errors
}

fn disconnect(strategy: &DisconnectStrategy, kind: &str) -> Messages {
    let mut errors = Messages::new();
    let lost_after = strategy.lost_after.unwrap_or_default();
    if let Some(stop) = strategy.stop_on_client_after {
        errors.require(stop.0 >= 0, || {
            "stop_on_client_after cannot be a negative duration".to_owned()
        });
        errors.require(matches!(kind, "service" | "batch"), || {
            "stop_on_client_after can only be set for service and batch jobs".to_owned()
        });
        errors.require(lost_after.is_zero(), || {
            "lost_after and stop_on_client_after cannot be used in the same disconnect block"
                .to_owned()
        });
    }
    errors.require(lost_after.0 >= 0, || {
        "lost_after cannot be a negative duration".to_owned()
    });
    let reconcile = text(strategy.reconcile.as_ref());
    let known = [
        "",
        "best_score",
        "longest_running",
        "keep_original",
        "keep_replacement",
    ];
    errors.require(known.contains(&reconcile), || {
        format!(
            "reconcile must be one of {}: got {reconcile:?}",
            known[1..].join(", ")
        )
    });
    errors
}

fn placement(group: &TaskGroup, kind: &str) -> Messages {
    let mut errors = Messages::new();
    for (at, item) in group.constraints.iter().flatten().enumerate() {
        errors.nest(
            &format!("Constraint {} validation failed", at + 1),
            &constraint::constraint(item),
        );
    }
    if kind == "system" {
        if group
            .affinities
            .as_ref()
            .is_some_and(|list| !list.is_empty())
        {
            errors.add("System jobs may not have an affinity block");
        }
        if group.spreads.as_ref().is_some_and(|list| !list.is_empty()) {
            errors.add("System jobs may not have a spread block");
        }
        return errors;
    }
    for (at, item) in group.affinities.iter().flatten().enumerate() {
        errors.nest(
            &format!("Affinity {} validation failed", at + 1),
            &constraint::affinity(item),
        );
    }
    for (at, item) in group.spreads.iter().flatten().enumerate() {
        errors.nest(
            &format!("Spread {} validation failed", at + 1),
            &constraint::spread(item),
        );
    }
    errors
}

/// Names, leader and main tasks.
fn task_set(group: &TaskGroup) -> Messages {
    let mut errors = Messages::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let tasks = group.tasks.as_deref().unwrap_or_default();
    for (at, task) in tasks.iter().enumerate() {
        if task.name.is_empty() {
            errors.add(format!("Task {} missing name", at + 1));
        } else if let Some(earlier) = seen.insert(&task.name, at) {
            errors.add(format!(
                "Task {} redefines '{}' from task {}",
                at + 1,
                task.name,
                earlier + 1
            ));
        }
    }
    errors.require(tasks.iter().filter(|task| task.leader).count() <= 1, || {
        "Only one task may be marked as leader".to_owned()
    });
    errors.require(
        tasks.is_empty() || tasks.iter().any(|task| task.lifecycle.is_none()),
        || "Task group must have at least one task without a lifecycle hook".to_owned(),
    );
    errors
}

fn scaling(scaling: &ScalingPolicy, count: i64) -> Messages {
    let mut errors = Messages::new();
    errors.require(scaling.policy_type == "horizontal", || {
        format!(
            "scaling policy type {:?} is not valid, must be \"horizontal\"",
            scaling.policy_type
        )
    });
    for part in ["Namespace", "Job", "Group"] {
        let present = scaling
            .target
            .as_ref()
            .and_then(|target| target.get(part))
            .is_some_and(|value| !value.is_empty());
        errors.require(present, || {
            format!("missing target {}", part.to_lowercase())
        });
    }
    let (least, most) = (scaling.min.unwrap_or_default(), scaling.max.unwrap_or(-1));
    if most < 0 {
        errors.add("maximum count must be specified and non-negative");
    } else {
        errors.require(most >= least, || {
            "maximum count must not be less than minimum count".to_owned()
        });
        errors.require(count <= most, || {
            format!("task group count must not be greater than maximum count in scaling policy: {count} > {most}")
        });
    }
    errors.require(least >= 0, || {
        "minimum count must be specified and non-negative".to_owned()
    });
    errors.require(count >= least, || {
        format!("task group count must not be less than minimum count in scaling policy: {count} < {least}")
    });
    errors
}
