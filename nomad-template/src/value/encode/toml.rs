//! TOML as the Go library that consul-template uses writes it: sorted, plain keys before tables, tables indented.

use crate::functions::FuncError;
use crate::value::fmt::{MAX_TEXT, float_f};
use crate::value::{Map, Value};

/// Writes a map as a TOML document, without a final newline.
pub(crate) fn write(value: &Value) -> Result<String, FuncError> {
    match value.plain() {
        Value::Map(map) => {
            let mut writer = Writer { out: String::new() };
            writer.table(&map, &mut Vec::new())?;
            Ok(writer.out.trim().to_owned())
        }
        other => Err(FuncError::new(format!(
            "toTOML: a document is a map with keys, not {}",
            other.go_type()
        ))),
    }
}

struct Writer {
    out: String,
}

/// Whether the value becomes a `[table]` of its own.
fn is_table(value: &Value) -> bool {
    matches!(value, Value::Map(_))
}

/// Whether the value becomes a sequence of `[[tables]]`.
fn is_table_list(value: &Value) -> bool {
    matches!(value, Value::List(list) if !list.items.is_empty() && list.items.iter().all(|v| is_table(&v.plain())))
}

impl Writer {
    fn table(&mut self, map: &Map, path: &mut Vec<String>) -> Result<(), FuncError> {
        if self.out.len() > MAX_TEXT {
            return Err(FuncError::new("the TOML text is too long"));
        }
        let entries: Vec<(&str, Value)> =
            map.entries.iter().map(|(k, v)| (&**k, v.plain())).collect();
        let indent = "  ".repeat(path.len());
        for (key, value) in &entries {
            if matches!(value, Value::Nil) || is_table(value) || is_table_list(value) {
                continue;
            }
            self.out.push_str(&indent);
            self.out.push_str(&bare_or_quoted(key));
            self.out.push_str(" = ");
            self.inline(value)?;
            self.out.push('\n');
        }
        for (key, value) in &entries {
            if let Value::Map(inner) = value {
                self.header(path, key, "[", "]");
                path.push(bare_or_quoted(key));
                self.table(inner, path)?;
                path.pop();
            } else if is_table_list(value)
                && let Value::List(list) = value
            {
                for item in &list.items {
                    self.header(path, key, "[[", "]]");
                    if let Value::Map(inner) = item.plain() {
                        path.push(bare_or_quoted(key));
                        self.table(&inner, path)?;
                        path.pop();
                    }
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, path: &[String], key: &str, open: &str, close: &str) {
        if path.is_empty() && !self.out.is_empty() || open == "[[" {
            self.out.push('\n');
        }
        self.out.push_str(&"  ".repeat(path.len()));
        self.out.push_str(open);
        for part in path {
            self.out.push_str(part);
            self.out.push('.');
        }
        self.out.push_str(&bare_or_quoted(key));
        self.out.push_str(close);
        self.out.push('\n');
    }

    fn inline(&mut self, value: &Value) -> Result<(), FuncError> {
        if self.out.len() > MAX_TEXT {
            return Err(FuncError::new("the TOML text is too long"));
        }
        match value {
            Value::Nil => {
                return Err(FuncError::new("toTOML: a list cannot hold nil"));
            }
            Value::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) => self.out.push_str(&n.to_string()),
            Value::Uint(n) => self.out.push_str(&n.to_string()),
            Value::Float(f) if f.is_nan() => self.out.push_str("nan"),
            Value::Float(f) if f.is_infinite() => {
                self.out.push_str(if *f > 0.0 { "inf" } else { "-inf" });
            }
            Value::Float(f) => {
                let text = float_f(*f, None);
                self.out.push_str(&text);
                if !text.contains('.') {
                    self.out.push_str(".0");
                }
            }
            Value::Str(_) | Value::Bytes(_) => {
                quote_into(&mut self.out, &crate::value::fmt::text(value))
            }
            Value::List(list) => {
                self.out.push('[');
                for (i, item) in list.items.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.inline(&item.plain())?;
                }
                self.out.push(']');
            }
            Value::Map(map) => {
                self.out.push('{');
                for (i, (key, item)) in map.entries.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.out.push_str(&bare_or_quoted(key));
                    self.out.push_str(" = ");
                    self.inline(&item.plain())?;
                }
                self.out.push('}');
            }
            Value::Obj(object) => quote_into(&mut self.out, &object.display()),
        }
        Ok(())
    }
}

fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare {
        return key.to_owned();
    }
    let mut out = String::new();
    quote_into(&mut out, key);
    out
}

fn quote_into(out: &mut String, text: &str) {
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
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                push!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
