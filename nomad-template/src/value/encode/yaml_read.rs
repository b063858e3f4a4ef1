//! YAML as go-yaml version 2 reads it: YAML 1.1 scalars, anchors, merge keys; bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::functions::FuncError;
use crate::value::{ANY_LIST, MAX_DEPTH, Value, fmt};

/// Most nodes of a document, aliases counted with all they repeat.
const MAX_NODES: usize = 200_000;
/// Go's type of a YAML map.
const YAML_MAP: &str = "map[string]interface {}";

/// Reads the first document.
pub(crate) fn read(text: &str) -> Result<Value, FuncError> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    loop {
        match reader.next()? {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Value::Nil),
            event => return Ok(reader.node(event, 0)?.0),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Values by anchor, with the number of nodes each holds.
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, FuncError> {
        match self.events.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(FuncError::new(format!("invalid YAML: {error}"))),
            None => Ok(Event::StreamEnd),
        }
    }

    fn count(&mut self, nodes: usize) -> Result<(), FuncError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(FuncError::new(format!(
                "the YAML document has more than {MAX_NODES} nodes"
            )));
        }
        Ok(())
    }

    /// The value that begins with `event`, and how many nodes it has.
    fn node(&mut self, event: Event<'a>, depth: u32) -> Result<(Value, usize), FuncError> {
        if depth > MAX_DEPTH {
            return Err(FuncError::new(format!(
                "the YAML document nests deeper than {MAX_DEPTH}"
            )));
        }
        self.count(1)?;
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced = tag.is_some_and(|tag| tag.suffix == "str");
                let value = if style == ScalarStyle::Plain && !forced {
                    typed(&text)
                } else {
                    Value::str(text)
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd | Event::StreamEnd => break,
                        event => items.push(self.node(event, depth + 1)?.0),
                    }
                }
                (Value::typed_list(ANY_LIST, items), anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (value, size) =
                    known.ok_or_else(|| FuncError::new("the YAML alias has no anchor"))?;
                self.count(size)?;
                return Ok((value, size));
            }
            _ => (Value::Nil, 0),
        };
        let size = 1 + self.nodes - before;
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        Ok((value, size))
    }

    fn mapping(&mut self, depth: u32) -> Result<Value, FuncError> {
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut merged: Vec<Value> = Vec::new();
        loop {
            let event = match self.next()? {
                Event::MappingEnd | Event::StreamEnd => break,
                event => event,
            };
            let merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, depth + 1)?.0;
            let event = self.next()?;
            let value = self.node(event, depth + 1)?.0;
            if merge {
                match &value {
                    Value::List(list) => merged.extend(list.items.iter().cloned()),
                    other => merged.push(other.clone()),
                }
            } else {
                entries.insert(Arc::from(fmt::text(&key)), value);
            }
        }
        for base in merged {
            if let Value::Map(base) = base {
                for (key, value) in &base.entries {
                    entries
                        .entry(Arc::clone(key))
                        .or_insert_with(|| value.clone());
                }
            }
        }
        Ok(Value::typed_map(YAML_MAP, entries))
    }
}

/// What a plain scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A date: written in quotes when a string looks like it, read as the string.
    Time,
    Str,
}

/// Resolves a plain scalar by go-yaml version 2's rules.
pub(crate) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Resolved::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Resolved::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        "<<" => return Resolved::Null,
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Resolved::Str;
    }
    if looks_like_time(text) {
        return Resolved::Time;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(n) = integer(&plain) {
        return n;
    }
    if is_float(&plain)
        && let Ok(f) = plain.parse::<f64>()
    {
        return Resolved::Float(f);
    }
    Resolved::Str
}

fn integer(text: &str) -> Option<Resolved> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match body.get(..2) {
        Some("0x" | "0X") => (16, &body[2..]),
        Some("0b" | "0B") => (2, &body[2..]),
        Some("0o" | "0O") => (8, &body[2..]),
        _ if body.len() > 1 && body.starts_with('0') => (8, &body[1..]),
        _ => (10, body),
    };
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    match i64::try_from(size) {
        Ok(n) => Some(Resolved::Int(if negative { -n } else { n })),
        Err(_) if !negative => Some(Resolved::Uint(size)),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    let mantissa_good = match mantissa.split_once('.') {
        Some(("", part)) => !part.is_empty() && digits(part),
        Some((whole, part)) => digits(whole) && digits(part),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_good = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    mantissa_good && exponent_good
}

/// `2001-12-14`, alone or with a time.
fn looks_like_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let digits = |s: &str, range: std::ops::RangeInclusive<usize>| {
        range.contains(&s.len()) && s.chars().all(|c| c.is_ascii_digit())
    };
    let day: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let after = &rest[day.len()..];
    digits(year, 4..=4)
        && digits(month, 1..=2)
        && digits(&day, 1..=2)
        && (after.is_empty()
            || after
                .trim_start_matches(['T', 't', ' '])
                .starts_with(|c: char| c.is_ascii_digit())
                && after.contains(':'))
}

fn typed(text: &str) -> Value {
    match resolve(text) {
        Resolved::Null => Value::Nil,
        Resolved::Bool(b) => Value::Bool(b),
        Resolved::Int(n) => Value::Int(n),
        Resolved::Uint(n) => Value::Uint(n),
        Resolved::Float(f) => Value::Float(f),
        Resolved::Time | Resolved::Str => Value::str(text),
    }
}
