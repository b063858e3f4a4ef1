//! Which value a variable ends up with.

use std::collections::BTreeMap;

use super::declare::{Declaration, constant};
use crate::diagnostic::{Diagnostic, nearest};
use crate::expr::{Evaluator, Failed, Scope};
use crate::source::Span;
use crate::syntax::ast::{Body, Expr};
use crate::value::{Type, Value, convert};

/// A value that was given from outside.
pub(crate) enum Given {
    /// Text of the environment; a name that nobody declared is passed over.
    Environment(String, Text),
    /// An attribute of a variables file.
    File(Body),
    /// `-var name=text`.
    Flag(String, Text),
}

/// A text, and itself read as an expression where it is one.
pub(crate) struct Text {
    pub(crate) raw: String,
    pub(crate) expr: Result<Expr, Vec<Diagnostic>>,
    pub(crate) span: Span,
}

/// The value of every declared variable, as the members of `var`. `strict`: undeclared names are errors.
pub(crate) fn resolve(
    evaluator: &Evaluator<'_>,
    declared: &BTreeMap<String, Declaration>,
    given: Vec<Given>,
    strict: bool,
) -> Result<Value, Failed> {
    let mut resolver = Resolver {
        evaluator,
        declared,
        strict,
        failed: false,
        values: BTreeMap::new(),
    };
    for value in given {
        match value {
            Given::Environment(name, text) => {
                if let Some(declaration) = declared.get(&name) {
                    resolver.text(&name, declaration, text);
                }
            }
            Given::File(body) => resolver.file(&body),
            Given::Flag(name, text) => match declared.get(&name) {
                Some(declaration) => resolver.text(&name, declaration, text),
                None => resolver.undeclared(&name, text.span, "A \"-var\" option named"),
            },
        }
    }
    resolver.finish()
}

struct Resolver<'a, 'e> {
    evaluator: &'a Evaluator<'e>,
    declared: &'a BTreeMap<String, Declaration>,
    strict: bool,
    failed: bool,
    /// The strongest value so far, and where it is from.
    values: BTreeMap<String, (Value, Span)>,
}

impl Resolver<'_, '_> {
    fn undeclared(&mut self, name: &str, span: Span, what: &str) {
        if !self.strict {
            return;
        }
        self.failed = true;
        let mut diagnostic = Diagnostic::at(
            self.evaluator.sources,
            span,
            "Undefined variable",
            format!(
                "{what} {name:?} was passed in, but no variable of that name is declared in the job file."
            ),
        );
        if let Some(near) = nearest(name, self.declared.keys().map(String::as_str)) {
            diagnostic = diagnostic.hint(format!("Did you mean {near:?}?"));
        } else {
            diagnostic = diagnostic.hint(format!(
                "To declare it, add a block: variable {name:?} {{}}"
            ));
        }
        self.evaluator.tell(diagnostic);
    }

    /// Text from outside is a string, or for types that no text converts to, an expression.
    fn text(&mut self, name: &str, declaration: &Declaration, text: Text) {
        let raw = declaration.wanted.as_ref().is_none_or(Type::takes_raw_text);
        let value = if raw {
            Ok(Value::from(text.raw))
        } else {
            match text.expr {
                Ok(expr) => constant(self.evaluator, &expr),
                Err(diagnostics) => {
                    for diagnostic in diagnostics {
                        self.evaluator.tell(diagnostic);
                    }
                    Err(Failed)
                }
            }
        };
        self.set(name, declaration, value, text.span);
    }

    fn file(&mut self, body: &Body) {
        for block in &body.blocks {
            self.failed = true;
            let detail = format!(
                "A variables file holds only values; a {} block must stand in the job file.",
                block.name
            );
            self.evaluator
                .error(block.header_span, "Unexpected block", detail);
        }
        for attribute in &body.attributes {
            self.file_value(&attribute.name, attribute.name_span, &attribute.value);
        }
        for property in &body.properties {
            if property.name != "//" {
                self.file_value(
                    &property.name,
                    property.name_span,
                    &property.value.to_expr(),
                );
            }
        }
    }

    fn file_value(&mut self, name: &str, name_span: Span, expr: &Expr) {
        match self.declared.get(name) {
            Some(declaration) => {
                let value = constant(self.evaluator, expr);
                self.set(name, declaration, value, expr.span);
            }
            None => self.undeclared(name, name_span, "A variable named"),
        }
    }

    fn set(
        &mut self,
        name: &str,
        declaration: &Declaration,
        value: Result<Value, Failed>,
        span: Span,
    ) {
        let Ok(value) = value else {
            self.failed = true;
            return;
        };
        let wanted = declaration.wanted.as_ref().unwrap_or(&Type::Dynamic);
        match convert(&value, wanted) {
            Ok(value) => {
                self.values.insert(name.to_owned(), (value, span));
            }
            Err(error) => {
                self.failed = true;
                self.evaluator.error(
                    span,
                    "Invalid value for input variable",
                    format!("The value for {name} is not compatible with the variable's type constraint: {error}."),
                );
            }
        }
    }

    fn finish(mut self) -> Result<Value, Failed> {
        let mut members = BTreeMap::new();
        for (name, declaration) in self.declared {
            let (value, span, from_default) = match (self.values.remove(name), &declaration.default)
            {
                (Some((value, span)), _) => (value, span, false),
                (None, Some((value, span))) => (value.clone(), *span, true),
                (None, None) => {
                    self.failed = true;
                    self.evaluator.error(
                        declaration.span,
                        format!("Unset variable {name:?}"),
                        "A used variable must be set or have a default value; see \
                         https://developer.hashicorp.com/nomad/docs/reference/hcl2/variables  for details.",
                    );
                    continue;
                }
            };
            if value
                .size_up_to(1_000_000)
                .is_none_or(|size| size > 1_000_000)
            {
                self.failed = true;
                self.evaluator.error(
                    span,
                    "Value too large",
                    "The value is too large or too deeply nested.",
                );
                continue;
            }
            self.failed |= self
                .validate(name, declaration, &value, span, from_default)
                .is_err();
            members.insert(name.clone(), value);
        }
        if self.failed {
            Err(Failed)
        } else {
            Ok(Value::object(members))
        }
    }

    /// Checks the rules; files are out of reach in them.
    fn validate(
        &self,
        name: &str,
        declaration: &Declaration,
        value: &Value,
        span: Span,
        from_default: bool,
    ) -> Result<(), Failed> {
        let own = Value::object(BTreeMap::from([(name.to_owned(), value.clone())]));
        let scope = Scope::default().with("var", own);
        let mut outcome = Ok(());
        for rule in &declaration.validations {
            let files = self.evaluator.files_allowed.replace(false);
            let result = self.evaluator.eval(&rule.condition, &scope);
            self.evaluator.files_allowed.set(files);
            let holds = match result.map(|result| convert(&result, &Type::Bool)) {
                Err(Failed) => {
                    outcome = Err(Failed);
                    continue;
                }
                Ok(Ok(Value::Bool(holds))) => holds,
                Ok(_) => {
                    outcome = Err(self.evaluator.error(
                        rule.condition.span,
                        "Invalid variable validation result",
                        "Validation condition expression must return either true or false, not null or another type.",
                    ));
                    continue;
                }
            };
            if !holds {
                let what = if from_default {
                    "Invalid value for default variable"
                } else {
                    "Invalid value for variable"
                };
                outcome = Err(self.evaluator.error(
                    span,
                    what,
                    format!(
                        "{}\n\nThis was checked by the validation rule at {}.",
                        rule.message,
                        self.evaluator.sources.range(rule.span)
                    ),
                ));
            }
        }
        outcome
    }
}
