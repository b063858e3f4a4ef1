//! A reader of the YAML that configuration files use.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::value::{MAX_DEPTH, Number, Value};

/// Aliases may make at most so many values, so that a few lines cannot become gigabytes.
const MAX_VALUES: usize = 200_000;

/// What is wrong, and on which line.
pub(super) struct ReadError {
    pub(super) line: usize,
    pub(super) message: String,
}

type Read<T> = Result<T, ReadError>;

/// Reads one document.
pub(super) fn parse(text: &str) -> Read<Value> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .map(|(number, text)| Line::new(number + 1, text))
        .collect();
    let mut reader = Reader {
        lines,
        at: 0,
        anchors: BTreeMap::new(),
        values: 0,
        depth: 0,
    };
    reader.skip_blank();
    if reader.peek().is_some_and(|line| line.text.starts_with('%')) {
        return reader.fail("directives are not supported");
    }
    if reader
        .peek()
        .is_some_and(|line| line.indent == 0 && line.body() == "---")
    {
        reader.at += 1;
    }
    let value = reader.node(0)?;
    reader.skip_blank();
    match reader.peek() {
        None => Ok(value),
        Some(line) if line.body() == "..." => Ok(value),
        Some(line) if line.body().starts_with("---") => {
            reader.fail("only one document is supported")
        }
        Some(_) => reader.fail("unexpected content after the value"),
    }
}

/// A line that is not read yet, or what is left of it.
#[derive(Clone)]
struct Line<'a> {
    number: usize,
    /// The whole line.
    raw: &'a str,
    /// Column at which `text` starts.
    indent: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn new(number: usize, raw: &'a str) -> Self {
        let text = raw.trim_start_matches(' ');
        Self {
            number,
            raw,
            indent: raw.len() - text.len(),
            text,
        }
    }

    /// Without a comment and trailing blanks; right for lines that hold no quoted text.
    fn body(&self) -> &'a str {
        strip_comment(self.text)
    }
}

/// The text before a comment.
fn strip_comment(text: &str) -> &str {
    if text.starts_with('#') {
        return "";
    }
    let end = text
        .find(" #")
        .or_else(|| text.find("\t#"))
        .unwrap_or(text.len());
    text[..end].trim_end()
}

struct Reader<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
    anchors: BTreeMap<String, Value>,
    values: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&Line<'a>> {
        self.lines.get(self.at)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        let line = self
            .peek()
            .or(self.lines.last())
            .map_or(1, |line| line.number);
        Err(ReadError {
            line,
            message: message.into(),
        })
    }

    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|line| line.body().is_empty()) {
            self.at += 1;
        }
    }

    fn count(&mut self, values: usize) -> Read<()> {
        self.values += values;
        if self.values > MAX_VALUES {
            self.fail(format!("more than {MAX_VALUES} values"))
        } else {
            Ok(())
        }
    }

    /// The value that starts at the next line that is not blank, indented by at least `least`; null if none is.
    fn node(&mut self, least: usize) -> Read<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH / 2 {
            return self.fail("too deeply nested");
        }
        self.count(1)?;
        self.skip_blank();
        let value = match self.peek() {
            Some(line) if line.indent >= least && !ends_document(line) => {
                let line = line.clone();
                if line.text.starts_with('\t') {
                    return self.fail("tabs must not be used for indentation");
                }
                if is_item(line.text) {
                    self.sequence(line.indent)?
                } else if key_end(line.text).is_some() {
                    self.mapping(line.indent)?
                } else {
                    self.inline(line.indent, least)?
                }
            }
            _ => Value::Null,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn sequence(&mut self, indent: usize) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            self.skip_blank();
            let Some(line) = self
                .peek()
                .filter(|line| line.indent == indent && is_item(line.text))
            else {
                break;
            };
            let mut line = line.clone();
            let rest = &line.text[1..];
            let trimmed = rest.trim_start_matches(' ');
            if strip_comment(trimmed).is_empty() {
                self.at += 1;
                items.push(self.node(indent + 1)?);
            } else {
                // What stands behind the dash is as if on a line of its own, that far in.
                line.indent += 1 + rest.len() - trimmed.len();
                line.text = trimmed;
                self.lines[self.at] = line;
                items.push(self.node(indent + 1)?);
            }
        }
        Ok(Value::tuple(items))
    }

    fn mapping(&mut self, indent: usize) -> Read<Value> {
        let mut members = BTreeMap::new();
        let mut merged = Vec::new();
        loop {
            self.skip_blank();
            let Some(line) = self
                .peek()
                .filter(|line| line.indent == indent && !ends_document(line))
            else {
                break;
            };
            let mut line = line.clone();
            let Some(end) = key_end(line.text) else {
                return self.fail("a mapping key with a colon is expected");
            };
            let key = self.key(&line.text[..end])?;
            let rest = &line.text[end + 1..];
            let trimmed = rest.trim_start_matches([' ', '\t']);
            let value = if strip_comment(trimmed).is_empty() {
                self.at += 1;
                self.skip_blank();
                // A list may stand at the margin of its key.
                let at_margin = self
                    .peek()
                    .is_some_and(|next| next.indent == indent && is_item(next.text));
                self.node(if at_margin { indent } else { indent + 1 })?
            } else {
                line.indent += end + 1 + rest.len() - trimmed.len();
                line.text = trimmed;
                let column = line.indent;
                self.lines[self.at] = line;
                self.inline(column, indent + 1)?
            };
            if key == "<<" {
                merged.push(value);
            } else if members.insert(key.clone(), value).is_some() {
                return self.fail(format!("duplicate key {key:?}"));
            }
        }
        for source in merged {
            let sources = source
                .elements()
                .map_or_else(|| vec![source.clone()], <[Value]>::to_vec);
            for source in sources {
                for (name, value) in source.members().into_iter().flatten() {
                    members.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        Ok(Value::object(members))
    }

    fn key(&mut self, text: &str) -> Read<String> {
        let text = text.trim();
        let mut chars = Cursor::new(text);
        match text.chars().next() {
            Some('"') => self.double_quoted(&mut chars),
            Some('\'') => self.single_quoted(&mut chars),
            Some('?') => self.fail("complex keys are not supported"),
            _ => Ok(text.to_owned()),
        }
    }

    /// A value that starts in the middle of a line, at `column`; its further lines are indented by at least `least`.
    fn inline(&mut self, column: usize, least: usize) -> Read<Value> {
        let Some(line) = self.peek().cloned() else {
            return Ok(Value::Null);
        };
        let text = line.text;
        match text.chars().next() {
            Some('&') => {
                let length = text.find([' ', '\t']).unwrap_or(text.len());
                let name = text[1..length].to_owned();
                let value = self.after_property(line, length, column, least)?;
                self.anchors.insert(name, value.clone());
                Ok(value)
            }
            Some('*') => {
                let name = strip_comment(text)[1..].trim();
                let Some(value) = self.anchors.get(name).cloned() else {
                    return self.fail(format!("unknown anchor {name:?}"));
                };
                self.count(value.size_up_to(MAX_VALUES).unwrap_or(MAX_VALUES))?;
                self.at += 1;
                Ok(value)
            }
            Some('!') => {
                let length = text.find([' ', '\t']).unwrap_or(text.len());
                let tag = text[..length].to_owned();
                let value = self.after_property(line, length, column, least)?;
                self.tagged(&tag, value)
            }
            Some('|' | '>') => self.block_scalar(text, least),
            Some('{' | '[' | '"' | '\'') => self.flow_lines(least),
            Some('@' | '`') => self.fail("a plain scalar must not start with this character"),
            _ => self.plain_lines(least),
        }
    }

    /// What follows an anchor or a tag.
    fn after_property(
        &mut self,
        mut line: Line<'a>,
        length: usize,
        column: usize,
        least: usize,
    ) -> Read<Value> {
        let rest = &line.text[length..];
        let trimmed = rest.trim_start_matches([' ', '\t']);
        if strip_comment(trimmed).is_empty() {
            self.at += 1;
            return self.node(least);
        }
        let column = column + length + rest.len() - trimmed.len();
        line.indent = column;
        line.text = trimmed;
        self.lines[self.at] = line;
        self.inline(column, least)
    }

    fn tagged(&self, tag: &str, value: Value) -> Read<Value> {
        match (tag, &value) {
            ("!!str", Value::Bool(_) | Value::Number(_)) => {
                Ok(crate::value::convert(&value, &crate::value::Type::String).unwrap_or(value))
            }
            ("!!str", Value::Null) => Ok(Value::from("")),
            ("!!str" | "!!int" | "!!float" | "!!bool" | "!!null" | "!!map" | "!!seq", _) => {
                Ok(value)
            }
            _ => self.fail(format!("unsupported tag {tag:?}")),
        }
    }

    /// `|` and `>`.
    fn block_scalar(&mut self, header: &str, least: usize) -> Read<Value> {
        let header = strip_comment(header);
        let folded = header.starts_with('>');
        let (mut chomp, mut explicit) = (' ', None);
        for c in header[1..].chars() {
            match c {
                '+' | '-' => chomp = c,
                '1'..='9' => explicit = Some(least.saturating_sub(1) + c as usize - '0' as usize),
                _ => return self.fail("invalid block scalar header"),
            }
        }
        self.at += 1;
        let mut margin = explicit;
        let mut lines: Vec<&str> = Vec::new();
        while let Some(line) = self.peek() {
            let raw = line.raw;
            let indent = raw.len() - raw.trim_start_matches(' ').len();
            let blank = raw.trim().is_empty();
            if !blank {
                let needed = *margin.get_or_insert(indent);
                if indent < needed || indent < least {
                    break;
                }
            }
            lines.push(
                raw.get(margin.unwrap_or(indent).min(raw.len())..)
                    .unwrap_or_default(),
            );
            self.at += 1;
        }
        let trailing = lines
            .iter()
            .rev()
            .take_while(|line| line.trim().is_empty())
            .count();
        let content = &lines[..lines.len() - trailing];
        let mut text = if folded {
            fold(content)
        } else {
            content.join("\n")
        };
        match chomp {
            '-' => {}
            '+' => text.push_str(&"\n".repeat(trailing + usize::from(!content.is_empty()))),
            _ if content.is_empty() => {}
            _ => text.push('\n'),
        }
        Ok(Value::from(text))
    }

    /// A plain scalar, over all its lines.
    fn plain_lines(&mut self, least: usize) -> Read<Value> {
        let Some(line) = self.peek() else {
            return Ok(Value::Null);
        };
        let mut text = line.body().to_owned();
        self.at += 1;
        let mut breaks = 0;
        while let Some(line) = self.peek() {
            if line.text.trim().is_empty() {
                breaks += 1;
                self.at += 1;
                continue;
            }
            if line.indent < least
                || line.text.starts_with('#')
                || ends_document(line)
                || key_end(line.text).is_some()
            {
                break;
            }
            if breaks == 0 {
                text.push(' ');
            }
            text.push_str(&"\n".repeat(breaks));
            text.push_str(line.body());
            breaks = 0;
            self.at += 1;
        }
        Ok(plain(&text))
    }

    /// A quoted scalar or flow collection, which may go over several lines.
    fn flow_lines(&mut self, least: usize) -> Read<Value> {
        let first = self.at;
        let mut text = self.lines[first].text.to_owned();
        loop {
            let mut cursor = Cursor::new(&text);
            match self.flow(&mut cursor, 0) {
                Ok(Some(value)) => {
                    let rest = cursor.rest().to_owned();
                    if !strip_comment(rest.trim_start()).is_empty() {
                        return self.fail("unexpected content after the value");
                    }
                    self.at += 1;
                    return Ok(value);
                }
                Err(error) => return Err(error),
                // Not closed yet: take the next line along.
                Ok(None) => {}
            }
            self.at += 1;
            match self.peek() {
                Some(line)
                    if line.indent >= least
                        || line.text.is_empty()
                        || line.text.starts_with(['}', ']']) =>
                {
                    text.push('\n');
                    text.push_str(line.text);
                }
                _ => {
                    self.at = first;
                    return self.fail("unclosed quotes or brackets");
                }
            }
            if self.at - first > 5_000 {
                return self.fail("a flow value of too many lines");
            }
        }
    }

    /// A value in flow style; `None` if the text ends before the value does.
    fn flow(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Read<Option<Value>> {
        if depth > MAX_DEPTH / 2 {
            return self.fail("too deeply nested");
        }
        self.count(1)?;
        cursor.space();
        match cursor.peek() {
            None => Ok(None),
            Some('"') => {
                if cursor.closed_double() {
                    self.double_quoted(cursor)
                        .map(|text| Some(Value::from(text)))
                } else {
                    Ok(None)
                }
            }
            Some('\'') => {
                if cursor.closed_single() {
                    self.single_quoted(cursor)
                        .map(|text| Some(Value::from(text)))
                } else {
                    Ok(None)
                }
            }
            Some('[') => self.flow_sequence(cursor, depth),
            Some('{') => self.flow_mapping(cursor, depth),
            Some('*') => {
                let name = cursor.take_while(|c| !matches!(c, ',' | ']' | '}' | ' ' | '\n'))[1..]
                    .to_owned();
                match self.anchors.get(&name).cloned() {
                    Some(value) => {
                        self.count(value.size_up_to(MAX_VALUES).unwrap_or(MAX_VALUES))?;
                        Ok(Some(value))
                    }
                    None => self.fail(format!("unknown anchor {name:?}")),
                }
            }
            Some(_) => {
                let text = cursor.plain();
                if cursor.peek().is_none() {
                    Ok(None)
                } else {
                    Ok(Some(plain(text.trim())))
                }
            }
        }
    }

    fn flow_sequence(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Read<Option<Value>> {
        cursor.bump();
        let mut items = Vec::new();
        loop {
            cursor.space();
            match cursor.peek() {
                None => return Ok(None),
                Some(']') => {
                    cursor.bump();
                    return Ok(Some(Value::tuple(items)));
                }
                Some(_) => {}
            }
            let Some(item) = self.flow(cursor, depth + 1)? else {
                return Ok(None);
            };
            items.push(item);
            cursor.space();
            match cursor.peek() {
                None => return Ok(None),
                Some(',') => cursor.bump(),
                Some(']') => {}
                Some(_) => return self.fail("a comma or ] is expected"),
            }
        }
    }

    fn flow_mapping(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Read<Option<Value>> {
        cursor.bump();
        let mut members = BTreeMap::new();
        loop {
            cursor.space();
            match cursor.peek() {
                None => return Ok(None),
                Some('}') => {
                    cursor.bump();
                    return Ok(Some(Value::object(members)));
                }
                Some(_) => {}
            }
            let key = match cursor.peek() {
                Some('"' | '\'') => match self.flow(cursor, depth + 1)? {
                    Some(key) => key.as_str().unwrap_or_default().to_owned(),
                    None => return Ok(None),
                },
                _ => cursor.plain().trim().to_owned(),
            };
            cursor.space();
            let value = if cursor.peek() == Some(':') {
                cursor.bump();
                cursor.space();
                match cursor.peek() {
                    Some(',' | '}') => Value::Null,
                    _ => match self.flow(cursor, depth + 1)? {
                        Some(value) => value,
                        None => return Ok(None),
                    },
                }
            } else {
                Value::Null
            };
            members.insert(key, value);
            cursor.space();
            match cursor.peek() {
                None => return Ok(None),
                Some(',') => cursor.bump(),
                Some('}') => {}
                Some(_) => return self.fail("a comma or } is expected"),
            }
        }
    }

    fn single_quoted(&mut self, cursor: &mut Cursor<'_>) -> Read<String> {
        cursor.bump();
        let mut text = String::new();
        while let Some(c) = cursor.next() {
            if c != '\'' {
                text.push(c);
            } else if cursor.peek() == Some('\'') {
                cursor.bump();
                text.push('\'');
            } else {
                return Ok(fold_breaks(&text));
            }
        }
        self.fail("unclosed quotes")
    }

    fn double_quoted(&mut self, cursor: &mut Cursor<'_>) -> Read<String> {
        cursor.bump();
        let mut text = String::new();
        loop {
            match cursor.next() {
                None => return self.fail("unclosed quotes"),
                Some('"') => return Ok(fold_breaks(&text)),
                Some('\\') => {
                    let code = |cursor: &mut Cursor<'_>, length: usize| {
                        let digits: String = (0..length).filter_map(|_| cursor.next()).collect();
                        u32::from_str_radix(&digits, 16)
                            .ok()
                            .and_then(char::from_u32)
                    };
                    let c = match cursor.next() {
                        Some('n') => Some('\n'),
                        Some('t') => Some('\t'),
                        Some('r') => Some('\r'),
                        Some('0') => Some('\0'),
                        Some('a') => Some('\u{7}'),
                        Some('b') => Some('\u{8}'),
                        Some('f') => Some('\u{c}'),
                        Some('v') => Some('\u{b}'),
                        Some('e') => Some('\u{1b}'),
                        Some('x') => code(cursor, 2),
                        Some('u') => code(cursor, 4),
                        Some('U') => code(cursor, 8),
                        Some(c @ ('"' | '\\' | '/' | ' ')) => Some(c),
                        _ => None,
                    };
                    match c {
                        // Escaped breaks must survive the folding of real ones.
                        Some('\n') => text.push('\u{e000}'),
                        Some(c) => text.push(c),
                        None => return self.fail("unknown escape sequence"),
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }
}

/// Line breaks inside quotes are blanks; a blank line is a break.
fn fold_breaks(text: &str) -> String {
    if !text.contains('\n') {
        return text.replace('\u{e000}', "\n");
    }
    let mut folded = String::new();
    let mut breaks = 0;
    for (at, line) in text.split('\n').enumerate() {
        let line = if at == 0 {
            line.trim_end_matches(' ')
        } else {
            line.trim_matches(' ')
        };
        if at > 0 {
            breaks += 1;
            if line.is_empty() {
                continue;
            }
            folded.push_str(&if breaks == 1 {
                " ".to_owned()
            } else {
                "\n".repeat(breaks - 1)
            });
            breaks = 0;
        }
        folded.push_str(line);
    }
    if breaks > 0 {
        folded.push(' ');
    }
    folded.replace('\u{e000}', "\n")
}

/// The lines of a `>` scalar as one text.
fn fold(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut breaks = 0;
    let mut before_more_indented = false;
    for (at, line) in lines.iter().enumerate() {
        if line.is_empty() {
            breaks += 1;
            continue;
        }
        let more_indented = line.starts_with([' ', '\t']);
        if at > 0 {
            if more_indented || before_more_indented {
                text.push_str(&"\n".repeat(breaks + 1));
            } else if breaks > 0 {
                text.push_str(&"\n".repeat(breaks));
            } else {
                text.push(' ');
            }
        }
        text.push_str(line);
        breaks = 0;
        before_more_indented = more_indented;
    }
    text
}

/// A plain date, or date and time, as RFC 3339 has it and without parts of a second.
fn timestamp(text: &str) -> Option<String> {
    let short = |part: &str| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    if year.len() != 4 || !short(month) || !short(day) {
        return None;
    }
    let (clock, zone) = match time {
        None => ("0:0:0", "Z"),
        Some(time) if time.starts_with(' ') => (&time[1..], "Z"),
        Some(time) => {
            let at = time.find(['Z', '+', '-'])?;
            (&time[1..at], &time[at..])
        }
    };
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    if ![hour, minute, second].into_iter().all(short)
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let zone = if zone == "+00:00" { "Z" } else { zone };
    let whole = format!("{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}{zone}");
    crate::functions::date::is_timestamp(&whole).then_some(whole)
}

/// A plain scalar by the core schema, with dates as texts.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |prefix: &str, base: u32| {
        let digits = text.strip_prefix(prefix)?;
        u64::from_str_radix(digits, base)
            .ok()
            .map(|value| Value::Number(Number::from(u128::from(value))))
    };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return value;
    }
    let unsigned = text.trim_start_matches(['-', '+']);
    if unsigned.starts_with(|c: char| c.is_ascii_digit())
        && text.len() - unsigned.len() <= 1
        && let Some(number) = Number::parse(text.strip_suffix('.').unwrap_or(text))
    {
        return Value::Number(number);
    }
    if let Some(timestamp) = timestamp(text) {
        return Value::from(timestamp);
    }
    Value::from(text)
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

fn ends_document(line: &Line<'_>) -> bool {
    line.indent == 0 && (line.text.starts_with("---") || line.text.trim_end() == "...")
}

/// Where the colon of a `key: value` line stands.
fn key_end(text: &str) -> Option<usize> {
    let mut cursor = Cursor::new(text);
    match cursor.peek()? {
        '"' if cursor.skip_double() => {}
        '\'' if cursor.skip_single() => {}
        '{' | '[' | '#' | '|' | '>' | '&' | '*' | '!' => return None,
        _ => {
            let mut previous = ' ';
            for (at, c) in text.char_indices() {
                if c == ':' && matches!(text[at + 1..].chars().next(), None | Some(' ' | '\t')) {
                    return Some(at);
                }
                if c == '#' && matches!(previous, ' ' | '\t') {
                    return None;
                }
                previous = c;
            }
            return None;
        }
    }
    let rest = cursor.rest().trim_start();
    let at = text.len() - rest.len();
    (rest.starts_with(':') && matches!(rest[1..].chars().next(), None | Some(' ' | '\t')))
        .then_some(at)
}
