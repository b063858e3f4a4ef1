//! Constraints, affinities, spreads.
//!
//! Source: jobspec.md §6.

use std::collections::BTreeSet;

use crate::spec::{Affinity, Constraint, Spread};

use super::errors::Messages;

/// References that a constraint's left side may be, whole.
const NODE_TARGETS: [&str; 5] = [
    "${node.unique.id}",
    "${node.unique.name}",
    "${node.datacenter}",
    "${node.class}",
    "${node.pool}",
];
/// And those that it may begin with.
const TARGET_PREFIXES: [&str; 3] = ["${attr.", "${meta.", "${device."];

pub(super) fn constraint(constraint: &Constraint) -> Messages {
    let mut errors = Messages::new();
    let Constraint {
        ltarget,
        operand,
        rtarget,
    } = constraint;
    if operand.is_empty() {
        errors.add("Missing constraint operand");
    }
    let mut needs_left = true;
    match operand.as_str() {
        "distinct_hosts" => {
            needs_left = false;
            errors.require(ltarget.is_empty(), || {
                "Distinct hosts constraint requires no LTarget".to_owned()
            });
        }
        "distinct_property" => {
            if !rtarget.is_empty() {
                match rtarget.parse::<u64>() {
                    Ok(0) => errors.add(
                        "Distinct Property must have an allowed count of 1 or greater; got 0 < 1",
                    ),
                    Ok(_) => {}
                    Err(_) => {
                        errors.add(format!("Failed to convert RTarget {rtarget:?} to uint64"))
                    }
                }
            }
        }
        "is_set" | "is_not_set" => {
            errors.require(rtarget.is_empty(), || {
                format!("Operator {operand:?} does not support an RTarget")
            });
        }
        _ => comparison(operand, rtarget, &mut errors, "constraint"),
    }
    if needs_left && ltarget.is_empty() {
        errors.add("No LTarget provided but is required by constraint");
    }
    let reference = NODE_TARGETS.contains(&ltarget.as_str())
        || (ltarget.ends_with('}')
            && TARGET_PREFIXES
                .iter()
                .any(|prefix| ltarget.starts_with(prefix)));
    if ltarget.starts_with('$') && !reference {
        errors.add(format!("unsupported attribute {ltarget:?}"));
    }
    errors
}

/// Operands that constraints and affinities share.
fn comparison(operand: &str, rtarget: &str, errors: &mut Messages, what: &str) {
    match operand {
        "" => {}
        "set_contains" | "set_contains_all" | "set_contains_any" => {
            errors.require(!rtarget.is_empty(), || {
                format!("Set contains {what} requires an RTarget")
            });
        }
        "regexp" => {
            if let Some(error) = regexp_error(rtarget) {
                errors.add(format!("Regular expression failed to compile: {error}"));
            }
        }
        "version" => {
            if !is_version_constraint(rtarget) {
                errors.add(format!(
                    "Version {what} is invalid: Malformed constraint: {rtarget}"
                ));
            }
        }
        "semver" => {
            if rtarget.contains("~>") || !is_version_constraint(rtarget) {
                errors.add(format!(
                    "Semver {what} is invalid: Malformed constraint: {rtarget}"
                ));
            }
        }
        "=" | "==" | "is" | "!=" | "not" | "<" | "<=" | ">" | ">=" => {
            errors.require(!rtarget.is_empty(), || {
                format!("Operator {operand:?} requires an RTarget")
            });
        }
        _ => errors.add(format!("Unknown {what} type {operand:?}")),
    }
}

pub(super) fn affinity(affinity: &Affinity) -> Messages {
    let mut errors = Messages::new();
    let Affinity {
        ltarget,
        operand,
        rtarget,
        weight,
    } = affinity;
    if operand.is_empty() {
        errors.add("Missing affinity operand");
    }
    comparison(operand, rtarget, &mut errors, "affinity");
    errors.require(!ltarget.is_empty(), || {
        "No LTarget provided but is required".to_owned()
    });
    let weight = weight.unwrap_or_default();
    errors.require(weight != 0, || "Affinity weight cannot be zero".to_owned());
    errors.require((-100..=100).contains(&weight), || {
        "Affinity weight must be within the range [-100,100]".to_owned()
    });
    errors
}

pub(super) fn spread(spread: &Spread) -> Messages {
    let mut errors = Messages::new();
    errors.require(!spread.attribute.is_empty(), || {
        "Missing spread attribute".to_owned()
    });
    errors.require(
        (1..=100).contains(&spread.weight.unwrap_or_default()),
        || "Spread block must have a positive weight from 0 to 100".to_owned(),
    );
    let mut seen = BTreeSet::new();
    let mut sum = 0_u32;
    for target in spread.targets.iter().flatten() {
        errors.require(seen.insert(&target.value), || {
            format!("Spread target value {:?} already defined", target.value)
        });
        errors.require(target.percent <= 100, || {
            format!(
                "Spread target percentage for value {:?} must be between 0 and 100",
                target.value
            )
        });
        sum += u32::from(target.percent);
    }
    errors.require(sum <= 100, || {
        format!("Sum of spread target percentages must not be greater than 100%; got {sum}%")
    });
    errors
}

/// Why a pattern is no regular expression, in the words of Go's package where they are usual.
pub(super) fn regexp_error(pattern: &str) -> Option<String> {
    let error = regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .err()?;
    let text = error.to_string();
    let known = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        (
            "repetition operator missing expression",
            "missing argument to repetition operator",
        ),
        (
            "incomplete escape sequence",
            "trailing backslash at end of expression",
        ),
        ("invalid repetition count range", "invalid repeat count"),
        ("unrecognized escape sequence", "invalid escape sequence"),
    ];
    let reason = known
        .iter()
        .find(|(ours, _)| text.contains(ours))
        .map_or_else(
            || {
                text.lines()
                    .last()
                    .unwrap_or_default()
                    .replace("error: ", "")
            },
            |(_, go)| (*go).to_owned(),
        );
    Some(format!("error parsing regexp: {reason}: `{pattern}`"))
}

/// Comparisons of versions, separated by commas.
fn is_version_constraint(text: &str) -> bool {
    !text.trim().is_empty() && text.split(',').all(is_version_comparison)
}

fn is_version_comparison(text: &str) -> bool {
    let text = text.trim();
    let version = text.trim_start_matches(['=', '!', '>', '<', '~']);
    let operator = &text[..text.len() - version.len()];
    matches!(operator, "" | "=" | "!=" | ">" | "<" | ">=" | "<=" | "~>")
        && is_version(version.trim_start())
}

fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+', '~']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let numeric = numbers
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let suffix = rest.is_empty()
        || (rest.len() > 1
            && rest[1..]
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '~')));
    numeric && suffix
}
