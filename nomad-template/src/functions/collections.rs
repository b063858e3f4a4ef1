//! Lists and maps: membership, grouping, exploding, merging.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::items;
use super::{Call, Entry, FuncError, VarItem};
use crate::value::{Map, Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("in", "list item", |c| Ok(is_in(c.get(0), c.get(1)).into())),
    ("contains", "item list", |c| {
        Ok(is_in(c.get(1), c.get(0)).into())
    }),
    ("containsAll", "items list", |c| {
        Ok(needles(c)?.iter().all(|item| is_in(c.get(1), item)).into())
    }),
    ("containsAny", "items list", |c| {
        Ok(needles(c)?.iter().any(|item| is_in(c.get(1), item)).into())
    }),
    ("containsNone", "items list", |c| {
        Ok((!needles(c)?.iter().any(|item| is_in(c.get(1), item))).into())
    }),
    ("containsNotAll", "items list", |c| {
        Ok((!needles(c)?.iter().all(|item| is_in(c.get(1), item))).into())
    }),
    ("byKey", "pairs", by_key),
    ("byTag", "services", by_tag),
    ("byMeta", "keys services", by_meta),
    ("byPort", "services", |c| {
        let mut groups: Groups = BTreeMap::new();
        for service in c.list(0)? {
            let port = member(&service, "Port").unwrap_or_default();
            groups
                .entry(fmt::text(&port).into())
                .or_default()
                .push(service);
        }
        Ok(grouped(groups))
    }),
    ("explode", "pairs", explode),
    ("explodeMap", "map", |c| {
        let map = c.map(0)?;
        explode_entries(
            map.entries
                .iter()
                .map(|(k, v)| (k.to_string(), v.clone()))
                .collect(),
        )
    }),
    ("mergeMap", "into from options*", |c| merged(c, false)),
    ("mergeMapWithOverride", "into from options*", |c| {
        merged(c, true)
    }),
];

type Groups = BTreeMap<Arc<str>, Vec<Value>>;

/// The first argument of the `contains...` functions. Its Go type is `[]interface {}`, which is
/// why the reference refuses the `[]string` that `split` makes; only `strict_items` does so here.
fn needles(c: &Call<'_>) -> Result<Vec<Value>, FuncError> {
    if c.scope.strict_items
        && let Value::List(list) = c.get(0)
        && list.go_type != crate::value::ANY_LIST
    {
        return Err(FuncError::new(format!(
            "wrong type for value; expected []interface {{}}; got {}",
            list.go_type
        )));
    }
    c.list(0)
}

/// Whether a list has the item, or a string contains it.
fn is_in(container: &Value, item: &Value) -> bool {
    if let Some(text) = container.bytes() {
        let Some(part) = item.bytes() else {
            return false;
        };
        return String::from_utf8_lossy(text).contains(&*String::from_utf8_lossy(part));
    }
    items(container).is_some_and(|items| items.iter().any(|own| same(own, item)))
}

/// Equality of scalars as `in` sees it: integers of any sign together, an item of a Variable as its text.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (scalar(a), scalar(b)) {
        (Value::Int(a), Value::Uint(b)) | (Value::Uint(b), Value::Int(a)) => {
            u64::try_from(a).is_ok_and(|a| a == b)
        }
        (a, b) => a.deep_equal(&b),
    }
}

fn scalar(value: &Value) -> Value {
    match value {
        Value::Obj(object) => match object.as_any().downcast_ref::<VarItem>() {
            Some(item) => Value::str(item.value()),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

/// A field of a record or an entry of a map.
pub(super) fn member(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Obj(object) => object.member(name, &[]).ok().flatten(),
        Value::Map(map) => map.entries.get(name).cloned(),
        _ => None,
    }
}

fn grouped(groups: Groups) -> Value {
    Value::map(
        groups
            .into_iter()
            .map(|(k, v)| (k, Value::list(v)))
            .collect(),
    )
}

/// Groups key-value pairs by the first part of their keys, which is taken off.
fn by_key(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut groups: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Value>> = BTreeMap::new();
    for pair in c.list(0)? {
        let key = member(&pair, "Key")
            .map(|key| fmt::text(&key))
            .unwrap_or_default();
        if let Some((top, rest)) = key.split_once('/') {
            let value = member(&pair, "Value").unwrap_or_default();
            let inner = BTreeMap::from([("Key".into(), rest.into()), ("Value".into(), value)]);
            groups
                .entry(top.into())
                .or_default()
                .insert(rest.into(), Value::map(inner));
        }
    }
    Ok(Value::map(
        groups
            .into_iter()
            .map(|(k, v)| (k, Value::map(v)))
            .collect(),
    ))
}

fn by_tag(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut groups: Groups = BTreeMap::new();
    for service in c.list(0)? {
        let tags = member(&service, "Tags")
            .as_ref()
            .and_then(items)
            .unwrap_or_default();
        for tag in tags {
            groups
                .entry(fmt::text(&tag).into())
                .or_default()
                .push(service.clone());
        }
    }
    Ok(grouped(groups))
}

/// Groups services by the values of their meta, joined by `_`; `key|int` pads numbers to five digits.
fn by_meta(c: &Call<'_>) -> Result<Value, FuncError> {
    let keys = c.str(0)?;
    let mut groups: Groups = BTreeMap::new();
    for service in c.list(1)? {
        let meta = member(&service, "ServiceMeta").or_else(|| member(&service, "Meta"));
        let mut parts = Vec::new();
        for key in keys.split(',') {
            let (key, as_int) = match key.split_once('|') {
                Some((key, kind)) => (key, kind == "int"),
                None => (key, false),
            };
            let value = meta.as_ref().and_then(|meta| member(meta, key));
            let text = value.map(|value| fmt::text(&value)).unwrap_or_default();
            parts.push(match text.parse::<i64>() {
                Ok(n) if as_int => format!("{n:05}"),
                _ => text,
            });
        }
        groups
            .entry(parts.join("_").into())
            .or_default()
            .push(service);
    }
    Ok(grouped(groups))
}

fn explode(c: &Call<'_>) -> Result<Value, FuncError> {
    let pairs = c
        .list(0)?
        .iter()
        .map(|pair| {
            let key = member(pair, "Key")
                .map(|key| fmt::text(&key))
                .unwrap_or_default();
            (key, member(pair, "Value").unwrap_or_default())
        })
        .collect();
    explode_entries(pairs)
}

/// A tree of maps while it is built.
#[derive(Default)]
struct Tree {
    leaf: Option<Value>,
    children: BTreeMap<Arc<str>, Tree>,
}

/// Deepest key that is exploded.
const MAX_KEY_PARTS: usize = 64;

fn explode_entries(pairs: Vec<(String, Value)>) -> Result<Value, FuncError> {
    let mut root = Tree::default();
    for (key, value) in pairs {
        let mut at = &mut root;
        let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_KEY_PARTS {
            return Err(FuncError::new(format!(
                "a key has more than {MAX_KEY_PARTS} parts"
            )));
        }
        for part in parts {
            at = at.children.entry(part.into()).or_default();
        }
        at.leaf = Some(value);
    }
    Ok(built(root))
}

fn built(tree: Tree) -> Value {
    if tree.children.is_empty()
        && let Some(leaf) = tree.leaf
    {
        return leaf;
    }
    Value::map(
        tree.children
            .into_iter()
            .map(|(k, v)| (k, built(v)))
            .collect(),
    )
}

fn merged(c: &Call<'_>, override_: bool) -> Result<Value, FuncError> {
    let (into, from) = (c.map(0)?, c.map(1)?);
    merge(&into, &from, override_, 0)
}

/// Deep merge: what is in `into` stays unless empty, or yields to what is not empty if `override_`.
pub(super) fn merge(
    into: &Map,
    from: &Map,
    override_: bool,
    depth: u32,
) -> Result<Value, FuncError> {
    if depth > crate::value::MAX_DEPTH {
        return Err(FuncError::new("the maps nest too deep"));
    }
    let mut entries = into.entries.clone();
    for (key, new) in &from.entries {
        let merged = match entries.get(key) {
            None => new.clone(),
            Some(old) => match (old.plain(), new.plain()) {
                (Value::Map(old), Value::Map(new)) => merge(&old, &new, override_, depth + 1)?,
                _ if override_ && new.truth() || !override_ && !old.truth() => new.clone(),
                _ => continue,
            },
        };
        entries.insert(Arc::clone(key), merged);
    }
    Ok(Value::typed_map(into.go_type, entries))
}
