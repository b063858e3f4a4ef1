//! The shape of a diff, as the API writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire;

/// How a part differs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum DiffType {
    /// Not at all.
    #[default]
    None,
    /// Only the new side has it.
    Added,
    /// Only the old side has it.
    Deleted,
    /// Both sides have it, and differ.
    Edited,
}

impl DiffType {
    /// The type for a part that one or both sides have; `changed` counts where both do.
    pub(super) const fn of(old: bool, new: bool, changed: bool) -> Self {
        match (old, new) {
            (false, true) => Self::Added,
            (true, false) => Self::Deleted,
            _ if changed => Self::Edited,
            _ => Self::None,
        }
    }
}

/// How two versions of a job differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(with = "wire::null_if_empty")]
    pub fields: Vec<FieldDiff>,
    #[serde(with = "wire::null_if_empty")]
    pub objects: Vec<ObjectDiff>,
    /// Every group of either side, by name.
    #[serde(with = "wire::null_if_empty")]
    pub task_groups: Vec<TaskGroupDiff>,
}

/// How two versions of a group differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroupDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    #[serde(with = "wire::null_if_empty")]
    pub fields: Vec<FieldDiff>,
    #[serde(with = "wire::null_if_empty")]
    pub objects: Vec<ObjectDiff>,
    /// Every task of either side, by name.
    #[serde(with = "wire::null_if_empty")]
    pub tasks: Vec<TaskDiff>,
    /// What a plan would do: how many of each kind of update.
    #[serde(with = "wire::null_if_empty")]
    pub updates: BTreeMap<String, u64>,
}

/// How two versions of a task differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    #[serde(with = "wire::null_if_empty")]
    pub fields: Vec<FieldDiff>,
    #[serde(with = "wire::null_if_empty")]
    pub objects: Vec<ObjectDiff>,
    #[serde(with = "wire::null_if_empty")]
    pub annotations: Vec<String>,
}

/// How a block differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    #[serde(with = "wire::null_if_empty")]
    pub fields: Vec<FieldDiff>,
    #[serde(with = "wire::null_if_empty")]
    pub objects: Vec<ObjectDiff>,
}

/// How a scalar differs; both sides as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FieldDiff {
    #[serde(rename = "Type")]
    pub kind: DiffType,
    pub name: String,
    pub old: String,
    pub new: String,
    #[serde(with = "wire::null_if_empty")]
    pub annotations: Vec<String>,
}

impl ObjectDiff {
    /// Whether a field or an object inside has changed.
    pub(super) fn changed(fields: &[FieldDiff], objects: &[Self]) -> bool {
        fields.iter().any(|field| field.kind != DiffType::None)
            || objects.iter().any(|object| object.kind != DiffType::None)
    }

    /// The order of objects of one parent: by name, then edited, added, deleted, unchanged, then by size.
    pub(super) fn sort(objects: &mut [Self]) {
        let rank = |kind: DiffType| match kind {
            DiffType::Edited => 0,
            DiffType::Added => 1,
            DiffType::Deleted => 2,
            DiffType::None => 3,
        };
        objects.sort_by(|a, b| {
            (&a.name, rank(a.kind), a.fields.len(), a.objects.len())
                .cmp(&(&b.name, rank(b.kind), b.fields.len(), b.objects.len()))
                .then_with(|| a.fields.cmp(&b.fields))
        });
    }
}

impl FieldDiff {
    /// The order of fields of one parent: by name, old, new.
    pub(super) fn sort(fields: &mut [Self]) {
        fields.sort_by(|a, b| (&a.name, &a.old, &a.new).cmp(&(&b.name, &b.old, &b.new)));
    }
}
