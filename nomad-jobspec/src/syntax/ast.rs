//! The tree that is evaluated: small, with the place of everything, the same for native syntax and JSON.

use std::sync::Arc;

use crate::source::Span;
use crate::value::Value;

/// Attributes and blocks between braces, or a whole file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) attributes: Vec<Arc<Attribute>>,
    pub(crate) blocks: Vec<Block>,
    /// Objects of HCL-JSON whose meaning (attribute or block) only the reader knows.
    pub(crate) properties: Vec<Property>,
}

/// `name = expression`.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) value: Expr,
}

/// `type "label" { ... }`.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) labels: Vec<Label>,
    pub(crate) body: Arc<Body>,
    /// From the type to the last label.
    pub(crate) header_span: Span,
}

/// A label of a block.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A member of an HCL-JSON object.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) value: super::json::Node,
}

/// An expression and its place.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    /// The place that diagnostics show; inside the quotes for a plain string.
    pub(crate) span: Span,
}

/// What an expression is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A constant.
    Literal(Value),
    /// Text with more than one part, or with one that is not a plain interpolation.
    Template(Vec<Part>),
    /// `"${expr}"` and nothing else: the value itself.
    Wrap(Box<Expr>),
    Tuple(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Paren(Box<Expr>),
    /// A root name with the constant steps that follow it, and the text that it stands for where the root is known
    /// only at run time: `${...}` as written.
    Traversal {
        root: Root,
        steps: Vec<Step>,
        runtime: String,
    },
    /// Steps from any other value.
    Relative(Box<Expr>, Vec<Step>),
    /// `source[*].each` or `source.*.each`.
    Splat {
        source: Box<Expr>,
        each: Vec<Step>,
    },
    Conditional(Box<[Expr; 3]>),
    Call {
        name: String,
        name_span: Span,
        args: Vec<Expr>,
        expand: bool,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<[Expr; 2]>),
    For(Box<For>),
}

/// The first name of a reference.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) name: String,
    pub(crate) span: Span,
}

/// One step into a value.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// `.name`
    Attribute(String, Span),
    /// `[expr]` or `.0`
    Index(Box<Expr>, Span),
}

impl Step {
    /// Where the step stands.
    pub(crate) const fn span(&self) -> Span {
        match self {
            Self::Attribute(_, span) | Self::Index(_, span) => *span,
        }
    }
}

/// `[for k, v in collection : key => value... if condition]`.
#[derive(Debug, Clone)]
pub(crate) struct For {
    pub(crate) key_name: Option<String>,
    pub(crate) value_name: String,
    pub(crate) collection: Expr,
    pub(crate) key: Option<Expr>,
    pub(crate) value: Expr,
    pub(crate) group: bool,
    pub(crate) condition: Option<Expr>,
}

/// A part of a template.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    Interpolation(Expr),
    If {
        condition: Expr,
        then: Vec<Part>,
        otherwise: Vec<Part>,
    },
    For {
        key_name: Option<String>,
        value_name: String,
        collection: Expr,
        body: Vec<Part>,
    },
}

/// Operators between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}
