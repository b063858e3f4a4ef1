//! Constraints, affinities and spreads, as data; what they mean is the scheduler's.

use serde::{Deserialize, Serialize};

use crate::wire;

/// What a node must satisfy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Constraint {
    /// Left side: a literal or `${attr.…}`, `${meta.…}`, `${node.…}`.
    #[serde(rename = "LTarget")]
    pub ltarget: String,
    /// Right side.
    #[serde(rename = "RTarget")]
    pub rtarget: String,
    /// `=`, `!=`, `version`, `regexp`, `distinct_hosts`, …
    #[serde(rename = "Operand")]
    pub operand: String,
}

impl Constraint {
    /// A constraint of the three parts.
    pub fn new(
        ltarget: impl Into<String>,
        operand: impl Into<String>,
        rtarget: impl Into<String>,
    ) -> Self {
        Self {
            ltarget: ltarget.into(),
            rtarget: rtarget.into(),
            operand: operand.into(),
        }
    }
}

impl std::fmt::Display for Constraint {
    /// As filter reasons name it: left side, operand, right side.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.ltarget, self.operand, self.rtarget)
    }
}

/// What a node should rather satisfy, or rather not (negative weight).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Affinity {
    #[serde(rename = "LTarget")]
    pub ltarget: String,
    #[serde(rename = "RTarget")]
    pub rtarget: String,
    #[serde(rename = "Operand")]
    pub operand: String,
    /// -100 to 100, not zero.
    #[serde(rename = "Weight")]
    pub weight: i8,
}

/// How allocations should be spread over the values of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Spread {
    pub attribute: String,
    /// 1 to 100.
    pub weight: i8,
    /// Without targets the spread is even.
    #[serde(with = "wire::null_if_empty")]
    pub spread_target: Vec<SpreadTarget>,
}

/// The share of allocations that one value should have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SpreadTarget {
    pub value: String,
    /// 0 to 100.
    pub percent: u8,
}
