//! Evaluation of expressions.
//!
//! A mistake is told once, as a diagnostic, and then travels as [`Failed`] so that what depends on it stays silent.
//! Work is bounded by fuel: every step of an evaluation and every byte that a function makes costs some.

mod collections;
mod operators;
mod scope;
mod template;
#[cfg(test)]
mod tests;
mod traversal;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

pub(crate) use self::scope::Scope;
use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS};
use crate::host::Host;
use crate::lower::Places;
use crate::source::{Sources, Span};
use crate::syntax::ast::{Expr, Kind};
use crate::value::{Type, Value, convert};

/// How much work one job file may make: some seconds at most.
const FUEL: u64 = 5_000_000;

/// The evaluation failed; why has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// A value, or a failure that has been told.
pub(crate) type Evaluated = Result<Value, Failed>;

/// What evaluating needs beside the expression and its scope.
pub(crate) struct Evaluator<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) host: &'a dyn Host,
    /// Whether functions may look at files, if the host has any.
    pub(crate) files_allowed: Cell<bool>,
    /// The blocks that are read, where they are asked for.
    pub(crate) places: RefCell<Option<Places>>,
    /// How many `templatefile` calls are open.
    pub(crate) open_templates: Cell<usize>,
    diagnostics: RefCell<Vec<Diagnostic>>,
    fuel: Cell<u64>,
    exhausted: Cell<bool>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(sources: &'a Sources, host: &'a dyn Host) -> Self {
        Self {
            sources,
            host,
            files_allowed: Cell::new(true),
            places: RefCell::default(),
            open_templates: Cell::new(0),
            diagnostics: RefCell::default(),
            fuel: Cell::new(FUEL),
            exhausted: Cell::new(false),
        }
    }

    /// Allows less work than usual.
    #[cfg(test)]
    pub(crate) fn limit_fuel(&self, fuel: u64) {
        self.fuel.set(fuel);
    }

    /// Keeps a diagnostic.
    pub(crate) fn tell(&self, diagnostic: Diagnostic) {
        let mut diagnostics = self.diagnostics.borrow_mut();
        if diagnostics.len() < MAX_DIAGNOSTICS && !diagnostics.contains(&diagnostic) {
            diagnostics.push(diagnostic);
        }
    }

    /// Whether no more diagnostics are kept.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.borrow().len() >= MAX_DIAGNOSTICS
    }

    /// Keeps an error at a place.
    pub(crate) fn error(
        &self,
        span: Span,
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) -> Failed {
        if self.is_full() {
            return Failed;
        }
        self.tell(Diagnostic::at(self.sources, span, summary, detail));
        Failed
    }

    /// All diagnostics so far; there are none afterwards.
    pub(crate) fn take_diagnostics(&self) -> Vec<Diagnostic> {
        self.diagnostics.take()
    }

    /// Runs `attempt`, and forgets what it told.
    pub(crate) fn silently<T>(&self, attempt: impl FnOnce() -> T) -> T {
        let before = self.diagnostics.take();
        let result = attempt();
        *self.diagnostics.borrow_mut() = before;
        result
    }

    /// Uses up fuel for `amount` of work.
    pub(crate) fn burn(&self, amount: usize, span: Span) -> Result<(), Failed> {
        match self.fuel.get().checked_sub(amount as u64) {
            Some(left) => {
                self.fuel.set(left);
                Ok(())
            }
            None => {
                self.fuel.set(0);
                if !self.exhausted.replace(true) {
                    self.error(
                        span,
                        "Too much work",
                        "Evaluating this file takes more work than is allowed. Its expressions go over too many \
                         elements or make too much text.",
                    );
                }
                Err(Failed)
            }
        }
    }

    /// Whether the fuel is used up.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// The value of an expression.
    pub(crate) fn eval(&self, expr: &Expr, scope: &Scope) -> Evaluated {
        self.burn(1, expr.span)?;
        match &expr.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Wrap(inner) | Kind::Paren(inner) => self.eval(inner, scope),
            Kind::Template(parts) => self.template(parts, expr.span, scope),
            Kind::Tuple(items) => self.tuple(items, scope),
            Kind::Object(items) => self.object(items, scope),
            Kind::Traversal {
                root,
                steps,
                runtime,
            } => self.reference(root, steps, runtime, scope),
            Kind::Relative(source, steps) => self.relative(source, steps, scope),
            Kind::Splat { source, each } => self.splat(source, each, expr.span, scope),
            Kind::Conditional(parts) => self.conditional(parts, expr.span, scope),
            Kind::Call {
                name,
                name_span,
                args,
                expand,
            } => self.call(name, *name_span, args, *expand, expr.span, scope),
            Kind::Not(inner) => self.not(inner, scope),
            Kind::Negate(inner) => self.negate(inner, scope),
            Kind::Binary(operator, sides) => self.binary(*operator, sides, expr.span, scope),
            Kind::For(inner) => self.for_expr(inner, expr.span, scope),
        }
    }

    /// All the values, or a failure after all of them have been tried.
    pub(crate) fn eval_all(&self, exprs: &[Expr], scope: &Scope) -> Result<Vec<Value>, Failed> {
        let mut failed = false;
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match self.eval(expr, scope) {
                Ok(value) => values.push(value),
                Err(Failed) => failed = true,
            }
        }
        if failed { Err(Failed) } else { Ok(values) }
    }

    #[inline(never)]
    fn tuple(&self, items: &[Expr], scope: &Scope) -> Evaluated {
        self.eval_all(items, scope).map(Value::tuple)
    }

    #[inline(never)]
    fn object(&self, items: &[(Expr, Expr)], scope: &Scope) -> Evaluated {
        let mut failed = false;
        let mut members = BTreeMap::new();
        for (key, value) in items {
            let name = self.object_key(key, scope);
            let value = self.eval(value, scope);
            match (name, value) {
                (Ok(name), Ok(value)) => {
                    members.insert(name, value);
                }
                _ => failed = true,
            }
        }
        if failed {
            Err(Failed)
        } else {
            Ok(Value::object(members))
        }
    }

    fn object_key(&self, key: &Expr, scope: &Scope) -> Result<String, Failed> {
        match convert(&self.eval(key, scope)?, &Type::String) {
            Ok(Value::String(name)) => Ok(name.as_ref().to_owned()),
            Ok(_) => Err(self.error(
                key.span,
                "Null value as key",
                "Can't use a null value as a key.",
            )),
            Err(error) => Err(self.error(
                key.span,
                "Incorrect key type",
                format!("Can't use this value as a key: {error}."),
            )),
        }
    }
}
