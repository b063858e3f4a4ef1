//! What a plan would do, written beside the diff.

use std::collections::BTreeMap;

use super::types::{DiffType, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff};
use crate::plan::DesiredUpdates;

const CREATE: &str = "forces create";
const DESTROY: &str = "forces destroy";
const IN_PLACE: &str = "forces in-place update";
const REPLACE: &str = "forces create/destroy update";

/// Adds to every group how many allocations are created, updated and so on, and to counts and tasks what they force.
///
/// What tasks force is a guess from the diff; the groups' updates are what the scheduler said.
pub fn annotate(diff: &mut JobDiff, updates: &BTreeMap<String, DesiredUpdates>) {
    for group in &mut diff.task_groups {
        if let Some(updates) = updates.get(&group.name) {
            group_updates(group, updates);
        }
        count(group);
        let kind = group.kind;
        group
            .tasks
            .iter_mut()
            .for_each(|task| annotate_task(task, kind));
    }
}

fn group_updates(group: &mut TaskGroupDiff, updates: &DesiredUpdates) {
    let named = [
        ("ignore", updates.ignore),
        ("create", updates.place),
        ("destroy", updates.stop),
        ("migrate", updates.migrate),
        ("canary", updates.canary),
        ("in-place update", updates.in_place_update),
        ("create/destroy update", updates.destructive_update),
    ];
    for (name, amount) in named {
        if amount > 0 {
            group.updates.insert(name.to_owned(), amount);
        }
    }
}

fn count(group: &mut TaskGroupDiff) {
    let kind = group.kind;
    let Some(field) = group.fields.iter_mut().find(|field| field.name == "Count") else {
        return;
    };
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let forces = match kind {
        DiffType::Added => CREATE,
        DiffType::Deleted => DESTROY,
        _ if number(&field.new) > number(&field.old) => CREATE,
        _ if number(&field.new) < number(&field.old) => DESTROY,
        _ => return,
    };
    field.annotations.push(forces.to_owned());
}

fn annotate_task(task: &mut TaskDiff, group: DiffType) {
    let forces = match (group, task.kind) {
        (_, DiffType::None) => return,
        (DiffType::Added, _) => CREATE,
        (DiffType::Deleted, _) => DESTROY,
        _ if replaces(task) => REPLACE,
        _ => IN_PLACE,
    };
    task.annotations.push(forces.to_owned());
}

/// Whether the diff of a task looks like one that needs a new allocation.
fn replaces(task: &TaskDiff) -> bool {
    let fields = task
        .fields
        .iter()
        .any(|field| field.kind != DiffType::None && field.name != "KillTimeout");
    fields || task.objects.iter().any(object_replaces)
}

fn object_replaces(object: &ObjectDiff) -> bool {
    match object.name.as_str() {
        _ if object.kind == DiffType::None => false,
        "Service" | "Constraint" | "Affinity" | "Spread" => false,
        "LogConfig" => object
            .fields
            .iter()
            .any(|field| field.name == "Disabled" && field.kind != DiffType::None),
        _ => true,
    }
}
