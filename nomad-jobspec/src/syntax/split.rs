//! Large files in pieces: the items of a body are parsed some at a time, so that hcl-edit's tree, many times the size
//! of the text, never stands whole and the cost of a block does not grow with the number of blocks before it.
//!
//! A piece ends where an item of its body ends and the next starts on a new line. Whatever looks unusual, and every
//! mistake, sends the caller back to parsing the text whole, which then tells the mistake.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use hcl_edit::parser::parse_body;

use super::ast::Body;
use super::convert::Converter;
use super::scan::{Lexeme, Token, scan};
use crate::diagnostic::Diagnostic;
use crate::source::Sources;

/// Shorter texts are parsed whole.
const WHOLE_BELOW: usize = 16 << 10;
/// About how many bytes one piece has; an item that is longer is a piece of its own, or is split itself.
const PIECE: usize = 8 << 10;

/// Reads the text of a source, as it is or with other expressions in the same places, in pieces. `None`: it must be read whole.
pub(super) fn parse(
    sources: &Sources,
    file: u16,
    text: &str,
    lexemes: &OnceCell<Vec<Lexeme>>,
) -> Option<(Body, Vec<Diagnostic>)> {
    if text.len() < WHOLE_BELOW {
        return None;
    }
    let lexemes = lexemes.get_or_init(|| scan(text));
    let mut splitter = Splitter {
        sources,
        file,
        text,
        diagnostics: Vec::new(),
    };
    let body = splitter.body(lexemes, 0..text.len(), true)?;
    Some((body, splitter.diagnostics))
}

struct Splitter<'a> {
    sources: &'a Sources,
    file: u16,
    text: &'a str,
    diagnostics: Vec<Diagnostic>,
}

impl Splitter<'_> {
    /// The items of a body that fills `range`; `lexemes` are those within it. `split`: long blocks are split too.
    fn body(&mut self, lexemes: &[Lexeme], range: Range<usize>, split: bool) -> Option<Body> {
        let mut body = Body::default();
        let mut piece = range.start;
        let mut item = 0;
        while item < lexemes.len() {
            let end = item_end(self.text, lexemes, item)?;
            let start = lexemes[item].start;
            let next = lexemes.get(end).map_or(range.end, |lexeme| lexeme.start);
            if split && next - start > WHOLE_BELOW {
                if start > piece {
                    self.piece(piece..start, &mut body)?;
                }
                self.block(&lexemes[item..end], &mut body)?;
                piece = next;
            } else if next - piece > PIECE {
                self.piece(piece..next, &mut body)?;
                piece = next;
            }
            item = end;
        }
        if piece < range.end {
            self.piece(piece..range.end, &mut body)?;
        }
        let mut names = BTreeSet::new();
        let unique = body
            .attributes
            .iter()
            .all(|attribute| names.insert(attribute.name.as_str()));
        unique.then_some(body)
    }

    fn piece(&mut self, range: Range<usize>, body: &mut Body) -> Option<()> {
        let parsed = parse_body(&self.text[range.clone()]).ok()?;
        let mut converter = Converter::new(self.sources, self.file, range.start);
        let mut converted = converter.body(&parsed);
        self.diagnostics.append(&mut converter.diagnostics);
        body.attributes.append(&mut converted.attributes);
        body.blocks.append(&mut converted.blocks);
        Some(())
    }

    /// A long block: its header with nothing in it, and its items by themselves.
    fn block(&mut self, lexemes: &[Lexeme], body: &mut Body) -> Option<()> {
        let symbol = |lexeme: &Lexeme, sign: &str| {
            lexeme.token == Token::Symbol && &self.text[lexeme.start..lexeme.end] == sign
        };
        let open = lexemes.iter().position(|lexeme| symbol(lexeme, "{"))?;
        let close = lexemes.iter().rposition(|lexeme| symbol(lexeme, "}"))?;
        let inner = lexemes.get(open + 1..close)?;
        // Only the usual form, with both braces at the end of a line of their own.
        let comment = usize::from(inner.first()?.token == Token::Comment);
        let first = inner.get(comment)?;
        if first.token != Token::Newline || inner.last()?.token != Token::Newline {
            return None;
        }
        let header = &self.text[lexemes[0].start..lexemes[open].end];
        let parsed = parse_body(&format!("{header}\n}}\n")).ok()?;
        let mut converter = Converter::new(self.sources, self.file, lexemes[0].start);
        let mut converted = converter.body(&parsed);
        self.diagnostics.append(&mut converter.diagnostics);
        let mut block = converted.blocks.pop()?;
        if !converted.attributes.is_empty() || !converted.blocks.is_empty() {
            return None;
        }
        let range = first.end..lexemes[close].start;
        let content = self.body(&inner[comment + 1..], range, false)?;
        block.body = Arc::new(content);
        body.blocks.push(block);
        // What follows the closing brace on its line may only be a comment.
        lexemes[close + 1..]
            .iter()
            .all(|lexeme| matches!(lexeme.token, Token::Comment | Token::Newline))
            .then_some(())
    }
}

/// One past the last lexeme of the item that starts at `from`: behind the line end at which all brackets are closed.
fn item_end(text: &str, lexemes: &[Lexeme], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, lexeme) in lexemes.iter().enumerate().skip(from) {
        match lexeme.token {
            Token::Symbol => match &text[lexeme.start..lexeme.end] {
                "{" | "[" | "(" => depth += 1,
                "}" | "]" | ")" => depth = depth.checked_sub(1)?,
                _ => {}
            },
            // A template's own braces come in pairs as well.
            Token::TemplateStart => depth += 1,
            Token::TemplateEnd => depth = depth.checked_sub(1)?,
            Token::Newline if depth == 0 => return Some(at + 1),
            Token::Invalid => return None,
            _ => {}
        }
    }
    (depth == 0).then_some(lexemes.len())
}
