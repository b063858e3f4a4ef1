//! Rules for the job as a whole.

use std::collections::BTreeMap;

use super::errors::Messages;
use super::{Rules, constraint, cron, group, text};
use crate::spec::{Job, ParameterizedJob, Periodic};

/// The longest description of a job or version tag, in bytes.
const MAX_DESCRIPTION: usize = 1000;

pub(super) fn errors(job: &Job, rules: &Rules<'_>) -> Messages {
    let mut errors = Messages::new();
    let kind = text(job.job_type.as_ref());
    let multiregion = job
        .multiregion
        .as_ref()
        .is_some_and(|m| m.regions.as_ref().is_some_and(|r| !r.is_empty()));
    if text(job.region.as_ref()).is_empty() && !multiregion {
        errors.add("Missing job region");
    }
    let id = text(job.id.as_ref());
    errors.require(!id.is_empty(), || "Missing job ID".to_owned());
    errors.require(!id.contains(' '), || "Job ID contains a space".to_owned());
    errors.require(!id.contains('\0'), || {
        "Job ID contains a null character".to_owned()
    });
    let name = text(job.name.as_ref());
    errors.require(!name.is_empty(), || "Missing job name".to_owned());
    errors.require(!name.contains('\0'), || {
        "Job Name contains a null character".to_owned()
    });
    errors.require(!text(job.namespace.as_ref()).is_empty(), || {
        "Job must be in a namespace".to_owned()
    });
    match kind {
        "service" | "batch" | "system" | "sysbatch" => {}
        "" => errors.add("Missing job type"),
        "_core" => errors.add("job type cannot be core"),
        other => errors.add(format!("Invalid job type: {other:?}")),
    }
    let datacenters = job.datacenters.as_deref().unwrap_or_default();
    errors.require(!datacenters.is_empty() || multiregion, || {
        "Missing job datacenters".to_owned()
    });
    errors.require(datacenters.iter().all(|name| !name.is_empty()), || {
        "datacenter must be non-empty string".to_owned()
    });
    let groups = job.task_groups.as_deref().unwrap_or_default();
    errors.require(!groups.is_empty(), || "Missing job task groups".to_owned());
    errors.append(placement(job, kind));
    if job
        .ui
        .as_ref()
        .is_some_and(|ui| ui.description.len() > MAX_DESCRIPTION)
    {
        errors.add(format!(
            "UI description must be under {MAX_DESCRIPTION} characters"
        ));
    }
    if job
        .version_tag
        .as_ref()
        .is_some_and(|tag| tag.description.len() > MAX_DESCRIPTION)
    {
        errors.add(format!(
            "version tag description must be under {MAX_DESCRIPTION} characters"
        ));
    }
    errors.append(group_names(job, kind));
    for group in groups {
        errors.nest(
            &format!("Task group {} validation failed", text(group.name.as_ref())),
            &group::errors(group, kind),
        );
    }
    if let Some(periodic) = job
        .periodic
        .as_ref()
        .filter(|periodic| periodic.enabled.unwrap_or_default())
    {
        errors.append(self::periodic(periodic, kind, rules));
    }
    if let Some(parameterized) = &job.parameterized_job {
        errors.append(self::parameterized(parameterized, kind));
    }
    if multiregion {
        errors.add("Multiregion jobs are unlicensed.");
    }
    errors.require(
        job.payload
            .as_ref()
            .is_none_or(|payload| payload.0.is_empty()),
        || "job can't be submitted with a payload, only dispatched".to_owned(),
    );
    let priority = job.priority.unwrap_or_default();
    errors.require((1..=rules.max_priority).contains(&priority), || {
        format!("job priority must be between [1, {}]", rules.max_priority)
    });
    let count: i64 = groups
        .iter()
        .map(|group| group.count.unwrap_or_default().max(0))
        .fold(0, i64::saturating_add);
    errors.require(rules.max_count == 0 || count <= rules.max_count, || {
        format!(
            "total count was greater than configured job_max_count: {count} > {}",
            rules.max_count
        )
    });
    errors
}

/// The job's own constraints, affinities and spreads, and those that system jobs may not have anywhere.
fn placement(job: &Job, kind: &str) -> Messages {
    let mut errors = Messages::new();
    for (at, item) in job.constraints.iter().flatten().enumerate() {
        errors.nest(
            &format!("Constraint {} validation failed", at + 1),
            &constraint::constraint(item),
        );
    }
    if kind == "system" {
        if job.affinities.as_ref().is_some_and(|list| !list.is_empty()) {
            errors.add("System jobs may not have an affinity block");
        }
        if job.spreads.as_ref().is_some_and(|list| !list.is_empty()) {
            errors.add("System jobs may not have a spread block");
        }
        return errors;
    }
    for (at, item) in job.affinities.iter().flatten().enumerate() {
        errors.nest(
            &format!("Affinity {} validation failed", at + 1),
            &constraint::affinity(item),
        );
    }
    for (at, item) in job.spreads.iter().flatten().enumerate() {
        errors.nest(
            &format!("Spread {} validation failed", at + 1),
            &constraint::spread(item),
        );
    }
    errors
}

/// Names and counts of the groups as the job sees them.
fn group_names(job: &Job, kind: &str) -> Messages {
    let mut errors = Messages::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, group) in job.task_groups.iter().flatten().enumerate() {
        let name = text(group.name.as_ref());
        if name.is_empty() {
            errors.add(format!("Job task group {} missing name", at + 1));
        } else if let Some(earlier) = seen.get(name) {
            errors.add(format!(
                "Job task group {} redefines '{name}' from group {}",
                at + 1,
                earlier + 1
            ));
        } else {
            seen.insert(name, at);
        }
        if group.shutdown_delay.is_some_and(|delay| delay.0 < 0) {
            errors.add("ShutdownDelay must be a positive value");
        }
        let count = group.count.unwrap_or_default();
        if matches!(kind, "system" | "sysbatch") && count > 1 {
            errors.add(format!("Job task group {name} has count {count}. Count cannot exceed 1 with {kind} scheduler"));
        }
    }
    errors
}

fn periodic(periodic: &Periodic, kind: &str, rules: &Rules<'_>) -> Messages {
    let mut errors = Messages::new();
    errors.require(matches!(kind, "batch" | "sysbatch"), || {
        "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler".to_owned()
    });
    let spec = text(periodic.spec.as_ref());
    let specs = periodic.specs.as_deref().unwrap_or_default();
    errors.require(spec.is_empty() || specs.is_empty(), || {
        "Only cron or crons may be used".to_owned()
    });
    errors.require(!spec.is_empty() || !specs.is_empty(), || {
        "Must specify a spec".to_owned()
    });
    let zone = text(periodic.time_zone.as_ref());
    if !zone.is_empty() && !(rules.is_time_zone)(zone) {
        errors.add(format!(
            "Invalid time zone {zone:?}: unknown time zone {zone}"
        ));
    }
    match text(periodic.spec_type.as_ref()) {
        "cron" => {
            for spec in std::iter::once(spec)
                .chain(specs.iter().map(String::as_str))
                .filter(|spec| !spec.is_empty())
            {
                if let Some(error) = cron::cron_error(spec) {
                    errors.add(format!("Invalid cron spec {spec:?}: {error}"));
                }
            }
        }
        other => errors.add(format!("Unknown periodic specification type {other:?}")),
    }
    errors
}

fn parameterized(parameterized: &ParameterizedJob, kind: &str) -> Messages {
    let mut errors = Messages::new();
    errors.require(matches!(kind, "batch" | "sysbatch"), || {
        "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler".to_owned()
    });
    errors.require(
        matches!(
            parameterized.payload.as_str(),
            "optional" | "required" | "forbidden"
        ),
        || format!("Unknown payload requirement: {:?}", parameterized.payload),
    );
    let required = parameterized.meta_required.as_deref().unwrap_or_default();
    let optional = parameterized.meta_optional.as_deref().unwrap_or_default();
    let both: Vec<&String> = required
        .iter()
        .filter(|key| optional.contains(key))
        .collect();
    if !both.is_empty() {
        let list = both
            .iter()
            .map(|key| key.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        errors.add(format!("Required and optional meta keys should be disjoint. Following keys exist in both: {list}"));
    }
    errors
}
