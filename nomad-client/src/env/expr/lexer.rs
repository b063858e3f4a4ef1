//! Tokens of expressions.

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Number(f64),
    /// A quoted string, escapes not yet undone in its templates.
    Quoted(String),
    Op(&'static str),
}

const OPERATORS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "=>", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":",
    "(", ")", "[", "]", "{", "}", ",", ".",
];

/// Splits an expression into tokens. `=` alone is given as `=>`, for objects.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        if c.is_alphabetic() || c == '_' {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
                .unwrap_or(rest.len());
            out.push(Token::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if c.is_ascii_digit() {
            let end = number_end(rest, out.last() == Some(&Token::Op(".")));
            let n = rest[..end]
                .parse()
                .map_err(|_| format!("\"{}\" is not a number", &rest[..end]))?;
            out.push(Token::Number(n));
            rest = &rest[end..];
        } else if c == '"' {
            let end = quoted_end(rest)?;
            out.push(Token::Quoted(rest[1..end].to_owned()));
            rest = &rest[end + 1..];
        } else if let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            out.push(Token::Op(op));
            rest = &rest[op.len()..];
        } else if c == '=' {
            out.push(Token::Op("=>"));
            rest = &rest[1..];
        } else {
            return Err(format!("\"{c}\" is not expected in an expression"));
        }
        rest = rest.trim_start();
    }
    Ok(out)
}

/// End of a number; after a dot it is an index and has no fraction.
fn number_end(text: &str, after_dot: bool) -> usize {
    let digits = |from: usize| {
        text[from..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(text.len(), |end| from + end)
    };
    let whole = digits(0);
    let has_fraction = !after_dot
        && text[whole..].starts_with('.')
        && text[whole + 1..].starts_with(|c: char| c.is_ascii_digit());
    if has_fraction {
        digits(whole + 1)
    } else {
        whole
    }
}

/// Where the quote that closes a string stands; quotes within `${...}` of the string do not.
fn quoted_end(text: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let mut at = 1;
    let mut depth = 0_usize;
    let mut inner_quote = false;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' if depth == 0 => return Ok(at),
            b'"' => inner_quote = !inner_quote,
            b'{' if !inner_quote && (depth > 0 || matches!(bytes[at - 1], b'$' | b'%')) => {
                depth += 1;
            }
            b'}' if depth > 0 && !inner_quote => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Err("a quoted string has no end".to_owned())
}

/// Where the `}` that closes an expression stands, `text` beginning behind its `{`.
pub(super) fn expression_end(text: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += quoted_end(&text[at..])?,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Ok(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Err("an expression that begins with \"${\" has no end".to_owned())
}

/// Undoes the escapes of a quoted string.
pub(super) fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('"') => out.push('"'),
            Some('\\') => out.push('\\'),
            Some(c @ ('u' | 'U')) => {
                let width = if c == 'u' { 4 } else { 8 };
                let digits: String = chars.by_ref().take(width).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                match code
                    .and_then(char::from_u32)
                    .filter(|_| digits.len() == width)
                {
                    Some(c) => out.push(c),
                    None => return Err(format!("\"\\{c}{digits}\" is no character")),
                }
            }
            Some(c) => return Err(format!("\"\\{c}\" is not an escape")),
            None => return Err("a string ends with a backslash".to_owned()),
        }
    }
    Ok(out)
}
