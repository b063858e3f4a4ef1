//! Filter expressions of list routes: `Status == "ready" and Meta.rack is not empty`.
//!
//! Source: HTTP API reference, "Filter expressions". Evaluated against the whole stored object as the API shows it.

mod eval;
mod parse;

use serde::Serialize;

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 64;
/// Longest expression in bytes.
const MAX_LEN: usize = 16 << 10;

/// The expression cannot be read, or does not fit the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("1:{column} ({offset}): {what}")]
    Syntax {
        column: usize,
        offset: usize,
        what: String,
    },
    #[error("filter expression of {len} bytes is longer than {MAX_LEN}")]
    TooLong { len: usize },
    #[error(
        "error finding value in datum: {selector}: couldn't find key: struct field with name {field:?}"
    )]
    NoField { selector: String, field: String },
    #[error("error performing match: {what}")]
    Mismatch { what: String },
}

/// A parsed filter; the empty one matches everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Option<Expr>);

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Match {
        selector: Selector,
        op: Op,
        value: String,
    },
    Each {
        all: bool,
        selector: Selector,
        names: EachNames,
        body: Box<Expr>,
    },
}

/// What `any … as` and `all … as` name their element; `_` names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EachNames {
    key: Option<String>,
    value: Option<String>,
    /// One name only: for maps it is the key.
    single: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Selector {
    path: Vec<String>,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Op {
    Equal,
    NotEqual,
    In,
    NotIn,
    Empty,
    NotEmpty,
    Nil,
    NotNil,
    Matches(Pattern),
    NotMatches(Pattern),
}

/// A regular expression that compares by its text.
#[derive(Debug, Clone)]
struct Pattern(regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Filter {
    /// Reads an expression; blank matches everything.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_LEN {
            return Err(FilterError::TooLong { len: text.len() });
        }
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        parse::parse(text).map(|expr| Self(Some(expr)))
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether an object matches.
    pub fn matches(&self, object: &impl Serialize) -> Result<bool, FilterError> {
        let Some(expr) = &self.0 else { return Ok(true) };
        let value = serde_json::to_value(object).map_err(|error| FilterError::Mismatch {
            what: error.to_string(),
        })?;
        eval::matches(expr, &value)
    }
}

#[cfg(test)]
mod tests;
