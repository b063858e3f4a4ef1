//! The functions that expressions can call.
//!
//! One table names them all. Arguments arrive evaluated; `try`, `can` and `convert` are special because they see the
//! expressions themselves. Source: jobspec.md §2.8, documentation of HCL's and Terraform's functions of these names.

mod args;
mod collection;
mod crypto;
mod csv;
mod date;
mod encoding;
mod files;
mod format;
mod ip;
mod numeric;
mod string;
mod table;
mod templatefile;
#[cfg(test)]
mod tests;
mod types;
mod yaml;

use self::args::{ArgError, Args};
use crate::diagnostic::{Diagnostic, nearest};
use crate::expr::{Evaluated, Evaluator, Failed, Scope};
use crate::source::Span;
use crate::syntax::ast::Expr;
use crate::value::Value;

/// The longest text that a function makes, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// The most elements that a function makes.
const MAX_ELEMENTS: usize = 200_000;
/// How much of an argument is looked at before it is called too large.
const MAX_ARGUMENT: usize = 2_000_000;

impl Evaluator<'_> {
    /// The result of a call.
    #[inline(never)]
    pub(crate) fn call(
        &self,
        name: &str,
        name_span: Span,
        exprs: &[Expr],
        expand: bool,
        span: Span,
        scope: &Scope,
    ) -> Evaluated {
        match name {
            "try" => return self.call_try(exprs, span, scope),
            "can" => return self.call_can(exprs, span, scope),
            "templatefile" => {
                return self.call_templatefile(exprs, expand, (name_span, span), scope);
            }
            "convert" => return self.call_convert(exprs, span, scope),
            _ => {}
        }
        let Some(entry) = table::find(name) else {
            let mut diagnostic = Diagnostic::at(
                self.sources,
                name_span,
                "Call to unknown function",
                format!("There is no function named {name:?}."),
            );
            if let Some(near) = nearest(name, table::names()) {
                diagnostic = diagnostic.hint(format!("Did you mean {near:?}?"));
            }
            self.tell(diagnostic);
            return Err(Failed);
        };
        let (values, spans) = self.arguments(exprs, expand, scope)?;
        if values.len() < entry.least || entry.most.is_some_and(|most| values.len() > most) {
            return Err(self.wrong_count(name, entry, values.len(), name_span));
        }
        self.weigh(&values, &spans, name_span)?;
        let args = Args {
            values,
            evaluator: self,
        };
        if !entry.nulls
            && let Some(at) = args.values.iter().position(Value::is_null)
        {
            return Err(self.bad_argument(
                name,
                at,
                &spans,
                name_span,
                "argument must not be null",
            ));
        }
        match (entry.run)(&args) {
            Ok(value) => {
                let size = value.size_up_to(MAX_ARGUMENT).unwrap_or(MAX_ARGUMENT);
                self.burn(size, span)?;
                Ok(value)
            }
            Err(ArgError {
                at: Some(at),
                message,
            }) => Err(self.bad_argument(name, at, &spans, name_span, &message)),
            Err(ArgError { at: None, message }) => Err(self.error(
                name_span,
                "Error in function call",
                format!("Call to function {name:?} failed: {message}."),
            )),
        }
    }

    /// The values of the arguments with their places; the last may be a list to spread.
    fn arguments(
        &self,
        exprs: &[Expr],
        expand: bool,
        scope: &Scope,
    ) -> Result<(Vec<Value>, Vec<Span>), Failed> {
        let mut values = self.eval_all(exprs, scope)?;
        let mut spans: Vec<Span> = exprs.iter().map(|expr| expr.span).collect();
        if expand && let (Some(last), Some(span)) = (values.pop(), spans.pop()) {
            let Some(items) = last.elements() else {
                return Err(self.error(
                    span,
                    "Invalid expanding argument value",
                    "The expanding argument (indicated by ...) must be of a tuple, list, or set type.",
                ));
            };
            self.burn(items.len(), span)?;
            values.extend(items.iter().cloned());
            spans.resize(values.len(), span);
        }
        Ok((values, spans))
    }

    /// Pays for looking at the arguments, and refuses those that are too large or too deep.
    fn weigh(&self, values: &[Value], spans: &[Span], name_span: Span) -> Result<(), Failed> {
        for (at, value) in values.iter().enumerate() {
            let span = spans.get(at).copied().unwrap_or(name_span);
            match value.size_up_to(MAX_ARGUMENT) {
                Some(size) if size <= MAX_ARGUMENT => self.burn(size, span)?,
                _ => {
                    let detail = "The value is too large or too deeply nested for a function.";
                    return Err(self.error(span, "Invalid function argument", detail));
                }
            }
        }
        Ok(())
    }

    fn wrong_count(&self, name: &str, entry: &table::Entry, got: usize, span: Span) -> Failed {
        let takes = match (entry.least, entry.most) {
            (least, Some(most)) if least == most => format!("{least}"),
            (least, Some(most)) => format!("{least} to {most}"),
            (least, None) => format!("at least {least}"),
        };
        let summary = if got < entry.least {
            "Not enough function arguments"
        } else {
            "Too many function arguments"
        };
        self.error(
            span,
            summary,
            format!("Function {name:?} expects {takes} argument(s), but got {got}."),
        )
    }

    fn bad_argument(
        &self,
        name: &str,
        at: usize,
        spans: &[Span],
        name_span: Span,
        message: &str,
    ) -> Failed {
        self.error(
            spans.get(at).copied().unwrap_or(name_span),
            "Invalid function argument",
            format!(
                "Invalid value for argument {} of {name:?}: {message}.",
                at + 1
            ),
        )
    }

    /// The first argument that evaluates without an error.
    fn call_try(&self, exprs: &[Expr], span: Span, scope: &Scope) -> Evaluated {
        for expr in exprs {
            if let Ok(value) = self.silently(|| self.eval(expr, scope)) {
                return Ok(value);
            }
            if self.is_exhausted() {
                return Err(Failed);
            }
        }
        Err(self.error(
            span,
            "Error in function call",
            "Call to function \"try\" failed: no expression succeeded. At least one expression must produce a \
             successful result.",
        ))
    }

    fn call_can(&self, exprs: &[Expr], span: Span, scope: &Scope) -> Evaluated {
        let [expr] = exprs else {
            return Err(self.error(
                span,
                "Wrong number of function arguments",
                "Function \"can\" expects 1 argument.",
            ));
        };
        Ok(Value::Bool(
            self.silently(|| self.eval(expr, scope)).is_ok(),
        ))
    }
}
