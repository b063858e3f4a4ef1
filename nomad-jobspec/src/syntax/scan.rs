//! Tokens of native syntax, for telling syntax errors well and for formatting.
//!
//! The scanner never fails: what it cannot read becomes an [`Token::Invalid`]. Texts are not decoded.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Identifier,
    Number,
    /// An operator or bracket.
    Symbol,
    /// `"`, opening or closing.
    Quote,
    /// Text inside quotes or a heredoc.
    Text,
    /// `<<EOT` with its line end.
    HeredocStart,
    /// The closing marker of a heredoc.
    HeredocEnd,
    /// `${` or `%{`, maybe with `~`.
    TemplateStart,
    /// `}` that ends a `${` or `%{`, maybe with `~`.
    TemplateEnd,
    /// To the end of its line, without the line end, or `/* */`.
    Comment,
    Newline,
    /// A character that means nothing, or a `/*` that is not closed.
    Invalid,
}

/// A token and its bytes in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What surrounds the place where the scanner stands.
enum Mode {
    /// Expressions; `braces` are those opened since a `${`.
    Normal {
        in_template: bool,
        braces: usize,
    },
    Quoted,
    Heredoc {
        marker: String,
    },
}

/// All the tokens of a text, without blanks.
pub(crate) fn scan(text: &str) -> Vec<Lexeme> {
    let mut scanner = Scanner {
        text,
        at: 0,
        modes: Vec::new(),
        lexemes: Vec::new(),
    };
    scanner.modes.push(Mode::Normal {
        in_template: false,
        braces: 0,
    });
    while scanner.at < text.len() {
        match scanner.modes.last() {
            Some(Mode::Quoted) => scanner.quoted(),
            Some(Mode::Heredoc { marker }) => {
                let marker = marker.clone();
                scanner.heredoc(&marker);
            }
            _ => scanner.normal(),
        }
    }
    scanner.lexemes
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    modes: Vec<Mode>,
    lexemes: Vec<Lexeme>,
}

/// Symbols of more than one character, longest first.
const LONG_SYMBOLS: [&str; 10] = ["...", "==", "!=", "<=", ">=", "&&", "||", "=>", "::", "<<"];

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, token: Token, length: usize) {
        self.lexemes.push(Lexeme {
            token,
            start: self.at,
            end: self.at + length,
        });
        self.at += length;
    }

    fn normal(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return;
        };
        match first {
            ' ' | '\t' => self.at += 1,
            '\r' if rest.starts_with("\r\n") => self.push(Token::Newline, 2),
            '\n' => self.push(Token::Newline, 1),
            '#' => self.line_comment(),
            '/' if rest.starts_with("//") => self.line_comment(),
            '/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) => self.push(Token::Comment, end + 2),
                None => self.push(Token::Invalid, rest.len()),
            },
            '"' => {
                self.push(Token::Quote, 1);
                self.modes.push(Mode::Quoted);
            }
            '<' if rest.starts_with("<<") && self.heredoc_start() => {}
            '0'..='9' => {
                let length = number_length(rest);
                self.push(Token::Number, length);
            }
            c if is_identifier_start(c) => {
                let length = rest
                    .find(|c: char| !is_identifier_continue(c))
                    .unwrap_or(rest.len());
                self.push(Token::Identifier, length);
            }
            '~' if rest.starts_with("~}") && self.closes_template() => {
                self.push(Token::TemplateEnd, 2);
                self.modes.pop();
            }
            '}' if self.closes_template() => {
                self.push(Token::TemplateEnd, 1);
                self.modes.pop();
            }
            '{' | '}' => {
                if let Some(Mode::Normal { braces, .. }) = self.modes.last_mut() {
                    *braces = if first == '{' {
                        *braces + 1
                    } else {
                        braces.saturating_sub(1)
                    };
                }
                self.push(Token::Symbol, 1);
            }
            _ => {
                let long = LONG_SYMBOLS
                    .iter()
                    .find(|symbol| rest.starts_with(**symbol))
                    .map(|symbol| symbol.len());
                match (long, first) {
                    (Some(length), _) => self.push(Token::Symbol, length),
                    (
                        None,
                        '(' | ')' | '[' | ']' | '=' | '<' | '>' | '!' | '?' | ':' | '.' | ',' | '+'
                        | '-' | '*' | '/' | '%' | '&' | '|',
                    ) => self.push(Token::Symbol, 1),
                    _ => self.push(Token::Invalid, first.len_utf8()),
                }
            }
        }
    }

    fn line_comment(&mut self) {
        let rest = self.rest();
        let length = rest.find('\n').unwrap_or(rest.len());
        let length = if rest[..length].ends_with('\r') {
            length - 1
        } else {
            length
        };
        self.push(Token::Comment, length);
    }

    /// Whether a `}` here ends a `${`.
    fn closes_template(&self) -> bool {
        matches!(
            self.modes.last(),
            Some(Mode::Normal {
                in_template: true,
                braces: 0
            })
        )
    }

    /// Reads `<<EOT` or `<<-EOT` and its line end, if that is what stands here.
    fn heredoc_start(&mut self) -> bool {
        let rest = self.rest();
        let name = rest[2..].strip_prefix('-').unwrap_or(&rest[2..]);
        let length = name
            .find(|c: char| !is_identifier_continue(c))
            .unwrap_or(name.len());
        if length == 0 || !name.starts_with(is_identifier_start) {
            return false;
        }
        let after = &name[length..];
        let line_end = if after.starts_with("\r\n") {
            2
        } else if after.starts_with('\n') {
            1
        } else {
            return false;
        };
        let marker = name[..length].to_owned();
        let total = rest.len() - after.len() + line_end;
        self.push(Token::HeredocStart, total);
        self.modes.push(Mode::Heredoc { marker });
        true
    }

    fn template_start(&mut self) {
        let length = if self.rest()[2..].starts_with('~') {
            3
        } else {
            2
        };
        self.push(Token::TemplateStart, length);
        self.modes.push(Mode::Normal {
            in_template: true,
            braces: 0,
        });
    }

    fn quoted(&mut self) {
        let rest = self.rest();
        if rest.starts_with('"') {
            self.push(Token::Quote, 1);
            self.modes.pop();
            return;
        }
        if rest.starts_with('\n') {
            // Not closed on its line: what follows is read as if it were.
            self.modes.pop();
            return;
        }
        if rest.starts_with("${") || rest.starts_with("%{") {
            self.template_start();
            return;
        }
        let mut length = 0;
        while let Some(c) = rest[length..].chars().next() {
            let here = &rest[length..];
            if here.starts_with("$${") || here.starts_with("%%{") {
                length += 3;
            } else if c == '"' || c == '\n' || here.starts_with("${") || here.starts_with("%{") {
                break;
            } else if c == '\\' {
                length += 1 + here[1..]
                    .chars()
                    .next()
                    .filter(|c| *c != '\n')
                    .map_or(0, char::len_utf8);
            } else {
                length += c.len_utf8();
            }
        }
        self.push(Token::Text, length.min(rest.len()));
    }

    fn heredoc(&mut self, marker: &str) {
        let rest = self.rest();
        let at_line_start = self.at == 0 || self.text.as_bytes()[self.at - 1] == b'\n';
        if at_line_start {
            let line = rest.lines().next().unwrap_or_default();
            if line.trim() == marker {
                let indent = line.len() - line.trim_start().len();
                self.at += indent;
                self.push(Token::HeredocEnd, marker.len());
                self.modes.pop();
                return;
            }
        }
        if rest.starts_with("${") || rest.starts_with("%{") {
            self.template_start();
            return;
        }
        let mut length = 0;
        while let Some(c) = rest[length..].chars().next() {
            let here = &rest[length..];
            if here.starts_with("$${") || here.starts_with("%%{") {
                length += 3;
            } else if here.starts_with("${") || here.starts_with("%{") {
                break;
            } else {
                length += c.len_utf8();
                if c == '\n' {
                    break;
                }
            }
        }
        self.push(Token::Text, length);
    }
}

fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(text);
    if text[length..].starts_with('.') {
        let fraction = digits(&text[length + 1..]);
        if fraction > 0 {
            length += 1 + fraction;
        }
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[length + 1 + sign..]);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

pub(crate) fn is_identifier_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

pub(crate) fn is_identifier_continue(c: char) -> bool {
    c == '-' || c == '_' || c.is_alphanumeric()
}
