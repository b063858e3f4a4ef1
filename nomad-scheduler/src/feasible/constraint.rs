//! One constraint or affinity, compiled once per evaluation, checked against many nodes.
//!
//! Source: job specification reference, "Constraints and affinities".

use std::cmp::Ordering;

use nomad_core::job::{Affinity, Constraint};
use nomad_core::node::Node;
use regex::{Regex, RegexBuilder};

use super::target::{self, Target};
use super::version::Requirement;

/// Limit of a compiled regular expression, bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// How the two sides are compared.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    IsSet,
    IsNotSet,
    Version(Option<Requirement>),
    Semver(Option<Requirement>),
    Regex(Option<Regex>),
    ContainsAll,
    ContainsAny,
    /// Decided elsewhere (`distinct_hosts`, `distinct_property`).
    Elsewhere,
    /// No such operator: never met.
    Unknown,
}

impl Test {
    /// The test of an operand; a literal right side is compiled now.
    pub(crate) fn new(operand: &str, right: &str) -> Self {
        match operand {
            "=" | "==" | "is" => Self::Equal,
            "!=" | "not" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            "is_set" => Self::IsSet,
            "is_not_set" => Self::IsNotSet,
            "version" => Self::Version(Requirement::parse(right, false)),
            "semver" => Self::Semver(Requirement::parse(right, true)),
            "regexp" => Self::Regex(compile(right)),
            "set_contains" | "set_contains_all" => Self::ContainsAll,
            "set_contains_any" => Self::ContainsAny,
            "distinct_hosts" | "distinct_property" => Self::Elsewhere,
            _ => Self::Unknown,
        }
    }

    /// Whether it holds; a side that the node does not have is absent.
    pub(crate) fn holds(&self, left: Option<&str>, right: Option<&str>) -> bool {
        match self {
            Self::Elsewhere => return true,
            Self::Unknown => return false,
            Self::NotEqual => return left.unwrap_or("") != right.unwrap_or(""),
            Self::IsSet => return left.is_some(),
            Self::IsNotSet => return left.is_none(),
            _ => {}
        }
        let (Some(left), Some(right)) = (left, right) else {
            return false;
        };
        match self {
            Self::Equal => left == right,
            Self::Less => compare(left, right).is_lt(),
            Self::AtMost => compare(left, right).is_le(),
            Self::Greater => compare(left, right).is_gt(),
            Self::AtLeast => compare(left, right).is_ge(),
            Self::Version(requirement) | Self::Semver(requirement) => requirement
                .as_ref()
                .is_some_and(|requirement| requirement.is_met_by(left)),
            Self::Regex(regex) => regex.as_ref().is_some_and(|regex| regex.is_match(left)),
            Self::ContainsAll => {
                let have: Vec<&str> = left.split(',').map(str::trim).collect();
                right.split(',').all(|item| have.contains(&item.trim()))
            }
            Self::ContainsAny => {
                let have: Vec<&str> = left.split(',').map(str::trim).collect();
                right.split(',').any(|item| have.contains(&item.trim()))
            }
            _ => false,
        }
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .ok()
}

/// Integers numerically, else floats numerically, else texts.
fn compare(left: &str, right: &str) -> Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    if let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>()) {
        return left.partial_cmp(&right).unwrap_or(Ordering::Equal);
    }
    left.cmp(right)
}

/// A constraint or affinity, ready to be checked.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    left: Target,
    right: Target,
    operand: String,
    test: Test,
    /// Whether nodes of one computed class may answer differently.
    pub(crate) escapes: bool,
    /// As filter reasons name it.
    pub(crate) text: String,
    /// Weight of an affinity; 0 for constraints.
    pub(crate) weight: f64,
}

impl Check {
    fn new(left: &str, operand: &str, right: &str, weight: f64) -> Self {
        Self {
            left: Target::parse(left),
            right: Target::parse(right),
            operand: operand.to_owned(),
            test: Test::new(operand, right),
            escapes: target::escapes(left) || target::escapes(right),
            text: format!("{left} {operand} {right}"),
            weight,
        }
    }

    pub(crate) fn constraint(constraint: &Constraint) -> Self {
        Self::new(
            &constraint.ltarget,
            &constraint.operand,
            &constraint.rtarget,
            0.0,
        )
    }

    pub(crate) fn affinity(affinity: &Affinity) -> Self {
        Self::new(
            &affinity.ltarget,
            &affinity.operand,
            &affinity.rtarget,
            f64::from(affinity.weight),
        )
    }

    /// Whether the node meets it.
    pub(crate) fn is_met_by(&self, node: &Node) -> bool {
        let left = self.left.resolve(node);
        let right = self.right.resolve(node);
        match (&self.right, &self.test, &right) {
            // The right side differs from node to node: compile it for this one.
            (Target::Literal(_), _, _) | (_, _, None) => {
                self.test.holds(left.as_deref(), right.as_deref())
            }
            (_, Test::Version(_) | Test::Semver(_) | Test::Regex(_), Some(value)) => {
                Test::new(&self.operand, value).holds(left.as_deref(), right.as_deref())
            }
            _ => self.test.holds(left.as_deref(), right.as_deref()),
        }
    }
}

/// Whether a constraint is decided by what else runs where, not by the node.
pub(crate) fn is_distinct(constraint: &Constraint) -> bool {
    matches!(
        constraint.operand.as_str(),
        "distinct_hosts" | "distinct_property"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(left: Option<&str>, operand: &str, right: &str) -> bool {
        Test::new(operand, right).holds(left, Some(right))
    }

    #[test]
    fn operators() {
        for (left, operand, right, expected) in [
            (Some("a"), "=", "a", true),
            (None, "=", "a", false),
            (None, "!=", "a", true),
            (Some("a"), "!=", "a", false),
            (Some("9"), "<", "10", true),
            (Some("9.5"), "<", "10", true),
            (Some("9a"), "<", "10", false),
            (Some("10"), ">=", "10", true),
            (None, "<", "10", false),
            (Some("x"), "is_set", "", true),
            (None, "is_not_set", "", true),
            (Some("a, b,c"), "set_contains", "a,c", true),
            (Some("a,b"), "set_contains_all", "a,d", false),
            (Some("a,b"), "set_contains_any", "d, b", true),
            (Some("node-12"), "regexp", "-[0-9]+$", true),
            (Some("node"), "regexp", "(", false),
            (Some("1.2.3"), "version", ">= 1", true),
            (Some("a"), "nonsense", "a", false),
        ] {
            assert_eq!(
                met(left, operand, right),
                expected,
                "{left:?} {operand} {right}"
            );
        }
    }
}
