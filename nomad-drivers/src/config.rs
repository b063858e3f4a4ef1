//! The shape of a driver's configuration, and decoding with every mistake named.

use nomad_core::job::AnyMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// Where, for example `config.args[2]`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// A mistake at a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text; numbers and booleans are taken as their text.
    String,
    /// `true` or `false`, also as text.
    Bool,
    /// A whole number, also as text.
    Int,
    /// Text such as `1m30s`.
    Duration,
    /// Any number of such values.
    List(&'static Kind),
    /// Names and texts: a map, or a list of maps, which are merged.
    StringMap,
    /// A list of maps of texts.
    StringMaps,
    /// A block, at most once.
    Block(&'static Schema),
}

/// The fields of a configuration or block.
#[derive(Debug)]
pub struct Schema {
    /// Name, kind, whether it must be there.
    pub fields: &'static [(&'static str, Kind, bool)],
}

/// Checks a configuration and decodes it. Absent fields are left to the target's defaults.
///
/// # Errors
/// Every mistake, with its place under `root`.
pub fn decode<T: DeserializeOwned>(
    schema: &Schema,
    config: &AnyMap,
    root: &str,
) -> Result<T, Vec<FieldError>> {
    let mut errors = Vec::new();
    let map = checked(schema, config, root, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    serde_json::from_value(Value::Object(map))
        .map_err(|e| vec![FieldError::new(root, e.to_string())])
}

fn checked(schema: &Schema, config: &AnyMap, root: &str, errors: &mut Vec<FieldError>) -> AnyMap {
    let mut out = AnyMap::new();
    for (key, value) in config {
        let path = format!("{root}.{key}");
        match schema.fields.iter().find(|(name, ..)| name == key) {
            // An absent value and null are the same.
            Some(_) if value.is_null() => {}
            Some((_, kind, _)) => {
                if let Some(value) = convert(*kind, value, &path, errors) {
                    out.insert(key.clone(), value);
                }
            }
            None => {
                let known: Vec<_> = schema.fields.iter().map(|(name, ..)| *name).collect();
                errors.push(FieldError::new(
                    path,
                    format!("unknown key; known are {}", known.join(", ")),
                ));
            }
        }
    }
    for (name, _, required) in schema.fields {
        if *required && config.get(*name).is_none_or(Value::is_null) {
            errors.push(FieldError::new(format!("{root}.{name}"), "is required"));
        }
    }
    out
}

fn convert(kind: Kind, value: &Value, path: &str, errors: &mut Vec<FieldError>) -> Option<Value> {
    let wrong = |expected: &str, errors: &mut Vec<FieldError>| {
        errors.push(FieldError::new(
            path,
            format!("expected {expected}, found {}", name_of(value)),
        ));
        None
    };
    match kind {
        Kind::String => match text(value) {
            Some(text) => Some(Value::String(text)),
            None => wrong("text", errors),
        },
        Kind::Bool => match (value, value.as_str()) {
            (Value::Bool(_), _) => Some(value.clone()),
            (_, Some("true")) => Some(Value::Bool(true)),
            (_, Some("false")) => Some(Value::Bool(false)),
            _ => wrong("true or false", errors),
        },
        Kind::Int => match whole(value) {
            Some(number) => Some(Value::from(number)),
            None => wrong("a whole number", errors),
        },
        Kind::Duration => match value.as_str().map(nomad_core::time::parse_go_duration) {
            Some(Some(span)) if span.0 >= 0 => Some(Value::from(span.0)),
            Some(_) => wrong("a time span such as \"1m30s\"", errors),
            None => wrong("a time span such as \"1m30s\"", errors),
        },
        Kind::List(item) => match value {
            Value::Array(items) => {
                let each = items.iter().enumerate();
                let converted =
                    each.map(|(n, v)| convert(*item, v, &format!("{path}[{n}]"), errors));
                Some(Value::Array(
                    converted
                        .collect::<Vec<_>>()
                        .into_iter()
                        .flatten()
                        .collect(),
                ))
            }
            _ => wrong("a list", errors),
        },
        Kind::StringMap => match value {
            Value::Object(map) => Some(Value::Object(texts(map, path, errors))),
            Value::Array(maps) if maps.iter().all(Value::is_object) => {
                let all = maps
                    .iter()
                    .filter_map(Value::as_object)
                    .flat_map(|m| texts(m, path, errors));
                Some(Value::Object(all.collect::<Vec<_>>().into_iter().collect()))
            }
            _ => wrong("a map of texts", errors),
        },
        Kind::StringMaps => match value {
            Value::Object(map) => Some(Value::Array(vec![Value::Object(texts(map, path, errors))])),
            Value::Array(maps) if maps.iter().all(Value::is_object) => {
                let each = maps.iter().filter_map(Value::as_object).enumerate();
                let all =
                    each.map(|(n, m)| Value::Object(texts(m, &format!("{path}[{n}]"), errors)));
                Some(Value::Array(all.collect()))
            }
            _ => wrong("a list of maps of texts", errors),
        },
        Kind::Block(schema) => match value {
            Value::Object(map) => Some(Value::Object(checked(schema, map, path, errors))),
            Value::Array(blocks) => match blocks.as_slice() {
                [] => None,
                [Value::Object(map)] => Some(Value::Object(checked(schema, map, path, errors))),
                [_, _, ..] => {
                    errors.push(FieldError::new(
                        path,
                        format!("may be given once, found {} times", blocks.len()),
                    ));
                    None
                }
                _ => wrong("a block", errors),
            },
            _ => wrong("a block", errors),
        },
    }
}

fn texts(map: &AnyMap, path: &str, errors: &mut Vec<FieldError>) -> AnyMap {
    let mut out = AnyMap::new();
    for (key, value) in map {
        if let Some(value) = convert(Kind::String, value, &format!("{path}.{key}"), errors) {
            out.insert(key.clone(), value);
        }
    }
    out
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        // Numbers of jobs that came as JSON are floats.
        Value::Number(number) => {
            Some(whole(value).map_or_else(|| number.to_string(), |n| n.to_string()))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    /// Above this a float has no unit digit.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|f| f.fract() == 0.0 && f.abs() <= MAX_EXACT)
                .map(|f| f as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() <= 40 => format!("{text:?}"),
        Value::String(_) => "a long text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    static INNER: Schema = Schema {
        fields: &[("n", Kind::Int, true)],
    };
    static SCHEMA: Schema = Schema {
        fields: &[
            ("command", Kind::String, true),
            ("args", Kind::List(&Kind::String), false),
            ("on", Kind::Bool, false),
            ("count", Kind::Int, false),
            ("span", Kind::Duration, false),
            ("labels", Kind::StringMap, false),
            ("each", Kind::StringMaps, false),
            ("inner", Kind::Block(&INNER), false),
        ],
    };

    fn run(config: Value) -> Result<Value, Vec<String>> {
        let Value::Object(map) = config else {
            panic!("a map")
        };
        decode::<Value>(&SCHEMA, &map, "config")
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn values_are_converted_as_in_hcl() {
        let config = json!({
            "command": 5.0, "args": ["a", 1, true, 2.5], "on": "true", "count": "7", "span": "1m30s",
            "labels": [{"a": 1}, {"b": "c"}], "each": {"x": "y"}, "inner": [{"n": 3}],
        });
        let expected = json!({
            "command": "5", "args": ["a", "1", "true", "2.5"], "on": true, "count": 7, "span": 90_000_000_000_i64,
            "labels": {"a": "1", "b": "c"}, "each": [{"x": "y"}], "inner": {"n": 3},
        });
        assert_eq!(run(config), Ok(expected));
        assert_eq!(
            run(json!({"command": "c", "args": null})),
            Ok(json!({"command": "c"}))
        );
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let config = json!({
            "args": ["a", ["b"]], "on": "yes", "count": 1.5, "span": "soon", "labels": 3, "inner": [{"m": 1}, {}],
            "comand": "x",
        });
        assert_eq!(
            run(config).expect_err("mistakes"),
            [
                "config.args[1]: expected text, found a list",
                "config.on: expected true or false, found \"yes\"",
                "config.count: expected a whole number, found 1.5",
                "config.span: expected a time span such as \"1m30s\", found \"soon\"",
                "config.labels: expected a map of texts, found 3",
                "config.inner: may be given once, found 2 times",
                "config.comand: unknown key; known are command, args, on, count, span, labels, each, inner",
                "config.command: is required",
            ]
        );
        assert_eq!(
            run(json!({"command": "x", "inner": {"m": 1}})).expect_err("mistakes"),
            [
                "config.inner.m: unknown key; known are n",
                "config.inner.n: is required"
            ]
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-n]{1,2}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_is_either_decoded_or_explained(values in prop::collection::vec(any_value(), 9)) {
            let names = ["command", "args", "on", "count", "span", "labels", "each", "inner", "other"];
            let config = names.iter().map(|n| (*n).to_owned()).zip(values).collect();
            let errors = decode::<Value>(&SCHEMA, &config, "config").expect_err("an unknown key");
            prop_assert!(errors.iter().all(|e| e.path.starts_with("config.") && !e.message.is_empty()));
        }
    }
}
