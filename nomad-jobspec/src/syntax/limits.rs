//! What is refused before the parser sees it, because the time that it takes grows too fast.

use std::cell::OnceCell;

use super::scan::{Lexeme, Token, scan};
use crate::diagnostic::Diagnostic;
use crate::source::{MAX_SOURCE_BYTES, Sources, Span};

/// How many items one object may have: the parser compares each key with all before it.
const MAX_OBJECT_ITEMS: usize = 2_000;

/// The diagnostic for a text that is too large, or has an object of too many items.
///
/// `lexemes` are filled where they are needed.
pub(super) fn exceeded(
    sources: &Sources,
    file: u16,
    lexemes: &OnceCell<Vec<Lexeme>>,
) -> Option<Diagnostic> {
    let text = sources.text(file);
    if text.len() > MAX_SOURCE_BYTES {
        let detail = format!(
            "The text has {} bytes; at most {MAX_SOURCE_BYTES} are read.",
            text.len()
        );
        return Some(Diagnostic::error("Text too large", detail));
    }
    // Most files have so few signs that they need no closer look.
    let signs = text.bytes().filter(|b| matches!(b, b'=' | b':')).count();
    if signs <= MAX_OBJECT_ITEMS {
        return None;
    }
    let mut open: Vec<usize> = Vec::new();
    for lexeme in lexemes.get_or_init(|| scan(text)) {
        if lexeme.token != Token::Symbol {
            continue;
        }
        match &text[lexeme.start..lexeme.end] {
            "{" => open.push(0),
            "}" => {
                open.pop();
            }
            "=" | ":" => {
                let Some(items) = open.last_mut() else {
                    continue;
                };
                *items += 1;
                if *items > MAX_OBJECT_ITEMS {
                    let span = Span {
                        file,
                        start: lexeme.start as u32,
                        end: lexeme.end as u32,
                    };
                    return Some(Diagnostic::at(
                        sources,
                        span,
                        "Too many items",
                        format!(
                            "At most {MAX_OBJECT_ITEMS} items may stand between one pair of braces."
                        ),
                    ));
                }
            }
            _ => {}
        }
    }
    None
}
