//! `dynamic` blocks: one block for each element of a collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::body::{MAX_BLOCKS, Reader};
use crate::syntax::ast::{Block, Kind, Label};
use crate::value::{Type, Value, convert};

/// Adds the blocks that a native `dynamic "name"` block stands for.
pub(super) fn expand<'e>(
    outer: &Reader<'e>,
    block: &Block,
    labels: &[&str],
    found: &mut Vec<Reader<'e>>,
) {
    let generator = Reader::of_block(
        outer.evaluator,
        Arc::clone(&block.body),
        outer.scope.clone(),
        block.labels.clone(),
        block.header_span,
    );
    let name = block.labels.first().map_or("", |label| &label.text);
    expand_reader(outer, &generator, name, labels, found);
}

/// Adds the blocks that `generator` stands for.
pub(super) fn expand_reader<'e>(
    outer: &Reader<'e>,
    generator: &Reader<'e>,
    name: &str,
    labels: &[&str],
    found: &mut Vec<Reader<'e>>,
) {
    let evaluator = outer.evaluator;
    let header = generator.header();
    let Some(for_each) = generator.attribute("for_each") else {
        evaluator.error(
            header,
            "Missing required argument",
            "The argument \"for_each\" is required, but no definition was found.",
        );
        return;
    };
    let iterator = match generator.attribute("iterator") {
        None => name.to_owned(),
        Some(attribute) => match &attribute.value.kind {
            Kind::Traversal { root, steps, .. } if steps.is_empty() => root.name.clone(),
            Kind::Literal(Value::String(text)) => text.as_ref().to_owned(),
            _ => {
                evaluator.error(
                    attribute.value.span,
                    "Invalid expression",
                    "The iterator must be a single variable name.",
                );
                return;
            }
        },
    };
    let label_exprs = generator.attribute("labels");
    match (&label_exprs, labels.is_empty()) {
        (None, false) => {
            let detail = format!(
                "The argument \"labels\" is required: {name} blocks have labels ({}).",
                labels.join(", ")
            );
            evaluator.error(header, "Insufficient dynamic block labels", detail);
            return;
        }
        (Some(attribute), true) => {
            let detail = format!("{name} blocks have no labels.");
            evaluator.error(
                attribute.name_span,
                "Extraneous dynamic block label",
                detail,
            );
            return;
        }
        _ => {}
    }
    let contents = generator.blocks("content", &[]);
    let [content] = contents.as_slice() else {
        let summary = if contents.is_empty() {
            "Missing dynamic content block"
        } else {
            "Extraneous dynamic content block"
        };
        evaluator.error(
            header,
            summary,
            "A dynamic block must have exactly one nested block of type \"content\".",
        );
        return;
    };

    let Ok(collection) = evaluator.eval(&for_each.value, &generator.scope) else {
        return;
    };
    if collection.is_null() {
        evaluator.error(
            for_each.value.span,
            "Invalid dynamic for_each value",
            "Cannot use a null value in for_each.",
        );
        return;
    }
    let Some(pairs) = collection.pairs() else {
        let detail = format!(
            "Cannot use a {} value in for_each. An iterable collection is required.",
            Type::of(&collection).name()
        );
        evaluator.error(
            for_each.value.span,
            "Invalid dynamic for_each value",
            detail,
        );
        return;
    };
    for (key, value) in pairs {
        if evaluator.burn(10, header).is_err() || found.len() > MAX_BLOCKS {
            return;
        }
        let members = BTreeMap::from([("key".to_owned(), key), ("value".to_owned(), value)]);
        let scope = generator.scope.with(&iterator, Value::object(members));
        let mut instance_labels = Vec::new();
        if let Some(attribute) = &label_exprs {
            let Ok(given) = evaluator.eval(&attribute.value, &scope) else {
                return;
            };
            match convert(&given, &Type::List(Type::String.into())) {
                Ok(list)
                    if list
                        .elements()
                        .is_some_and(|items| items.len() == labels.len()) =>
                {
                    let texts = list.elements().unwrap_or_default().iter();
                    instance_labels = texts
                        .map(|text| Label {
                            text: text.as_str().unwrap_or_default().to_owned(),
                            span: attribute.value.span,
                        })
                        .collect();
                }
                Ok(_) => {
                    let detail = format!(
                        "{name} blocks have {} labels ({}).",
                        labels.len(),
                        labels.join(", ")
                    );
                    evaluator.error(
                        attribute.value.span,
                        "Wrong number of dynamic block labels",
                        detail,
                    );
                    return;
                }
                Err(error) => {
                    let detail = format!("Cannot use this value as dynamic block labels: {error}.");
                    evaluator.error(attribute.value.span, "Invalid dynamic block label", detail);
                    return;
                }
            }
        }
        found.push(Reader::of_block(
            evaluator,
            Arc::clone(&content.body),
            scope,
            instance_labels,
            header,
        ));
    }
}
