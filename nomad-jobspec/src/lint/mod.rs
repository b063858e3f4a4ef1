//! Warnings of what is legal but surely not meant, each with its place.
//!
//! Lints look at the job and at the blocks that it was read from, after everything is known to be good. A lint would
//! rather stay silent than be wrong: what only the client or the cluster knows is never guessed.

mod constraints;
mod names;
mod ports;
mod template_text;
mod templates;
mod values;
mod versions;

use std::cell::RefCell;
use std::collections::BTreeMap;

use nomad_core::spec::Job;

use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity};
use crate::expr::Evaluator;
use crate::lower::{Place, Places};
use crate::source::Span;
use crate::value::{Type, Value, convert};
use crate::variables::Declaration;

/// What to look for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lint<'a> {
    /// The functions that `template` blocks may call, beside Go's own; where it is empty, calls are not looked at.
    pub template_functions: &'a [&'a str],
}

impl Lint<'_> {
    /// All warnings, in any order.
    pub(crate) fn run(
        &self,
        evaluator: &Evaluator<'_>,
        declared: &BTreeMap<String, Declaration>,
        places: &Places,
        job: &Job,
    ) -> Vec<Diagnostic> {
        let check = Check {
            evaluator,
            places,
            job,
            found: RefCell::default(),
        };
        evaluator.silently(|| {
            names::unused(&check, declared);
            names::unknown(&check);
            ports::unread(&check);
            constraints::impossible(&check);
            values::doubtful(&check);
            templates::unknown_functions(&check, self.template_functions);
        });
        check.found.into_inner()
    }
}

/// What every lint looks at.
struct Check<'a> {
    evaluator: &'a Evaluator<'a>,
    places: &'a Places,
    job: &'a Job,
    found: RefCell<Vec<Diagnostic>>,
}

impl Check<'_> {
    fn warn(&self, span: Span, summary: &str, detail: impl Into<String>, hint: &str) {
        let mut found = self.found.borrow_mut();
        if found.len() >= MAX_DIAGNOSTICS {
            return;
        }
        let mut diagnostic = Diagnostic::at(self.evaluator.sources, span, summary, detail);
        diagnostic.severity = Severity::Warning;
        if !hint.is_empty() {
            diagnostic = diagnostic.hint(hint);
        }
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }

    /// The value of an attribute and where it stands.
    fn value(&self, place: &Place, name: &str) -> Option<(Value, Span)> {
        let attribute = place.attribute(name)?;
        let value = self.evaluator.eval(&attribute.value, &place.scope).ok()?;
        (!value.is_null()).then_some((value, attribute.value.span))
    }

    fn text(&self, place: &Place, name: &str) -> Option<(String, Span)> {
        let (value, span) = self.value(place, name)?;
        match convert(&value, &Type::String) {
            Ok(Value::String(text)) => Some((text.as_ref().to_owned(), span)),
            _ => None,
        }
    }

    fn int(&self, place: &Place, name: &str) -> Option<(i64, Span)> {
        let (value, span) = self.value(place, name)?;
        match convert(&value, &Type::Number) {
            Ok(Value::Number(number)) => Some((number.to_i64()?, span)),
            _ => None,
        }
    }
}
