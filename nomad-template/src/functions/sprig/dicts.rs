//! sprig's dictionaries. Values are immutable here: the engine writes what `set`, `unset` and
//! `merge` make back into the variable they were given.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::functions::collections::merge;
use crate::functions::convert::to_text;
use crate::functions::{Call, Entry, FuncError};
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("sprig_dict", "pairs*", |c| {
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for pair in c.args.chunks(2) {
            let value = pair.get(1).cloned().unwrap_or_else(|| "".into());
            entries.insert(to_text(&pair[0]).into(), value);
        }
        Ok(Value::map(entries))
    }),
    ("sprig_get", "dict key", |c| {
        Ok(c.map(0)?
            .entries
            .get(&*c.str(1)?)
            .cloned()
            .unwrap_or_else(|| "".into()))
    }),
    ("sprig_set", "dict key value", |c| {
        let mut entries = c.map(0)?.entries.clone();
        entries.insert(Arc::from(&*c.str(1)?), c.get(2).clone());
        Ok(Value::map(entries))
    }),
    ("sprig_unset", "dict key", |c| {
        let mut entries = c.map(0)?.entries.clone();
        entries.remove(&*c.str(1)?);
        Ok(Value::map(entries))
    }),
    ("sprig_hasKey", "dict key", |c| {
        Ok(c.map(0)?.entries.contains_key(&*c.str(1)?).into())
    }),
    ("sprig_pluck", "key dicts*", |c| {
        let key = c.str(0)?;
        let mut found = Vec::new();
        for i in 1..c.args.len() {
            found.extend(c.map(i)?.entries.get(&*key).cloned());
        }
        Ok(Value::list(found))
    }),
    ("sprig_keys", "dicts*", |c| {
        let mut keys = Vec::new();
        for i in 0..c.args.len() {
            keys.extend(c.map(i)?.entries.keys().cloned());
        }
        Ok(Value::strings(keys))
    }),
    ("sprig_values", "dict", |c| {
        Ok(Value::list(c.map(0)?.entries.values().cloned().collect()))
    }),
    ("sprig_pick", "dict keys*", |c| {
        let map = c.map(0)?;
        let wanted = keys(c);
        Ok(Value::map(
            map.entries
                .iter()
                .filter(|(key, _)| wanted.contains(&key.as_ref()))
                .map(|(key, value)| (Arc::clone(key), value.clone()))
                .collect(),
        ))
    }),
    ("sprig_omit", "dict keys*", |c| {
        let map = c.map(0)?;
        let unwanted = keys(c);
        Ok(Value::map(
            map.entries
                .iter()
                .filter(|(key, _)| !unwanted.contains(&key.as_ref()))
                .map(|(key, value)| (Arc::clone(key), value.clone()))
                .collect(),
        ))
    }),
    ("sprig_merge", "into dicts*", |c| merge_all(c, false)),
    ("sprig_mustMerge", "into dicts*", |c| merge_all(c, false)),
    ("sprig_mergeOverwrite", "into dicts*", |c| {
        merge_all(c, true)
    }),
    ("sprig_mustMergeOverwrite", "into dicts*", |c| {
        merge_all(c, true)
    }),
    ("sprig_dig", "path*", dig),
    ("sprig_deepCopy", "value", |c| Ok(c.get(0).clone())),
    ("sprig_mustDeepCopy", "value", |c| Ok(c.get(0).clone())),
    ("sprig_deepEqual", "a b", |c| {
        Ok(c.get(0).deep_equal(c.get(1)).into())
    }),
];

fn keys<'c>(c: &'c Call<'_>) -> Vec<&'c str> {
    c.args[1..]
        .iter()
        .filter_map(|key| std::str::from_utf8(key.bytes()?).ok())
        .collect()
}

fn merge_all(c: &Call<'_>, override_: bool) -> Result<Value, FuncError> {
    let mut merged = Value::Map(c.map(0)?);
    for i in 1..c.args.len() {
        if let Value::Map(into) = &merged {
            merged = merge(into, &*c.map(i)?, override_, 0)?;
        }
    }
    Ok(merged)
}

/// `dig "a" "b" default dict`: follows keys through dictionaries.
fn dig(c: &Call<'_>) -> Result<Value, FuncError> {
    let [path @ .., default, dict] = c.args else {
        return Err(FuncError::new("dig needs at least three arguments"));
    };
    if path.is_empty() {
        return Err(FuncError::new("dig needs at least three arguments"));
    }
    let mut at = dict.clone();
    for key in path {
        let Value::Map(map) = at.plain() else {
            return Err(FuncError::new(format!(
                "dig: {} is no dictionary",
                at.go_type()
            )));
        };
        match map.entries.get(fmt::text(key).as_str()) {
            Some(value) => at = value.clone(),
            None => return Ok(default.clone()),
        }
    }
    Ok(at)
}
