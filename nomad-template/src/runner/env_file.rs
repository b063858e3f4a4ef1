//! Environment files: `KEY=VALUE` lines as Nomad reads them from templates with `env = true`.
//!
//! Blank lines and lines that begin with `#` count for nothing, nor does `export ` before a key.
//! Values may be bare, in single quotes (literal), or in double quotes (with JSON's escapes);
//! quoted parts may stand side by side. Behind a space, `#` begins a comment.

use std::collections::BTreeMap;

/// Longest file that is read, in bytes.
pub(super) const MAX_ENV_BYTES: usize = 4 * 1024 * 1024;

/// A line that is no variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment file, line {line}: {problem}")]
pub struct EnvFileError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong. Never holds a value, which may be secret.
    pub problem: &'static str,
}

/// Reads an environment file. Of a variable given twice the last counts.
///
/// # Errors
/// The first line that is malformed.
pub fn parse_env_file(text: &str) -> Result<BTreeMap<String, String>, EnvFileError> {
    let mut vars = BTreeMap::new();
    for (i, line) in text.split('\n').enumerate() {
        let at = |problem| EnvFileError {
            line: i + 1,
            problem,
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| at("no = sign"))?;
        let key = key.trim();
        let key = key.strip_prefix("export ").unwrap_or(key).trim();
        if key.is_empty() {
            return Err(at("no name before the = sign"));
        }
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !key.chars().all(good) || key.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(at(
                "a name has letters, digits, _ . and - and begins with no digit",
            ));
        }
        vars.insert(key.to_owned(), unquote(value.trim()).map_err(at)?);
    }
    Ok(vars)
}

fn unquote(text: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut chars = text.chars().peekable();
    let mut bare_end = 0;
    let mut after_space = true;
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => value.push(c),
                        None => return Err("a single quote is not closed"),
                    }
                }
                bare_end = value.len();
            }
            '"' => {
                double_quoted(&mut chars, &mut value)?;
                bare_end = value.len();
            }
            '#' if after_space => break,
            c if c.is_control() && c != '\t' => return Err("a value holds a control character"),
            c => {
                value.push(c);
                if !c.is_whitespace() {
                    bare_end = value.len();
                }
            }
        }
        after_space = c.is_whitespace();
    }
    // Space behind the last quote or bare text is no part of the value.
    value.truncate(bare_end);
    Ok(value)
}

fn double_quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    value: &mut String,
) -> Result<(), &'static str> {
    loop {
        match chars.next().ok_or("a double quote is not closed")? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or("a double quote is not closed")? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                'b' => value.push('\u{8}'),
                'f' => value.push('\u{c}'),
                c @ ('"' | '\\' | '/' | '\'') => value.push(c),
                'u' => {
                    let high = hex4(chars)?;
                    let code = if (0xd800..0xdc00).contains(&high) {
                        let paired = chars.next() == Some('\\') && chars.next() == Some('u');
                        let low = if paired { hex4(chars)? } else { 0 };
                        if !(0xdc00..0xe000).contains(&low) {
                            return Err("half of a surrogate pair");
                        }
                        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    } else {
                        high
                    };
                    value.push(char::from_u32(code).ok_or("half of a surrogate pair")?);
                }
                _ => return Err("an unknown escape in double quotes"),
            },
            c => value.push(c),
        }
    }
}

fn hex4(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<u32, &'static str> {
    let digits: String = chars.by_ref().take(4).collect();
    if digits.len() != 4 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err("\\u needs four hexadecimal digits");
    }
    u32::from_str_radix(&digits, 16).map_err(|_| "\\u needs four hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_value() {
        let text = "\n# comment\nA=1\nexport B = two words # why\nC='lit $x \\n #'\nD=\"a\\n\\u0041\\ud83d\\ude00 \\\"q\\\"\"\nE=\nF=pre'mid'\"post\"\nG=http://h/#frag\r\nA=2\n  H  =  x  \nI=''\n";
        let vars = parse_env_file(text).unwrap();
        let want = [
            ("A", "2"),
            ("B", "two words"),
            ("C", "lit $x \\n #"),
            ("D", "a\nA\u{1f600} \"q\""),
            ("E", ""),
            ("F", "premidpost"),
            ("G", "http://h/#frag"),
            ("H", "x"),
            ("I", ""),
        ];
        assert_eq!(vars, want.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn malformed_lines_are_named_without_their_values() {
        for text in [
            "A=1\nsecret",
            "A=1\n=secret",
            "A=1\n1A=secret",
            "A=1\nA B=secret",
            "A=1\nA='secret",
            "A=1\nA=\"secret",
            "A=1\nA=\"secret\\x\"",
            "A=1\nA=\"secret\\u12\"",
            "A=1\nA=\"secret\\ud800\"",
        ] {
            let error = parse_env_file(text).unwrap_err();
            assert_eq!(error.line, 2, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
