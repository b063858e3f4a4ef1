//! Functions on text. Characters are what a reader counts: a letter with its marks is one.

use regex::Regex;

use super::args::{ArgError, Args, Outcome, bad};
use crate::source::is_combining;
use crate::value::Value;

/// The characters of a text as a reader counts them.
pub(super) fn characters(text: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = Vec::new();
    let mut previous = None;
    for (at, c) in text.char_indices() {
        let joined = is_combining(c)
            || previous == Some('\u{200d}')
            || (previous == Some('\r') && c == '\n');
        if starts.is_empty() || !joined {
            starts.push(at);
        }
        previous = Some(c);
    }
    let ends = starts
        .iter()
        .skip(1)
        .copied()
        .chain([text.len()])
        .collect::<Vec<_>>();
    starts
        .into_iter()
        .zip(ends)
        .map(|(start, end)| &text[start..end])
        .collect()
}

pub(super) fn chomp(args: &Args<'_>) -> Outcome {
    Ok(args.string(0)?.trim_end_matches(['\r', '\n']).into())
}

pub(super) fn indent(args: &Args<'_>) -> Outcome {
    let text = args.string(1)?;
    let width = args.count(0)?;
    let lines = text.matches('\n').count();
    Args::check_text(width.saturating_mul(lines).saturating_add(text.len()))?;
    Ok(text
        .replace('\n', &format!("\n{}", " ".repeat(width)))
        .into())
}

pub(super) fn join(args: &Args<'_>) -> Outcome {
    let separator = args.string(0)?;
    let mut items = Vec::new();
    for at in 1..args.len() {
        items.append(&mut args.strings(at)?);
    }
    let total: usize = items.iter().map(String::len).sum();
    Args::check_text(total.saturating_add(separator.len().saturating_mul(items.len())))?;
    Ok(items.join(&separator).into())
}

pub(super) fn lower(args: &Args<'_>) -> Outcome {
    Ok(args.string(0)?.to_lowercase().into())
}

pub(super) fn upper(args: &Args<'_>) -> Outcome {
    Ok(args.string(0)?.to_uppercase().into())
}

pub(super) fn regex_replace(args: &Args<'_>) -> Outcome {
    let (text, pattern, replacement) = (args.string(0)?, args.string(1)?, args.string(2)?);
    let regex = compile(&pattern).map_err(|message| bad(1, message))?;
    let mut result = String::new();
    let mut last = 0;
    for captures in regex.captures_iter(&text) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        result.push_str(&text[last..whole.start()]);
        captures.expand(&replacement, &mut result);
        Args::check_text(result.len())?;
        last = whole.end();
    }
    result.push_str(&text[last..]);
    Ok(result.into())
}

/// A regular expression of bounded size.
fn compile(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .nest_limit(100)
        .build()
        .map_err(|error| match error {
            regex::Error::Syntax(text) => {
                format!(
                    "invalid regular expression: {}",
                    text.lines()
                        .last()
                        .unwrap_or_default()
                        .trim_start_matches("error: ")
                )
            }
            _ => "the regular expression is too large".to_owned(),
        })
}

pub(super) fn replace(args: &Args<'_>) -> Outcome {
    let (text, from, to) = (args.string(0)?, args.string(1)?, args.string(2)?);
    let found = text.matches(&*from).count();
    Args::check_text(found.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replace(&*from, &to).into())
}

pub(super) fn split(args: &Args<'_>) -> Outcome {
    let (separator, text) = (args.string(0)?, args.string(1)?);
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|c| Value::from(c.to_string())).collect()
    } else {
        text.split(&*separator).map(Value::from).collect()
    };
    Args::check_elements(parts.len())?;
    Ok(Value::list(parts))
}

pub(super) fn strlen(args: &Args<'_>) -> Outcome {
    Ok(characters(&args.string(0)?).len().into())
}

pub(super) fn strrev(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    Ok(characters(&text)
        .into_iter()
        .rev()
        .collect::<String>()
        .into())
}

pub(super) fn substr(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    let characters = characters(&text);
    let count = characters.len() as i64;
    let (offset, length) = (args.int(1)?, args.int(2)?);
    let start = if offset < 0 {
        (count + offset).max(0)
    } else {
        offset.min(count)
    };
    let end = if length < 0 {
        count
    } else {
        start.saturating_add(length).min(count)
    };
    Ok(characters[start as usize..end as usize].concat().into())
}

pub(super) fn title(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    let mut result = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            result.push(c);
        } else {
            result.extend(c.to_uppercase());
        }
        in_word = c == '_' || c.is_alphanumeric();
    }
    Ok(result.into())
}

fn set_of(args: &Args<'_>) -> Result<Vec<char>, ArgError> {
    Ok(args.string(1)?.chars().collect())
}

pub(super) fn trim(args: &Args<'_>) -> Outcome {
    let cut = set_of(args)?;
    Ok(args.string(0)?.trim_matches(|c| cut.contains(&c)).into())
}

pub(super) fn trimprefix(args: &Args<'_>) -> Outcome {
    let (text, prefix) = (args.string(0)?, args.string(1)?);
    Ok(text.strip_prefix(&*prefix).unwrap_or(&text).into())
}

pub(super) fn trimspace(args: &Args<'_>) -> Outcome {
    Ok(args.string(0)?.trim().into())
}

pub(super) fn trimsuffix(args: &Args<'_>) -> Outcome {
    let (text, suffix) = (args.string(0)?, args.string(1)?);
    Ok(text.strip_suffix(&*suffix).unwrap_or(&text).into())
}
