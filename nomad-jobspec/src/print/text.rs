//! Texts, numbers and durations as they stand in a job file.

use std::fmt::Write as _;

use crate::syntax::scan::{is_identifier_continue, is_identifier_start};

/// First names of references that only a client resolves.
const RUNTIME: [&str; 4] = ["node.", "attr.", "meta.", "NOMAD_"];

/// A text in quotes. References for the client are left as they are, all other signs of templates are made plain.
pub(super) fn quoted(text: &str) -> String {
    write(text, true)
}

/// A label: quoted, but no template.
pub(super) fn label(text: &str) -> String {
    write(text, false)
}

fn write(text: &str, template: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if text[at + 1..].starts_with('{') => {
                if !(template && c == '$' && is_reference(text, at)) {
                    quoted.push(c);
                }
                quoted.push(c);
            }
            c if c.is_control() || is_separator(c) => {
                let _ = write!(quoted, "\\U{:08x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Line separators that an editor may take for the end of the line.
const fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether `${node.class}` or the like starts here, such as reads back as it is.
fn is_reference(text: &str, at: usize) -> bool {
    // Behind a `$` it would be read as a plain text.
    if text[..at].ends_with('$') {
        return false;
    }
    let inner = &text[at + 2..];
    let Some(end) = inner.find('}') else {
        return false;
    };
    let (name, after) = (&inner[..end], &inner[end + 1..]);
    let parts_are_names = name.split('.').all(|part| {
        part.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
            && part.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
    });
    parts_are_names && !after.starts_with('}') && RUNTIME.iter().any(|root| name.starts_with(root))
}

/// A number with all its digits.
pub(super) fn number(number: &serde_json::Number) -> String {
    number.to_string()
}

/// A duration in the largest unit that divides it.
pub(super) fn span(nanos: i64) -> String {
    for (unit, name) in [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
    ] {
        if nanos != 0 && nanos % unit == 0 {
            return format!("{}{name}", nanos / unit);
        }
    }
    if nanos == 0 {
        return "0s".to_owned();
    }
    format!("{nanos}ns")
}

/// Whether a text can stand left of `=` in a body.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(is_identifier_start) && text.chars().all(is_identifier_continue)
}
