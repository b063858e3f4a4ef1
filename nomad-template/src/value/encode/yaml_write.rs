//! YAML as go-yaml version 2 writes it: two spaces, lists level with their key, quotes only where needed.

use std::cmp::Ordering;

use crate::functions::FuncError;
use crate::value::Value;
use crate::value::fmt::{MAX_TEXT, float_g};

use super::yaml_read::{Resolved, resolve};

/// Long lines are folded at the first space behind this column.
const BEST_WIDTH: usize = 80;

/// Writes the value as a YAML document, without a final newline.
pub(crate) fn write(value: &Value) -> Result<String, FuncError> {
    let mut writer = Writer { out: String::new() };
    writer.node(value, 0, Place::Top)?;
    Ok(writer.out.trim().to_owned())
}

/// Where a node stands, which decides how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    /// Behind `key:`.
    MapValue,
    /// Behind `- `.
    Item,
}

struct Writer {
    out: String,
}

impl Writer {
    /// Writes a node whose children stand at column `indent`.
    fn node(&mut self, value: &Value, indent: usize, place: Place) -> Result<(), FuncError> {
        if self.out.len() > MAX_TEXT {
            return Err(FuncError::new("the YAML text is too long"));
        }
        match value.plain() {
            Value::List(list) if list.items.is_empty() => self.inline("[]", place),
            Value::Map(map) if map.entries.is_empty() => self.inline("{}", place),
            Value::List(list) => {
                // A list behind a key stands level with the key, inside a list two further.
                let column = if place == Place::MapValue {
                    indent.saturating_sub(2)
                } else {
                    indent
                };
                self.begin(place);
                for (i, item) in list.items.iter().enumerate() {
                    if i > 0 || place == Place::MapValue {
                        self.pad(column);
                    }
                    self.out.push('-');
                    self.node(item, column + 2, Place::Item)?;
                }
            }
            Value::Map(map) => {
                let mut keys: Vec<&str> = map.entries.keys().map(|key| &**key).collect();
                keys.sort_by(|a, b| natural(a, b));
                self.begin(place);
                for (i, key) in keys.into_iter().enumerate() {
                    if i > 0 || place == Place::MapValue {
                        self.pad(indent);
                    }
                    let text = scalar(key, indent, true);
                    self.out.push_str(&text);
                    self.out.push(':');
                    if let Some(item) = map.entries.get(key) {
                        self.node(item, indent + 2, Place::MapValue)?;
                    }
                }
            }
            Value::Nil => self.inline("null", place),
            Value::Bool(b) => self.inline(if b { "true" } else { "false" }, place),
            Value::Int(n) => self.inline(&n.to_string(), place),
            Value::Uint(n) => self.inline(&n.to_string(), place),
            Value::Float(f) => {
                let text = if f.is_nan() {
                    ".nan".to_owned()
                } else if f.is_infinite() {
                    if f > 0.0 { ".inf" } else { "-.inf" }.to_owned()
                } else {
                    float_g(f)
                };
                self.inline(&text, place);
            }
            Value::Str(_) | Value::Bytes(_) | Value::Obj(_) => {
                let text = crate::value::fmt::text(value);
                let text = scalar(&text, if place == Place::Top { 0 } else { indent }, false);
                self.inline(&text, place);
            }
        }
        Ok(())
    }

    fn begin(&mut self, place: Place) {
        match place {
            Place::Top => {}
            Place::MapValue => self.out.push('\n'),
            Place::Item => self.out.push(' '),
        }
    }

    fn pad(&mut self, column: usize) {
        self.out.extend(std::iter::repeat_n(' ', column));
    }

    fn inline(&mut self, text: &str, place: Place) {
        if place != Place::Top {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.out.push('\n');
    }
}

/// A string as a scalar: plain if it reads back as itself, else quoted or as a literal block.
fn scalar(text: &str, indent: usize, key: bool) -> String {
    if resolve(text) != Resolved::Str || is_base_60(text) {
        return double_quoted(text, indent, key);
    }
    let look = analyse(text);
    if text.contains('\n') && !key {
        return if look.literal_allowed {
            literal(text, indent)
        } else {
            double_quoted(text, indent, key)
        };
    }
    if look.plain_allowed {
        fold(text, indent, key)
    } else if look.single_allowed && !text.contains('\n') {
        fold(&format!("'{}'", text.replace('\'', "''")), indent, key)
    } else {
        double_quoted(text, indent, key)
    }
}

struct Look {
    plain_allowed: bool,
    single_allowed: bool,
    literal_allowed: bool,
}

/// What styles a string allows, by the rules of libyaml's emitter.
fn analyse(text: &str) -> Look {
    let chars: Vec<char> = text.chars().collect();
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let mut special = false;
    let mut before_space = true;
    for (i, &c) in chars.iter().enumerate() {
        let next_blank = chars.get(i + 1).is_none_or(|c| c.is_whitespace());
        if i == 0 {
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`' => indicators = true,
                '?' | ':' | '-' if next_blank => indicators = true,
                _ => {}
            }
        } else {
            match c {
                ':' if next_blank => indicators = true,
                '#' if before_space => indicators = true,
                _ => {}
            }
        }
        if c != '\n' && (c.is_control() && c != '\u{85}' || c == '\u{feff}') {
            special = true;
        }
        before_space = c == ' ' || c == '\n' || c == '\t';
    }
    let edge_space = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
    let trailing_space = text.ends_with(' ');
    let space_break = text.contains(" \n");
    Look {
        plain_allowed: !indicators
            && !special
            && !edge_space
            && !text.is_empty()
            && !text.contains('\n'),
        single_allowed: !special && !space_break,
        literal_allowed: !special && !trailing_space && !space_break,
    }
}

fn literal(text: &str, indent: usize) -> String {
    let indent = indent.max(2);
    let mut out = String::from("|");
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text.ends_with("\n\n") || text == "\n" {
        out.push('+');
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    out
}

/// Breaks a long scalar at single spaces.
fn fold(text: &str, indent: usize, key: bool) -> String {
    if key || text.len() <= BEST_WIDTH {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut column = indent;
    let mut after_space = false;
    for (i, &c) in chars.iter().enumerate() {
        let next_space = chars.get(i + 1) == Some(&' ');
        if c == ' ' && !after_space && column > BEST_WIDTH && !next_space && i + 1 < chars.len() {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent.max(2)));
            column = indent.max(2);
        } else {
            out.push(c);
            column += 1;
        }
        after_space = c == ' ';
    }
    out
}

fn double_quoted(text: &str, indent: usize, key: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::from("\"");
    let mut column = indent + 1;
    let mut after_space = false;
    for (i, &c) in chars.iter().enumerate() {
        let start = out.len();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if c.is_control() && (c as u32) < 0x100 => {
                push!(out, "\\x{:02X}", c as u32);
            }
            '\u{feff}' => out.push_str("\\uFEFF"),
            ' ' if !key && !after_space && column > BEST_WIDTH && i > 0 && i + 1 < chars.len() => {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent.max(2)));
                if chars.get(i + 1) == Some(&' ') {
                    out.push('\\');
                }
                column = indent.max(2);
                after_space = true;
                continue;
            }
            c => out.push(c),
        }
        column += out[start..].chars().count();
        after_space = c == ' ';
    }
    out.push('"');
    out
}

/// A number with colons, which older YAML readers take for base 60.
fn is_base_60(text: &str) -> bool {
    let body = text.trim_start_matches(['+', '-']);
    let Some(first) = body.chars().next() else {
        return false;
    };
    first.is_ascii_digit()
        && body.contains(':')
        && body
            .split(':')
            .enumerate()
            .all(|(i, part)| match part.split_once('.') {
                _ if i == 0 => part.chars().all(|c| c.is_ascii_digit() || c == '_'),
                Some((whole, part)) => {
                    sixty(whole) && part.chars().all(|c| c.is_ascii_digit() || c == '_')
                }
                None => sixty(part),
            })
}

fn sixty(part: &str) -> bool {
    (1..=2).contains(&part.len()) && part.parse::<u8>().is_ok_and(|n| n < 60)
}

/// go-yaml's order of keys: letters last, numbers inside by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    for i in 0..a.len().min(b.len()) {
        if a[i] == b[i] {
            continue;
        }
        let (al, bl) = (a[i].is_alphabetic(), b[i].is_alphabetic());
        if al && bl {
            return a[i].cmp(&b[i]);
        }
        if al || bl {
            return if bl {
                Ordering::Less
            } else {
                Ordering::Greater
            };
        }
        let nonzero_before = (a[i] == '0' || b[i] == '0')
            && a[..i]
                .iter()
                .rev()
                .take_while(|c| c.is_ascii_digit())
                .any(|c| *c != '0');
        let run = |s: &[char]| -> (u64, usize) {
            let mut n = u64::from(nonzero_before);
            let mut len = 0;
            for c in s[i..].iter().take_while(|c| c.is_ascii_digit()) {
                n = n
                    .wrapping_mul(10)
                    .wrapping_add(u64::from(*c) - u64::from('0'));
                len += 1;
            }
            (n, len)
        };
        return run(&a).cmp(&run(&b)).then(a[i].cmp(&b[i]));
    }
    a.len().cmp(&b.len())
}
