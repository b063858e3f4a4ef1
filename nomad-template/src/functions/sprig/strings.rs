//! sprig's strings.

use base64::alphabet;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::functions::convert::{decode64, to_text};
use crate::functions::pattern::compile;
use crate::functions::text::{bounded, indent, join_limited, parts, replace, replace_all, title};
use crate::functions::{Call, Entry, FuncError};
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("sprig_hello", "", |_| Ok("Hello!".into())),
    ("sprig_upper", "text", |c| {
        Ok(c.str(0)?.to_uppercase().into())
    }),
    ("sprig_lower", "text", |c| {
        Ok(c.str(0)?.to_lowercase().into())
    }),
    ("sprig_title", "text", |c| Ok(title(&c.str(0)?).into())),
    ("sprig_untitle", "text", |c| Ok(untitle(&c.str(0)?).into())),
    ("sprig_trim", "text", |c| Ok(c.str(0)?.trim().into())),
    ("sprig_trimall", "cutset text", trim_all),
    ("sprig_trimAll", "cutset text", trim_all),
    ("sprig_trimSuffix", "suffix text", |c| {
        let (suffix, text) = (c.str(0)?, c.str(1)?);
        Ok(text.strip_suffix(&*suffix).unwrap_or(&text).into())
    }),
    ("sprig_trimPrefix", "prefix text", |c| {
        let (prefix, text) = (c.str(0)?, c.str(1)?);
        Ok(text.strip_prefix(&*prefix).unwrap_or(&text).into())
    }),
    ("sprig_abbrev", "width text", |c| {
        abbreviate(&c.str(1)?, 0, c.int(0)?)
    }),
    ("sprig_abbrevboth", "left width text", |c| {
        abbreviate(&c.str(2)?, c.int(0)?, c.int(1)?)
    }),
    ("sprig_trunc", "length text", |c| {
        let (n, text) = (c.int(0)?, c.bytes(1)?);
        let size = n.unsigned_abs() as usize;
        let kept = if n < 0 && text.len() > size {
            &text[text.len() - size..]
        } else if n >= 0 && text.len() > size {
            &text[..size]
        } else {
            &text[..]
        };
        Ok(Value::from_bytes(kept.to_vec()))
    }),
    ("sprig_substr", "start end text", |c| {
        let (start, end, text) = (c.int(0)?, c.int(1)?, c.bytes(2)?);
        let len = text.len();
        let to = if end < 0 || end as usize > len {
            len
        } else {
            end as usize
        };
        let from = if start < 0 { 0 } else { start as usize };
        if from > to {
            return Err(FuncError::new("slice bounds out of range"));
        }
        Ok(Value::from_bytes(text[from..to].to_vec()))
    }),
    ("sprig_repeat", "count text", |c| {
        let (count, text) = (c.int(0)?, c.str(1)?);
        let count = usize::try_from(count).map_err(|_| FuncError::new("negative repeat count"))?;
        bounded(
            text.len().saturating_mul(count),
            c.scope.limits.max_value_bytes,
        )?;
        Ok(text.repeat(count).into())
    }),
    ("sprig_nospace", "text", |c| {
        let text = c.str(0)?;
        Ok(text
            .chars()
            .filter(|ch| !ch.is_whitespace())
            .collect::<String>()
            .into())
    }),
    ("sprig_initials", "text", |c| {
        let text = c.str(0)?;
        Ok(text
            .split_whitespace()
            .filter_map(|w| w.chars().next())
            .collect::<String>()
            .into())
    }),
    ("sprig_swapcase", "text", |c| {
        Ok(swap_case(&c.str(0)?).into())
    }),
    ("sprig_snakecase", "text", |c| {
        Ok(delimited(&c.str(0)?, '_').into())
    }),
    ("sprig_kebabcase", "text", |c| {
        Ok(delimited(&c.str(0)?, '-').into())
    }),
    ("sprig_camelcase", "text", |c| Ok(camel(&c.str(0)?).into())),
    ("sprig_wrap", "width text", |c| {
        Ok(wrap(&c.str(1)?, c.int(0)?, "\n").into())
    }),
    ("sprig_wrapWith", "width mark text", |c| {
        let mark = c.str(1)?;
        let text = c.str(2)?;
        bounded(
            text.len().saturating_mul(mark.len() + 1),
            c.scope.limits.max_value_bytes,
        )?;
        Ok(wrap(&text, c.int(0)?, &mark).into())
    }),
    ("sprig_contains", "part text", |c| {
        Ok(c.str(1)?.contains(&*c.str(0)?).into())
    }),
    ("sprig_hasPrefix", "prefix text", |c| {
        Ok(c.str(1)?.starts_with(&*c.str(0)?).into())
    }),
    ("sprig_hasSuffix", "suffix text", |c| {
        Ok(c.str(1)?.ends_with(&*c.str(0)?).into())
    }),
    ("sprig_quote", "values*", |c| {
        let shown = c.args.iter().filter(|v| !matches!(v, Value::Nil));
        Ok(shown
            .map(|v| fmt::quote(&fmt::text(v)))
            .collect::<Vec<_>>()
            .join(" ")
            .into())
    }),
    ("sprig_squote", "values*", |c| {
        let shown = c.args.iter().filter(|v| !matches!(v, Value::Nil));
        Ok(shown
            .map(|v| format!("'{}'", fmt::text(v)))
            .collect::<Vec<_>>()
            .join(" ")
            .into())
    }),
    ("sprig_cat", "values*", |c| {
        let shown = c.args.iter().filter(|v| !matches!(v, Value::Nil));
        Ok(shown.map(fmt::text).collect::<Vec<_>>().join(" ").into())
    }),
    ("sprig_indent", "spaces text", |c| {
        indent(
            &c.str(1)?,
            c.count(0)?,
            false,
            c.scope.limits.max_value_bytes,
        )
    }),
    ("sprig_nindent", "spaces text", |c| {
        let indented = indent(
            &c.str(1)?,
            c.count(0)?,
            false,
            c.scope.limits.max_value_bytes,
        )?;
        Ok(format!("\n{}", fmt::text(&indented)).into())
    }),
    ("sprig_replace", "from to text", |c| {
        replace(
            &c.str(2)?,
            &c.str(0)?,
            &c.str(1)?,
            c.scope.limits.max_value_bytes,
        )
    }),
    ("sprig_plural", "one many count", |c| {
        Ok(c.get(usize::from(c.int(2)? != 1)).clone())
    }),
    ("sprig_toString", "value", |c| Ok(to_text(c.get(0)).into())),
    ("sprig_split", "separator text", |c| {
        let (sep, text) = (c.str(0)?, c.str(1)?);
        Ok(numbered(parts(&text, &sep)?))
    }),
    ("sprig_splitn", "separator count text", |c| {
        let (sep, n, text) = (c.str(0)?, c.int(1)?, c.str(2)?);
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        if n == 0 {
            return Ok(numbered(Vec::new()));
        }
        Ok(numbered(text.splitn(n, &*sep).collect()))
    }),
    ("sprig_splitList", "separator text", |c| {
        let (sep, text) = (c.str(0)?, c.str(1)?);
        Ok(Value::strings(parts(&text, &sep)?))
    }),
    ("sprig_toStrings", "list", |c| {
        Ok(Value::strings(texts(c, 0)))
    }),
    ("sprig_join", "separator list", |c| {
        join_limited(&texts(c, 1), &c.str(0)?, c.scope.limits.max_value_bytes)
    }),
    ("sprig_sortAlpha", "list", |c| {
        let mut texts = texts(c, 0);
        texts.sort();
        Ok(Value::strings(texts))
    }),
    ("sprig_b64enc", "text", |c| {
        Ok(BASE64_STANDARD.encode(c.bytes(0)?).into())
    }),
    ("sprig_b64dec", "text", |c| {
        // sprig answers with the error's text.
        Ok(decode64(&c.bytes(0)?, &alphabet::STANDARD).unwrap_or_else(|e| e.to_string().into()))
    }),
    (
        "sprig_b32enc",
        "text",
        |c| Ok(encode32(&c.bytes(0)?).into()),
    ),
    ("sprig_b32dec", "text", |c| {
        Ok(decode32(&c.str(0)?).unwrap_or_else(|| "illegal base32 data".into()))
    }),
    ("sprig_regexMatch", "pattern text", |c| {
        Ok(matches(c).unwrap_or(false.into()))
    }),
    ("sprig_mustRegexMatch", "pattern text", matches),
    ("sprig_regexFind", "pattern text", find),
    ("sprig_mustRegexFind", "pattern text", find),
    ("sprig_regexFindAll", "pattern text count", find_all),
    ("sprig_mustRegexFindAll", "pattern text count", find_all),
    ("sprig_regexReplaceAll", "pattern text replacement", |c| {
        regex_replace(c, true)
    }),
    (
        "sprig_mustRegexReplaceAll",
        "pattern text replacement",
        |c| regex_replace(c, true),
    ),
    (
        "sprig_regexReplaceAllLiteral",
        "pattern text replacement",
        |c| regex_replace(c, false),
    ),
    (
        "sprig_mustRegexReplaceAllLiteral",
        "pattern text replacement",
        |c| regex_replace(c, false),
    ),
    ("sprig_regexSplit", "pattern text count", regex_split),
    ("sprig_mustRegexSplit", "pattern text count", regex_split),
    ("sprig_regexQuoteMeta", "text", |c| {
        let special = |ch: char| "\\.+*?()|[]{}^$".contains(ch);
        let text = c.str(0)?;
        let quoted = text
            .chars()
            .flat_map(|ch| special(ch).then_some('\\').into_iter().chain([ch]));
        Ok(quoted.collect::<String>().into())
    }),
];

fn trim_all(c: &Call<'_>) -> Result<Value, FuncError> {
    let cut = c.str(0)?;
    Ok(c.str(1)?.trim_matches(|ch| cut.contains(ch)).into())
}

/// The elements as text, nils left out; one value alone counts as a list of one.
fn texts(c: &Call<'_>, i: usize) -> Vec<String> {
    let list = c.list(i).unwrap_or_else(|_| vec![c.get(i).clone()]);
    list.iter()
        .filter(|v| !matches!(v, Value::Nil))
        .map(to_text)
        .collect()
}

/// `_0`, `_1` and so on.
fn numbered(parts: Vec<&str>) -> Value {
    let entries = parts.into_iter().enumerate();
    let entries = entries.map(|(i, part)| (format!("_{i}").into(), part.into()));
    Value::typed_map(crate::value::STRING_MAP, entries.collect())
}

fn untitle(text: &str) -> String {
    let mut out = String::new();
    let mut word = false;
    for c in text.chars() {
        if word {
            out.push(c);
        } else {
            out.extend(c.to_lowercase());
        }
        word = !c.is_whitespace();
    }
    out
}

fn abbreviate(text: &str, left: i64, width: i64) -> Result<Value, FuncError> {
    let chars: Vec<char> = text.chars().collect();
    let (left, width) = (left.max(0) as usize, width.max(0) as usize);
    if width < 4 || left > 0 && width < 7 || chars.len() <= width {
        return Ok(text.into());
    }
    let left = left.min(chars.len());
    let shown = |range: &[char]| range.iter().collect::<String>();
    if left <= 4 {
        return Ok(format!("{}...", shown(&chars[..width - 3])).into());
    }
    if left + width - 3 < chars.len() {
        return Ok(format!("...{}...", shown(&chars[left..left + width - 6])).into());
    }
    Ok(format!("...{}", shown(&chars[chars.len() - (width - 3)..])).into())
}

fn swap_case(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

/// Words in lower case with a mark between them.
fn delimited(text: &str, mark: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        if matches!(c, ' ' | '-' | '_') {
            if !out.is_empty() && !out.ends_with(mark) {
                out.push(mark);
            }
            continue;
        }
        let before = i.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(i + 1);
        let starts_word = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_ascii_digit()
                    || b.is_uppercase() && after.is_some_and(|a| a.is_lowercase())
            });
        if starts_word && !out.is_empty() && !out.ends_with(mark) {
            out.push(mark);
        }
        out.extend(c.to_lowercase());
    }
    while out.ends_with(mark) {
        out.pop();
    }
    out
}

fn camel(text: &str) -> String {
    let mut out = String::new();
    let mut upper = true;
    for c in text.chars() {
        if matches!(c, '_' | '-' | ' ') {
            upper = true;
        } else if upper {
            out.extend(c.to_uppercase());
            upper = false;
        } else {
            out.push(c);
        }
    }
    out
}

/// Breaks lines at spaces so that none is longer than `width` characters if words allow.
fn wrap(text: &str, width: i64, mark: &str) -> String {
    let width = width.max(1) as usize;
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while chars.len() - at > width {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let space = (at..=at + width).rev().find(|&i| chars[i] == ' ');
        if let Some(space) = space {
            out.extend(&chars[at..space]);
            out.push_str(mark);
            at = space + 1;
        } else {
            let next = (at + width..chars.len()).find(|&i| chars[i] == ' ');
            let Some(next) = next else {
                break;
            };
            out.extend(&chars[at..next]);
            out.push_str(mark);
            at = next + 1;
        }
    }
    out.extend(&chars[at..]);
    out
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut block = [0_u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        for i in 0..8 {
            if i < digits {
                out.push(char::from(BASE32[(bits >> (35 - 5 * i)) as usize & 31]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn decode32(text: &str) -> Option<Value> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .collect();
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let digits: Vec<u8> = text.iter().copied().take_while(|b| *b != b'=').collect();
    if text[digits.len()..].iter().any(|b| *b != b'=') {
        return None;
    }
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = BASE32.iter().position(|b| *b == digit)? as u32;
        bits = bits << 5 | value;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(Value::from_bytes(out))
}

fn matches(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(compile(&c.str(0)?)?.is_match(&c.str(1)?).into())
}

fn find(c: &Call<'_>) -> Result<Value, FuncError> {
    let text = c.str(1)?;
    let found = compile(&c.str(0)?)?
        .find(&text)
        .map(|m| m.as_str().to_owned());
    Ok(found.unwrap_or_default().into())
}

fn find_all(c: &Call<'_>) -> Result<Value, FuncError> {
    let text = c.str(1)?;
    let most = usize::try_from(c.int(2)?).unwrap_or(usize::MAX);
    let pattern = compile(&c.str(0)?)?;
    let found = pattern.find_iter(&text).take(most).map(|m| m.as_str());
    Ok(Value::strings(found))
}

fn regex_replace(c: &Call<'_>, expand: bool) -> Result<Value, FuncError> {
    let pattern = compile(&c.str(0)?)?;
    replace_all(
        &pattern,
        &c.str(1)?,
        &c.str(2)?,
        expand,
        c.scope.limits.max_value_bytes,
    )
}

fn regex_split(c: &Call<'_>) -> Result<Value, FuncError> {
    let (text, most) = (c.str(1)?, c.int(2)?);
    let pattern = compile(&c.str(0)?)?;
    Ok(match usize::try_from(most) {
        Ok(0) => Value::strings::<&str>([]),
        Ok(most) => Value::strings(pattern.splitn(&text, most)),
        Err(_) => Value::strings(pattern.split(&text)),
    })
}
