//! `templatefile(path, names)`: the text of another file, itself a template.
//!
//! Beyond Nomad. The file sees only the names that are handed in; what only a client knows keeps its text, as everywhere.

use super::{MAX_TEXT, table};
use crate::expr::{Evaluated, Evaluator, Scope};
use crate::source::Span;
use crate::syntax::ast::Expr;
use crate::syntax::template_at;
use crate::value::Value;

/// How deep template files may call for others.
const MAX_DEPTH: usize = 8;

impl Evaluator<'_> {
    #[inline(never)]
    pub(super) fn call_templatefile(
        &self,
        exprs: &[Expr],
        expand: bool,
        (name_span, span): (Span, Span),
        scope: &Scope,
    ) -> Evaluated {
        let (values, spans) = self.arguments(exprs, expand, scope)?;
        if values.is_empty() || values.len() > 2 {
            let entry = table::entry("templatefile", 1, 2, |_| Ok(Value::Null));
            return Err(self.wrong_count("templatefile", &entry, values.len(), name_span));
        }
        let refuse = |at: usize, message: &str| {
            Err(self.bad_argument("templatefile", at, &spans, name_span, message))
        };
        let Some(path) = values[0].as_str() else {
            return refuse(0, "string required");
        };
        let files = match self.host.files() {
            Some(files) if self.files_allowed.get() => files,
            _ => {
                return Err(self.error(
                    name_span,
                    "Error in function call",
                    "Call to function \"templatefile\" failed: filesystem function disabled.",
                ));
            }
        };
        let mut inner = Scope::default();
        if let Some(names) = values.get(1) {
            let Some(members) = names.members() else {
                return refuse(
                    1,
                    "an object with the names that the file may use is required",
                );
            };
            for (name, value) in members {
                inner = inner.with(name, value.clone());
            }
        }
        if self.open_templates.get() >= MAX_DEPTH {
            return refuse(0, "template files are nested too deeply");
        }
        let text = match files.read(path, MAX_TEXT).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => return refuse(0, "the file is not UTF-8 text"),
            Err(error) => return refuse(0, &error.0),
        };
        self.burn(1 + text.len() / 16, span)?;
        let Some(parts) = template_at(&text, span) else {
            return refuse(0, "the file is not a template, or too large for one");
        };
        self.open_templates.set(self.open_templates.get() + 1);
        let result = self.template(&parts, span, &inner);
        self.open_templates.set(self.open_templates.get() - 1);
        if result.is_err() && !self.is_exhausted() {
            self.error(
                span,
                "Error in function call",
                format!("Call to function \"templatefile\" failed: {path} could not be rendered."),
            );
        }
        result
    }
}
