//! From text to tree: native syntax by hcl-edit with recovery at the next top-level block, JSON by our own reader.

pub(crate) mod ast;
mod convert;
mod errors;
mod heredoc;
pub(crate) mod json;
mod limits;
mod relocate;
pub(crate) mod scan;
mod split;
mod template;

use std::cell::OnceCell;

use hcl_edit::parser::{parse_body, parse_expr};

use self::ast::{Body, Expr};
use self::convert::Converter;
use self::scan::{Lexeme, Token};
use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span};

/// After a syntax error at most so many top-level items are tried one by one.
const MAX_RECOVERY_ITEMS: usize = 500;

/// Reads a whole source. The body holds what could be read, even where there are diagnostics.
pub(crate) fn parse(sources: &Sources, file: u16) -> (Body, Vec<Diagnostic>) {
    let text = sources.text(file);
    let lexemes = OnceCell::new();
    if let Some(diagnostic) = limits::exceeded(sources, file, &lexemes) {
        return (Body::default(), vec![diagnostic]);
    }
    if text.trim_start_matches(' ').starts_with('{') {
        return json::parse(sources, file);
    }
    if let Some(diagnostic) = lone_carriage_return(sources, file, &lexemes) {
        return (Body::default(), vec![diagnostic]);
    }
    let text = &*heredoc::without_empty(text);
    if let Some(read) = split::parse(sources, file, text, &lexemes) {
        return read;
    }
    match parse_body(text) {
        Ok(body) => {
            let mut converter = Converter::new(sources, file, 0);
            let body = converter.body(&body);
            (body, converter.diagnostics)
        }
        Err(error) => recover(sources, file, text, &error),
    }
}

/// A carriage return that ends no line is no blank, which hcl-edit takes it for.
fn lone_carriage_return(
    sources: &Sources,
    file: u16,
    lexemes: &OnceCell<Vec<Lexeme>>,
) -> Option<Diagnostic> {
    let text = sources.text(file);
    let bytes = text.as_bytes();
    let mut returns = text.match_indices('\r');
    if returns.all(|(at, _)| bytes.get(at + 1) == Some(&b'\n')) {
        return None;
    }
    let lexemes = lexemes.get_or_init(|| scan::scan(text));
    let found = lexemes
        .iter()
        .find(|lexeme| lexeme.token == Token::Invalid && bytes.get(lexeme.start) == Some(&b'\r'))?;
    let span = Span {
        file,
        start: found.start as u32,
        end: found.end as u32,
    };
    Some(Diagnostic::at(
        sources,
        span,
        "Invalid character",
        "A carriage return stands only at the end of a line, before the line feed.",
    ))
}

/// Reads an expression that stands elsewhere; every place in it becomes `span`.
pub(crate) fn expression_at(text: &str, span: Span) -> Option<Expr> {
    let mut sources = Sources::default();
    let file = sources.add("", text);
    let mut expr = parse_expression(&sources, file).ok()?;
    relocate::expr(&mut expr, span);
    Some(expr)
}

/// Reads one expression, which is the whole source.
pub(crate) fn parse_expression(sources: &Sources, file: u16) -> Result<Expr, Vec<Diagnostic>> {
    let text = sources.text(file);
    if let Some(diagnostic) = limits::exceeded(sources, file, &OnceCell::new()) {
        return Err(vec![diagnostic]);
    }
    let leading = text.len() - text.trim_start().len();
    match parse_expr(text.trim()) {
        Ok(expr) => {
            let mut converter = Converter::new(sources, file, leading);
            let expr = converter.expr(&expr);
            if converter.diagnostics.is_empty() {
                Ok(expr)
            } else {
                Err(converter.diagnostics)
            }
        }
        Err(error) => Err(vec![errors::diagnose(
            sources,
            file,
            leading,
            text.trim(),
            &error,
        )]),
    }
}

/// Reads a template, such as a string of HCL-JSON. The places in it count in `text`, until they are set anew.
fn parse_template(text: &str) -> Option<Vec<ast::Part>> {
    let mut sources = Sources::default();
    let file = sources.add("", text);
    if limits::exceeded(&sources, file, &OnceCell::new()).is_some() {
        return None;
    }
    let parsed = hcl_edit::parser::parse_template(text).ok()?;
    let mut converter = Converter::new(&sources, file, 0);
    Some(template::parts(&mut converter, &parsed, true, false))
}

/// Reads a template that stands elsewhere; every place in it becomes `span`.
pub(crate) fn template_at(text: &str, span: Span) -> Option<Vec<ast::Part>> {
    let mut parts = parse_template(text)?;
    for part in &mut parts {
        relocate::part(part, span);
    }
    Some(parts)
}

/// Reads each top-level item by itself, and keeps those that can be read.
fn recover(
    sources: &Sources,
    file: u16,
    text: &str,
    first: &hcl_edit::parser::Error,
) -> (Body, Vec<Diagnostic>) {
    let mut body = Body::default();
    let mut diagnostics = Vec::new();
    let lexemes = scan::scan(text);
    for range in items(text, &lexemes).into_iter().take(MAX_RECOVERY_ITEMS) {
        let item = &text[range.clone()];
        match parse_body(item) {
            Ok(parsed) => {
                let mut converter = Converter::new(sources, file, range.start);
                let mut converted = converter.body(&parsed);
                body.attributes.append(&mut converted.attributes);
                body.blocks.append(&mut converted.blocks);
                diagnostics.append(&mut converter.diagnostics);
            }
            Err(error) => {
                diagnostics.push(errors::diagnose(sources, file, range.start, item, &error))
            }
        }
    }
    if diagnostics.is_empty() {
        diagnostics.push(errors::diagnose(sources, file, 0, text, first));
    }
    (body, diagnostics)
}

/// Words that start a top-level block at the beginning of a line even where a brace before is not closed.
const TOP_LEVEL: [&str; 4] = ["job", "variable", "variables", "locals"];

/// The top-level items of a text, as stretches of bytes.
fn items(text: &str, lexemes: &[Lexeme]) -> Vec<std::ops::Range<usize>> {
    let mut starts = Vec::new();
    let mut depth = 0_usize;
    let mut line_start = true;
    for (at, lexeme) in lexemes.iter().enumerate() {
        let token = &text[lexeme.start..lexeme.end];
        match lexeme.token {
            Token::Newline => {
                line_start = true;
                continue;
            }
            Token::Comment => continue,
            Token::Identifier if line_start => {
                let first_column = lexeme.start == 0 || text.as_bytes()[lexeme.start - 1] == b'\n';
                let opens = lexemes.get(at + 1).is_some_and(|next| {
                    next.token == Token::Quote || &text[next.start..next.end] == "{"
                });
                if depth == 0 || (first_column && opens && TOP_LEVEL.contains(&token)) {
                    starts.push(lexeme.start);
                    depth = 0;
                }
            }
            Token::Symbol if matches!(token, "{" | "[" | "(") => depth += 1,
            Token::Symbol if matches!(token, "}" | "]" | ")") => depth = depth.saturating_sub(1),
            _ if starts.is_empty() => starts.push(lexeme.start),
            _ => {}
        }
        line_start = false;
    }
    let ends = starts
        .iter()
        .skip(1)
        .copied()
        .chain([text.len()])
        .collect::<Vec<_>>();
    starts
        .into_iter()
        .zip(ends)
        .map(|(start, end)| start..end)
        .collect()
}

/// The text of a quoted literal with its escapes resolved; an escape that is none stays as it is.
pub(crate) fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['\\', '$', '%']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut taken = 1;
        if rest.starts_with("$${") || rest.starts_with("%%{") {
            text.push_str(&rest[1..3]);
            taken = 3;
        } else if let Some(after) = rest.strip_prefix('\\') {
            let escape = after.chars().next();
            taken = 1 + escape.map_or(0, char::len_utf8);
            match escape {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(c @ ('\\' | '"')) => text.push(c),
                Some(kind @ ('u' | 'U')) => {
                    let length = if kind == 'u' { 4 } else { 8 };
                    let code = rest
                        .get(2..2 + length)
                        .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    if let Some(c) = code.and_then(char::from_u32) {
                        text.push(c);
                        taken = 2 + length;
                    } else {
                        text.push_str(&rest[..taken]);
                    }
                }
                _ => text.push_str(&rest[..taken]),
            }
        } else {
            text.push_str(&rest[..1]);
        }
        rest = &rest[taken..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A file that is long enough to be read in pieces.
    fn long(group: &str) -> String {
        let mut text = "variable \"a\" {\n  default = 1\n}\n\n# the job\njob \"x\" { # begins\n  priority = 3\n".to_owned();
        for number in 0..900 {
            let _ = writeln!(text, "  group \"g{number}\" {{\n{group}\n  }} // done");
        }
        text + "}\n\nlocals { a = 1 }\n"
    }

    #[test]
    fn pieces_give_the_tree_of_the_whole() {
        for group in [
            "    count = 1",
            "    meta = {\n      a = \"${b}{\"\n    }\n    data = <<-EOT\n      } not the end\n      ${x}\n    EOT",
            "    a = [for x in [1, 2] : \"%{ if x == 1 }a%{ endif }\"]\n    /* } */ b = (\n 1 +\n 2)",
        ] {
            let text = long(group);
            let mut sources = Sources::default();
            let file = sources.add("x", &text);
            let pieces = split::parse(&sources, file, &text, &OnceCell::new()).expect("split");
            let mut converter = Converter::new(&sources, file, 0);
            let whole = converter.body(&parse_body(&text).unwrap());
            assert_eq!(format!("{:?}", pieces.0), format!("{whole:?}"), "{group}");
        }
    }

    #[test]
    fn mistakes_are_left_to_the_whole() {
        for group in [
            "    a = ",
            "    a = 1\n    a = 2",
            "    b { c = 1",
            "    a = ]",
            "  }",
        ] {
            let text = long(group);
            let mut sources = Sources::default();
            let file = sources.add("x", &text);
            assert!(
                split::parse(&sources, file, &text, &OnceCell::new()).is_none(),
                "{group}"
            );
            assert!(!parse(&sources, file).1.is_empty());
        }
    }
}
