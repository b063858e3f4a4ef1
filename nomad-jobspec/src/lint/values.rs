//! Values that contradict each other, or that are accepted and do nothing.

use super::Check;
use crate::lower::Place;

/// Warns of single blocks that say what cannot be meant.
pub(super) fn doubtful(check: &Check<'_>) {
    for (at, resources) in check.places.all("resources") {
        memory(check, resources);
        devices(check, at);
    }
    for (at, group) in check.places.all("group") {
        update(check, at, group);
        volumes(check, at);
        ignored(
            check,
            group,
            &[
                "stop_after_client_disconnect",
                "max_client_disconnect",
                "prevent_reschedule_on_lost",
            ],
            "Use a disconnect block.",
        );
    }
    for (_, volume) in check.places.all("volume") {
        if let Some((kind, span)) = check.text(volume, "type")
            && !matches!(kind.as_str(), "host" | "csi")
        {
            check.warn(
                span,
                "Volume of unknown type",
                format!("A volume of type {kind:?} is dropped without an error when the job is submitted."),
                "The types are \"host\" and \"csi\".",
            );
        }
    }
    let shorthands = [
        "set_contains_all",
        "set_contains_any",
        "is_set",
        "is_not_set",
    ];
    for (_, constraint) in check.places.all("constraint") {
        ignored(
            check,
            constraint,
            &shorthands,
            "Write it as the value of operator.",
        );
    }
    for name in ["affinity", "spread"] {
        for (_, place) in check.places.all(name) {
            if let Some((weight, span)) = check.int(place, "weight")
                && !(-128..=127).contains(&weight)
            {
                check.warn(
                    span,
                    "Weight out of range",
                    format!(
                        "Only the low eight bits count, so {weight} means {}.",
                        weight as i8
                    ),
                    "Weights go from -100 to 100.",
                );
            }
        }
    }
    for (_, vault) in check.places.all("vault") {
        ignored(check, vault, &["policies"], "Name a role instead.");
    }
    for (_, logs) in check.places.all("logs") {
        ignored(check, logs, &["enabled"], "Use disabled.");
    }
    for (_, network) in check.places.all("network") {
        ignored(check, network, &["device"], "Use host_network in the port.");
    }
}

/// Warns of attributes that are read and then mean nothing.
fn ignored(check: &Check<'_>, place: &Place, names: &[&str], hint: &str) {
    for name in names {
        if let Some(attribute) = place.attribute(name) {
            check.warn(
                attribute.name_span,
                "Argument without effect",
                format!("{name} is accepted here and does nothing."),
                hint,
            );
        }
    }
}

fn memory(check: &Check<'_>, resources: &Place) {
    let memory = check
        .int(resources, "memory")
        .map_or(300, |(value, _)| value);
    if let Some((most, span)) = check.int(resources, "memory_max")
        && most > 0
        && most < memory
    {
        check.warn(
            span,
            "memory_max below memory",
            format!("The task reserves {memory} MiB and may use at most {most} MiB."),
            "memory_max is the larger of the two: what the task may use where memory is left.",
        );
    }
    if let (Some(_), Some((cores, span))) =
        (check.int(resources, "cpu"), check.int(resources, "cores"))
        && cores > 0
    {
        check.warn(
            span,
            "Both cpu and cores",
            "A task asks either for a share in MHz or for whole cores.",
            "Take one of them out.",
        );
    }
}

fn devices(check: &Check<'_>, resources: usize) {
    for (_, device) in check.places.children(resources, "device") {
        if let Some((0, span)) = check.int(device, "count") {
            check.warn(
                span,
                "No devices",
                format!("A count of 0 asks for no {}.", device.label),
                "Take the block out, or ask for at least one.",
            );
        }
    }
}

/// Canaries and parallel updates beyond the count of the group.
fn update(check: &Check<'_>, at: usize, group: &Place) {
    let Some((count, _)) = check.int(group, "count") else {
        return;
    };
    for (_, update) in check.places.children(at, "update") {
        for name in ["canary", "max_parallel"] {
            if let Some((value, span)) = check.int(update, name)
                && value > count
                && count > 0
            {
                check.warn(
                    span,
                    "More than there are",
                    format!("{name} is {value}, and the group has only {count} allocations."),
                    "",
                );
            }
        }
    }
}

/// Volumes that no task mounts.
fn volumes(check: &Check<'_>, group: usize) {
    let mounted: Vec<String> = check
        .places
        .children(group, "task")
        .flat_map(|(task, _)| check.places.children(task, "volume_mount"))
        .chain(
            check
                .places
                .all("sidecar_task")
                .flat_map(|(task, _)| check.places.children(task, "volume_mount")),
        )
        .filter_map(|(_, mount)| check.text(mount, "volume"))
        .map(|(volume, _)| volume)
        .collect();
    for (_, volume) in check.places.children(group, "volume") {
        if !mounted.contains(&volume.label) && !mounted.iter().any(|it| it.contains("${")) {
            check.warn(
                volume.label_span,
                "Unmounted volume",
                format!("No task of the group mounts volume {:?}.", volume.label),
                "Add a volume_mount block to a task, or take the volume out.",
            );
        }
    }
}
