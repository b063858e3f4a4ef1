//! What a syntax error is, said in HCL's words where it is one of the usual ones.

use hcl_edit::parser::Error;

use super::scan::{Lexeme, Token, scan};
use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span};

/// The diagnostic for `error`, which hcl-edit met in `text`; `text` starts at byte `base` of the source.
pub(super) fn diagnose(
    sources: &Sources,
    file: u16,
    base: usize,
    text: &str,
    error: &Error,
) -> Diagnostic {
    let lexemes = scan(text);
    let span = |start: usize, end: usize| Span {
        file,
        start: (base + start) as u32,
        end: (base + end) as u32,
    };
    let at = |lexeme: &Lexeme| span(lexeme.start, lexeme.end);
    let offset = error.location().offset();

    if let Some(open) = unclosed_quote(&lexemes) {
        return Diagnostic::at(
            sources,
            at(open),
            "Unterminated string",
            "There is no closing quote for this string before the end of its line. To produce a multi-line string, \
             use the \\n escape or the \"heredoc\" syntax.",
        )
        .expected("\"");
    }
    if let Some(open) = unclosed_heredoc(&lexemes) {
        let marker = text[open.start..open.end]
            .trim_start_matches(['<', '-'])
            .trim()
            .to_owned();
        return Diagnostic::at(
            sources,
            span(
                open.start,
                open.start + text[open.start..open.end].trim_end().len(),
            ),
            "Unterminated template string",
            "No closing marker was found for the string.",
        )
        .expected(format!("a line with only {marker}"));
    }
    if let Some(invalid) = lexemes.iter().find(|lexeme| lexeme.token == Token::Invalid) {
        return invalid_character(sources, at(invalid), &text[invalid.start..invalid.end]);
    }
    if let Some((open, close)) = unbalanced(text, &lexemes) {
        return match &text[open.start..open.end] {
            _ if close => Diagnostic::at(
                sources,
                at(open),
                "Argument or block definition required",
                "There is no open block for this closing bracket. This may be caused by incorrect nesting earlier in \
                 the file.",
            ),
            "{" if opens_block(text, &lexemes, open) => Diagnostic::at(
                sources,
                at(open),
                "Unclosed configuration block",
                "There is no closing brace for this block before the end of the file. This may be caused by \
                 incorrect brace nesting elsewhere in this file.",
            )
            .expected("}"),
            bracket => {
                let what = match bracket {
                    "{" => "object constructor expression",
                    "[" => "tuple constructor expression",
                    _ => "parenthesized expression",
                };
                Diagnostic::at(
                    sources,
                    at(open),
                    format!("Unterminated {what}"),
                    "There is no corresponding closing bracket before the end of the file.",
                )
            }
        };
    }

    let found = lexemes
        .iter()
        .find(|lexeme| lexeme.end > offset && lexeme.token != Token::Newline);
    let place = match found {
        Some(lexeme) if lexeme.start <= offset => span(offset, lexeme.end.max(offset + 1)),
        _ => span(offset.min(text.len()), (offset + 1).min(text.len())),
    };
    from_message(
        sources,
        place,
        error.message(),
        found.map(|lexeme| &text[lexeme.start..lexeme.end]),
    )
}

/// Puts hcl-edit's finding in HCL's words.
fn from_message(sources: &Sources, place: Span, message: &str, found: Option<&str>) -> Diagnostic {
    let (summary, detail) = if message.contains("redefined attribute") {
        let name = found.unwrap_or_default();
        return Diagnostic::at(
            sources,
            place,
            "Attribute redefined",
            format!(
                "The argument {name:?} was already set in this block. Each argument may be set only once."
            ),
        );
    } else if message.contains("redefined object key") {
        (
            "Duplicate object key",
            "This key is already set in this object. Each key may be set only once.".to_owned(),
        )
    } else if message.starts_with("invalid nesting depth")
        || message.starts_with("invalid binary operation")
    {
        (
            "Too deeply nested",
            format!("The text is nested deeper than is read: {message}."),
        )
    } else if message.starts_with("expected newline") {
        (
            "Missing newline",
            "An argument or block definition must end with a newline.".to_owned(),
        )
    } else if message.starts_with("invalid expression") {
        (
            "Invalid expression",
            "Expected the start of an expression, but found an invalid expression token."
                .to_owned(),
        )
    } else if message.starts_with("invalid structure") {
        (
            "Invalid block definition",
            "Either a quoted string block label or an opening brace (\"{\") is expected here."
                .to_owned(),
        )
    } else if message.starts_with("invalid escape") || message.starts_with("invalid unicode") {
        (
            "Invalid escape sequence",
            "The symbol after a backslash is not a valid escape sequence.".to_owned(),
        )
    } else if message == "unexpected token" {
        (
            "Argument or block definition required",
            "An argument or block definition is required here.".to_owned(),
        )
    } else {
        let mut detail = message.to_owned();
        if let Some(first) = detail.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        ("Invalid syntax", format!("{detail}."))
    };
    let diagnostic = Diagnostic::at(sources, place, summary, detail);
    match message.split_once("expected ") {
        Some((_, expected)) => diagnostic.expected(expected.replace('\n', "newline")),
        None => diagnostic,
    }
}

fn invalid_character(sources: &Sources, span: Span, text: &str) -> Diagnostic {
    if text.starts_with("/*") {
        return Diagnostic::at(
            sources,
            Span {
                end: span.start + 2,
                ..span
            },
            "Unterminated comment",
            "There is no closing */ for this comment before the end of the file.",
        );
    }
    let (detail, hint) = match text {
        "'" => (
            "Single quotes are not valid.",
            Some("Use double quotes (\") to enclose strings."),
        ),
        ";" => (
            "The \";\" character is not valid.",
            Some("Use newlines to separate arguments and blocks."),
        ),
        "`" => (
            "The \"`\" character is not valid.",
            Some("Use the \"heredoc\" syntax for multi-line strings."),
        ),
        "\u{201c}" | "\u{201d}" => (
            "\"Curly quotes\" are not valid here.",
            Some(
                "These can sometimes be inadvertently introduced when sharing code via documents or discussion \
                  forums. It might help to replace the character with a \"straight quote\".",
            ),
        ),
        _ => ("This character is not used within the language.", None),
    };
    let diagnostic = Diagnostic::at(sources, span, "Invalid character", detail);
    match hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// The quote of a string that does not end on its line.
fn unclosed_quote(lexemes: &[Lexeme]) -> Option<&Lexeme> {
    let mut open: Vec<&Lexeme> = Vec::new();
    let mut templates = 0_usize;
    let mut inside = Vec::new();
    for lexeme in lexemes {
        match lexeme.token {
            Token::Quote => {
                if open.last().is_some() && inside.last() == Some(&templates) {
                    open.pop();
                    inside.pop();
                } else {
                    open.push(lexeme);
                    inside.push(templates);
                }
            }
            Token::TemplateStart => templates += 1,
            Token::TemplateEnd => templates = templates.saturating_sub(1),
            Token::Newline if inside.last() == Some(&templates) => return open.last().copied(),
            _ => {}
        }
    }
    open.first().copied()
}

fn unclosed_heredoc(lexemes: &[Lexeme]) -> Option<&Lexeme> {
    let mut open = Vec::new();
    for lexeme in lexemes {
        match lexeme.token {
            Token::HeredocStart => open.push(lexeme),
            Token::HeredocEnd => {
                open.pop();
            }
            _ => {}
        }
    }
    open.first().copied()
}

/// A bracket that is never closed, or (`true`) one that closes nothing.
fn unbalanced<'a>(text: &str, lexemes: &'a [Lexeme]) -> Option<(&'a Lexeme, bool)> {
    let mut open: Vec<&Lexeme> = Vec::new();
    for lexeme in lexemes
        .iter()
        .filter(|lexeme| lexeme.token == Token::Symbol)
    {
        let symbol = &text[lexeme.start..lexeme.end];
        let opener = match symbol {
            "{" | "[" | "(" => {
                open.push(lexeme);
                continue;
            }
            "}" => "{",
            "]" => "[",
            ")" => "(",
            _ => continue,
        };
        match open.last() {
            Some(last) if &text[last.start..last.end] == opener => {
                open.pop();
            }
            Some(last) => return Some((last, false)),
            None => return Some((lexeme, true)),
        }
    }
    open.last().map(|lexeme| (*lexeme, false))
}

/// Whether a brace opens a block: a label or a block type stands before it.
fn opens_block(text: &str, lexemes: &[Lexeme], brace: &Lexeme) -> bool {
    let before = lexemes
        .iter()
        .take_while(|lexeme| lexeme.start < brace.start)
        .last();
    before.is_some_and(|lexeme| {
        matches!(lexeme.token, Token::Identifier | Token::Quote)
            && !text[lexeme.start..lexeme.end].is_empty()
    })
}
