//! Decoding of a JSON body with the error texts of Go's JSON package, on which clients match.
//!
//! serde_json reads the body. Only when it refuses one is the text scanned again, for Go's words. Source: RFC 8259
//! and the error texts of Go's `encoding/json`.

use serde::de::DeserializeOwned;

/// Why a JSON body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing was sent.
    #[error("EOF")]
    Empty,
    /// Larger than the caller allows.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The caller's limit.
        limit: usize,
    },
    /// Not JSON; the text is Go's.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but a value is not of the type that its field has.
    #[error("{0}")]
    Type(String),
}

/// Reads the first JSON value of `body`, of at most `limit` bytes; what follows it is not looked at.
///
/// # Errors
/// See [`DecodeError`]. Objects nested deeper than 128 are refused.
pub fn decode<T: DeserializeOwned>(body: &[u8], limit: usize) -> Result<T, DecodeError> {
    if body.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError::Empty);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match T::deserialize(&mut deserializer) {
        Ok(value) => Ok(value),
        Err(error) => Err(match go_syntax_error(body) {
            Some(text) => DecodeError::Syntax(text),
            None => DecodeError::Type(format!("json: {}", without_position(&error.to_string()))),
        }),
    }
}

/// serde_json's text with its position kept, in a form that reads on after "json: ".
fn without_position(text: &str) -> String {
    text.replacen(" at line ", " (line ", 1)
        .replacen(" column ", ", column ", 1)
        + if text.contains(" at line ") { ")" } else { "" }
}

/// What Go says about the first JSON value of `body`, or `None` if it is well formed.
fn go_syntax_error(body: &[u8]) -> Option<String> {
    Scanner { body, at: 0 }.value(0).err()
}

/// Deeper nesting than this is refused, as Go does.
const MAX_DEPTH: usize = 10_000;

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

/// An open list or object while the scanner walks without recursion.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    List,
    Object,
}

impl Scanner<'_> {
    fn peek(&self) -> Result<u8, String> {
        self.body
            .get(self.at)
            .copied()
            .ok_or_else(|| "unexpected EOF".to_owned())
    }

    fn space(&mut self) {
        while matches!(self.body.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn unexpected<T>(&self, context: &str) -> Result<T, String> {
        let byte = self.peek()?;
        let shown = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            0x20..=0x7e => format!("'{}'", char::from(byte)),
            b'\n' => r"'\n'".to_owned(),
            b'\t' => r"'\t'".to_owned(),
            b'\r' => r"'\r'".to_owned(),
            0x80.. => format!("'{}'", char::from(byte)),
            _ => format!("'\\x{byte:02x}'"),
        };
        Err(format!("invalid character {shown} {context}"))
    }

    fn value(&mut self, _depth: usize) -> Result<(), String> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            self.space();
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    self.space();
                    if self.peek()? == b'}' {
                        self.at += 1;
                    } else {
                        open.push(Open::Object);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.space();
                    if self.peek()? == b']' {
                        self.at += 1;
                    } else {
                        open.push(Open::List);
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            if open.len() > MAX_DEPTH {
                return Err("exceeded max depth".to_owned());
            }
            // A value has ended: close what it completes.
            loop {
                let Some(&innermost) = open.last() else {
                    return Ok(());
                };
                self.space();
                match (innermost, self.peek()?) {
                    (Open::List, b',') => {
                        self.at += 1;
                        break;
                    }
                    (Open::Object, b',') => {
                        self.at += 1;
                        self.space();
                        self.key()?;
                        break;
                    }
                    (Open::List, b']') | (Open::Object, b'}') => {
                        self.at += 1;
                        open.pop();
                    }
                    (Open::List, _) => return self.unexpected("after array element"),
                    (Open::Object, _) => return self.unexpected("after object key:value pair"),
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), String> {
        if self.peek()? != b'"' {
            return self.unexpected("looking for beginning of object key string");
        }
        self.string()?;
        self.space();
        if self.peek()? != b':' {
            return self.unexpected("after object key");
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return self.unexpected("in \\u hexadecimal character escape");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.unexpected("in string escape code"),
                    }
                }
                0..0x20 => return self.unexpected("in string literal"),
                _ => self.at += 1,
            }
        }
    }

    fn scalar(&mut self) -> Result<(), String> {
        match self.peek()? {
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.unexpected("looking for beginning of value"),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes() {
            if self.peek()? != expected {
                return self.unexpected(&format!(
                    "in literal {word} (expecting '{}')",
                    char::from(expected)
                ));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !self.peek()?.is_ascii_digit() {
            return self.unexpected(context);
        }
        while self.body.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.body.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.body.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.body.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }
}
