//! JSON as Go's `encoding/json` reads and writes it.

use std::sync::Arc;

use crate::functions::FuncError;
use crate::value::fmt::{MAX_TEXT, float_json};
use crate::value::{ANY_LIST, ANY_MAP, Value};

/// How to write.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style<'a> {
    /// Escape `<`, `>` and `&`, as Go does unless told otherwise.
    pub(crate) html: bool,
    /// Indentation of one level; none for one line.
    pub(crate) indent: Option<&'a str>,
}

/// Reads JSON text. Numbers become floats, as in Go.
pub(crate) fn read(text: &str) -> Result<Value, FuncError> {
    let parsed: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| FuncError::new(format!("invalid JSON: {error}")))?;
    Ok(from_serde(parsed))
}

/// Go's view of parsed JSON.
pub(crate) fn from_serde(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(s) => Value::from(s),
        serde_json::Value::Array(items) => {
            Value::typed_list(ANY_LIST, items.into_iter().map(from_serde).collect())
        }
        serde_json::Value::Object(entries) => Value::typed_map(
            ANY_MAP,
            entries
                .into_iter()
                .map(|(k, v)| (Arc::from(k), from_serde(v)))
                .collect(),
        ),
    }
}

/// The value for the Tera engine, whose values are parsed JSON.
pub(crate) fn to_serde(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::Uint(n) => (*n).into(),
        Value::Float(f) => (*f).into(),
        Value::Str(s) => (&**s).into(),
        Value::Bytes(b) => String::from_utf8_lossy(b).into_owned().into(),
        Value::List(list) => list.items.iter().map(to_serde).collect(),
        Value::Map(map) => serde_json::Value::Object(
            map.entries
                .iter()
                .map(|(k, v)| (k.to_string(), to_serde(v)))
                .collect(),
        ),
        Value::Obj(object) => match object.plain() {
            Some(plain) => to_serde(&plain),
            None => object.display().into(),
        },
    }
}

/// A value that came from Tera: integers stay integers.
pub(crate) fn from_tera(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::Uint(n),
            (None, None) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_tera).collect()),
        serde_json::Value::Object(entries) => Value::map(
            entries
                .iter()
                .map(|(k, v)| (Arc::from(k.as_str()), from_tera(v)))
                .collect(),
        ),
        other => from_serde(other.clone()),
    }
}

/// Writes the value as `json.Marshal` does.
pub(crate) fn write(value: &Value, style: Style<'_>) -> Result<String, FuncError> {
    let mut out = String::new();
    write_into(&mut out, value, style, 0)?;
    Ok(out)
}

fn write_into(
    out: &mut String,
    value: &Value,
    style: Style<'_>,
    level: usize,
) -> Result<(), FuncError> {
    if out.len() > MAX_TEXT {
        return Err(FuncError::new("the JSON text is too long"));
    }
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Uint(n) => out.push_str(&n.to_string()),
        Value::Float(f) => match float_json(*f) {
            Some(text) => out.push_str(&text),
            None => return Err(FuncError::new("json: unsupported value: not a number")),
        },
        Value::Str(text) => quote_into(out, text, style.html),
        Value::Bytes(bytes) => quote_into(out, &String::from_utf8_lossy(bytes), style.html),
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                new_line(out, style, level + 1);
                write_into(out, item, style, level + 1)?;
            }
            if !list.items.is_empty() {
                new_line(out, style, level);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let entries = map.entries.iter().map(|(k, v)| (&**k, v));
            write_object(out, entries, style, level)?;
        }
        Value::Obj(object) => {
            if let Some(record) = object.as_any().downcast_ref::<crate::value::Record>() {
                let entries = record.fields.iter().map(|(k, v)| (*k, v));
                write_object(out, entries, style, level)?;
            } else if let Some(plain) = object.plain() {
                write_into(out, &plain, style, level)?;
            } else {
                quote_into(out, &object.display(), style.html);
            }
        }
    }
    Ok(())
}

fn write_object<'a>(
    out: &mut String,
    entries: impl Iterator<Item = (&'a str, &'a Value)>,
    style: Style<'_>,
    level: usize,
) -> Result<(), FuncError> {
    out.push('{');
    let mut first = true;
    for (key, item) in entries {
        if !first {
            out.push(',');
        }
        first = false;
        new_line(out, style, level + 1);
        quote_into(out, key, style.html);
        out.push(':');
        if style.indent.is_some() {
            out.push(' ');
        }
        write_into(out, item, style, level + 1)?;
    }
    if !first {
        new_line(out, style, level);
    }
    out.push('}');
    Ok(())
}

fn new_line(out: &mut String, style: Style<'_>, level: usize) {
    if let Some(indent) = style.indent {
        out.push('\n');
        for _ in 0..level {
            out.push_str(indent);
        }
    }
}

fn quote_into(out: &mut String, text: &str, html: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html => push!(out, "\\u{:04x}", c as u32),
            '\u{2028}' | '\u{2029}' => push!(out, "\\u{:04x}", c as u32),
            c if (c as u32) < 0x20 => push!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
}
