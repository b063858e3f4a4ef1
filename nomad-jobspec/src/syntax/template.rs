//! Templates: literals from the raw text, the indentation of `<<-`, the trimming of `~`.
//!
//! hcl-edit keeps the trim markers and drops indentation by its own rule, so both are done here on a flat list of
//! tokens as HCL has it. Source: HCL native syntax specification, "Templates".

use hcl_edit::template::{Directive, Element, Template};

use super::ast::{Expr, Part};
use super::convert::Converter;

/// A template flattened to tokens, before trimming.
enum Token {
    /// Text, and whether trimming may touch it.
    Text(String),
    Interpolation {
        expr: Expr,
        before: bool,
        after: bool,
    },
    If {
        condition: Expr,
        before: bool,
        after: bool,
    },
    Else {
        before: bool,
        after: bool,
    },
    EndIf {
        before: bool,
        after: bool,
    },
    For {
        key_name: Option<String>,
        value_name: String,
        collection: Expr,
        before: bool,
        after: bool,
    },
    EndFor {
        before: bool,
        after: bool,
    },
}

impl Token {
    /// Whether the token trims the text before it and after it.
    const fn trims(&self) -> (bool, bool) {
        match self {
            Self::Text(_) => (false, false),
            Self::Interpolation { before, after, .. }
            | Self::If { before, after, .. }
            | Self::Else { before, after }
            | Self::EndIf { before, after }
            | Self::For { before, after, .. }
            | Self::EndFor { before, after } => (*before, *after),
        }
    }
}

/// The parts of a quoted template, or of a heredoc (`raw`), whose `<<-` form drops indentation.
pub(super) fn parts(
    converter: &mut Converter<'_>,
    template: &Template,
    raw: bool,
    flush: bool,
) -> Vec<Part> {
    let mut tokens = Vec::new();
    flatten(converter, template, raw, false, &mut tokens);
    trim(&mut tokens);
    if flush {
        drop_indentation(&mut tokens);
    }
    let mut tokens = tokens.into_iter();
    build(&mut tokens).0
}

fn flatten(
    converter: &mut Converter<'_>,
    template: &Template,
    raw: bool,
    nested: bool,
    tokens: &mut Vec<Token>,
) {
    for element in template {
        match element {
            Element::Literal(literal) => {
                let text = match (raw, converter.range_of(literal)) {
                    (true, Some(span)) => unescape_markers(&converter.text[span]),
                    // hcl-edit reads the texts inside a directive raw, even between quotes.
                    (false, Some(span)) if nested => converter.unescape(span),
                    _ => literal.value().clone(),
                };
                if !raw && let Some(span) = converter.range_of(literal) {
                    converter.refuse_line_breaks(span.clone());
                    if nested {
                        converter.refuse_quotes(span);
                    }
                }
                if raw {
                    // HCL sees every line of a heredoc as a literal of its own.
                    tokens.extend(
                        text.split_inclusive('\n')
                            .map(|line| Token::Text(line.to_owned())),
                    );
                } else {
                    tokens.push(Token::Text(text));
                }
            }
            Element::Interpolation(interpolation) => {
                let expr = converter.expr(&interpolation.expr);
                let (before, after) = (
                    interpolation.strip.strip_start(),
                    interpolation.strip.strip_end(),
                );
                tokens.push(Token::Interpolation {
                    expr,
                    before,
                    after,
                });
            }
            Element::Directive(directive) => match &**directive {
                Directive::If(directive) => {
                    let head = &directive.if_expr;
                    let condition = converter.expr(&head.cond_expr);
                    let (before, after) = (head.strip.strip_start(), head.strip.strip_end());
                    tokens.push(Token::If {
                        condition,
                        before,
                        after,
                    });
                    flatten(converter, &head.template, raw, true, tokens);
                    if let Some(otherwise) = &directive.else_expr {
                        let (before, after) =
                            (otherwise.strip.strip_start(), otherwise.strip.strip_end());
                        tokens.push(Token::Else { before, after });
                        flatten(converter, &otherwise.template, raw, true, tokens);
                    }
                    let end = directive.endif_expr.strip;
                    tokens.push(Token::EndIf {
                        before: end.strip_start(),
                        after: end.strip_end(),
                    });
                }
                Directive::For(directive) => {
                    let head = &directive.for_expr;
                    let collection = converter.expr(&head.collection_expr);
                    tokens.push(Token::For {
                        key_name: head.key_var.as_ref().map(|name| name.to_string()),
                        value_name: head.value_var.to_string(),
                        collection,
                        before: head.strip.strip_start(),
                        after: head.strip.strip_end(),
                    });
                    flatten(converter, &head.template, raw, true, tokens);
                    let end = directive.endfor_expr.strip;
                    tokens.push(Token::EndFor {
                        before: end.strip_start(),
                        after: end.strip_end(),
                    });
                }
            },
        }
    }
}

/// `$${` and `%%{` stand for `${` and `%{`.
fn unescape_markers(text: &str) -> String {
    text.replace("$${", "${").replace("%%{", "%{")
}

/// `<<-`: the least indentation of the lines goes from all of them; blank lines are left as they are.
fn drop_indentation(tokens: &mut [Token]) {
    let mut least = usize::MAX;
    let mut adjust = Vec::new();
    let mut at_line_start = true;
    for (at, token) in tokens.iter().enumerate() {
        if at_line_start {
            at_line_start = false;
            match token {
                Token::Text(text) if text.ends_with('\n') && text.trim().is_empty() => {}
                Token::Text(text) => {
                    least = least.min(text.chars().take_while(|c| c.is_whitespace()).count());
                    adjust.push(at);
                }
                _ => least = 0,
            }
        }
        if let Token::Text(text) = token
            && text.ends_with('\n')
        {
            at_line_start = true;
        }
    }
    for at in adjust {
        if let Token::Text(text) = &mut tokens[at] {
            let drop: usize = text
                .chars()
                .take_while(|c| c.is_whitespace())
                .take(least)
                .map(char::len_utf8)
                .sum();
            text.drain(..drop);
        }
    }
}

/// `~` takes the white space of the text next to it; in a heredoc that reaches to the end of the line at most.
fn trim(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        let before = at > 0 && tokens[at - 1].trims().1;
        let after = tokens.get(at + 1).is_some_and(|next| next.trims().0);
        if let Token::Text(text) = &mut tokens[at] {
            if before {
                *text = text.trim_start().to_owned();
            }
            if after {
                *text = text.trim_end().to_owned();
            }
        }
    }
}

/// Which token ended a list of parts.
#[derive(PartialEq)]
enum End {
    All,
    Else,
    Block,
}

fn build(tokens: &mut std::vec::IntoIter<Token>) -> (Vec<Part>, End) {
    let mut parts = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(text) if text.is_empty() => {}
            Token::Text(text) => match parts.last_mut() {
                Some(Part::Text(before)) => before.push_str(&text),
                _ => parts.push(Part::Text(text)),
            },
            Token::Interpolation { expr, .. } => parts.push(Part::Interpolation(expr)),
            Token::If { condition, .. } => {
                let (then, end) = build(tokens);
                let otherwise = if end == End::Else {
                    build(tokens).0
                } else {
                    Vec::new()
                };
                parts.push(Part::If {
                    condition,
                    then,
                    otherwise,
                });
            }
            Token::For {
                key_name,
                value_name,
                collection,
                ..
            } => {
                let body = build(tokens).0;
                parts.push(Part::For {
                    key_name,
                    value_name,
                    collection,
                    body,
                });
            }
            Token::Else { .. } => return (parts, End::Else),
            Token::EndIf { .. } | Token::EndFor { .. } => return (parts, End::Block),
        }
    }
    (parts, End::All)
}
