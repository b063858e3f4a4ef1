//! Operators and conditionals.

use super::{Evaluated, Evaluator, Failed, Scope};
use crate::source::Span;
use crate::syntax::ast::{Expr, Operator};
use crate::value::{Number, Type, Value, convert, unify};

impl Evaluator<'_> {
    fn operand(&self, value: &Value, to: &Type, span: Span) -> Evaluated {
        match convert(value, to) {
            Ok(Value::Null) => Err(self.error(
                span,
                "Invalid operand",
                "Unsuitable value for operand: argument must not be null.",
            )),
            Ok(value) => Ok(value),
            Err(error) => Err(self.error(
                span,
                "Invalid operand",
                format!("Unsuitable value for operand: {error}."),
            )),
        }
    }

    fn number(&self, value: &Value, span: Span) -> Result<Number, Failed> {
        match self.operand(value, &Type::Number, span)? {
            Value::Number(number) => Ok(number),
            _ => Err(Failed),
        }
    }

    fn bool(&self, value: &Value, span: Span) -> Result<bool, Failed> {
        Ok(self.operand(value, &Type::Bool, span)? == Value::Bool(true))
    }

    #[inline(never)]
    pub(super) fn not(&self, inner: &Expr, scope: &Scope) -> Evaluated {
        let value = self.eval(inner, scope)?;
        Ok(Value::Bool(!self.bool(&value, inner.span)?))
    }

    #[inline(never)]
    pub(super) fn negate(&self, inner: &Expr, scope: &Scope) -> Evaluated {
        let value = self.eval(inner, scope)?;
        Ok(Value::Number(self.number(&value, inner.span)?.negate()))
    }

    #[inline(never)]
    pub(super) fn binary(
        &self,
        operator: Operator,
        sides: &[Expr; 2],
        span: Span,
        scope: &Scope,
    ) -> Evaluated {
        let spans = [sides[0].span, sides[1].span];
        if matches!(operator, Operator::And | Operator::Or) {
            // The right side counts only where the left one does not decide.
            let left = self.eval(&sides[0], scope)?;
            let left = self.bool(&left, spans[0])?;
            if left == (operator == Operator::Or) {
                return Ok(Value::Bool(left));
            }
            let right = self.eval(&sides[1], scope)?;
            return Ok(Value::Bool(self.bool(&right, spans[1])?));
        }
        let (left, right) = (self.eval(&sides[0], scope), self.eval(&sides[1], scope));
        let (left, right) = (left?, right?);
        match operator {
            Operator::Equal => Ok(Value::Bool(left == right)),
            Operator::NotEqual => Ok(Value::Bool(left != right)),
            _ => {
                let (a, b) = (
                    self.number(&left, spans[0])?,
                    self.number(&right, spans[1])?,
                );
                self.arithmetic(operator, &a, &b, span)
            }
        }
    }

    fn arithmetic(&self, operator: Operator, a: &Number, b: &Number, span: Span) -> Evaluated {
        let result = match operator {
            Operator::Less => return Ok(Value::Bool(a < b)),
            Operator::LessOrEqual => return Ok(Value::Bool(a <= b)),
            Operator::Greater => return Ok(Value::Bool(a > b)),
            Operator::GreaterOrEqual => return Ok(Value::Bool(a >= b)),
            Operator::Add => a.add(b),
            Operator::Subtract => a.subtract(b),
            Operator::Multiply => a.multiply(b),
            Operator::Divide => a.divide(b),
            _ => a.modulo(b),
        };
        match result {
            Some(number) => Ok(Value::Number(number)),
            None if b.is_zero() => Err(self.error(
                span,
                "Division by zero",
                "The result of a division by zero is not defined.",
            )),
            None => Err(self.error(
                span,
                "Operation failed",
                "The result is too large or too small to be written.",
            )),
        }
    }

    /// The value of a condition.
    pub(crate) fn condition(&self, expr: &Expr, scope: &Scope) -> Result<bool, Failed> {
        let value = self.eval(expr, scope)?;
        match convert(&value, &Type::Bool) {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(_) => Err(self.error(
                expr.span,
                "Null condition",
                "The condition value is null. Conditions must either be true or false.",
            )),
            Err(_) => Err(self.error(
                expr.span,
                "Incorrect condition type",
                format!(
                    "The condition expression must be of type bool, not {}.",
                    Type::of(&value).name()
                ),
            )),
        }
    }

    /// Only the chosen branch may fail, but both decide the type.
    #[inline(never)]
    pub(super) fn conditional(&self, parts: &[Expr; 3], span: Span, scope: &Scope) -> Evaluated {
        let [condition, then, otherwise] = parts;
        let (chosen, other) = if self.condition(condition, scope)? {
            (then, otherwise)
        } else {
            (otherwise, then)
        };
        let value = self.eval(chosen, scope)?;
        let Ok(other) = self.silently(|| self.eval(other, scope)) else {
            return Ok(value);
        };
        let common = unify(&[Type::of(&value), Type::of(&other)]);
        match common.map(|common| convert(&value, &common)) {
            Some(Ok(value)) => Ok(value),
            _ => Err(self.error(
                span,
                "Inconsistent conditional result types",
                format!(
                    "The true and false result expressions must have consistent types. The given expressions are {} \
                     and {}, respectively.",
                    Type::of(&value).name(),
                    Type::of(&other).name()
                ),
            )),
        }
    }
}
