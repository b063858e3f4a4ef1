//! Puts the arguments of an `include` in the place of `include.NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, nearest};
use crate::source::{Sources, Span};
use crate::syntax::ast::{Attribute, Block, Body, Expr, Kind, Part, Step};
use crate::value::Value;
use crate::variables::References;

/// The root name of arguments.
const ROOT: &str = "include";

/// The body of an included file with its arguments put in.
pub(super) fn body(
    sources: &Sources,
    body: &Body,
    arguments: &BTreeMap<&str, &Expr>,
) -> Result<Body, Vec<Diagnostic>> {
    let roots = arguments
        .iter()
        .map(|(name, value)| {
            let mut found = References::default();
            found.expr(value);
            let roots = found.names.into_iter().map(|(root, _)| root).collect();
            (*name, roots)
        })
        .collect();
    let mut substitution = Substitution {
        sources,
        arguments,
        roots,
        bound: Vec::new(),
        diagnostics: Vec::new(),
    };
    let body = substitution.body(body);
    if substitution.diagnostics.is_empty() {
        Ok(body)
    } else {
        Err(substitution.diagnostics)
    }
}

struct Substitution<'a> {
    sources: &'a Sources,
    arguments: &'a BTreeMap<&'a str, &'a Expr>,
    /// The names that each argument refers to.
    roots: BTreeMap<&'a str, BTreeSet<String>>,
    /// The names that the file defines around the place: iterators and variables of `for`.
    bound: Vec<String>,
    diagnostics: Vec<Diagnostic>,
}

impl Substitution<'_> {
    fn tell(&mut self, span: Span, summary: &str, detail: String, hint: Option<String>) {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            let mut diagnostic = Diagnostic::at(self.sources, span, summary, detail);
            diagnostic.hint = hint;
            self.diagnostics.push(diagnostic);
        }
    }

    fn body(&mut self, body: &Body) -> Body {
        let mut body = body.clone();
        for attribute in &mut body.attributes {
            let mut value = attribute.value.clone();
            self.expr(&mut value);
            *attribute = Arc::new(Attribute {
                name: attribute.name.clone(),
                name_span: attribute.name_span,
                value,
            });
        }
        for block in &mut body.blocks {
            self.block(block);
        }
        body
    }

    fn block(&mut self, block: &mut Block) {
        let before = self.bound.len();
        if block.name == "dynamic" {
            // What a `dynamic` block is called is a name within it.
            self.bound
                .extend(block.labels.first().map(|label| label.text.clone()));
            let iterator = block
                .body
                .attributes
                .iter()
                .find(|attribute| attribute.name == "iterator");
            if let Some(Kind::Traversal { root, .. }) = iterator.map(|it| &it.value.kind) {
                self.bound.push(root.name.clone());
            }
        }
        block.body = Arc::new(self.body(&block.body));
        self.bound.truncate(before);
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e mut Expr>) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        if let Kind::Traversal { root, steps, .. } = &mut expr.kind {
            if root.name != ROOT || self.bound.iter().any(|name| name == ROOT) {
                self.steps(steps);
                return;
            }
            let steps = std::mem::take(steps);
            self.argument(expr, steps);
            return;
        }
        match &mut expr.kind {
            Kind::Literal(_) | Kind::Traversal { .. } => {}
            Kind::Template(parts) => self.parts(parts),
            Kind::Wrap(inner) | Kind::Paren(inner) | Kind::Not(inner) | Kind::Negate(inner) => {
                self.expr(inner)
            }
            Kind::Tuple(items) => self.exprs(items),
            Kind::Object(items) => {
                for (key, value) in items {
                    self.expr(key);
                    self.expr(value);
                }
            }
            Kind::Relative(source, steps)
            | Kind::Splat {
                source,
                each: steps,
            } => {
                self.expr(source);
                self.steps(steps);
            }
            Kind::Conditional(parts) => self.exprs(parts.iter_mut()),
            Kind::Call { args, .. } => self.exprs(args),
            Kind::Binary(_, sides) => self.exprs(sides.iter_mut()),
            Kind::For(inner) => {
                self.expr(&mut inner.collection);
                let before = self.bound.len();
                self.bound.extend(inner.key_name.clone());
                self.bound.push(inner.value_name.clone());
                self.exprs(inner.key.iter_mut());
                self.expr(&mut inner.value);
                self.exprs(inner.condition.iter_mut());
                self.bound.truncate(before);
            }
        }
    }

    /// Turns `include.NAME.rest` into the argument of that name and the rest.
    fn argument(&mut self, expr: &mut Expr, steps: Vec<Step>) {
        let mut steps = steps.into_iter();
        let name = match steps.next() {
            Some(Step::Attribute(name, _)) => name,
            Some(Step::Index(index, _)) => match &index.kind {
                Kind::Literal(Value::String(name)) => name.as_ref().to_owned(),
                _ => String::new(),
            },
            None => String::new(),
        };
        let Some(value) = self.arguments.get(name.as_str()) else {
            let hint = nearest(&name, self.arguments.keys().copied())
                .map(|near| format!("Did you mean {near:?}?"))
                .or_else(|| Some(format!("Set it in the include block: {name} = ...")));
            let detail =
                format!("The include block that names this file sets no argument {name:?}.");
            self.tell(expr.span, "Unset include argument", detail, hint);
            return;
        };
        let captured = self.roots[name.as_str()]
            .iter()
            .find(|root| self.bound.contains(root))
            .cloned();
        if let Some(root) = captured {
            let detail = format!(
                "The argument {name:?} uses the name {root:?}, which means something else at this place."
            );
            let hint = Some("Give the iterator of one of them another name.".to_owned());
            self.tell(expr.span, "Ambiguous name", detail, hint);
            return;
        }
        let rest: Vec<Step> = steps.collect();
        let inner = Expr {
            kind: Kind::Paren(Box::new((*value).clone())),
            span: value.span,
        };
        expr.kind = if rest.is_empty() {
            inner.kind
        } else {
            Kind::Relative(Box::new(inner), rest)
        };
        if let Kind::Relative(_, rest) = &mut expr.kind {
            self.steps(rest);
        }
    }

    fn steps(&mut self, steps: &mut [Step]) {
        for step in steps {
            if let Step::Index(index, _) = step {
                self.expr(index);
            }
        }
    }

    fn parts(&mut self, parts: &mut [Part]) {
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
