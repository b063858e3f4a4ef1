//! Tokens for formatting: quoted strings and heredocs are one token each.

use crate::syntax::scan::{Token, scan};

/// What a token is, as far as blanks are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Identifier,
    Number,
    Symbol,
    /// A quoted string or a heredoc.
    Text,
    Comment,
    Newline,
}

/// A token and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
}

impl Item<'_> {
    /// 1 for an opening bracket, -1 for a closing one.
    pub(super) fn brackets(&self) -> i32 {
        match (self.kind, self.text) {
            (Kind::Symbol, "{" | "[" | "(") => 1,
            (Kind::Symbol, "}" | "]" | ")") => -1,
            _ => 0,
        }
    }
}

/// The tokens of a text that has been read without error.
pub(super) fn items(text: &str) -> Vec<Item<'_>> {
    let lexemes = scan(text);
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(lexeme) = lexemes.get(at) {
        let (kind, last) = match lexeme.token {
            Token::Quote => (
                Kind::Text,
                closing(&lexemes[at..], Token::Quote, Token::Quote) + at,
            ),
            Token::HeredocStart => (
                Kind::Text,
                closing(&lexemes[at..], Token::HeredocStart, Token::HeredocEnd) + at,
            ),
            Token::Identifier => (Kind::Identifier, at),
            Token::Number => (Kind::Number, at),
            Token::Comment => (Kind::Comment, at),
            Token::Newline => (Kind::Newline, at),
            _ => (Kind::Symbol, at),
        };
        items.push(Item {
            kind,
            text: &text[lexeme.start..lexemes[last].end],
        });
        at = last + 1;
    }
    items
}

/// The place of the token that ends what the first token opens.
fn closing(lexemes: &[crate::syntax::scan::Lexeme], open: Token, close: Token) -> usize {
    let mut templates = 0_usize;
    let mut depth = 0_usize;
    for (at, lexeme) in lexemes.iter().enumerate() {
        match lexeme.token {
            Token::TemplateStart => templates += 1,
            Token::TemplateEnd => templates = templates.saturating_sub(1),
            // What is nested in a `${` closes itself before it.
            _ if templates > 0 => {}
            token if at > 0 && token == close => {
                if depth <= 1 {
                    return at;
                }
                depth -= 1;
            }
            token if token == open => depth += 1,
            _ => {}
        }
    }
    lexemes.len() - 1
}
