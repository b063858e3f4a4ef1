//! spew: values with their types, for debugging a template.

use super::{Call, Entry, FuncError};
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("spew_dump", "values*", dump_all),
    ("spew_sdump", "values*", dump_all),
    ("spew_printf", "format values*", print),
    ("spew_sprintf", "format values*", print),
];

fn print(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(fmt::sprintf(&c.str(0)?, &c.args[1..]).into())
}

fn dump_all(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut out = String::new();
    for value in c.args {
        dump(&mut out, value, 0);
        out.push('\n');
    }
    Ok(out.into())
}

fn dump(out: &mut String, value: &Value, level: usize) {
    if out.len() > fmt::MAX_TEXT {
        return;
    }
    let pad = " ".repeat(level);
    match value {
        Value::Nil => out.push_str("(interface {}) <nil>"),
        Value::List(list) => {
            let len = list.items.len();
            push!(out, "({}) (len={len} cap={len}) {{\n", list.go_type);
            for (i, item) in list.items.iter().enumerate() {
                out.push_str(&pad);
                out.push(' ');
                dump(out, item, level + 1);
                out.push_str(if i + 1 < len { ",\n" } else { "\n" });
            }
            push!(out, "{pad}}}");
        }
        Value::Map(map) => {
            let len = map.entries.len();
            push!(out, "({}) (len={len}) {{\n", map.go_type);
            for (i, (key, item)) in map.entries.iter().enumerate() {
                push!(
                    out,
                    "{pad} (string) (len={}) {}: ",
                    key.len(),
                    fmt::quote(key)
                );
                dump(out, item, level + 1);
                out.push_str(if i + 1 < len { ",\n" } else { "\n" });
            }
            push!(out, "{pad}}}");
        }
        Value::Str(_) | Value::Bytes(_) => {
            let text = fmt::text(value);
            push!(out, "(string) (len={}) {}", text.len(), fmt::quote(&text));
        }
        other => push!(out, "({}) {}", other.go_type(), fmt::text(other)),
    }
}
