//! Constraints that no node can satisfy: alone, together with others, or with the job's own datacenters and pool.
//!
//! The constraints of the job, a group and all its tasks must hold on one node.

use nomad_core::spec::Constraint;

use super::Check;
use super::versions::Interval;
use crate::lower::body::Reader;
use crate::lower::{Place, constraint};
use crate::source::Span;

/// A constraint and where it stands.
struct Placed {
    constraint: Constraint,
    span: Span,
}

/// Warns of constraints that can never hold.
pub(super) fn impossible(check: &Check<'_>) {
    let Some((job, _)) = check.places.all("job").next() else {
        return;
    };
    let of_job = constraints_in(check, job);
    let groups: Vec<usize> = check
        .places
        .children(job, "group")
        .map(|(at, _)| at)
        .collect();
    if groups.is_empty() {
        together(check, &of_job);
    }
    for group in groups {
        let mut all = constraints_in(check, job);
        all.extend(constraints_in(check, group));
        for (task, _) in check.places.children(group, "task") {
            all.extend(constraints_in(check, task));
        }
        together(check, &all);
    }
}

fn constraints_in(check: &Check<'_>, parent: usize) -> Vec<Placed> {
    check
        .places
        .children(parent, "constraint")
        .map(|(_, place)| Placed {
            constraint: read(check, place),
            span: place.header,
        })
        .collect()
}

fn read(check: &Check<'_>, place: &Place) -> Constraint {
    constraint(Reader::of_block(
        check.evaluator,
        std::sync::Arc::clone(&place.body),
        place.scope.clone(),
        Vec::new(),
        place.header,
    ))
}

fn show(constraint: &Constraint) -> String {
    let Constraint {
        ltarget,
        operand,
        rtarget,
    } = constraint;
    format!("{ltarget} {operand} {rtarget}").trim().to_owned()
}

const HINT: &str = "No node will ever be eligible. Change one of the constraints, or take it out.";

fn together(check: &Check<'_>, all: &[Placed]) {
    for (at, placed) in all.iter().enumerate() {
        if let Some(why) = alone(check, &placed.constraint) {
            let detail = format!("{:?} can never hold: {why}.", show(&placed.constraint));
            check.warn(placed.span, "Constraint can never hold", detail, HINT);
            continue;
        }
        for earlier in &all[..at] {
            if contradict(&earlier.constraint, &placed.constraint) {
                let detail = format!(
                    "{:?} contradicts {:?} at {}.",
                    show(&placed.constraint),
                    show(&earlier.constraint),
                    check.evaluator.sources.range(earlier.span)
                );
                check.warn(placed.span, "Constraint can never hold", detail, HINT);
                break;
            }
        }
    }
}

/// Why a constraint cannot hold by itself.
fn alone(check: &Check<'_>, constraint: &Constraint) -> Option<String> {
    let Constraint {
        ltarget,
        operand,
        rtarget,
    } = constraint;
    if operand == "distinct_hosts" || operand == "distinct_property" {
        return None;
    }
    if matches!(operand.as_str(), "version" | "semver") {
        let mut interval = Interval::default();
        if interval.narrow(rtarget) && interval.is_empty() {
            return Some("no version satisfies all of its parts".to_owned());
        }
    }
    for side in [ltarget, rtarget] {
        let unknown = side.starts_with("${")
            && !["${node.", "${attr.", "${meta.", "${device."]
                .iter()
                .any(|known| side.starts_with(known));
        if unknown && needs_value(operand) {
            return Some(format!(
                "{side} is not known when nodes are chosen, only node.*, attr.* and meta.* are"
            ));
        }
    }
    if rtarget.starts_with("${") {
        return None;
    }
    if !ltarget.starts_with("${") && !ltarget.is_empty() {
        return (holds(ltarget, operand, rtarget) == Some(false))
            .then(|| format!("{ltarget:?} is plain text, not a property of a node"));
    }
    let equal = matches!(operand.as_str(), "=" | "==" | "is");
    match ltarget.as_str() {
        "${node.datacenter}" if equal => {
            let datacenters = check.job.datacenters.as_deref().unwrap_or_default();
            let fits = datacenters.is_empty()
                || datacenters
                    .iter()
                    .any(|glob| glob.contains('*') && matches(glob, rtarget) || glob == rtarget);
            (!fits).then(|| {
                format!(
                    "the job runs only in datacenters {}",
                    datacenters.join(", ")
                )
            })
        }
        "${node.pool}" if equal => {
            let pool = check.job.node_pool.as_deref().unwrap_or("default");
            (pool != "all" && pool != rtarget)
                .then(|| format!("the job runs in node pool {pool:?}"))
        }
        _ => None,
    }
}

/// Whether a text fits a pattern with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether an operator is false for a property that is not there.
fn needs_value(operand: &str) -> bool {
    !matches!(operand, "!=" | "not" | "is_not_set")
}

fn is_equal(operand: &str) -> bool {
    matches!(operand, "=" | "==" | "is")
}

/// Whether two constraints on the same property exclude each other.
fn contradict(a: &Constraint, b: &Constraint) -> bool {
    if a.ltarget != b.ltarget || a.ltarget.is_empty() || a == b {
        return false;
    }
    if a.operand.starts_with("distinct_") || b.operand.starts_with("distinct_") {
        return false;
    }
    if (a.operand == "is_not_set" && needs_value(&b.operand))
        || (b.operand == "is_not_set" && needs_value(&a.operand))
    {
        return true;
    }
    if a.rtarget.contains("${") || b.rtarget.contains("${") {
        return false;
    }
    if is_equal(&a.operand) {
        return holds(&a.rtarget, &b.operand, &b.rtarget) == Some(false);
    }
    if is_equal(&b.operand) {
        return holds(&b.rtarget, &a.operand, &a.rtarget) == Some(false);
    }
    if ["version", "semver"].contains(&a.operand.as_str()) && a.operand == b.operand {
        let mut interval = Interval::default();
        return interval.narrow(&a.rtarget) && interval.narrow(&b.rtarget) && interval.is_empty();
    }
    let (Ok(x), Ok(y)) = (a.rtarget.parse::<f64>(), b.rtarget.parse::<f64>()) else {
        return false;
    };
    match (a.operand.as_str(), b.operand.as_str()) {
        (">", "<" | "<=") | (">=", "<") => x >= y,
        (">=", "<=") => x > y,
        ("<", ">" | ">=") | ("<=", ">") => x <= y,
        ("<=", ">=") => x < y,
        _ => false,
    }
}

/// Whether a comparison of known values holds; `None` where that is not known here.
fn holds(left: &str, operand: &str, right: &str) -> Option<bool> {
    let items = |text: &str| -> Vec<String> {
        text.split(',').map(|item| item.trim().to_owned()).collect()
    };
    Some(match operand {
        "=" | "==" | "is" => left == right,
        "!=" | "not" => left != right,
        "is_set" => true,
        "is_not_set" => false,
        "<" | "<=" | ">" | ">=" => {
            let order = match (left.parse::<i64>(), right.parse::<i64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => match (left.parse::<f64>(), right.parse::<f64>()) {
                    (Ok(a), Ok(b)) => a.partial_cmp(&b)?,
                    _ => left.cmp(right),
                },
            };
            match operand {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }
        }
        "regexp" => regex::Regex::new(right).ok()?.is_match(left),
        "version" | "semver" => {
            let mut interval = Interval::default();
            if !interval.narrow(right) || !interval.narrow(&format!("= {left}")) {
                return None;
            }
            !interval.is_empty()
        }
        "set_contains" | "set_contains_all" => {
            let has = items(left);
            items(right).iter().all(|item| has.contains(item))
        }
        "set_contains_any" => {
            let has = items(left);
            items(right).iter().any(|item| has.contains(item))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(operand: &str, rtarget: &str) -> Constraint {
        Constraint {
            ltarget: "${attr.x}".to_owned(),
            operand: operand.to_owned(),
            rtarget: rtarget.to_owned(),
        }
    }

    #[test]
    fn contradictions_are_told_from_what_may_hold() {
        for (a, b, expected) in [
            (on("=", "a"), on("=", "b"), true),
            (on("=", "a"), on("!=", "a"), true),
            (on("=", "a"), on("!=", "b"), false),
            (on("=", "5"), on(">", "10"), true),
            (on(">", "10"), on("<", "5"), true),
            (on(">=", "5"), on("<=", "5"), false),
            (on("is_not_set", ""), on("=", "a"), true),
            (on("is_set", ""), on("is_not_set", ""), true),
            (on("is_not_set", ""), on("!=", "a"), false),
            (on("=", "1.2.3"), on("version", ">= 2"), true),
            (on("version", ">= 2"), on("version", "< 1"), true),
            (on("=", "abc"), on("regexp", "^b"), true),
            (on("=", "a,b"), on("set_contains", "b, a"), false),
            (on("=", "${meta.y}"), on("=", "b"), false),
        ] {
            assert_eq!(contradict(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(contradict(&b, &a), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn patterns_match_datacenters() {
        assert!(matches("dc*", "dc1") && matches("*", "x") && matches("a*c", "abc"));
        assert!(!matches("dc*", "eu1") && !matches("a*c", "ab"));
    }
}
