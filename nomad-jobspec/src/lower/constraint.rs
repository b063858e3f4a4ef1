//! `constraint`, `affinity`, `spread`.

use nomad_core::spec::{Affinity, Constraint, Spread, SpreadTarget};

use super::body::Reader;
use super::{all, collect};

pub(super) fn constraints(reader: &Reader<'_>) -> Option<Vec<Constraint>> {
    all(reader, "constraint", constraint)
}

pub(super) fn affinities(reader: &Reader<'_>) -> Option<Vec<Affinity>> {
    all(reader, "affinity", affinity)
}

pub(super) fn spreads(reader: &Reader<'_>) -> Option<Vec<Spread>> {
    all(reader, "spread", spread)
}

/// One constraint.
pub(crate) fn constraint(reader: Reader<'_>) -> Constraint {
    let mut constraint = Constraint {
        ltarget: reader.text("attribute"),
        operand: reader.text("operator"),
        rtarget: reader.text("value"),
    };
    // The later of these wins where several are set.
    for operand in ["version", "semver", "regexp", "set_contains"] {
        if let Some(value) = reader.string(operand) {
            operand.clone_into(&mut constraint.operand);
            constraint.rtarget = value;
        }
    }
    if let Some(distinct) = reader.bool("distinct_hosts") {
        "distinct_hosts".clone_into(&mut constraint.operand);
        constraint.rtarget = distinct.to_string();
    }
    if let Some(property) = reader.string("distinct_property") {
        "distinct_property".clone_into(&mut constraint.operand);
        constraint.ltarget = property;
    }
    // These are read and mean nothing, as in the reference: they work only as values of `operator`.
    for ignored in [
        "set_contains_all",
        "set_contains_any",
        "is_set",
        "is_not_set",
    ] {
        reader.attribute(ignored);
    }
    if constraint.operand.is_empty() {
        "=".clone_into(&mut constraint.operand);
    }
    reader.finish();
    constraint
}

fn affinity(reader: Reader<'_>) -> Affinity {
    let mut affinity = Affinity {
        ltarget: reader.text("attribute"),
        operand: reader.text("operator"),
        rtarget: reader.text("value"),
        weight: reader.wrapping_i8("weight"),
    };
    for operand in [
        "version",
        "semver",
        "regexp",
        "set_contains_any",
        "set_contains_all",
        "set_contains",
    ] {
        if let Some(value) = reader.string(operand) {
            operand.clone_into(&mut affinity.operand);
            affinity.rtarget = value;
        }
    }
    if affinity.operand.is_empty() {
        "=".clone_into(&mut affinity.operand);
    }
    reader.finish();
    affinity
}

fn spread(reader: Reader<'_>) -> Spread {
    let spread = Spread {
        attribute: reader.text("attribute"),
        weight: reader.wrapping_i8("weight"),
        targets: collect(reader.blocks("target", &["value"]), |target| {
            let read = SpreadTarget {
                value: target.label(0).to_owned(),
                percent: target.bounded("percent").unwrap_or(0),
            };
            target.finish();
            read
        }),
    };
    reader.finish();
    spread
}
