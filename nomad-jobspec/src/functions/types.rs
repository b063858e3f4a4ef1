//! `convert`: its second argument is a type, not a value.

use crate::expr::{Evaluated, Evaluator, Scope};
use crate::source::Span;
use crate::syntax::ast::Expr;
use crate::value::convert;
use crate::variables::type_expr;

impl Evaluator<'_> {
    pub(super) fn call_convert(&self, exprs: &[Expr], span: Span, scope: &Scope) -> Evaluated {
        let [value, wanted] = exprs else {
            return Err(self.error(
                span,
                "Wrong number of function arguments",
                "Function \"convert\" expects 2 arguments: a value and a type.",
            ));
        };
        let wanted = type_expr(self, wanted, true);
        let (value_span, value) = (value.span, self.eval(value, scope)?);
        convert(&value, &wanted?).map_err(|error| {
            self.error(
                value_span,
                "Invalid function argument",
                format!("Invalid value for argument 1 of \"convert\": {error}."),
            )
        })
    }
}
