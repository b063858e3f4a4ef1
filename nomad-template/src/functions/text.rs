//! Strings: splitting, joining, trimming, replacing, indenting, case.

use super::pattern::compile;
use super::{Call, Entry, FuncError};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("split", "sep text", split),
    ("splitToMap", "sep kv_sep text", split_to_map),
    ("join", "sep list", join),
    ("trim", "cutset text", |c| {
        let cut = c.str(0)?;
        Ok(c.str(1)?.trim_matches(|ch| cut.contains(ch)).into())
    }),
    ("trimPrefix", "prefix text", |c| {
        let (prefix, text) = (c.str(0)?, c.str(1)?);
        Ok(text.strip_prefix(&*prefix).unwrap_or(&text).into())
    }),
    ("trimSuffix", "suffix text", |c| {
        let (suffix, text) = (c.str(0)?, c.str(1)?);
        Ok(text.strip_suffix(&*suffix).unwrap_or(&text).into())
    }),
    ("trimSpace", "text", |c| Ok(c.str(0)?.trim().into())),
    ("toLower", "text", |c| Ok(c.str(0)?.to_lowercase().into())),
    ("toUpper", "text", |c| Ok(c.str(0)?.to_uppercase().into())),
    ("toTitle", "text", |c| Ok(title(&c.str(0)?).into())),
    ("replaceAll", "from to text", |c| {
        replace(
            &c.str(2)?,
            &c.str(0)?,
            &c.str(1)?,
            c.scope.limits.max_value_bytes,
        )
    }),
    ("regexReplaceAll", "pattern replacement text", |c| {
        let pattern = compile(&c.str(0)?)?;
        replace_all(
            &pattern,
            &c.str(2)?,
            &c.str(1)?,
            true,
            c.scope.limits.max_value_bytes,
        )
    }),
    ("regexMatch", "pattern text", |c| {
        Ok(compile(&c.str(0)?)?.is_match(&c.str(1)?).into())
    }),
    ("indent", "spaces text", |c| {
        let spaces = c.int(0)?;
        let text = c.str(1)?;
        let spaces = usize::try_from(spaces)
            .map_err(|_| FuncError::new("indent value must be a positive integer"))?;
        indent(&text, spaces, true, c.scope.limits.max_value_bytes)
    }),
];

/// Longest list that a string is split into.
const MAX_PARTS: usize = 1_000_000;

fn split(c: &Call<'_>) -> Result<Value, FuncError> {
    let (sep, text) = (c.str(0)?, c.str(1)?);
    if text.is_empty() {
        return Ok(Value::strings::<&str>([]));
    }
    Ok(Value::strings(parts(&text, &sep)?))
}

/// `strings.Split`: an empty separator splits into characters.
pub(super) fn parts<'t>(text: &'t str, sep: &str) -> Result<Vec<&'t str>, FuncError> {
    let parts: Vec<&str> = if sep.is_empty() {
        text.char_indices()
            .map(|(i, c)| &text[i..i + c.len_utf8()])
            .take(MAX_PARTS + 1)
            .collect()
    } else {
        text.split(sep).take(MAX_PARTS + 1).collect()
    };
    if parts.len() > MAX_PARTS {
        return Err(FuncError::new(format!("more than {MAX_PARTS} parts")));
    }
    Ok(parts)
}

/// Entries without the inner separator are left out.
fn split_to_map(c: &Call<'_>) -> Result<Value, FuncError> {
    let (sep, kv_sep, text) = (c.str(0)?, c.str(1)?, c.str(2)?);
    let entries = parts(&text, &sep)?
        .into_iter()
        .filter_map(|part| part.split_once(&*kv_sep))
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    Ok(Value::typed_map(crate::value::STRING_MAP, entries))
}

fn join(c: &Call<'_>) -> Result<Value, FuncError> {
    join_limited(&c.strings(1)?, &c.str(0)?, c.scope.limits.max_value_bytes)
}

pub(super) fn join_limited(parts: &[String], sep: &str, limit: usize) -> Result<Value, FuncError> {
    let len = parts.iter().map(String::len).sum::<usize>()
        + sep.len().saturating_mul(parts.len().saturating_sub(1));
    bounded(len, limit)?;
    Ok(parts.join(sep).into())
}

/// An error if a text of `len` bytes would be too long.
pub(super) fn bounded(len: usize, limit: usize) -> Result<(), FuncError> {
    if len > limit {
        return Err(FuncError::new(format!(
            "the result is longer than {limit} bytes"
        )));
    }
    Ok(())
}

/// `strings.ReplaceAll` with a bound on the result.
pub(super) fn replace(text: &str, from: &str, to: &str, limit: usize) -> Result<Value, FuncError> {
    if to.len() > from.len() {
        let grows = to.len() - from.len();
        let times = if from.is_empty() {
            text.chars().count() + 1
        } else {
            text.matches(from).count()
        };
        bounded(
            text.len().saturating_add(times.saturating_mul(grows)),
            limit,
        )?;
    }
    Ok(text.replace(from, to).into())
}

/// Replaces every match, expanding `$1` if `expand`, with a bound on the result.
pub(super) fn replace_all(
    pattern: &regex::Regex,
    text: &str,
    replacement: &str,
    expand: bool,
    limit: usize,
) -> Result<Value, FuncError> {
    let mut out = String::new();
    let mut last = 0;
    for found in pattern.captures_iter(text) {
        let whole = found.get_match();
        out.push_str(&text[last..whole.start()]);
        if expand {
            found.expand(replacement, &mut out);
        } else {
            out.push_str(replacement);
        }
        last = whole.end();
        bounded(out.len(), limit)?;
    }
    out.push_str(&text[last..]);
    Ok(out.into())
}

/// Puts spaces before each line; before empty ones only if `skip_empty` is false.
pub(super) fn indent(
    text: &str,
    spaces: usize,
    skip_empty: bool,
    limit: usize,
) -> Result<Value, FuncError> {
    let lines = text.split('\n').count();
    bounded(
        text.len().saturating_add(lines.saturating_mul(spaces)),
        limit,
    )?;
    let prefix = " ".repeat(spaces);
    let mut out = String::with_capacity(text.len());
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if !line.is_empty() || !skip_empty {
            out.push_str(&prefix);
            out.push_str(line);
        }
    }
    Ok(out.into())
}

/// `strings.Title`: the first letter of each word in upper case, the rest as it is.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = false;
    for c in text.chars() {
        if word {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        word = c.is_alphanumeric() || c == '_' || c == '\'';
    }
    out
}
