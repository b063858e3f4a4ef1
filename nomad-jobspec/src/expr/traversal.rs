//! References, steps into values, splats. A root that nothing defines is left for the client.

use super::{Evaluated, Evaluator, Scope};
use crate::source::Span;
use crate::syntax::ast::{Expr, Root, Step};
use crate::value::{Type, Value, convert};

impl Evaluator<'_> {
    /// `root.step[...]`: the value, or for an unknown root the reference's own text.
    #[inline(never)]
    pub(super) fn reference(
        &self,
        root: &Root,
        steps: &[Step],
        runtime: &str,
        scope: &Scope,
    ) -> Evaluated {
        match scope.get(&root.name) {
            Some(value) => self.follow(value.clone(), steps, scope),
            None => Ok(Value::from(runtime)),
        }
    }

    #[inline(never)]
    pub(super) fn relative(&self, source: &Expr, steps: &[Step], scope: &Scope) -> Evaluated {
        let value = self.eval(source, scope)?;
        self.follow(value, steps, scope)
    }

    fn follow(&self, mut value: Value, steps: &[Step], scope: &Scope) -> Evaluated {
        for step in steps {
            value = match step {
                Step::Attribute(name, span) => self.attribute(&value, name, *span)?,
                Step::Index(index, span) => {
                    let key = self.eval(index, scope)?;
                    self.index(&value, &key, *span)?
                }
            };
        }
        Ok(value)
    }

    fn attribute(&self, value: &Value, name: &str, span: Span) -> Evaluated {
        let unsupported = |detail: String| Err(self.error(span, "Unsupported attribute", detail));
        match value {
            Value::Null => Err(self.error(
                span,
                "Attempt to get attribute from null value",
                "This value is null, so it does not have any attributes.",
            )),
            Value::Object(members) => match members.get(name) {
                Some(member) => Ok(member.clone()),
                None => {
                    let hint = crate::diagnostic::nearest(name, members.keys().map(String::as_str))
                        .map(|near| format!(" Did you mean {near:?}?"))
                        .unwrap_or_default();
                    unsupported(format!("This object does not have an attribute named {name:?}.{hint}"))
                }
            },
            Value::Map(members) => match members.get(name) {
                Some(member) => Ok(member.clone()),
                None => Err(self.error(
                    span,
                    "Missing map element",
                    format!("This map does not have an element with the key {name:?}."),
                )),
            },
            Value::List(_) | Value::Tuple(_) => unsupported(
                "Can't access attributes on a list of objects. Did you mean to access an attribute for a specific \
                 element of the list, or across all elements of the list?"
                    .to_owned(),
            ),
            Value::Set(_) => unsupported(
                "Can't access attributes on a set of objects. Did you mean to access an attribute across all elements \
                 of the set?"
                    .to_owned(),
            ),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                unsupported(format!("Can't access attributes on a primitive-typed value ({}).", Type::of(value).name()))
            }
        }
    }

    /// The element of a list, tuple, map or object.
    pub(crate) fn index(&self, value: &Value, key: &Value, span: Span) -> Evaluated {
        let invalid = |detail: &str| Err(self.error(span, "Invalid index", detail));
        match value {
            Value::Null => Err(self.error(
                span,
                "Attempt to index null value",
                "This value is null, so it does not have any indices.",
            )),
            Value::List(items) | Value::Tuple(items) => {
                let Ok(Value::Number(number)) = convert(key, &Type::Number) else {
                    return invalid(
                        "The given key does not identify an element in this collection value: a number is required.",
                    );
                };
                if !number.is_integer() {
                    return invalid(
                        "The given key does not identify an element in this collection value: indexing a sequence requires a whole number.",
                    );
                }
                if number.is_negative() {
                    return invalid(
                        "The given key does not identify an element in this collection value: a negative number is not a valid index for a sequence.",
                    );
                }
                match number.to_i64().and_then(|at| items.get(at as usize)) {
                    Some(item) => Ok(item.clone()),
                    None if items.is_empty() => invalid(
                        "The given key does not identify an element in this collection value: the collection has no elements.",
                    ),
                    None => invalid(
                        "The given key does not identify an element in this collection value: the given index is greater than or equal to the length of the collection.",
                    ),
                }
            }
            Value::Map(members) | Value::Object(members) => {
                let Ok(Value::String(name)) = convert(key, &Type::String) else {
                    return invalid(
                        "The given key does not identify an element in this collection value: string required.",
                    );
                };
                match members.get(&*name) {
                    Some(member) => Ok(member.clone()),
                    None => invalid(
                        "The given key does not identify an element in this collection value.",
                    ),
                }
            }
            Value::Set(_) => invalid(
                "Elements of a set are identified only by their value and don't have any separate index or key to select with, so it's only possible to perform operations across all elements of the set.",
            ),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                invalid("This value does not have any indices.")
            }
        }
    }

    /// `source[*].each`: for every element; a single value is a list of one, null a list of none.
    #[inline(never)]
    pub(super) fn splat(
        &self,
        source: &Expr,
        each: &[Step],
        span: Span,
        scope: &Scope,
    ) -> Evaluated {
        let value = self.eval(source, scope)?;
        let items: Vec<Value> = match value.elements() {
            Some(items) => items.to_vec(),
            None if value.is_null() => Vec::new(),
            None => vec![value.clone()],
        };
        self.burn(items.len() * (1 + each.len()), span)?;
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            results.push(self.follow(item, each, scope)?);
        }
        Ok(if matches!(value, Value::List(_) | Value::Set(_)) {
            Value::list(results)
        } else {
            Value::tuple(results)
        })
    }
}
