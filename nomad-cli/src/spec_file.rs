//! Specification files in HCL, as JSON: keys with plain values, and blocks without labels. No expressions.

use anyhow::{Result, anyhow, bail};
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::{Element, Template};
use serde_json::{Map, Value};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// The file's keys; a block is an object under its name.
///
/// # Errors
/// The text is no HCL, or has something that is no plain value.
pub fn from_hcl(text: &str) -> Result<Map<String, Value>> {
    let body: Body = hcl_edit::parser::parse_body(text)
        .map_err(|error| anyhow!("line {}: {}", error.location().line(), error.message()))?;
    object(&body, 0)
}

fn object(body: &Body, depth: usize) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for structure in body {
        let (key, value) = match structure {
            Structure::Attribute(attribute) => (
                attribute.key.as_str(),
                plain(attribute.key.as_str(), &attribute.value, depth)?,
            ),
            Structure::Block(block) => {
                let key = block.ident.as_str();
                if !block.labels.is_empty() {
                    bail!("block {key:?} takes no label");
                }
                if depth >= MAX_DEPTH {
                    bail!("block {key:?} is nested deeper than {MAX_DEPTH} levels");
                }
                (key, Value::Object(object(&block.body, depth + 1)?))
            }
        };
        if map.insert(key.to_owned(), value).is_some() {
            bail!("{key:?} is given twice");
        }
    }
    Ok(map)
}

fn plain(key: &str, expression: &Expression, depth: usize) -> Result<Value> {
    if depth >= MAX_DEPTH {
        bail!("{key:?} is nested deeper than {MAX_DEPTH} levels");
    }
    Ok(match expression {
        Expression::Null(_) => Value::Null,
        Expression::Bool(value) => Value::Bool(*value.value()),
        Expression::Number(number) => {
            let number = number.value();
            match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => value.into(),
                (None, Some(value)) => value.into(),
                _ => number.as_f64().unwrap_or(0.0).into(),
            }
        }
        Expression::String(text) => Value::String(text.value().clone()),
        Expression::HeredocTemplate(heredoc) => literal(key, &heredoc.template)?,
        Expression::Array(items) => {
            let items = items.iter().map(|item| plain(key, item, depth + 1));
            Value::Array(items.collect::<Result<_>>()?)
        }
        Expression::Object(object) => {
            let mut map = Map::new();
            for (name, value) in object {
                let name = match name {
                    ObjectKey::Ident(name) => name.as_str().to_owned(),
                    ObjectKey::Expression(Expression::String(text)) => text.value().clone(),
                    ObjectKey::Expression(_) => {
                        bail!("a key in {key:?} must be a name or a quoted string")
                    }
                };
                let value = plain(&name, value.expr(), depth + 1)?;
                if map.insert(name.clone(), value).is_some() {
                    bail!("{name:?} is given twice");
                }
            }
            Value::Object(map)
        }
        Expression::Parenthesis(inner) => plain(key, inner.inner(), depth + 1)?,
        _ => bail!("{key:?} must be a plain value: expressions are not possible here"),
    })
}

fn literal(key: &str, template: &Template) -> Result<Value> {
    let mut text = String::new();
    for element in template {
        match element {
            Element::Literal(part) => text.push_str(part.value()),
            _ => bail!("{key:?} must be a plain value: expressions are not possible here"),
        }
    }
    Ok(Value::String(text))
}

/// A string as HCL writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => {
                out.push(c);
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether HCL takes the text as a name without quotes.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_and_blocks_become_an_object() {
        let text = "# note\na = \"x\"\nb = 3\nc { d = [true, null] }\ne = { \"f g\" = \"h\" }\n";
        let expected = json!({"a": "x", "b": 3, "c": {"d": [true, null]}, "e": {"f g": "h"}});
        assert_eq!(Value::Object(from_hcl(text).unwrap()), expected);
    }

    #[test]
    fn what_is_no_plain_value_is_refused() {
        for text in [
            "a = b",
            "a = \"x${y}\"",
            "a = ",
            "c \"label\" {}",
            "a = 1\na = 2",
        ] {
            assert!(from_hcl(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quoted_text_reads_back() {
        for text in ["", "a\"b\\c", "${x} %{y} $z", "line\nend\t\u{1}", "größe"] {
            let read = from_hcl(&format!("a = {}", quoted(text))).unwrap();
            assert_eq!(read["a"], text);
        }
    }
}
