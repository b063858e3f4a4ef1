//! Values of expressions in a driver's configuration.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

/// A value or a tree of names that ends in values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// A plain value.
    Value(Value),
    /// A prefix of known names, such as `attr.kernel`: an object when asked for whole.
    Object(BTreeMap<String, String>),
}

impl Operand {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Value(Value::String(text.into()))
    }

    /// As JSON.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, value)| (key, Value::String(value)))
                    .collect(),
            ),
        }
    }
}

/// As HCL turns a value into text within a template; `None` for lists, objects and null.
pub(super) fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number_text(number)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// As HCL turns a value into a number.
pub(super) fn to_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

/// As HCL turns a value into true or false.
pub(super) fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

/// A number as a value: integral ones without a fraction.
pub(super) fn number(n: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if n.fract() == 0.0 && n.abs() < EXACT {
        Value::from(n as i64)
    } else {
        Number::from_f64(n).map_or(Value::Null, Value::Number)
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(n) if number.is_f64() && n.fract() == 0.0 && n.abs() < 1e15 => format!("{n:.0}"),
        _ => number.to_string(),
    }
}
