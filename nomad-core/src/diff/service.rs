//! Services, checks, identities and Connect.

use serde_json::Value;

use super::fields::{Flat, flatten};
use super::objects::{each, object, pairs_by, primitive, strings};
use super::types::{DiffType, ObjectDiff};
use crate::job::{Service, ServiceCheck, WorkloadIdentity};

/// How well an old and a new service must fit to be the same.
const MATCH: u32 = 3;

/// Pairs services: one against one always, else by place (1), port (2) and name (3), the best fit first.
fn pairs<'a>(
    old: &'a [Service],
    new: &'a [Service],
) -> Vec<(Option<&'a Service>, Option<&'a Service>)> {
    if let ([only_old], [only_new]) = (old, new) {
        return vec![(Some(only_old), Some(only_new))];
    }
    let mut scores: Vec<(u32, usize, usize)> = Vec::new();
    for (i, a) in old.iter().enumerate() {
        for (j, b) in new.iter().enumerate() {
            let score = u32::from(i == j)
                + 2 * u32::from(a.port_label == b.port_label)
                + 3 * u32::from(a.name == b.name);
            if score >= MATCH {
                scores.push((score, i, j));
            }
        }
    }
    scores.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut old_taken, mut new_taken) = (vec![false; old.len()], vec![false; new.len()]);
    let mut matched = Vec::new();
    for (_, i, j) in scores {
        if !old_taken[i] && !new_taken[j] {
            (old_taken[i], new_taken[j]) = (true, true);
            matched.push((Some(&old[i]), Some(&new[j])));
        }
    }
    matched.extend(
        old.iter()
            .zip(old_taken)
            .filter(|(_, taken)| !taken)
            .map(|(service, _)| (Some(service), None)),
    );
    matched.extend(
        new.iter()
            .zip(new_taken)
            .filter(|(_, taken)| !taken)
            .map(|(service, _)| (None, Some(service))),
    );
    matched
}

pub(super) fn service_diffs(old: &[Service], new: &[Service], contextual: bool) -> Vec<ObjectDiff> {
    each(pairs(old, new), |old, new| service(old, new, contextual))
}

fn service(old: Option<&Service>, new: Option<&Service>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let empty = Service::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects: Vec<ObjectDiff> = [
        strings("CanaryTags", &a.canary_tags, &b.canary_tags, contextual),
        strings("Tags", &a.tags, &b.tags, contextual),
    ]
    .into_iter()
    .flatten()
    .collect();
    objects.extend(each(
        pairs_by(&a.checks, &b.checks, |check| check.name.clone()),
        |old, new| check(old, new, contextual),
    ));
    objects.extend(connect_diff(
        "ConsulConnect",
        a.connect.as_ref(),
        b.connect.as_ref(),
        contextual,
    ));
    objects.extend(identity_diff(
        a.identity.as_ref(),
        b.identity.as_ref(),
        contextual,
    ));
    objects.extend(primitive(
        "Weights",
        a.weights.as_ref(),
        b.weights.as_ref(),
        &[],
        contextual,
    ));
    let flat = |service: &Service| {
        flatten(
            service,
            &["Connect", "Identity", "Weights"],
            &["Meta", "CanaryMeta", "TaggedAddresses"],
        )
    };
    object("Service", old.map(flat), new.map(flat), objects, contextual)
}

fn check(
    old: Option<&ServiceCheck>,
    new: Option<&ServiceCheck>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let empty = ServiceCheck::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects: Vec<ObjectDiff> = primitive(
        "CheckRestart",
        a.check_restart.as_ref(),
        b.check_restart.as_ref(),
        &[],
        contextual,
    )
    .into_iter()
    .collect();
    let headers = |check: &ServiceCheck| -> Option<Flat> {
        (!check.header.is_empty()).then(|| {
            check
                .header
                .iter()
                .map(|(name, values)| (name.clone(), values.join(",")))
                .collect()
        })
    };
    objects.extend(object(
        "Header",
        headers(a),
        headers(b),
        Vec::new(),
        contextual,
    ));
    let flat = |check: &ServiceCheck| flatten(check, &["Header"], &[]);
    object("Check", old.map(flat), new.map(flat), objects, contextual)
}

pub(super) fn identity_diff(
    old: Option<&WorkloadIdentity>,
    new: Option<&WorkloadIdentity>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let list = |identity: Option<&WorkloadIdentity>| {
        identity
            .map(|identity| identity.audience.clone())
            .unwrap_or_default()
    };
    let audience = strings("Audience", &list(old), &list(new), contextual);
    let flat = |identity: &WorkloadIdentity| flatten(identity, &[], &["ExtraClaims"]);
    object(
        "Identity",
        old.map(flat),
        new.map(flat),
        audience.into_iter().collect(),
        contextual,
    )
}

/// What the diff calls the blocks inside `connect`.
fn block_name(key: &str) -> &str {
    match key {
        "Proxy" => "ConsulProxy",
        "Upstreams" => "ConsulUpstreams",
        "Paths" => "Path",
        other => other,
    }
}

/// A block of Connect, which is kept as a document: its scalars, and the blocks and lists inside.
fn connect_diff(
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    contextual: bool,
) -> Option<ObjectDiff> {
    fn present(value: Option<&Value>) -> Option<&Value> {
        value.filter(|value| !value.is_null())
    }
    let (old, new) = (present(old), present(new));
    if old == new {
        return None;
    }
    let keys: std::collections::BTreeSet<&String> = [old, new]
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|members| members.keys())
        .collect();
    let mut objects = Vec::new();
    for key in keys {
        let (a, b) = (
            old.and_then(|value| value.get(key)),
            new.and_then(|value| value.get(key)),
        );
        let (a, b) = (present(a), present(b));
        match a.or(b) {
            Some(Value::Object(_)) => {
                objects.extend(connect_diff(block_name(key), a, b, contextual))
            }
            Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
                objects.extend(list_diffs(block_name(key), a, b, contextual));
            }
            Some(Value::Array(_)) => {
                let list = |value: Option<&Value>| -> Vec<String> {
                    let items = value.and_then(Value::as_array).into_iter().flatten();
                    items
                        .map(|item| {
                            item.as_str()
                                .map_or_else(|| item.to_string(), str::to_owned)
                        })
                        .collect()
                };
                objects.extend(strings(key, &list(a), &list(b), contextual));
            }
            _ => {}
        }
    }
    if name == "ConsulProxy"
        && objects
            .iter()
            .all(|diff: &ObjectDiff| diff.name != "TransparentProxy")
    {
        // A proxy's diff always has this object, as in the reference.
        objects.push(ObjectDiff {
            kind: DiffType::None,
            name: "TransparentProxy".to_owned(),
            ..ObjectDiff::default()
        });
    }
    let flat = |value: &Value| flatten(value, &[], &["Meta"]);
    object(name, old.map(flat), new.map(flat), objects, contextual)
}

/// Members of a list of blocks, matched by what names them.
fn list_diffs(
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    contextual: bool,
) -> Vec<ObjectDiff> {
    let items =
        |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let key = |item: &Value| -> Vec<String> {
        [
            "Datacenter",
            "DestinationName",
            "Name",
            "Path",
            "Port",
            "Volume",
        ]
        .iter()
        .map(|part| item.get(part).map(Value::to_string).unwrap_or_default())
        .collect()
    };
    let (before, after) = (items(old), items(new));
    each(pairs_by(&before, &after, key), |old, new| {
        connect_diff(name, old, new, contextual)
    })
}
