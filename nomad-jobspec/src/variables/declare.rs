//! Declarations: `variable "name" { ... }` and `variables { name = default }`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::type_expr;
use crate::diagnostic::Diagnostic;
use crate::expr::{Evaluator, Failed, Scope};
use crate::lower::body::Reader;
use crate::source::Span;
use crate::syntax::ast::{Attribute, Body, Expr, Kind};
use crate::syntax::expression_at;
use crate::syntax::scan::{is_identifier_continue, is_identifier_start};
use crate::value::{Type, Value, convert};

/// A declared variable.
#[derive(Debug)]
pub(crate) struct Declaration {
    /// What it must be; `None` if nothing was said.
    pub(super) wanted: Option<Type>,
    pub(super) default: Option<(Value, Span)>,
    pub(super) validations: Vec<Validation>,
    /// Where it is declared.
    pub(crate) span: Span,
}

/// A rule that the value must keep.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) condition: Expr,
    pub(super) message: String,
    /// Where the block stands.
    pub(super) span: Span,
}

/// Takes the declarations out of a file's top level.
pub(crate) fn declare(
    evaluator: &Evaluator<'_>,
    body: &Arc<Body>,
) -> BTreeMap<String, Declaration> {
    let mut declared: BTreeMap<String, Declaration> = BTreeMap::new();
    let top = Reader::new(evaluator, body, Scope::default());
    for mut block in top.blocks("variable", &["name"]) {
        let (name, span) = (block.label(0).to_owned(), block.header());
        if !is_name(&name) {
            evaluator.error(
                span,
                "Invalid variable name",
                "A name must start with a letter or underscore and may contain only letters, digits, underscores, and \
                 dashes.",
            );
        }
        let declaration = read(evaluator, &name, &mut block, span);
        block.finish();
        insert(evaluator, &mut declared, name, declaration);
    }
    for block in top.blocks("variables", &[]) {
        for attribute in block.all_attributes() {
            let default = constant(evaluator, &attribute.value);
            let wanted = default
                .as_ref()
                .ok()
                .map(Type::of)
                .filter(|of| *of != Type::Dynamic);
            let declaration = Declaration {
                wanted,
                default: default.ok().map(|value| (value, attribute.value.span)),
                validations: Vec::new(),
                span: attribute.name_span,
            };
            insert(
                evaluator,
                &mut declared,
                attribute.name.clone(),
                declaration,
            );
        }
    }
    declared
}

fn insert(
    evaluator: &Evaluator<'_>,
    declared: &mut BTreeMap<String, Declaration>,
    name: String,
    declaration: Declaration,
) {
    if let Some(earlier) = declared.get(&name) {
        evaluator.error(
            declaration.span,
            "Duplicate variable",
            format!(
                "Duplicate {name} variable definition found; it was declared before at {}.",
                evaluator.sources.range(earlier.span)
            ),
        );
        return;
    }
    declared.insert(name, declaration);
}

fn is_name(name: &str) -> bool {
    name.starts_with(is_identifier_start) && name.chars().all(is_identifier_continue)
}

fn read(evaluator: &Evaluator<'_>, name: &str, block: &mut Reader<'_>, span: Span) -> Declaration {
    block.string("description");
    let wanted = block.attribute("type").and_then(|attribute| {
        let value = &attribute.value;
        // In JSON a type is the text of one.
        let inner = match &value.kind {
            Kind::Literal(Value::String(text)) if block.is_json() => {
                expression_at(text, value.span)
            }
            _ => None,
        };
        type_expr(evaluator, inner.as_ref().unwrap_or(value), false).ok()
    });
    let default = block.attribute("default").and_then(|attribute| {
        let value = constant(evaluator, &attribute.value).ok()?;
        match &wanted {
            None => Some((value, attribute.value.span)),
            Some(wanted) => match convert(&value, wanted) {
                Ok(value) => Some((value, attribute.value.span)),
                Err(error) => {
                    evaluator.error(
                        attribute.value.span,
                        "Invalid default value for variable",
                        format!("This default value is not compatible with the variable's type constraint: {error}."),
                    );
                    None
                }
            },
        }
    });
    let mut validations = Vec::new();
    for rule in block.blocks("validation", &[]) {
        let rule_span = rule.header();
        let condition = rule
            .attribute("condition")
            .map(|attribute| attribute.value.clone());
        let message = rule.attribute("error_message");
        rule.finish();
        if let Some(validation) = validation(evaluator, name, rule_span, condition, message) {
            validations.push(validation);
        }
    }
    let wanted = wanted.or_else(|| {
        default
            .as_ref()
            .map(|(value, _)| Type::of(value))
            .filter(|of| *of != Type::Dynamic)
    });
    Declaration {
        wanted,
        default,
        validations,
        span,
    }
}

fn validation(
    evaluator: &Evaluator<'_>,
    name: &str,
    span: Span,
    condition: Option<Expr>,
    message: Option<Arc<Attribute>>,
) -> Option<Validation> {
    let missing = |what: &str| {
        evaluator.error(
            span,
            "Missing required argument",
            format!("The argument {what:?} is required, but no definition was found."),
        );
    };
    let Some(condition) = condition else {
        missing("condition");
        return None;
    };
    let Some(message) = message else {
        missing("error_message");
        return None;
    };
    let text = constant(evaluator, &message.value).ok()?;
    let Some(text) = text.as_str().filter(|text| !text.trim().is_empty()) else {
        evaluator.error(
            message.value.span,
            "Invalid validation error message",
            "An empty string is not a valid nor useful error message.",
        );
        return None;
    };
    let mut found = References::default();
    found.expr(&condition);
    let own = found
        .names
        .iter()
        .any(|(root, first)| root == "var" && first.as_deref() == Some(name));
    let other = found
        .names
        .iter()
        .any(|(root, first)| !(root == "var" && first.as_deref() == Some(name)));
    if !own || other {
        evaluator.tell(
            Diagnostic::at(
                evaluator.sources,
                condition.span,
                if own { "Invalid reference in variable validation" } else { "Invalid variable validation condition" },
                format!(
                    "The condition for variable {name:?} must refer to var.{name} in order to test incoming values, \
                     and can refer to nothing else."
                ),
            )
            .expected(format!("var.{name}")),
        );
        return None;
    }
    Some(Validation {
        condition,
        message: text.to_owned(),
        span,
    })
}

/// The value of an expression that may use neither names nor functions.
pub(super) fn constant(evaluator: &Evaluator<'_>, expr: &Expr) -> Result<Value, Failed> {
    let mut found = References::default();
    found.expr(expr);
    if let Some(span) = found.calls.first() {
        return Err(evaluator.error(
            *span,
            "Function calls not allowed",
            "Functions may not be called here.",
        ));
    }
    if let Some(span) = found.spans.first() {
        return Err(evaluator.error(
            *span,
            "Variables not allowed",
            "Variables may not be used here.",
        ));
    }
    evaluator.eval(expr, &Scope::default())
}

/// What an expression refers to, apart from names that it defines itself.
#[derive(Default)]
pub(crate) struct References {
    /// Root and first attribute.
    pub(crate) names: Vec<(String, Option<String>)>,
    /// Where each of `names` stands.
    pub(crate) spans: Vec<Span>,
    calls: Vec<Span>,
    /// Names that are defined around the expression.
    pub(crate) bound: Vec<String>,
}

impl References {
    pub(crate) fn expr(&mut self, expr: &Expr) {
        use crate::syntax::ast::Step;
        match &expr.kind {
            Kind::Literal(_) => {}
            Kind::Template(parts) => self.parts(parts),
            Kind::Wrap(inner) | Kind::Paren(inner) | Kind::Not(inner) | Kind::Negate(inner) => {
                self.expr(inner)
            }
            Kind::Tuple(items) => items.iter().for_each(|item| self.expr(item)),
            Kind::Object(items) => items.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Kind::Traversal { root, steps, .. } => {
                if !self.bound.contains(&root.name) {
                    let first = match steps.first() {
                        Some(Step::Attribute(name, _)) => Some(name.clone()),
                        Some(Step::Index(index, _)) => match &index.kind {
                            Kind::Literal(Value::String(name)) => Some(name.as_ref().to_owned()),
                            _ => None,
                        },
                        None => None,
                    };
                    self.names.push((root.name.clone(), first));
                    self.spans.push(expr.span);
                }
                self.steps(steps);
            }
            Kind::Relative(source, steps)
            | Kind::Splat {
                source,
                each: steps,
            } => {
                self.expr(source);
                self.steps(steps);
            }
            Kind::Conditional(parts) => parts.iter().for_each(|part| self.expr(part)),
            Kind::Call {
                name_span, args, ..
            } => {
                self.calls.push(*name_span);
                for arg in args {
                    self.expr(arg);
                }
            }
            Kind::Binary(_, sides) => sides.iter().for_each(|side| self.expr(side)),
            Kind::For(inner) => {
                self.expr(&inner.collection);
                let before = self.bound.len();
                self.bound.extend(inner.key_name.clone());
                self.bound.push(inner.value_name.clone());
                inner
                    .key
                    .iter()
                    .chain([&inner.value])
                    .chain(&inner.condition)
                    .for_each(|inner| self.expr(inner));
                self.bound.truncate(before);
            }
        }
    }

    fn steps(&mut self, steps: &[crate::syntax::ast::Step]) {
        for step in steps {
            if let crate::syntax::ast::Step::Index(index, _) = step {
                self.expr(index);
            }
        }
    }

    fn parts(&mut self, parts: &[crate::syntax::ast::Part]) {
        use crate::syntax::ast::Part;
        for part in parts {
            match part {
                Part::Text(_) => {}
                Part::Interpolation(inner) => self.expr(inner),
                Part::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    self.expr(condition);
                    self.parts(then);
                    self.parts(otherwise);
                }
                Part::For {
                    key_name,
                    value_name,
                    collection,
                    body,
                } => {
                    self.expr(collection);
                    let before = self.bound.len();
                    self.bound.extend(key_name.clone());
                    self.bound.push(value_name.clone());
                    self.parts(body);
                    self.bound.truncate(before);
                }
            }
        }
    }
}
