//! `for` expressions, and going over collections.

use std::collections::BTreeMap;

use super::{Evaluated, Evaluator, Failed, Scope};
use crate::source::Span;
use crate::syntax::ast::{Expr, For};
use crate::value::{Type, Value, convert};

impl Evaluator<'_> {
    /// Keys and values of a collection.
    pub(crate) fn iterate(&self, value: &Value, span: Span) -> Result<Vec<(Value, Value)>, Failed> {
        let pairs = match value.pairs() {
            Some(pairs) => pairs,
            None if value.is_null() => {
                return Err(self.error(
                    span,
                    "Iteration over null value",
                    "A null value cannot be used as the collection in a 'for' expression.",
                ));
            }
            None => {
                return Err(self.error(
                    span,
                    "Iteration over non-iterable value",
                    format!(
                        "A value of type {} cannot be used as the collection in a 'for' expression.",
                        Type::of(value).name()
                    ),
                ));
            }
        };
        self.burn(pairs.len(), span)?;
        Ok(pairs)
    }

    /// The scope inside one round of a loop.
    pub(crate) fn iteration(
        key_name: Option<&str>,
        value_name: &str,
        key: Value,
        value: Value,
        scope: &Scope,
    ) -> Scope {
        let scope = match key_name {
            Some(name) => scope.with(name, key),
            None => scope.clone(),
        };
        scope.with(value_name, value)
    }

    #[inline(never)]
    pub(super) fn for_expr(&self, expr: &For, span: Span, scope: &Scope) -> Evaluated {
        let collection = self.eval(&expr.collection, scope)?;
        let pairs = self.iterate(&collection, expr.collection.span)?;
        match &expr.key {
            None => self.for_tuple(expr, pairs, scope),
            Some(key) => self.for_object(expr, key, pairs, span, scope),
        }
    }

    fn for_tuple(&self, expr: &For, pairs: Vec<(Value, Value)>, scope: &Scope) -> Evaluated {
        let mut items = Vec::new();
        for (key, value) in pairs {
            let scope = Self::iteration(
                expr.key_name.as_deref(),
                &expr.value_name,
                key,
                value,
                scope,
            );
            if self.kept(expr, &scope)? {
                items.push(self.eval(&expr.value, &scope)?);
            }
        }
        Ok(Value::tuple(items))
    }

    fn kept(&self, expr: &For, scope: &Scope) -> Result<bool, Failed> {
        match &expr.condition {
            None => Ok(true),
            Some(condition) => self.condition(condition, scope),
        }
    }

    fn for_object(
        &self,
        expr: &For,
        key: &Expr,
        pairs: Vec<(Value, Value)>,
        span: Span,
        scope: &Scope,
    ) -> Evaluated {
        let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (pair_key, pair_value) in pairs {
            let scope = Self::iteration(
                expr.key_name.as_deref(),
                &expr.value_name,
                pair_key,
                pair_value,
                scope,
            );
            if !self.kept(expr, &scope)? {
                continue;
            }
            let name = match convert(&self.eval(key, &scope)?, &Type::String) {
                Ok(Value::String(name)) => name.as_ref().to_owned(),
                Ok(_) => {
                    let detail =
                        "Key expression in 'for' expression must not produce a null value.";
                    return Err(self.error(key.span, "Invalid object key", detail));
                }
                Err(error) => {
                    let detail = format!("The key expression produced an invalid result: {error}.");
                    return Err(self.error(key.span, "Invalid object key", detail));
                }
            };
            let value = self.eval(&expr.value, &scope)?;
            let group = groups.entry(name.clone()).or_default();
            if !group.is_empty() && !expr.group {
                return Err(self.error(
                    span,
                    "Duplicate object key",
                    format!(
                        "Two different items produced the key {name:?} in this 'for' expression. If duplicates are \
                         expected, use the ellipsis (...) after the value expression to enable grouping by key."
                    ),
                ));
            }
            group.push(value);
        }
        let members = groups
            .into_iter()
            .map(|(name, mut group)| {
                let value = if expr.group {
                    Value::tuple(group)
                } else {
                    group.pop().unwrap_or(Value::Null)
                };
                (name, value)
            })
            .collect();
        Ok(Value::object(members))
    }
}
