//! Values with fields and methods of their own: records, Variables, the scratch, times.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::{Value, fmt};
use crate::functions::FuncError;

/// What a value with its own fields and methods answers.
pub(crate) trait Object: Debug + Send + Sync {
    /// Go's name of the type.
    fn go_type(&self) -> &str;

    /// Go's name of the kind.
    fn kind(&self) -> &'static str {
        "struct"
    }

    /// The field or method `name`, called with `args`. `None` if there is none of that name.
    ///
    /// # Errors
    /// If there is one but these arguments do not fit, or the method fails.
    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError>;

    /// How `%v` prints it.
    fn display(&self) -> String;

    /// Whether `if` takes it for true.
    fn truth(&self) -> bool {
        true
    }

    /// Its length, if it has one.
    fn len(&self) -> Option<usize> {
        None
    }

    /// How deep lists and maps nest in it.
    fn depth(&self) -> u32 {
        1
    }

    /// The list, map or string that it stands for, if any: what range, index and the encoders see.
    fn plain(&self) -> Option<Value> {
        None
    }

    /// A key that is not there, if the object is a map: what a missing key yields.
    fn missing_key(&self) -> Option<Value> {
        None
    }

    /// A half-open range of integers to loop over, if it is one: so that it need not be built.
    fn int_range(&self) -> Option<(i64, i64)> {
        None
    }

    /// For downcasts within the crate.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// A Go struct: named fields in order.
#[derive(Debug)]
pub(crate) struct Record {
    /// Go's name of the type.
    pub(crate) go_type: &'static str,
    /// Fields in the order they are printed.
    pub(crate) fields: Vec<(&'static str, Value)>,
}

impl Object for Record {
    fn go_type(&self) -> &str {
        self.go_type
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        let field = self.fields.iter().find(|(field, _)| *field == name);
        no_args(name, args, field.map(|(_, value)| value.clone()))
    }

    fn display(&self) -> String {
        let texts: Vec<String> = self.fields.iter().map(|(_, v)| fmt::text(v)).collect();
        format!("{{{}}}", texts.join(" "))
    }

    fn depth(&self) -> u32 {
        1 + self
            .fields
            .iter()
            .map(|(_, v)| v.depth())
            .max()
            .unwrap_or(0)
    }

    fn plain(&self) -> Option<Value> {
        let entries: BTreeMap<Arc<str>, Value> = self
            .fields
            .iter()
            .map(|(name, value)| (Arc::from(*name), value.clone()))
            .collect();
        Some(Value::map(entries))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `value`, unless arguments were given to what takes none.
pub(crate) fn no_args(
    name: &str,
    args: &[Value],
    value: Option<Value>,
) -> Result<Option<Value>, FuncError> {
    if value.is_some() && !args.is_empty() {
        return Err(FuncError::new(format!(
            "{name} is not a method but has arguments"
        )));
    }
    Ok(value)
}
