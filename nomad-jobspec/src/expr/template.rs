//! Text made of parts.

use super::{Evaluated, Evaluator, Failed, Scope};
use crate::source::Span;
use crate::syntax::ast::{Expr, Part};
use crate::value::{Type, Value, convert};

impl Evaluator<'_> {
    #[inline(never)]
    pub(crate) fn template(&self, parts: &[Part], span: Span, scope: &Scope) -> Evaluated {
        let mut text = String::new();
        self.parts(parts, span, scope, &mut text)?;
        Ok(Value::from(text))
    }

    fn parts(
        &self,
        parts: &[Part],
        span: Span,
        scope: &Scope,
        text: &mut String,
    ) -> Result<(), Failed> {
        let mut failed = false;
        for part in parts {
            let before = text.len();
            failed |= self.part(part, span, scope, text).is_err();
            self.burn(1 + (text.len() - before) / 16, span)?;
        }
        if failed { Err(Failed) } else { Ok(()) }
    }

    fn part(
        &self,
        part: &Part,
        span: Span,
        scope: &Scope,
        text: &mut String,
    ) -> Result<(), Failed> {
        match part {
            Part::Text(literal) => {
                text.push_str(literal);
                Ok(())
            }
            Part::Interpolation(expr) => self.interpolate(expr, scope, text),
            Part::If {
                condition,
                then,
                otherwise,
            } => {
                let chosen = if self.condition(condition, scope)? {
                    then
                } else {
                    otherwise
                };
                self.parts(chosen, span, scope, text)
            }
            Part::For {
                key_name,
                value_name,
                collection,
                body,
            } => {
                let value = self.eval(collection, scope)?;
                for (key, value) in self.iterate(&value, collection.span)? {
                    let scope = Self::iteration(key_name.as_deref(), value_name, key, value, scope);
                    self.parts(body, span, &scope, text)?;
                }
                Ok(())
            }
        }
    }

    fn interpolate(&self, expr: &Expr, scope: &Scope, text: &mut String) -> Result<(), Failed> {
        match convert(&self.eval(expr, scope)?, &Type::String) {
            Ok(Value::String(value)) => {
                text.push_str(&value);
                Ok(())
            }
            Ok(_) => Err(self.error(
                expr.span,
                "Invalid template interpolation value",
                "The expression result is null. Cannot include a null value in a string template.",
            )),
            Err(error) => Err(self.error(
                expr.span,
                "Invalid template interpolation value",
                format!("Cannot include the given value in a string template: {error}."),
            )),
        }
    }
}
