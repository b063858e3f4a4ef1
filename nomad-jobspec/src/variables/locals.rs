//! Locals, in any order, each of which may use the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::declare::References;
use crate::expr::{Evaluator, Failed, Scope};
use crate::lower::body::Reader;
use crate::syntax::ast::{Attribute, Body};
use crate::value::Value;

/// How large the value of one local may be.
const MAX_LOCAL: usize = 1_000_000;
/// How long a chain of locals may be, each of which uses the next.
const MAX_CHAIN: usize = 100;

/// The value of every local, as the members of `local`. `scope` has `var`.
pub(crate) fn resolve_locals(
    evaluator: &Evaluator<'_>,
    body: &Arc<Body>,
    scope: &Scope,
) -> Result<Value, Failed> {
    let top = Reader::new(evaluator, body, scope.clone());
    let mut locals: BTreeMap<String, Arc<Attribute>> = BTreeMap::new();
    for block in top.blocks("locals", &[]) {
        for attribute in block.all_attributes() {
            locals.insert(attribute.name.clone(), attribute);
        }
    }
    let mut resolver = Locals {
        evaluator,
        locals: &locals,
        scope,
        done: BTreeMap::new(),
        open: Vec::new(),
        bad: BTreeSet::new(),
    };
    for name in locals.keys() {
        resolver.resolve(name);
    }
    if resolver.bad.is_empty() {
        Ok(Value::object(resolver.done))
    } else {
        Err(Failed)
    }
}

struct Locals<'a, 'e> {
    evaluator: &'a Evaluator<'e>,
    locals: &'a BTreeMap<String, Arc<Attribute>>,
    scope: &'a Scope,
    done: BTreeMap<String, Value>,
    /// The locals on the way to the one that is being resolved.
    open: Vec<String>,
    bad: BTreeSet<String>,
}

impl Locals<'_, '_> {
    fn resolve(&mut self, name: &str) {
        if self.done.contains_key(name) || self.bad.contains(name) {
            return;
        }
        let Some(attribute) = self.locals.get(name) else {
            return;
        };
        if self.open.iter().any(|open| open == name) || self.open.len() >= MAX_CHAIN {
            let start = self.open.iter().position(|open| open == name).unwrap_or(0);
            let chain = self.open[start..].join(" -> ");
            self.evaluator.error(
                attribute.name_span,
                "Self-referencing local value",
                format!("Local values must not need themselves, and chains of them must be shorter than {MAX_CHAIN}: {chain} -> {name}."),
            );
            self.bad
                .extend(self.open.iter().cloned().chain([name.to_owned()]));
            return;
        }
        let mut found = References::default();
        found.expr(&attribute.value);
        self.open.push(name.to_owned());
        let mut whole = false;
        for (root, first) in &found.names {
            if root == "local" {
                match first {
                    Some(first) => self.resolve(first),
                    None => whole = true,
                }
            }
        }
        self.open.pop();
        if whole {
            // `local` as a whole can mean only those that are resolved by now.
            let before: Vec<String> = self
                .locals
                .keys()
                .filter(|other| *other != name)
                .cloned()
                .collect();
            self.open.push(name.to_owned());
            before
                .iter()
                .filter(|other| !self.open.contains(other))
                .collect::<Vec<_>>()
                .iter()
                .for_each(|other| self.resolve(other));
            self.open.pop();
        }
        if self.bad.contains(name) {
            return;
        }
        if found.names.iter().any(|(root, first)| {
            root == "local" && first.as_ref().is_some_and(|first| self.bad.contains(first))
        }) {
            self.bad.insert(name.to_owned());
            return;
        }
        let visible: BTreeMap<String, Value> = if whole {
            self.done.clone()
        } else {
            found
                .names
                .iter()
                .filter_map(|(_, first)| self.done.get_key_value(first.as_ref()?))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let scope = self.scope.with("local", Value::object(visible));
        match self.evaluator.eval(&attribute.value, &scope) {
            Ok(value)
                if value
                    .size_up_to(MAX_LOCAL)
                    .is_some_and(|size| size <= MAX_LOCAL) =>
            {
                self.done.insert(name.to_owned(), value);
            }
            Ok(_) => {
                let detail = "The value is too large or too deeply nested.";
                self.evaluator
                    .error(attribute.value.span, "Value too large", detail);
                self.bad.insert(name.to_owned());
            }
            Err(Failed) => {
                self.bad.insert(name.to_owned());
            }
        }
    }
}
