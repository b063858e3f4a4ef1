//! Reading a body: attributes and blocks are asked for by name, `dynamic` blocks are expanded on the way, and what
//! nobody asked for is an error in the end, with a suggestion where a name is nearly right.

use std::cell::RefCell;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, nearest};
use crate::expr::{Evaluator, Scope};
use crate::source::Span;
use crate::syntax::ast::{Attribute, Block, Body, Kind, Label};
use crate::syntax::json::{Node, NodeKind};

use super::dynamic;

/// How many blocks of one type a body may have after expansion.
pub(super) const MAX_BLOCKS: usize = 10_000;

/// A body that is being read, in the scope of its block.
pub(crate) struct Reader<'e> {
    pub(super) evaluator: &'e Evaluator<'e>,
    pub(super) body: Arc<Body>,
    pub(super) scope: Scope,
    labels: Vec<Label>,
    header: Span,
    /// Index in the evaluator's places, where those are kept.
    node: usize,
    known_attributes: RefCell<Vec<&'static str>>,
    known_blocks: RefCell<Vec<&'static str>>,
    /// Indexes of the JSON properties that were asked for.
    used_properties: RefCell<Vec<usize>>,
}

impl<'e> Reader<'e> {
    /// The top level of a file.
    pub(crate) fn new(evaluator: &'e Evaluator<'e>, body: &Arc<Body>, scope: Scope) -> Self {
        Self::of_block(
            evaluator,
            Arc::clone(body),
            scope,
            Vec::new(),
            Span::default(),
        )
    }

    pub(crate) fn of_block(
        evaluator: &'e Evaluator<'e>,
        body: Arc<Body>,
        scope: Scope,
        labels: Vec<Label>,
        header: Span,
    ) -> Self {
        Self {
            evaluator,
            body,
            scope,
            labels,
            header,
            node: 0,
            known_attributes: RefCell::default(),
            known_blocks: RefCell::default(),
            used_properties: RefCell::default(),
        }
    }

    /// The text of a label.
    pub(crate) fn label(&self, at: usize) -> &str {
        self.labels.get(at).map_or("", |label| &label.text)
    }

    /// Whether the body is written in JSON.
    pub(crate) fn is_json(&self) -> bool {
        !self.body.properties.is_empty()
    }

    /// The place of a label, or of the block.
    pub(crate) fn label_span(&self, at: usize) -> Span {
        self.labels.get(at).map_or(self.header, |label| label.span)
    }

    /// From the type to the last label.
    pub(crate) const fn header(&self) -> Span {
        self.header
    }

    /// An attribute, if it is there.
    pub(crate) fn attribute(&self, name: &'static str) -> Option<Arc<Attribute>> {
        self.known_attributes.borrow_mut().push(name);
        if let Some(attribute) = self
            .body
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
        {
            return Some(Arc::clone(attribute));
        }
        let at = self
            .body
            .properties
            .iter()
            .position(|property| property.name == name)?;
        self.used_properties.borrow_mut().push(at);
        let property = &self.body.properties[at];
        Some(Arc::new(Attribute {
            name: property.name.clone(),
            name_span: property.name_span,
            value: property.value.to_expr(),
        }))
    }

    /// Every attribute, whatever its name; blocks are refused.
    pub(crate) fn all_attributes(&self) -> Vec<Arc<Attribute>> {
        for block in &self.body.blocks {
            self.evaluator.error(
                block.name_span,
                format!("Unexpected {:?} block", block.name),
                "Blocks are not allowed here.",
            );
        }
        let json = self
            .body
            .properties
            .iter()
            .filter(|property| property.name != "//")
            .map(|property| {
                Arc::new(Attribute {
                    name: property.name.clone(),
                    name_span: property.name_span,
                    value: property.value.to_expr(),
                })
            });
        self.body.attributes.iter().cloned().chain(json).collect()
    }

    /// All blocks of a type, those of `dynamic` blocks among them.
    pub(crate) fn blocks(&self, name: &'static str, labels: &[&str]) -> Vec<Reader<'e>> {
        self.known_blocks.borrow_mut().push(name);
        let mut found = Vec::new();
        for block in &self.body.blocks {
            if block.name == name {
                if self.labels_fit(block, labels) {
                    found.push(self.inner(block));
                }
            } else if block.name == "dynamic"
                && block.labels.first().is_some_and(|label| label.text == name)
            {
                dynamic::expand(self, block, labels, &mut found);
            }
        }
        self.json_blocks(name, labels, &mut found);
        if found.len() > MAX_BLOCKS {
            let header = found[MAX_BLOCKS].header;
            self.evaluator.error(
                header,
                "Too many blocks",
                format!("More than {MAX_BLOCKS} {name} blocks."),
            );
            found.truncate(MAX_BLOCKS);
        }
        if let Some(places) = self.evaluator.places.borrow_mut().as_mut() {
            for reader in &mut found {
                reader.node = places.add(self.node, name, reader);
            }
        }
        found
    }

    /// Makes the body of `other` part of this one, as if it were written here.
    pub(super) fn absorb(&mut self, other: &Self) {
        let body = Arc::make_mut(&mut self.body);
        for attribute in &other.body.attributes {
            if let Some(earlier) = body.attributes.iter().find(|it| it.name == attribute.name) {
                self.evaluator.error(
                    attribute.name_span,
                    "Attribute redefined",
                    format!(
                        "The argument {:?} was already set at {}. Each argument may be set only once.",
                        attribute.name,
                        self.evaluator.sources.range(earlier.name_span)
                    ),
                );
            } else {
                body.attributes.push(Arc::clone(attribute));
            }
        }
        body.blocks.extend(other.body.blocks.iter().cloned());
        body.properties
            .extend(other.body.properties.iter().cloned());
    }

    fn inner(&self, block: &Block) -> Reader<'e> {
        Self::of_block(
            self.evaluator,
            Arc::clone(&block.body),
            self.scope.clone(),
            block.labels.clone(),
            block.header_span,
        )
    }

    fn labels_fit(&self, block: &Block, labels: &[&str]) -> bool {
        let name = &block.name;
        if let Some(extra) = block.labels.get(labels.len()) {
            let detail = if labels.is_empty() {
                format!("No labels are expected for {name} blocks.")
            } else {
                format!(
                    "Only {} labels ({}) are expected for {name} blocks.",
                    labels.len(),
                    labels.join(", ")
                )
            };
            self.evaluator
                .error(extra.span, format!("Extraneous label for {name}"), detail);
            return false;
        }
        if block.labels.len() < labels.len() {
            let detail = format!(
                "All {name} blocks must have {} labels ({}).",
                labels.len(),
                labels.join(", ")
            );
            let diagnostic = Diagnostic::at(
                self.evaluator.sources,
                block.header_span,
                format!("Missing {} for {name}", labels[block.labels.len()]),
                detail,
            );
            self.evaluator
                .tell(diagnostic.expected(format!("{name} {:?} {{ ... }}", labels.join(" "))));
            return false;
        }
        true
    }

    /// Blocks of a JSON body: objects, or lists of objects, below one object for each label.
    fn json_blocks(&self, name: &'static str, labels: &[&str], found: &mut Vec<Reader<'e>>) {
        for (at, property) in self.body.properties.iter().enumerate() {
            if property.name == name {
                self.used_properties.borrow_mut().push(at);
                self.json_node(
                    &property.value,
                    property.name_span,
                    labels.len(),
                    &mut Vec::new(),
                    found,
                );
            } else if property.name == "dynamic"
                && let NodeKind::Object(members) = &property.value.kind
            {
                self.used_properties.borrow_mut().push(at);
                for member in members.iter().filter(|member| member.name == name) {
                    let mut generators = Vec::new();
                    let label = Label {
                        text: member.name.clone(),
                        span: member.name_span,
                    };
                    self.json_node(
                        &member.value,
                        member.name_span,
                        0,
                        &mut vec![label],
                        &mut generators,
                    );
                    for generator in generators {
                        dynamic::expand_reader(self, &generator, name, labels, found);
                    }
                }
            }
        }
    }

    fn json_node(
        &self,
        node: &Node,
        header: Span,
        labels: usize,
        path: &mut Vec<Label>,
        found: &mut Vec<Reader<'e>>,
    ) {
        match &node.kind {
            NodeKind::Null => {}
            NodeKind::Array(items) => items
                .iter()
                .for_each(|item| self.json_node(item, header, labels, path, found)),
            NodeKind::Object(members) if labels > 0 => {
                for member in members.iter().filter(|member| member.name != "//") {
                    path.push(Label {
                        text: member.name.clone(),
                        span: member.name_span,
                    });
                    self.json_node(&member.value, member.name_span, labels - 1, path, found);
                    path.pop();
                }
            }
            NodeKind::Object(_) => {
                let body = Arc::new(node.to_body().unwrap_or_default());
                found.push(Self::of_block(
                    self.evaluator,
                    body,
                    self.scope.clone(),
                    path.clone(),
                    header,
                ));
            }
            _ => {
                let detail =
                    "Either a JSON object or a JSON array is required here, to define blocks.";
                self.evaluator
                    .error(node.span, "Incorrect JSON value type", detail);
            }
        }
    }

    /// The only block of a type; a second is an error.
    pub(crate) fn block(&self, name: &'static str) -> Option<Reader<'e>> {
        self.labelled_block(name, &[])
    }

    /// The only block of a type that has labels.
    pub(crate) fn labelled_block(&self, name: &'static str, labels: &[&str]) -> Option<Reader<'e>> {
        let mut found = self.blocks(name, labels).into_iter();
        let first = found.next()?;
        for extra in found {
            self.evaluator.error(
                extra.header,
                format!("Duplicate {name} block"),
                format!(
                    "Only one block of type {name:?} is allowed. Previous definition was at {}.",
                    self.evaluator.sources.range(first.header)
                ),
            );
        }
        Some(first)
    }

    /// Whether an attribute of this name is written as an object constructor.
    pub(crate) fn is_object_literal(attribute: &Attribute) -> bool {
        matches!(attribute.value.kind, Kind::Object(_))
    }

    /// Says what is there that nobody asked for.
    pub(crate) fn finish(self) {
        let (attributes, blocks) = (self.known_attributes.borrow(), self.known_blocks.borrow());
        for attribute in &self.body.attributes {
            if !attributes.contains(&attribute.name.as_str()) {
                self.unsupported_argument(
                    &attribute.name,
                    attribute.name_span,
                    &attributes,
                    &blocks,
                );
            }
        }
        for block in &self.body.blocks {
            let (name, span) = match (block.name.as_str(), block.labels.first()) {
                ("dynamic", Some(label)) if !blocks.contains(&"dynamic") => {
                    (label.text.as_str(), label.span)
                }
                (name, _) => (name, block.name_span),
            };
            if !blocks.contains(&name) {
                self.unsupported_block(name, span, &attributes, &blocks);
            }
        }
        let used = self.used_properties.borrow();
        for (at, property) in self.body.properties.iter().enumerate() {
            if property.name != "//" && !used.contains(&at) {
                self.unsupported_argument(&property.name, property.name_span, &attributes, &blocks);
            }
        }
    }

    fn unsupported_argument(
        &self,
        name: &str,
        span: Span,
        attributes: &[&'static str],
        blocks: &[&'static str],
    ) {
        if self.evaluator.is_full() {
            return;
        }
        let mut diagnostic = Diagnostic::at(
            self.evaluator.sources,
            span,
            "Unsupported argument",
            format!("An argument named {name:?} is not expected here."),
        );
        if blocks.contains(&name) {
            diagnostic =
                diagnostic.hint(format!("Did you mean to define a block of type {name:?}?"));
        } else if let Some(near) = nearest(name, attributes.iter().copied()) {
            diagnostic = diagnostic.hint(format!("Did you mean {near:?}?"));
        } else if let Some(near) = nearest(name, blocks.iter().copied()) {
            diagnostic =
                diagnostic.hint(format!("Did you mean to define a block of type {near:?}?"));
        }
        self.evaluator
            .tell(diagnostic.expected(listing(attributes)));
    }

    fn unsupported_block(
        &self,
        name: &str,
        span: Span,
        attributes: &[&'static str],
        blocks: &[&'static str],
    ) {
        if self.evaluator.is_full() {
            return;
        }
        let mut diagnostic = Diagnostic::at(
            self.evaluator.sources,
            span,
            "Unsupported block type",
            format!("Blocks of type {name:?} are not expected here."),
        );
        if attributes.contains(&name) {
            diagnostic = diagnostic
                .hint(format!("Did you mean to define argument {name:?}? If so, use the equals sign to assign it a value."));
        } else if let Some(near) = nearest(name, blocks.iter().copied()) {
            diagnostic = diagnostic.hint(format!("Did you mean {near:?}?"));
        } else if let Some(near) = nearest(name, attributes.iter().copied()) {
            diagnostic = diagnostic.hint(format!("Did you mean to define argument {near:?}?"));
        }
        self.evaluator.tell(diagnostic.expected(listing(blocks)));
    }
}

/// The names that fit, for "expected".
fn listing(names: &[&'static str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        format!("one of {}", names.join(", "))
    }
}
