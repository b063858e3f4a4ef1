//! Go's `fmt`: how values print, and `Sprintf`.

mod number;
mod printf;

pub(crate) use number::{float_f, float_g, float_json};
pub(crate) use printf::sprintf;

use super::Value;

/// Longest text that printing one value makes. More is cut, and the caller's limit refuses it.
///
/// Values share what they hold, so a small value can print without end; this bounds it.
pub(crate) const MAX_TEXT: usize = 32 * 1024 * 1024;

/// `%v` of the value.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => {
            let mut out = String::new();
            write(&mut out, other, Style::default());
            out
        }
    }
}

/// `%v` as bytes: exact also for strings that are not UTF-8.
pub(crate) fn text_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.to_vec(),
        other => text(other).into_bytes(),
    }
}

/// What a template action prints: `%v`, but `<no value>` for nothing.
pub(crate) fn action_text(value: &Value) -> Vec<u8> {
    match value {
        Value::Nil => b"<no value>".to_vec(),
        other => text_bytes(other),
    }
}

/// `fmt.Sprint`: a space between neighbours of which neither is a string.
pub(crate) fn sprint(args: &[Value]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && args[i - 1].bytes().is_none() && arg.bytes().is_none() {
            out.push(' ');
        }
        out.push_str(&text(arg));
    }
    out
}

/// `fmt.Sprintln`.
pub(crate) fn sprintln(args: &[Value]) -> String {
    let texts: Vec<String> = args.iter().map(text).collect();
    texts.join(" ") + "\n"
}

/// Variants of `%v`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// `%+v`: field names.
    pub(super) names: bool,
    /// `%#v`: Go syntax.
    pub(super) syntax: bool,
}

/// Appends `%v` of `value`, at most about [`MAX_TEXT`] bytes.
pub(super) fn write(out: &mut String, value: &Value, style: Style) {
    if out.len() > MAX_TEXT {
        return;
    }
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Uint(n) if style.syntax => push!(out, "{n:#x}"),
        Value::Uint(n) => out.push_str(&n.to_string()),
        Value::Float(f) => out.push_str(&float_g(*f)),
        Value::Str(text) if style.syntax => out.push_str(&quote(text)),
        Value::Str(text) => out.push_str(text),
        Value::Bytes(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
        Value::List(list) => {
            let (open, between, close) = brackets(style, list.go_type, ("[", " ", "]"));
            out.push_str(&open);
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push_str(between);
                }
                write_element(out, item, style);
            }
            out.push_str(close);
        }
        Value::Map(map) => {
            let (open, between, close) = brackets(style, map.go_type, ("map[", " ", "]"));
            out.push_str(&open);
            for (i, (key, item)) in map.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(between);
                }
                if style.syntax {
                    out.push_str(&quote(key));
                } else {
                    out.push_str(key);
                }
                out.push(':');
                write_element(out, item, style);
            }
            out.push_str(close);
        }
        Value::Obj(object) => {
            if style.names
                && let Some(record) = object.as_any().downcast_ref::<super::Record>()
            {
                out.push('{');
                for (i, (name, item)) in record.fields.iter().enumerate() {
                    if i > 0 {
                        out.push(' ');
                    }
                    out.push_str(name);
                    out.push(':');
                    write_element(out, item, style);
                }
                out.push('}');
            } else {
                out.push_str(&object.display());
            }
        }
    }
}

fn write_element(out: &mut String, item: &Value, style: Style) {
    if style.syntax && matches!(item, Value::Nil) {
        out.push_str("interface {}(nil)");
    } else {
        write(out, item, style);
    }
}

fn brackets(
    style: Style,
    go_type: &str,
    plain: (&'static str, &'static str, &'static str),
) -> (String, &'static str, &'static str) {
    if style.syntax {
        (format!("{go_type}{{"), ", ", "}")
    } else {
        (plain.0.to_owned(), plain.1, plain.2)
    }
}

/// `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// Quotes with Go's escapes; `ascii` escapes everything else too.
pub(super) fn quote_with(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        match c {
            c if c == mark || c == '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                push!(out, "\\x{:02x}", c as u32);
            }
            c if ascii && !c.is_ascii() || !printable(c) => {
                let code = c as u32;
                if code < 0x10000 {
                    push!(out, "\\u{code:04x}");
                } else {
                    push!(out, "\\U{code:08x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push(mark);
    out
}

/// An approximation of `strconv.IsPrint`: no controls, no spaces but the plain one, no format characters.
fn printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'))
}

#[cfg(test)]
mod tests;
