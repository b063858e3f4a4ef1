//! The names that an expression can use.

use std::sync::Arc;

use crate::value::Value;

/// Names with their values, the innermost first. Cheap to copy and to extend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope(Option<Arc<Frame>>);

#[derive(Debug)]
struct Frame {
    name: String,
    value: Value,
    outer: Scope,
}

impl Scope {
    /// This scope and one name more, which hides others of that name.
    pub(crate) fn with(&self, name: &str, value: Value) -> Self {
        Self(Some(Arc::new(Frame {
            name: name.to_owned(),
            value,
            outer: self.clone(),
        })))
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let mut at = self;
        while let Some(frame) = &at.0 {
            if frame.name == name {
                return Some(&frame.value);
            }
            at = &frame.outer;
        }
        None
    }
}
