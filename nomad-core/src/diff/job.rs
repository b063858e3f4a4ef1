//! The job as a whole.

use super::fields::{field_diffs, flatten};
use super::group::group_diff;
use super::objects::{each, object, pairs_by, pairs_by_place, primitive, set, strings};
use super::types::{DiffType, JobDiff, ObjectDiff};
use crate::job::{Job, JobUi, Parameterized, Periodic};

/// What the server sets by itself, and what is shown elsewhere.
const HIDDEN: [&str; 15] = [
    "ID",
    "Status",
    "StatusDescription",
    "Version",
    "Stable",
    "CreateIndex",
    "ModifyIndex",
    "JobModifyIndex",
    "Update",
    "SubmitTime",
    "NomadTokenID",
    "VersionTag",
    "Payload",
    "Multiregion",
    "UI",
];

/// How `new` differs from `old`; `None` on one side stands for a job that is not there.
///
/// With `contextual`, changed blocks show their unchanged scalars too, as plans do. Every group and task is listed.
pub fn job_diff(old: Option<&Job>, new: Option<&Job>, contextual: bool) -> JobDiff {
    let flat = |job: &Job| flatten(job, &HIDDEN, &["Meta"]);
    let fields = field_diffs(
        &old.map(flat).unwrap_or_default(),
        &new.map(flat).unwrap_or_default(),
        false,
    );

    let empty = Job::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects = Vec::new();
    objects.extend(
        strings("Datacenters", &a.datacenters, &b.datacenters, contextual)
            .filter(|diff| diff.kind != DiffType::None),
    );
    objects.extend(set(
        "Constraint",
        &a.constraints,
        &b.constraints,
        contextual,
    ));
    objects.extend(set("Affinity", &a.affinities, &b.affinities, contextual));
    objects.extend(periodic(
        a.periodic.as_ref(),
        b.periodic.as_ref(),
        contextual,
    ));
    objects.extend(parameterized(
        a.parameterized_job.as_ref(),
        b.parameterized_job.as_ref(),
        contextual,
    ));
    objects.extend(ui(a.ui.as_ref(), b.ui.as_ref(), contextual));

    let task_groups: Vec<_> = pairs_by(&a.task_groups, &b.task_groups, |group| group.name.clone())
        .into_iter()
        .map(|(old, new)| group_diff(old, new, contextual))
        .collect();
    let changed = ObjectDiff::changed(&fields, &objects)
        || task_groups.iter().any(|group| group.kind != DiffType::None);
    JobDiff {
        kind: DiffType::of(old.is_some(), new.is_some(), changed),
        id: if new.is_some() {
            b.id.to_string()
        } else {
            a.id.to_string()
        },
        fields,
        objects,
        task_groups,
    }
}

fn periodic(
    old: Option<&Periodic>,
    new: Option<&Periodic>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let list = |periodic: Option<&Periodic>| {
        periodic
            .map(|periodic| periodic.specs.clone())
            .unwrap_or_default()
    };
    let specs = strings("Specs", &list(old), &list(new), contextual);
    let flat = |periodic: &Periodic| flatten(periodic, &[], &[]);
    object(
        "Periodic",
        old.map(flat),
        new.map(flat),
        specs.into_iter().collect(),
        contextual,
    )
}

fn parameterized(
    old: Option<&Parameterized>,
    new: Option<&Parameterized>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let lists = |job: Option<&Parameterized>| {
        job.map(|job| (job.meta_optional.clone(), job.meta_required.clone()))
            .unwrap_or_default()
    };
    let ((old_optional, old_required), (new_optional, new_required)) = (lists(old), lists(new));
    let objects = [
        strings("MetaOptional", &old_optional, &new_optional, contextual),
        strings("MetaRequired", &old_required, &new_required, contextual),
    ];
    let flat = |job: &Parameterized| flatten(job, &[], &[]);
    object(
        "ParameterizedJob",
        old.map(flat),
        new.map(flat),
        objects.into_iter().flatten().collect(),
        contextual,
    )
}

fn ui(old: Option<&JobUi>, new: Option<&JobUi>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let links = |ui: Option<&JobUi>| ui.map(|ui| ui.links.clone()).unwrap_or_default();
    let (before, after) = (links(old), links(new));
    let objects = each(pairs_by_place(&before, &after), |old, new| {
        primitive("Link", old, new, &[], contextual)
    });
    let flat = |ui: &JobUi| flatten(ui, &[], &[]);
    object("UI", old.map(flat), new.map(flat), objects, contextual)
}
