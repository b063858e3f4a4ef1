//! `Value`: what template expressions work on, shared by both engines and all functions.
//!
//! Go templates are dynamically typed over Go's types, so a value carries enough of the Go type
//! for `%T`, `%#v` and the type checks that templates observe. Values are immutable and cheap to
//! clone; lists and maps know their depth, so that no walk over one can overflow the stack.

pub(crate) mod encode;
pub(crate) mod fmt;
mod object;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use object::no_args as object_no_args;
pub(crate) use object::{Object, Record};

/// Deepest nesting of lists and maps. A function result that nests deeper is an error.
pub(crate) const MAX_DEPTH: u32 = 100;

/// A value of a template expression.
#[derive(Debug, Clone, Default)]
pub(crate) enum Value {
    /// No value: an untyped nil, a missing key. Prints as `<no value>` where Go does.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// A signed integer of any Go width.
    Int(i64),
    /// An unsigned integer of any Go width.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
    /// A string that is UTF-8.
    Str(Arc<str>),
    /// A string that is not UTF-8 (never holds valid UTF-8).
    Bytes(Arc<[u8]>),
    /// A slice.
    List(Arc<List>),
    /// A map with string keys.
    Map(Arc<Map>),
    /// A value with fields or methods of its own.
    Obj(Arc<dyn Object>),
}

/// A slice and its Go type.
#[derive(Debug)]
pub(crate) struct List {
    /// Go's name of the whole type, such as `[]string`.
    pub(crate) go_type: &'static str,
    /// The elements.
    pub(crate) items: Vec<Value>,
    depth: u32,
}

/// A map with string keys and its Go type.
#[derive(Debug)]
pub(crate) struct Map {
    /// Go's name of the whole type, such as `map[string]interface {}`.
    pub(crate) go_type: &'static str,
    /// The entries in the order a range goes through them.
    pub(crate) entries: BTreeMap<Arc<str>, Value>,
    depth: u32,
}

/// `[]interface {}`.
pub(crate) const ANY_LIST: &str = "[]interface {}";
/// `[]string`.
pub(crate) const STRING_LIST: &str = "[]string";
/// `map[string]interface {}`.
pub(crate) const ANY_MAP: &str = "map[string]interface {}";
/// `map[string]string`.
pub(crate) const STRING_MAP: &str = "map[string]string";

impl Value {
    /// A string from text.
    pub(crate) fn str(text: impl AsRef<str>) -> Self {
        Self::Str(Arc::from(text.as_ref()))
    }

    /// A string from bytes that may or may not be UTF-8.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Str(text.into()),
            Err(error) => Self::Bytes(error.into_bytes().into()),
        }
    }

    /// A slice of the given Go type.
    pub(crate) fn typed_list(go_type: &'static str, items: Vec<Self>) -> Self {
        let depth = 1 + items.iter().map(Self::depth).max().unwrap_or(0);
        Self::List(Arc::new(List {
            go_type,
            items,
            depth,
        }))
    }

    /// A `[]interface {}`.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::typed_list(ANY_LIST, items)
    }

    /// A `[]string`.
    pub(crate) fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::typed_list(STRING_LIST, items.into_iter().map(Self::str).collect())
    }

    /// A map of the given Go type.
    pub(crate) fn typed_map(go_type: &'static str, entries: BTreeMap<Arc<str>, Self>) -> Self {
        let depth = 1 + entries.values().map(Self::depth).max().unwrap_or(0);
        Self::Map(Arc::new(Map {
            go_type,
            entries,
            depth,
        }))
    }

    /// A `map[string]interface {}`.
    pub(crate) fn map(entries: BTreeMap<Arc<str>, Self>) -> Self {
        Self::typed_map(ANY_MAP, entries)
    }

    /// Any object.
    pub(crate) fn object(object: impl Object + 'static) -> Self {
        Self::Obj(Arc::new(object))
    }

    /// How deep lists and maps nest in it; 0 for everything else.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::List(list) => list.depth,
            Self::Map(map) => map.depth,
            Self::Obj(object) => object.depth(),
            _ => 0,
        }
    }

    /// Heap bytes that are the value's own, without what it shares by holding other values.
    pub(crate) fn own_bytes(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.items.len() * size_of::<Self>(),
            Self::Map(map) => map
                .entries
                .keys()
                .map(|key| key.len() + 2 * size_of::<Self>())
                .sum(),
            _ => 0,
        }
    }

    /// Go's name of the type.
    pub(crate) fn go_type(&self) -> &str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Float(_) => "float64",
            Self::Str(_) | Self::Bytes(_) => "string",
            Self::List(list) => list.go_type,
            Self::Map(map) => map.go_type,
            Self::Obj(object) => object.go_type(),
        }
    }

    /// Go's name of the kind, as sprig's `kindOf` says it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Float(_) => "float64",
            Self::Str(_) | Self::Bytes(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Obj(object) => object.kind(),
        }
    }

    /// Whether `if` takes the value for true: neither nil, false, zero nor empty.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Uint(n) => *n != 0,
            Self::Float(f) => *f != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Obj(object) => object.truth(),
        }
    }

    /// What `len` says, if the value has a length. Of strings: bytes.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Str(text) => Some(text.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::List(list) => Some(list.items.len()),
            Self::Map(map) => Some(map.entries.len()),
            Self::Obj(object) => object.len(),
            _ => None,
        }
    }

    /// The bytes of a string.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Str(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An object that stands for a plain list or map as that; everything else as it is.
    pub(crate) fn plain(&self) -> Self {
        match self {
            Self::Obj(object) => object.plain().unwrap_or_else(|| self.clone()),
            other => other.clone(),
        }
    }

    /// Whether two values are deeply equal, as Go's `reflect.DeepEqual` says but for widths.
    pub(crate) fn deep_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                Arc::ptr_eq(a, b)
                    || (a.items.len() == b.items.len()
                        && a.items.iter().zip(&b.items).all(|(a, b)| a.deep_equal(b)))
            }
            (Self::Map(a), Self::Map(b)) => {
                Arc::ptr_eq(a, b)
                    || (a.entries.len() == b.entries.len()
                        && a.entries
                            .iter()
                            .zip(&b.entries)
                            .all(|((ka, a), (kb, b))| ka == kb && a.deep_equal(b)))
            }
            (Self::Obj(a), Self::Obj(b)) => {
                Arc::ptr_eq(a, b)
                    || match (a.plain(), b.plain()) {
                        (Some(a), Some(b)) => a.deep_equal(&b),
                        _ => fmt::text(self) == fmt::text(other),
                    }
            }
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Self {
        Self::Float(f)
    }
}
