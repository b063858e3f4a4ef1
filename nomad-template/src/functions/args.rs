//! How functions take their arguments: with Go's type checks and messages.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Call, FuncError, VarItem};
use crate::value::{Map, Value};

impl Call<'_> {
    /// The argument at `i`; nil if it was left out.
    pub(super) fn get(&self, i: usize) -> &Value {
        self.args.get(i).unwrap_or(&Value::Nil)
    }

    /// Whether there is an argument at `i`.
    pub(super) fn has(&self, i: usize) -> bool {
        i < self.args.len()
    }

    fn wrong(&self, i: usize, want: &str) -> FuncError {
        FuncError::new(format!(
            "wrong type for argument {} of {}: expected {want}, got {}",
            i + 1,
            self.name,
            self.get(i).go_type()
        ))
    }

    /// A string argument. What is not UTF-8 is replaced; see [`Self::bytes`].
    pub(super) fn str(&self, i: usize) -> Result<Cow<'_, str>, FuncError> {
        let bytes = self.bytes(i)?;
        Ok(match bytes {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    /// A string argument as bytes.
    pub(super) fn bytes(&self, i: usize) -> Result<Cow<'_, [u8]>, FuncError> {
        let value = self.get(i);
        if let Some(bytes) = value.bytes() {
            return Ok(Cow::Borrowed(bytes));
        }
        if let Value::Obj(object) = value
            && let Some(item) = object.as_any().downcast_ref::<VarItem>()
        {
            // The reference refuses an item here, because its Go type is not string.
            if self.scope.strict_items {
                return Err(self.wrong(i, "string"));
            }
            return Ok(Cow::Owned(item.value().as_bytes().to_vec()));
        }
        Err(self.wrong(i, "string"))
    }

    /// An integer argument.
    pub(super) fn int(&self, i: usize) -> Result<i64, FuncError> {
        match self.get(i) {
            Value::Int(n) => Ok(*n),
            Value::Uint(n) => i64::try_from(*n).map_err(|_| self.wrong(i, "int")),
            _ => Err(self.wrong(i, "int")),
        }
    }

    /// A count that must not be negative and becomes a size.
    pub(super) fn count(&self, i: usize) -> Result<usize, FuncError> {
        let n = self.int(i)?;
        usize::try_from(n).map_err(|_| FuncError::new(format!("{}: {n} is negative", self.name)))
    }

    /// A boolean argument.
    pub(super) fn bool(&self, i: usize) -> Result<bool, FuncError> {
        match self.get(i) {
            Value::Bool(b) => Ok(*b),
            _ => Err(self.wrong(i, "bool")),
        }
    }

    /// The elements of a list argument.
    pub(super) fn list(&self, i: usize) -> Result<Vec<Value>, FuncError> {
        items(self.get(i)).ok_or_else(|| self.wrong(i, "list"))
    }

    /// The elements of a list argument as strings.
    pub(super) fn strings(&self, i: usize) -> Result<Vec<String>, FuncError> {
        let list = self.list(i)?;
        list.iter()
            .map(|item| self.text_of(item).ok_or_else(|| self.wrong(i, "[]string")))
            .collect()
    }

    /// The text of a string or a Variable's item.
    pub(super) fn text_of(&self, value: &Value) -> Option<String> {
        match value {
            Value::Str(text) => Some(text.to_string()),
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Value::Obj(object) if !self.scope.strict_items => object
                .as_any()
                .downcast_ref::<VarItem>()
                .map(|item| item.value().to_owned()),
            _ => None,
        }
    }

    /// A map argument.
    pub(super) fn map(&self, i: usize) -> Result<Arc<Map>, FuncError> {
        match self.get(i).plain() {
            Value::Map(map) => Ok(map),
            _ => Err(self.wrong(i, "map[string]interface {}")),
        }
    }
}

/// The elements of what can be gone through as a list.
pub(super) fn items(value: &Value) -> Option<Vec<Value>> {
    match value.plain() {
        Value::List(list) => Some(list.items.clone()),
        Value::Obj(object) => {
            let (from, to) = object.int_range()?;
            // A range is lazy; as a list it must be of reasonable length.
            (to.saturating_sub(from) <= MAX_RANGE_LIST)
                .then(|| (from..to).map(Value::Int).collect())
        }
        _ => None,
    }
}

/// Longest range that is made into a list.
const MAX_RANGE_LIST: i64 = 1_000_000;
