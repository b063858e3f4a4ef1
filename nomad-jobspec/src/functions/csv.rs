//! CSV as RFC 4180 has it, with a header line.

use std::collections::BTreeMap;

use super::args::{ArgError, Args, Outcome};
use crate::value::Value;

pub(super) fn csvdecode(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    let mut records = records(&text)?.into_iter();
    let Some(header) = records.next() else {
        return Err("missing header line".into());
    };
    for (at, name) in header.iter().enumerate() {
        if header[..at].contains(name) {
            return Err(format!("duplicate column name {name:?}").into());
        }
    }
    let mut rows = Vec::new();
    for (at, record) in records.enumerate() {
        if record.len() != header.len() {
            return Err(format!("record {}: wrong number of fields", at + 2).into());
        }
        let row: BTreeMap<String, Value> = header
            .iter()
            .cloned()
            .zip(record.into_iter().map(Value::from))
            .collect();
        rows.push(Value::object(row));
        Args::check_elements(rows.len())?;
    }
    Ok(Value::list(rows))
}

/// The fields of every line that is not empty.
fn records(text: &str) -> Result<Vec<Vec<String>>, ArgError> {
    let mut records = Vec::new();
    let mut record: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while chars.peek().is_some() {
        let mut field = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(c) => {
                        line += usize::from(c == '\n');
                        field.push(c);
                    }
                    None => {
                        return Err(format!(
                            "parse error on line {line}: extraneous or missing \" in quoted-field"
                        )
                        .into());
                    }
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '\n')) {
                if c == '"' {
                    return Err(
                        format!("parse error on line {line}: bare \" in non-quoted-field").into(),
                    );
                }
                field.push(c);
            }
            if !matches!(chars.peek(), Some(',')) && field.ends_with('\r') {
                field.pop();
            }
        }
        chars.next_if(|c| *c == '\r');
        record.push(field);
        match chars.next() {
            Some(',') => {
                if chars.peek().is_none() {
                    record.push(String::new());
                }
                continue;
            }
            Some('\n') | None => {}
            Some(_) => {
                return Err(format!(
                    "parse error on line {line}: extraneous or missing \" in quoted-field"
                )
                .into());
            }
        }
        line += 1;
        let finished = std::mem::take(&mut record);
        if finished != [String::new()] {
            records.push(finished);
        }
    }
    if !record.is_empty() {
        records.push(record);
    }
    Ok(records)
}
