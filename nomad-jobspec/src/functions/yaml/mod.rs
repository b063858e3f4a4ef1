//! YAML: written as HCL's function writes it, read as far as configuration files use it.
//!
//! Read: block and flow collections, plain, quoted, literal and folded scalars, comments, anchors and aliases, the
//! core schema's scalars, one document. Not read: tags other than the core ones, complex keys, several documents.

mod cursor;
mod read;

use super::args::{Args, Outcome, bad};
use crate::value::{Value, to_json_text};

pub(super) fn yamldecode(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    read::parse(&text).map_err(|error| bad(0, format!("on line {}: {}", error.line, error.message)))
}

pub(super) fn yamlencode(args: &Args<'_>) -> Outcome {
    let mut text = String::new();
    block(&mut text, args.get(0), 0, false);
    Args::check_text(text.len())?;
    Ok(text.into())
}

/// Writes a value; `inline` says that the line has begun already.
fn block(text: &mut String, value: &Value, indent: usize, inline: bool) {
    let margin = "  ".repeat(indent);
    if let Some(items) = value.elements() {
        if items.is_empty() {
            text.push_str("[]\n");
            return;
        }
        for (at, item) in items.iter().enumerate() {
            if at > 0 || !inline {
                text.push_str(&margin);
            }
            text.push_str("- ");
            block(text, item, indent + 1, true);
        }
    } else if let Some(members) = value.members() {
        if members.is_empty() {
            text.push_str("{}\n");
            return;
        }
        for (at, (name, item)) in members.iter().enumerate() {
            if at > 0 || !inline {
                text.push_str(&margin);
            }
            text.push_str(&to_json_text(&Value::from(name.as_str())));
            text.push(':');
            match item
                .elements()
                .map(<[Value]>::len)
                .or_else(|| item.members().map(std::collections::BTreeMap::len))
            {
                Some(1..) => {
                    text.push('\n');
                    // Lists stand at the margin of their key, maps one step further in.
                    block(
                        text,
                        item,
                        if item.elements().is_some() {
                            indent
                        } else {
                            indent + 1
                        },
                        false,
                    );
                }
                _ => {
                    text.push(' ');
                    block(text, item, indent + 1, true);
                }
            }
        }
    } else {
        scalar(text, value, &margin);
        text.push('\n');
    }
}

fn scalar(text: &mut String, value: &Value, margin: &str) {
    match value {
        Value::String(string) if string.contains('\n') && is_literal_safe(string) => {
            let chomp = if string.ends_with('\n') { "" } else { "-" };
            text.push('|');
            text.push_str(chomp);
            for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
                text.push('\n');
                if !line.is_empty() {
                    text.push_str(if margin.is_empty() { "  " } else { margin });
                    text.push_str(line);
                }
            }
        }
        _ => text.push_str(
            &to_json_text(value)
                .replace("\\u003c", "<")
                .replace("\\u003e", ">")
                .replace("\\u0026", "&"),
        ),
    }
}

/// Whether a text can stand as a literal block as it is.
fn is_literal_safe(text: &str) -> bool {
    !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && text
            .chars()
            .all(|c| c == '\n' || (!c.is_control() && c != '\u{feff}'))
}
