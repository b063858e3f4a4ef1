//! Variables and locals that nothing uses, and references whose first name nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Check;
use crate::diagnostic::nearest;
use crate::source::Span;
use crate::syntax::ast::{Attribute, Body, Kind};
use crate::syntax::json::NodeKind;
use crate::variables::{Declaration, References};

/// First names that the client resolves, beside environment variables.
const RUNTIME_ROOTS: [&str; 12] = [
    "node",
    "attr",
    "meta",
    "env",
    "device",
    "secret",
    "JOB",
    "TASKGROUP",
    "TASK",
    "BASE",
    "NOMAD",
    "VAULT_TOKEN",
];

/// What some part of a file refers to.
#[derive(Default)]
struct Uses {
    variables: BTreeSet<String>,
    locals: BTreeSet<String>,
    /// `var` or `local` as a whole.
    all_variables: bool,
    all_locals: bool,
}

impl Uses {
    fn add(&mut self, found: References) {
        for (root, first) in found.names {
            match (root.as_str(), first) {
                ("var", Some(name)) => drop(self.variables.insert(name)),
                ("var", None) => self.all_variables = true,
                ("local", Some(name)) => drop(self.locals.insert(name)),
                ("local", None) => self.all_locals = true,
                _ => {}
            }
        }
    }

    fn body(&mut self, body: &Body) {
        for_each_expression(body, &mut |attribute, _| {
            let mut found = References::default();
            found.expr(&attribute.value);
            self.add(found);
        });
    }
}

/// Every attribute of a body and of the blocks in it, with the names of the `dynamic` iterators around it.
fn for_each_expression(body: &Body, see: &mut dyn FnMut(&Attribute, &[String])) {
    walk(body, &mut Vec::new(), see);
}

fn walk(body: &Body, iterators: &mut Vec<String>, see: &mut dyn FnMut(&Attribute, &[String])) {
    for attribute in &body.attributes {
        see(attribute, iterators);
    }
    for property in &body.properties {
        if property.name == "dynamic"
            && let NodeKind::Object(members) = &property.value.kind
        {
            iterators.extend(members.iter().map(|member| member.name.clone()));
        }
        let attribute = Attribute {
            name: property.name.clone(),
            name_span: property.name_span,
            value: property.value.to_expr(),
        };
        see(&attribute, iterators);
    }
    for block in &body.blocks {
        let before = iterators.len();
        if block.name == "dynamic" {
            iterators.extend(block.labels.first().map(|label| label.text.clone()));
            let iterator = block
                .body
                .attributes
                .iter()
                .find(|attribute| attribute.name == "iterator");
            if let Some(Kind::Traversal { root, .. }) = iterator.map(|it| &it.value.kind) {
                iterators.push(root.name.clone());
            }
        }
        walk(&block.body, iterators, see);
        iterators.truncate(before);
    }
}

/// Warns of variables and locals that the job does not need.
pub(super) fn unused(check: &Check<'_>, declared: &BTreeMap<String, Declaration>) {
    let top = &check.places.0[0].body;
    let mut uses = Uses::default();
    let mut locals: BTreeMap<String, Arc<Attribute>> = BTreeMap::new();
    for block in &top.blocks {
        match block.name.as_str() {
            "job" => uses.body(&block.body),
            "locals" => {
                for attribute in &block.body.attributes {
                    locals.insert(attribute.name.clone(), Arc::clone(attribute));
                }
            }
            _ => {}
        }
    }
    for property in &top.properties {
        match (property.name.as_str(), property.value.to_body()) {
            ("job", Some(body)) => uses.body(&body),
            ("locals", Some(body)) => {
                for member in body.properties {
                    let attribute = Attribute {
                        name: member.name.clone(),
                        name_span: member.name_span,
                        value: member.value.to_expr(),
                    };
                    locals.insert(member.name, Arc::new(attribute));
                }
            }
            _ => {}
        }
    }
    // What a used local uses is used.
    let mut waiting: Vec<String> = if uses.all_locals {
        locals.keys().cloned().collect()
    } else {
        uses.locals.iter().cloned().collect()
    };
    while let Some(name) = waiting.pop() {
        let Some(attribute) = locals.get(&name) else {
            continue;
        };
        let before = uses.locals.clone();
        let mut found = References::default();
        found.expr(&attribute.value);
        uses.add(found);
        waiting.extend(uses.locals.difference(&before).cloned());
        if uses.all_locals {
            break;
        }
    }
    if !uses.all_variables {
        for (name, declaration) in declared {
            if !uses.variables.contains(name) {
                check.warn(
                    declaration.span,
                    "Unused variable",
                    format!("Nothing in the job uses var.{name}."),
                    "Use it, or take the declaration out.",
                );
            }
        }
    }
    if !uses.all_locals {
        for (name, attribute) in &locals {
            if !uses.locals.contains(name) {
                check.warn(
                    attribute.name_span,
                    "Unused local value",
                    format!("Nothing in the job uses local.{name}."),
                    "Use it, or take it out.",
                );
            }
        }
    }
}

/// Warns of references that are neither names of the file nor such as a client resolves: they end up as plain text.
pub(super) fn unknown(check: &Check<'_>) {
    let top = &check.places.0[0].body;
    let mut environment = BTreeSet::new();
    for group in check.job.task_groups.iter().flatten() {
        for task in group.tasks.iter().flatten() {
            environment.extend(task.env.iter().flatten().map(|(name, _)| name.as_str()));
            environment.extend(task.secrets.iter().flatten().map(|it| it.name.as_str()));
        }
    }
    let mut suspects: Vec<(String, bool, Vec<String>, Span)> = Vec::new();
    for_each_expression(top, &mut |attribute, iterators| {
        let bare =
            matches!(&attribute.value.kind, Kind::Traversal { steps, .. } if steps.is_empty());
        let mut found = References::default();
        found.bound.extend_from_slice(iterators);
        found.expr(&attribute.value);
        for ((root, first), span) in found.names.into_iter().zip(found.spans) {
            if first.is_some() || bare {
                suspects.push((root, bare, iterators.to_vec(), span));
            }
        }
    });
    for (root, bare, iterators, span) in suspects {
        let known = ["var", "local", "iterator"].contains(&root.as_str())
            || RUNTIME_ROOTS.contains(&root.as_str())
            || root.starts_with("NOMAD_")
            || environment.contains(root.as_str())
            || (bare && is_type_or_iterator(check, span));
        if known {
            continue;
        }
        let names = ["var", "local"]
            .into_iter()
            .chain(iterators.iter().map(String::as_str))
            .chain(["node", "attr", "meta", "env"]);
        let hint = match nearest(&root, names) {
            Some(near) => format!("Did you mean {near:?}?"),
            None if bare => format!("Did you mean the text \"{root}\", in quotes?"),
            None => String::new(),
        };
        check.warn(
            span,
            "Unknown reference",
            format!(
                "Neither this file nor a client knows {root:?}, so the reference stays in the job as text."
            ),
            &hint,
        );
    }
}

/// Whether the place is a variable's type or the name of an iterator, which are no references.
fn is_type_or_iterator(check: &Check<'_>, span: Span) -> bool {
    let text = check.evaluator.sources.line(span);
    let word = text.trim_start();
    word.starts_with("type") || word.starts_with("iterator")
}
