//! What a function gets: its arguments, and ways to take them as what it needs.

use super::{MAX_ELEMENTS, MAX_TEXT};
use crate::expr::Evaluator;
use crate::value::{Number, Type, Value, convert};

/// Why a call failed: because of one argument, or as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArgError {
    pub(super) at: Option<usize>,
    pub(super) message: String,
}

impl From<String> for ArgError {
    fn from(message: String) -> Self {
        Self { at: None, message }
    }
}

impl From<&str> for ArgError {
    fn from(message: &str) -> Self {
        Self {
            at: None,
            message: message.to_owned(),
        }
    }
}

impl From<crate::host::HostError> for ArgError {
    fn from(error: crate::host::HostError) -> Self {
        Self {
            at: None,
            message: error.0,
        }
    }
}

/// The error that the argument at `at` is wrong.
pub(super) fn bad(at: usize, message: impl Into<String>) -> ArgError {
    ArgError {
        at: Some(at),
        message: message.into(),
    }
}

/// A function's result.
pub(super) type Outcome = Result<Value, ArgError>;

/// The arguments of one call.
pub(super) struct Args<'a> {
    pub(super) values: Vec<Value>,
    pub(super) evaluator: &'a Evaluator<'a>,
}

impl Args<'_> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, at: usize) -> &Value {
        &self.values[at]
    }

    fn converted(&self, at: usize, to: &Type) -> Result<Value, ArgError> {
        convert(self.get(at), to).map_err(|error| bad(at, error.to_string()))
    }

    pub(super) fn string(&self, at: usize) -> Result<std::sync::Arc<str>, ArgError> {
        match self.converted(at, &Type::String)? {
            Value::String(text) => Ok(text),
            _ => Err(bad(at, "argument must not be null")),
        }
    }

    pub(super) fn number(&self, at: usize) -> Result<Number, ArgError> {
        match self.converted(at, &Type::Number)? {
            Value::Number(number) => Ok(number),
            _ => Err(bad(at, "argument must not be null")),
        }
    }

    /// A whole number that fits.
    pub(super) fn int(&self, at: usize) -> Result<i64, ArgError> {
        self.number(at)?
            .to_i64()
            .ok_or_else(|| bad(at, "a whole number is required"))
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self, at: usize) -> Result<usize, ArgError> {
        usize::try_from(self.int(at)?).map_err(|_| bad(at, "must not be negative"))
    }

    /// The elements of a list, set or tuple.
    pub(super) fn elements(&self, at: usize) -> Result<&[Value], ArgError> {
        self.get(at)
            .elements()
            .ok_or_else(|| bad(at, "list, set or tuple required"))
    }

    /// The elements as strings.
    pub(super) fn strings(&self, at: usize) -> Result<Vec<String>, ArgError> {
        let list = self.converted(at, &Type::List(Type::String.into()))?;
        let items = list.elements().unwrap_or_default();
        items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| bad(at, format!("element {index} must not be null")))
            })
            .collect()
    }

    /// The members of a map or object.
    pub(super) fn members(
        &self,
        at: usize,
    ) -> Result<&std::collections::BTreeMap<String, Value>, ArgError> {
        self.get(at)
            .members()
            .ok_or_else(|| bad(at, "map or object required"))
    }

    /// Whether a text may become this long.
    pub(super) fn check_text(length: usize) -> Result<(), ArgError> {
        if length > MAX_TEXT {
            return Err(format!("the result would be longer than {MAX_TEXT} bytes").into());
        }
        Ok(())
    }

    /// Whether a collection may become this long.
    pub(super) fn check_elements(count: usize) -> Result<(), ArgError> {
        if count > MAX_ELEMENTS {
            return Err(format!("the result would have more than {MAX_ELEMENTS} elements").into());
        }
        Ok(())
    }
}
