//! From hcl-edit's tree to ours: exact numbers, template texts, the places that diagnostics show.

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::expr::{
    BinaryOperator, Expression, ObjectKey, Traversal, TraversalOperator, UnaryOperator,
};
use hcl_edit::structure;
use hcl_edit::template::{Element, StringTemplate};

use super::ast::{Attribute, Block, Body, Expr, For, Kind, Label, Operator, Part, Root, Step};
use super::template;
use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span};
use crate::value::{Number, Value};

/// Turns what hcl-edit read of one source into our tree.
pub(super) struct Converter<'a> {
    /// The text that the places count in.
    pub(super) text: &'a str,
    file: u16,
    /// Where the text that hcl-edit read starts in the source.
    base: usize,
    sources: &'a Sources,
    /// Mistakes that hcl-edit lets pass.
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(sources: &'a Sources, file: u16, base: usize) -> Self {
        Self {
            text: sources.text(file),
            file,
            base,
            sources,
            diagnostics: Vec::new(),
        }
    }

    /// Where hcl-edit says that a node stands, counted in the whole source.
    pub(super) fn range_of(&self, node: &impl hcl_edit::Span) -> Option<Range<usize>> {
        node.span()
            .map(|range| self.base + range.start..self.base + range.end)
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span {
            file: self.file,
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    fn span_of(&self, node: &impl hcl_edit::Span) -> Span {
        self.span(self.range_of(node).unwrap_or(self.base..self.base))
    }

    /// The text of a quoted literal with its escapes resolved.
    pub(super) fn unescape(&self, range: Range<usize>) -> String {
        super::unescape(&self.text[range])
    }

    /// A quoted string must stand on one line.
    pub(super) fn refuse_line_breaks(&mut self, range: Range<usize>) {
        if self.text[range.clone()].contains('\n') {
            let at = range.start + self.text[range].find('\n').unwrap_or_default();
            self.diagnostics.push(Diagnostic::at(
                self.sources,
                self.span(at..at),
                "Invalid multi-line string",
                "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \
                 \\n escape to represent a newline character or use the \"heredoc\" multi-line template syntax.",
            ));
        }
    }

    /// A directive must end within its quotes; hcl-edit would read on behind them.
    pub(super) fn refuse_quotes(&mut self, range: Range<usize>) {
        let mut escaped = false;
        for (at, c) in self.text[range.clone()].char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let at = range.start + at;
                    self.diagnostics.push(
                        Diagnostic::at(
                            self.sources,
                            self.span(at..at + 1),
                            "Unterminated template directive",
                            "The text ends before the last template directive in it does.",
                        )
                        .hint("Close it with %{ endif } or %{ endfor }."),
                    );
                    return;
                }
                _ => {}
            }
        }
    }

    /// A heredoc ends with the first line that is its marker; in a directive hcl-edit would read on behind it.
    fn refuse_open_directive(&mut self, span: Span, marker: &str) {
        let text = &self.text[span.start as usize..span.end as usize];
        let mut lines = text.lines().skip(1).peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_some() && line.trim() == marker {
                let start = Span {
                    end: span.start + 2,
                    ..span
                };
                self.diagnostics.push(
                    Diagnostic::at(
                        self.sources,
                        start,
                        "Unterminated template directive",
                        "The text ends before the last template directive in it does.",
                    )
                    .hint("Close it with %{ endif } or %{ endfor }."),
                );
                return;
            }
        }
    }

    pub(super) fn body(&mut self, body: &structure::Body) -> Body {
        let mut converted = Body::default();
        for structure in body {
            match structure {
                structure::Structure::Attribute(attribute) => {
                    let name_span = self.span_of(&attribute.key);
                    let value = self.expr(&attribute.value);
                    converted.attributes.push(Arc::new(Attribute {
                        name: attribute.key.to_string(),
                        name_span,
                        value,
                    }));
                }
                structure::Structure::Block(block) => converted.blocks.push(self.block(block)),
            }
        }
        converted
    }

    fn block(&mut self, block: &structure::Block) -> Block {
        let name_span = self.span_of(&block.ident);
        let labels: Vec<Label> = block
            .labels
            .iter()
            .map(|label| {
                let span = self.span_of(label);
                self.refuse_line_breaks(span.start as usize..span.end as usize);
                Label {
                    text: label.as_str().to_owned(),
                    span,
                }
            })
            .collect();
        let header_span = labels
            .last()
            .map_or(name_span, |last| name_span.to(last.span));
        let body = Arc::new(self.body(&block.body));
        Block {
            name: block.ident.to_string(),
            name_span,
            labels,
            body,
            header_span,
        }
    }

    pub(super) fn expr(&mut self, expr: &Expression) -> Expr {
        let span = self.span_of(expr);
        let kind = match expr {
            Expression::Null(_) => Kind::Literal(Value::Null),
            Expression::Bool(value) => Kind::Literal(Value::Bool(*value.value())),
            Expression::Number(_) => return self.number(span),
            Expression::String(value) => {
                let inner = span.inner(1);
                self.refuse_line_breaks(inner.start as usize..inner.end as usize);
                return Expr {
                    kind: Kind::Literal(Value::from(value.as_str())),
                    span: inner,
                };
            }
            Expression::Array(items) => {
                Kind::Tuple(items.iter().map(|item| self.expr(item)).collect())
            }
            Expression::Object(object) => Kind::Object(
                object
                    .iter()
                    .map(|(key, value)| {
                        let key = match key {
                            ObjectKey::Ident(name) => Expr {
                                kind: Kind::Literal(Value::from(name.as_str())),
                                span: self.span_of(name),
                            },
                            ObjectKey::Expression(expr) => self.expr(expr),
                        };
                        (key, self.expr(value.expr()))
                    })
                    .collect(),
            ),
            Expression::StringTemplate(template) => self.quoted(template),
            Expression::HeredocTemplate(heredoc) => {
                let flush = self.text[span.start as usize..].starts_with("<<-");
                self.refuse_open_directive(span, heredoc.delimiter.as_str());
                Kind::Template(template::parts(self, &heredoc.template, true, flush))
            }
            Expression::Parenthesis(inner) => Kind::Paren(Box::new(self.expr(inner.inner()))),
            Expression::Variable(name) => {
                let root = Root {
                    name: name.value().to_string(),
                    span,
                };
                Kind::Traversal {
                    root,
                    steps: Vec::new(),
                    runtime: self.runtime_text(span),
                }
            }
            Expression::Conditional(conditional) => Kind::Conditional(Box::new([
                self.expr(&conditional.cond_expr),
                self.expr(&conditional.true_expr),
                self.expr(&conditional.false_expr),
            ])),
            Expression::FuncCall(call) => {
                let mut name = String::new();
                for part in &call.name.namespace {
                    name.push_str(part.as_str());
                    name.push_str("::");
                }
                name.push_str(call.name.name.as_str());
                Kind::Call {
                    name,
                    name_span: self.span_of(&call.name.name),
                    args: call.args.iter().map(|arg| self.expr(arg)).collect(),
                    expand: call.args.expand_final(),
                }
            }
            Expression::Traversal(traversal) => return self.traversal(traversal, span),
            Expression::UnaryOp(operation) => {
                let inner = Box::new(self.expr(&operation.expr));
                match operation.operator.value() {
                    UnaryOperator::Neg => Kind::Negate(inner),
                    UnaryOperator::Not => Kind::Not(inner),
                }
            }
            Expression::BinaryOp(operation) => Kind::Binary(
                operator(*operation.operator.value()),
                Box::new([
                    self.expr(&operation.lhs_expr),
                    self.expr(&operation.rhs_expr),
                ]),
            ),
            Expression::ForExpr(expr) => Kind::For(Box::new(For {
                key_name: expr.intro.key_var.as_ref().map(|name| name.to_string()),
                value_name: expr.intro.value_var.to_string(),
                collection: self.expr(&expr.intro.collection_expr),
                key: expr.key_expr.as_ref().map(|key| self.expr(key)),
                value: self.expr(&expr.value_expr),
                group: expr.grouping,
                condition: expr
                    .cond
                    .as_ref()
                    .map(|condition| self.expr(&condition.expr)),
            })),
        };
        Expr { kind, span }
    }

    /// A number is read from the text again: hcl-edit has rounded it to a float.
    fn number(&mut self, span: Span) -> Expr {
        let digits: String = self.text[span.start as usize..span.end as usize]
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let value = Number::parse(&digits).map_or_else(
            || {
                self.diagnostics.push(
                    Diagnostic::at(
                        self.sources,
                        span,
                        "Invalid number literal",
                        "The number is too long.",
                    )
                    .expected("a number of at most 500 digits"),
                );
                Value::Null
            },
            Value::Number,
        );
        Expr {
            kind: Kind::Literal(value),
            span,
        }
    }

    fn quoted(&mut self, template: &StringTemplate) -> Kind {
        if let Some(Element::Interpolation(interpolation)) = template.as_single_element() {
            return Kind::Wrap(Box::new(self.expr(&interpolation.expr)));
        }
        let parts = template::parts(self, template, false, false);
        if parts.is_empty() {
            return Kind::Literal(Value::from(""));
        }
        match <[Part; 1]>::try_from(parts) {
            Ok([Part::Text(text)]) => Kind::Literal(Value::from(text)),
            Ok([part]) => Kind::Template(vec![part]),
            Err(parts) => Kind::Template(parts),
        }
    }

    fn traversal(&mut self, traversal: &Traversal, span: Span) -> Expr {
        let start = self.expr(&traversal.expr);
        let mut operators = traversal.operators.iter().peekable();
        let mut steps = Vec::new();
        while let Some(operator) = operators.next_if(|operator| !is_splat(operator.value())) {
            let step_span = self.span_of(operator);
            steps.push(self.step(operator.value(), step_span));
        }
        let mut end = steps.last().map_or(start.span, Step::span);
        let mut current = self.follow(start, steps, end);
        while let Some(splat) = operators.next() {
            let attributes_only = matches!(splat.value(), TraversalOperator::AttrSplat(_));
            end = self.span_of(splat);
            let mut each = Vec::new();
            while let Some(operator) = operators.next_if(|operator| match operator.value() {
                TraversalOperator::GetAttr(_) => true,
                TraversalOperator::LegacyIndex(_) | TraversalOperator::Index(_) => !attributes_only,
                _ => false,
            }) {
                end = self.span_of(operator);
                each.push(self.step(operator.value(), end));
            }
            let whole = current.span.to(end);
            current = Expr {
                kind: Kind::Splat {
                    source: Box::new(current),
                    each,
                },
                span: whole,
            };
            let mut rest = Vec::new();
            while let Some(operator) = operators.next_if(|operator| !is_splat(operator.value())) {
                end = self.span_of(operator);
                rest.push(self.step(operator.value(), end));
            }
            current = self.follow(current, rest, end);
        }
        current.span = span;
        current
    }

    /// `steps` from `start`; a root name keeps the constant steps right behind it.
    fn follow(&self, start: Expr, steps: Vec<Step>, end: Span) -> Expr {
        if steps.is_empty() {
            return start;
        }
        let span = start.span.to(end);
        let Expr {
            kind,
            span: start_span,
        } = start;
        let Kind::Traversal {
            root,
            steps: mut constant,
            ..
        } = kind
        else {
            return Expr {
                kind: Kind::Relative(
                    Box::new(Expr {
                        kind,
                        span: start_span,
                    }),
                    steps,
                ),
                span,
            };
        };
        let mut rest = steps.into_iter().peekable();
        while let Some(step) = rest.next_if(is_constant) {
            constant.push(step);
        }
        let reached = root.span.to(constant.last().map_or(root.span, Step::span));
        let runtime = self.runtime_text(reached);
        let base = Expr {
            kind: Kind::Traversal {
                root,
                steps: constant,
                runtime,
            },
            span: reached,
        };
        let rest: Vec<Step> = rest.collect();
        if rest.is_empty() {
            base
        } else {
            Expr {
                kind: Kind::Relative(Box::new(base), rest),
                span,
            }
        }
    }

    /// The text that a reference stands for where only the client can resolve it: the whole `${ ... }` around it with
    /// its blanks, or else the reference itself in `${...}`.
    fn runtime_text(&self, span: Span) -> String {
        let (start, end) = (span.start as usize, span.end as usize);
        let before = self.text[..start].trim_end_matches(' ');
        let after = self.text[end..].trim_start_matches(' ');
        if before.ends_with("${") && after.starts_with('}') {
            return self.text[(before.len() - 2)..=(self.text.len() - after.len())].to_owned();
        }
        format!("${{{}}}", &self.text[start..end])
    }

    fn step(&mut self, operator: &TraversalOperator, span: Span) -> Step {
        match operator {
            TraversalOperator::GetAttr(name) => Step::Attribute(name.to_string(), span),
            TraversalOperator::Index(index) => Step::Index(Box::new(self.expr(index)), span),
            TraversalOperator::LegacyIndex(index) => {
                let value = Value::Number(Number::from(
                    i64::try_from(*index.value()).unwrap_or(i64::MAX),
                ));
                Step::Index(
                    Box::new(Expr {
                        kind: Kind::Literal(value),
                        span,
                    }),
                    span,
                )
            }
            TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => {
                Step::Attribute(String::new(), span)
            }
        }
    }
}

const fn is_splat(operator: &TraversalOperator) -> bool {
    matches!(
        operator,
        TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_)
    )
}

fn is_constant(step: &Step) -> bool {
    match step {
        Step::Attribute(..) => true,
        Step::Index(index, _) => matches!(
            &index.kind,
            Kind::Literal(Value::Number(_) | Value::String(_))
        ),
    }
}

const fn operator(operator: BinaryOperator) -> Operator {
    match operator {
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::LessEq => Operator::LessOrEqual,
        BinaryOperator::GreaterEq => Operator::GreaterOrEqual,
        BinaryOperator::Less => Operator::Less,
        BinaryOperator::Greater => Operator::Greater,
        BinaryOperator::Plus => Operator::Add,
        BinaryOperator::Minus => Operator::Subtract,
        BinaryOperator::Mul => Operator::Multiply,
        BinaryOperator::Div => Operator::Divide,
        BinaryOperator::Mod => Operator::Modulo,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
    }
}
