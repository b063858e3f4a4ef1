//! Differences of blocks: one against one, sets, lists matched by a key.

use std::collections::BTreeSet;

use serde::Serialize;

use super::fields::{Flat, field_diffs, flatten};
use super::types::{DiffType, FieldDiff, ObjectDiff};

/// A block's diff from its scalars and the objects inside. Nothing where both sides lack it or nothing changed.
pub(super) fn object(
    name: &str,
    old: Option<Flat>,
    new: Option<Flat>,
    mut objects: Vec<ObjectDiff>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old.is_none() && new.is_none() {
        return None;
    }
    let (has_old, has_new) = (old.is_some(), new.is_some());
    let fields = field_diffs(
        &old.unwrap_or_default(),
        &new.unwrap_or_default(),
        contextual,
    );
    let changed = ObjectDiff::changed(&fields, &objects);
    if has_old && has_new && !changed {
        return None;
    }
    ObjectDiff::sort(&mut objects);
    Some(ObjectDiff {
        kind: DiffType::of(has_old, has_new, changed),
        name: name.to_owned(),
        fields,
        objects,
    })
}

/// The diff of a block that is all scalars.
pub(super) fn primitive<T: Serialize + PartialEq>(
    name: &str,
    old: Option<&T>,
    new: Option<&T>,
    exclude: &[&str],
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let flat = |value: &T| flatten(value, exclude, &[]);
    object(name, old.map(flat), new.map(flat), Vec::new(), contextual)
}

/// Blocks without identity: what only one side has was deleted or added.
pub(super) fn set<T: Serialize + Ord>(
    name: &str,
    old: &[T],
    new: &[T],
    contextual: bool,
) -> Vec<ObjectDiff> {
    let (before, after): (BTreeSet<&T>, BTreeSet<&T>) =
        (old.iter().collect(), new.iter().collect());
    let flat = |value: &T| flatten(value, &[], &[]);
    let deleted = before
        .difference(&after)
        .filter_map(|item| object(name, Some(flat(item)), None, Vec::new(), contextual));
    let added = after
        .difference(&before)
        .filter_map(|item| object(name, None, Some(flat(item)), Vec::new(), contextual));
    let mut diffs: Vec<ObjectDiff> = deleted.chain(added).collect();
    ObjectDiff::sort(&mut diffs);
    diffs
}

/// A list of strings as a set: a field for each member. With `contextual` members of both sides are shown too.
pub(super) fn strings(
    name: &str,
    old: &[String],
    new: &[String],
    contextual: bool,
) -> Option<ObjectDiff> {
    let (before, after): (BTreeSet<&String>, BTreeSet<&String>) =
        (old.iter().collect(), new.iter().collect());
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let changed = before != after;
    if !changed && !contextual {
        return None;
    }
    let field = |kind, old: &str, new: &str| FieldDiff {
        kind,
        name: name.to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
        annotations: Vec::new(),
    };
    let mut fields: Vec<FieldDiff> = before
        .difference(&after)
        .map(|item| field(DiffType::Deleted, item, ""))
        .chain(
            after
                .difference(&before)
                .map(|item| field(DiffType::Added, "", item)),
        )
        .collect();
    if contextual {
        fields.extend(
            before
                .intersection(&after)
                .map(|item| field(DiffType::None, item, item)),
        );
    }
    FieldDiff::sort(&mut fields);
    let kind = DiffType::of(!before.is_empty(), !after.is_empty(), changed);
    Some(ObjectDiff {
        kind,
        name: name.to_owned(),
        fields,
        objects: Vec::new(),
    })
}

/// Pairs the members of two lists by a key; of members with equal keys the last counts.
pub(super) fn pairs_by<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut pairs: std::collections::BTreeMap<K, (Option<&'a T>, Option<&'a T>)> =
        std::collections::BTreeMap::new();
    for item in old {
        pairs.entry(key(item)).or_default().0 = Some(item);
    }
    for item in new {
        pairs.entry(key(item)).or_default().1 = Some(item);
    }
    pairs.into_values().collect()
}

/// Pairs the members of two lists by their places.
pub(super) fn pairs_by_place<'a, T>(
    old: &'a [T],
    new: &'a [T],
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    (0..old.len().max(new.len()))
        .map(|at| (old.get(at), new.get(at)))
        .collect()
}

/// The diffs of all pairs, sorted.
pub(super) fn each<T>(
    pairs: Vec<(Option<&T>, Option<&T>)>,
    diff: impl Fn(Option<&T>, Option<&T>) -> Option<ObjectDiff>,
) -> Vec<ObjectDiff> {
    let mut diffs: Vec<ObjectDiff> = pairs
        .into_iter()
        .filter_map(|(old, new)| diff(old, new))
        .collect();
    ObjectDiff::sort(&mut diffs);
    diffs
}
