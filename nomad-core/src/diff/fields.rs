//! Scalars as text, and their differences.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::types::{DiffType, FieldDiff};

/// Names of scalars with their text.
pub(super) type Flat = BTreeMap<String, String>;

/// The scalars of a block by their JSON names. Null is no scalar; lists and blocks inside are left to others; of maps
/// only those named in `maps` are taken, as `Name[key]`.
pub(super) fn flatten(value: &impl Serialize, exclude: &[&str], maps: &[&str]) -> Flat {
    let Ok(Value::Object(members)) = serde_json::to_value(value) else {
        return Flat::new();
    };
    let mut flat = Flat::new();
    for (name, value) in members {
        if exclude.contains(&name.as_str()) {
            continue;
        }
        match &value {
            Value::Object(entries) if maps.contains(&name.as_str()) => {
                for (key, entry) in entries {
                    if let Some(text) = scalar(entry) {
                        flat.insert(format!("{name}[{key}]"), text);
                    }
                }
            }
            _ => {
                if let Some(text) = scalar(&value) {
                    flat.insert(name, text);
                }
            }
        }
    }
    flat
}

/// A scalar as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number_text(number)),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whole numbers without a fraction, whether they came as floats or not.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 1e15 => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

/// All scalars of a free-form map, however deep: `a.b[0]`.
pub(super) fn flatten_deep(map: &serde_json::Map<String, Value>) -> Flat {
    fn add(name: &str, value: &Value, flat: &mut Flat) {
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    add(&format!("{name}[{at}]"), item, flat);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    add(&format!("{name}.{key}"), member, flat);
                }
            }
            _ => {
                flat.extend(scalar(value).map(|text| (name.to_owned(), text)));
            }
        }
    }
    let mut flat = Flat::new();
    for (key, value) in map {
        add(key, value, &mut flat);
    }
    flat
}

/// The differing scalars; with `contextual` the equal ones too.
pub(super) fn field_diffs(old: &Flat, new: &Flat, contextual: bool) -> Vec<FieldDiff> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let text = |flat: &Flat, name: &String| flat.get(name).cloned().unwrap_or_default();
    let mut diffs: Vec<FieldDiff> = names
        .into_iter()
        .filter_map(|name| field_diff(name, text(old, name), text(new, name), contextual))
        .collect();
    FieldDiff::sort(&mut diffs);
    diffs
}

/// The difference of one scalar; nothing for equal ones without `contextual`.
pub(super) fn field_diff(
    name: &str,
    old: String,
    new: String,
    contextual: bool,
) -> Option<FieldDiff> {
    let kind = if old == new {
        if !contextual {
            return None;
        }
        DiffType::None
    } else if old.is_empty() {
        DiffType::Added
    } else if new.is_empty() {
        DiffType::Deleted
    } else {
        DiffType::Edited
    };
    Some(FieldDiff {
        kind,
        name: name.to_owned(),
        old,
        new,
        annotations: Vec::new(),
    })
}
