//! Conversion of values to types: lenient between string, number and bool, structural for collections.

use std::fmt::Write as _;

use super::{Number, Type, Value, unify};

/// Why a value does not convert, and where inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConvertError {
    /// Steps from the outside in.
    path: Vec<String>,
    message: String,
}

impl ConvertError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            message: message.into(),
        }
    }

    fn within(mut self, step: String) -> Self {
        self.path.insert(0, step);
        self
    }
}

impl std::fmt::Display for ConvertError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut path = String::new();
        for step in &self.path {
            let _ = write!(path, "{step}: ");
        }
        write!(f, "{path}{}", self.message)
    }
}

/// The value as one of the type.
pub(crate) fn convert(value: &Value, to: &Type) -> Result<Value, ConvertError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    match to {
        Type::Dynamic => Ok(value.clone()),
        Type::String => to_string(value),
        Type::Number => to_number(value),
        Type::Bool => to_bool(value),
        Type::List(of) => {
            let Some(items) = value.elements() else {
                return Err(ConvertError::new(to.required()));
            };
            Ok(Value::list(elements(items, of, to)?))
        }
        Type::Set(of) => {
            let Some(items) = value.elements() else {
                return Err(ConvertError::new(to.required()));
            };
            Ok(Value::set(elements(items, of, to)?))
        }
        Type::Map(of) => to_map(value, of, to),
        Type::Tuple(types) => to_tuple(value, types, to),
        Type::Object(types) => to_object(value, types, to),
    }
}

fn to_string(value: &Value) -> Result<Value, ConvertError> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Number(number) => Ok(Value::from(number.to_string())),
        Value::Bool(value) => Ok(Value::from(if *value { "true" } else { "false" })),
        _ => Err(ConvertError::new(Type::String.required())),
    }
}

fn to_number(value: &Value) -> Result<Value, ConvertError> {
    match value {
        Value::Number(_) => Ok(value.clone()),
        Value::String(text) => Number::parse(text)
            .map(Value::Number)
            .ok_or_else(|| ConvertError::new(Type::Number.required())),
        _ => Err(ConvertError::new(Type::Number.required())),
    }
}

fn to_bool(value: &Value) -> Result<Value, ConvertError> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) => match &**text {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            "True" | "TRUE" => Err(ConvertError::new(
                "a bool is required; to convert from string, use lowercase \"true\"",
            )),
            "False" | "FALSE" => Err(ConvertError::new(
                "a bool is required; to convert from string, use lowercase \"false\"",
            )),
            _ => Err(ConvertError::new(Type::Bool.required())),
        },
        _ => Err(ConvertError::new(Type::Bool.required())),
    }
}

/// All items as the element type; with an unknown one, as the type that they have in common.
fn elements(items: &[Value], of: &Type, whole: &Type) -> Result<Vec<Value>, ConvertError> {
    let common;
    let of = if *of == Type::Dynamic {
        common = unify(&items.iter().map(Type::of).collect::<Vec<_>>()).ok_or_else(|| {
            ConvertError::new(format!(
                "all {} elements must have the same type",
                kind(whole)
            ))
        })?;
        &common
    } else {
        of
    };
    items
        .iter()
        .enumerate()
        .map(|(at, item)| convert(item, of).map_err(|error| error.within(format!("element {at}"))))
        .collect()
}

const fn kind(of: &Type) -> &'static str {
    match of {
        Type::Set(_) => "set",
        Type::Map(_) => "map",
        _ => "list",
    }
}

fn to_map(value: &Value, of: &Type, whole: &Type) -> Result<Value, ConvertError> {
    let Some(members) = value.members() else {
        return Err(ConvertError::new(whole.required()));
    };
    let items: Vec<Value> = members.values().cloned().collect();
    let common;
    let of = if *of == Type::Dynamic {
        common = unify(&items.iter().map(Type::of).collect::<Vec<_>>())
            .ok_or_else(|| ConvertError::new("all map elements must have the same type"))?;
        &common
    } else {
        of
    };
    let converted = members
        .iter()
        .map(|(name, item)| {
            let item =
                convert(item, of).map_err(|error| error.within(format!("element {name:?}")))?;
            Ok((name.clone(), item))
        })
        .collect::<Result<_, ConvertError>>()?;
    Ok(Value::map(converted))
}

fn to_tuple(value: &Value, types: &[Type], whole: &Type) -> Result<Value, ConvertError> {
    let Value::Tuple(items) = value else {
        return Err(ConvertError::new(whole.required()));
    };
    if items.len() != types.len() {
        return Err(ConvertError::new(format!(
            "a tuple of {} elements is required",
            types.len()
        )));
    }
    let items = items
        .iter()
        .zip(types)
        .enumerate()
        .map(|(at, (item, of))| {
            convert(item, of).map_err(|error| error.within(format!("element {at}")))
        })
        .collect::<Result<_, _>>()?;
    Ok(Value::tuple(items))
}

/// Attributes that the type does not name are dropped.
fn to_object(
    value: &Value,
    types: &std::collections::BTreeMap<String, Type>,
    whole: &Type,
) -> Result<Value, ConvertError> {
    let Some(members) = value.members() else {
        return Err(ConvertError::new(whole.required()));
    };
    let missing: Vec<String> = types
        .keys()
        .filter(|name| !members.contains_key(*name))
        .map(|name| format!("{name:?}"))
        .collect();
    match missing.len() {
        0 => {}
        1 => {
            return Err(ConvertError::new(format!(
                "attribute {} is required",
                missing[0]
            )));
        }
        _ => {
            return Err(ConvertError::new(format!(
                "attributes {} are required",
                missing.join(", ")
            )));
        }
    }
    let converted = types
        .iter()
        .map(|(name, of)| {
            let item = convert(&members[name], of)
                .map_err(|error| error.within(format!("attribute {name:?}")))?;
            Ok((name.clone(), item))
        })
        .collect::<Result<_, ConvertError>>()?;
    Ok(Value::object(converted))
}
