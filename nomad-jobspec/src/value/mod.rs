//! Values of expressions, and the types that they have or are converted to.

mod convert;
mod json;
mod nat;
mod number;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use self::convert::convert;
pub(crate) use self::json::{from_json, to_json_text};
pub(crate) use self::nat::Nat;
pub(crate) use self::number::Number;
pub(crate) use self::types::{Type, unify};

/// How deep values may be nested.
pub(crate) const MAX_DEPTH: usize = 128;

/// A value. Copies of collections share their elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(Arc<str>),
    /// Elements of one type.
    List(Arc<Vec<Value>>),
    /// Elements of one type, sorted, each once.
    Set(Arc<Vec<Value>>),
    /// Elements of any types, as `[...]` makes them.
    Tuple(Arc<Vec<Value>>),
    /// Elements of one type.
    Map(Arc<BTreeMap<String, Value>>),
    /// Attributes of any types, as `{...}` makes them.
    Object(Arc<BTreeMap<String, Value>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Number(Number::from(value))
    }
}

impl Value {
    /// A tuple.
    pub(crate) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Arc::new(items))
    }

    /// A list; the caller sees to it that the elements have one type.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A set of the elements.
    pub(crate) fn set(mut items: Vec<Self>) -> Self {
        items.sort();
        items.dedup();
        Self::Set(Arc::new(items))
    }

    /// An object.
    pub(crate) fn object(members: BTreeMap<String, Self>) -> Self {
        Self::Object(Arc::new(members))
    }

    /// A map; the caller sees to it that the elements have one type.
    pub(crate) fn map(members: BTreeMap<String, Self>) -> Self {
        Self::Map(Arc::new(members))
    }

    /// The elements of a list, set or tuple.
    pub(crate) fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) | Self::Set(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The members of a map or object.
    pub(crate) fn members(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Map(members) | Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Key and value of each element, for `for` and `dynamic`; `None` if there is nothing to go over.
    pub(crate) fn pairs(&self) -> Option<Vec<(Self, Self)>> {
        Some(match self {
            Self::List(items) | Self::Tuple(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (Self::from(at), item.clone()))
                .collect(),
            Self::Set(items) => items
                .iter()
                .map(|item| (item.clone(), item.clone()))
                .collect(),
            Self::Map(members) | Self::Object(members) => members
                .iter()
                .map(|(key, item)| (Self::from(key.as_str()), item.clone()))
                .collect(),
            _ => return None,
        })
    }

    /// How many values and bytes it holds, counted up to about `limit`; `None` if it is nested deeper than
    /// [`MAX_DEPTH`].
    pub(crate) fn size_up_to(&self, limit: usize) -> Option<usize> {
        self.size_below(limit, MAX_DEPTH)
    }

    fn size_below(&self, limit: usize, depth: usize) -> Option<usize> {
        let depth = depth.checked_sub(1)?;
        let children = |items: &mut dyn Iterator<Item = &Self>| {
            let mut size = 1;
            for item in items {
                if size > limit {
                    break;
                }
                size += item.size_below(limit - size, depth)?;
            }
            Some(size)
        };
        match self {
            Self::String(text) => Some(1 + text.len() / 16),
            Self::List(items) | Self::Set(items) | Self::Tuple(items) => {
                children(&mut items.iter())
            }
            Self::Map(members) | Self::Object(members) => children(&mut members.values()),
            _ => Some(1),
        }
    }
}
