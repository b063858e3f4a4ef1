//! The blocks of a job as they were read, `dynamic` blocks expanded: which stands in which, and where in the text.

use std::sync::Arc;

use super::body::Reader;
use crate::expr::Scope;
use crate::source::Span;
use crate::syntax::ast::{Attribute, Body};

/// A block that was read.
#[derive(Debug)]
pub(crate) struct Place {
    /// Index of the block that it stands in.
    pub(crate) parent: usize,
    /// Its type.
    pub(crate) name: &'static str,
    /// Its first label.
    pub(crate) label: String,
    /// From the type to the last label.
    pub(crate) header: Span,
    /// Where its first label stands.
    pub(crate) label_span: Span,
    pub(crate) body: Arc<Body>,
    pub(crate) scope: Scope,
}

impl Place {
    /// An attribute as it is written, in either syntax.
    pub(crate) fn attribute(&self, name: &str) -> Option<Arc<Attribute>> {
        let written = self.body.attributes.iter().find(|it| it.name == name);
        written.cloned().or_else(|| {
            let property = self.body.properties.iter().find(|it| it.name == name)?;
            Some(Arc::new(Attribute {
                name: property.name.clone(),
                name_span: property.name_span,
                value: property.value.to_expr(),
            }))
        })
    }
}

/// All blocks of a job; the first stands for the top of the file.
#[derive(Debug)]
pub(crate) struct Places(pub(crate) Vec<Place>);

impl Places {
    /// None but the top.
    pub(crate) fn new(body: &Arc<Body>) -> Self {
        Self(vec![Place {
            parent: 0,
            name: "",
            label: String::new(),
            header: Span::default(),
            label_span: Span::default(),
            body: Arc::clone(body),
            scope: Scope::default(),
        }])
    }

    /// Adds a block, and gives its index.
    pub(super) fn add(&mut self, parent: usize, name: &'static str, reader: &Reader<'_>) -> usize {
        self.0.push(Place {
            parent,
            name,
            label: reader.label(0).to_owned(),
            header: reader.header(),
            label_span: reader.label_span(0),
            body: Arc::clone(&reader.body),
            scope: reader.scope.clone(),
        });
        self.0.len() - 1
    }

    /// The blocks of a type that stand right in another, in their order.
    pub(crate) fn children(
        &self,
        parent: usize,
        name: &str,
    ) -> impl Iterator<Item = (usize, &Place)> {
        self.0
            .iter()
            .enumerate()
            .skip(1)
            .filter(move |(_, place)| place.parent == parent && place.name == name)
    }

    /// All blocks of a type.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = (usize, &Place)> {
        self.0
            .iter()
            .enumerate()
            .skip(1)
            .filter(move |(_, place)| place.name == name)
    }
}
