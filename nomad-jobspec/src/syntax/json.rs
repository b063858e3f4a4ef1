//! HCL-JSON: the same language with JSON's brackets, as HCL's JSON profile defines it.
//!
//! Whether a member is an attribute or a block is known only to who reads the body, so objects stay as they are until
//! asked. Strings are templates.

use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span};
use crate::syntax::ast::{Body, Expr, Kind, Part, Property};
use crate::value::{Number, Value};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 100;

/// A JSON value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Span,
}

/// What a JSON value is.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Property>),
}

impl Node {
    /// The value as an expression; strings are templates, and a member named `//` is a comment.
    pub(crate) fn to_expr(&self) -> Expr {
        let kind = match &self.kind {
            NodeKind::Null => Kind::Literal(Value::Null),
            NodeKind::Bool(value) => Kind::Literal(Value::Bool(*value)),
            NodeKind::Number(number) => Kind::Literal(Value::Number(number.clone())),
            NodeKind::String(text) => template(text, self.span),
            NodeKind::Array(items) => Kind::Tuple(items.iter().map(Self::to_expr).collect()),
            NodeKind::Object(members) => Kind::Object(
                members
                    .iter()
                    .map(|member| {
                        let key = Expr {
                            kind: template(&member.name, member.name_span),
                            span: member.name_span,
                        };
                        (key, member.value.to_expr())
                    })
                    .collect(),
            ),
        };
        Expr {
            kind,
            span: self.span,
        }
    }

    /// The members as a body, if the value is an object.
    pub(crate) fn to_body(&self) -> Option<Body> {
        match &self.kind {
            NodeKind::Object(members) => Some(Body {
                properties: members.clone(),
                ..Body::default()
            }),
            _ => None,
        }
    }
}

/// A string of JSON as a template. Run-time references inside keep their own text, so their places are not needed.
fn template(text: &str, span: Span) -> Kind {
    if !text.contains("${") && !text.contains("%{") {
        return Kind::Literal(Value::from(text));
    }
    match super::parse_template(text) {
        None => Kind::Literal(Value::from(text)),
        Some(mut parts) => {
            for part in &mut parts {
                super::relocate::part(part, span);
            }
            match <[Part; 1]>::try_from(parts) {
                Ok([Part::Interpolation(expr)]) => Kind::Wrap(Box::new(expr)),
                Ok([Part::Text(text)]) => Kind::Literal(Value::from(text)),
                Ok([part]) => Kind::Template(vec![part]),
                Err(parts) => Kind::Template(parts),
            }
        }
    }
}

/// Reads a source that is one JSON object.
pub(super) fn parse(sources: &Sources, file: u16) -> (Body, Vec<Diagnostic>) {
    let mut reader = Reader {
        text: sources.text(file).as_bytes(),
        at: 0,
        file,
        sources,
    };
    match reader.value(0) {
        Ok(node) => match node.to_body() {
            Some(body) => {
                reader.space();
                let diagnostics = if reader.at < reader.text.len() {
                    vec![reader.error(
                        "Extraneous data after value",
                        "Extra characters appear after the JSON value.",
                    )]
                } else {
                    Vec::new()
                };
                (body, diagnostics)
            }
            None => {
                let diagnostic = Diagnostic::at(
                    sources,
                    node.span,
                    "Root value must be object",
                    "The root value in a JSON-based configuration must be a JSON object.",
                );
                (Body::default(), vec![diagnostic])
            }
        },
        Err(diagnostic) => (Body::default(), vec![diagnostic]),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    file: u16,
    sources: &'a Sources,
}

impl Reader<'_> {
    fn span(&self, start: usize) -> Span {
        Span {
            file: self.file,
            start: start as u32,
            end: self.at as u32,
        }
    }

    fn error(&self, summary: &str, detail: &str) -> Diagnostic {
        let end = (self.at + 1).min(self.text.len());
        let span = Span {
            file: self.file,
            start: self.at as u32,
            end: end as u32,
        };
        Diagnostic::at(self.sources, span, summary, detail)
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(self.error(
                "Too deeply nested",
                "The JSON is nested deeper than is read.",
            ));
        }
        self.space();
        let start = self.at;
        let kind = match self.text.get(self.at) {
            None => {
                return Err(self.error(
                    "Missing JSON value",
                    "The text ends where a JSON value is expected.",
                ));
            }
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => NodeKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
        };
        Ok(Node {
            kind,
            span: self.span(start),
        })
    }

    fn object(&mut self, depth: usize) -> Result<NodeKind, Diagnostic> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.space();
            match self.text.get(self.at) {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(NodeKind::Object(members));
                }
                Some(b'"') => {}
                _ => {
                    let detail =
                        "A JSON object must have a quoted property name or a closing brace here.";
                    return Err(self.error("Invalid JSON object", detail));
                }
            }
            let start = self.at;
            let name = self.string()?;
            let name_span = self.span(start);
            self.space();
            if self.text.get(self.at) != Some(&b':') {
                let detail = "A colon must appear between a property name and its value.";
                return Err(self.error("Missing property value colon", detail));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            members.push(Property {
                name,
                name_span,
                value,
            });
            self.space();
            match self.text.get(self.at) {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    if self.text.get(self.at) == Some(&b'}') {
                        let detail = "JSON does not permit a trailing comma after the final property in an object.";
                        return Err(self.error("Trailing comma in object", detail));
                    }
                }
                Some(b'}') => {}
                _ => {
                    let detail =
                        "A comma or a closing brace must appear after the value of a property.";
                    return Err(self.error("Missing attribute separator comma", detail));
                }
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<NodeKind, Diagnostic> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(NodeKind::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.text.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(NodeKind::Array(items));
                }
                _ => {
                    let detail =
                        "A comma or a closing bracket must appear after each item of an array.";
                    return Err(self.error("Missing array item separator comma", detail));
                }
            }
        }
    }

    fn string(&mut self) -> Result<String, Diagnostic> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return serde_json::from_slice(&self.text[start..self.at]).map_err(|error| {
                        Diagnostic::at(
                            self.sources,
                            self.span(start),
                            "Invalid JSON string",
                            format!("The string is not valid JSON: {error}."),
                        )
                    });
                }
                Some(b'\\') => self.at += 2,
                Some(b'\n') | None => {
                    return Err(self.error(
                        "Unclosed JSON string",
                        "There is no closing quote for this string.",
                    ));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn number(&mut self) -> Result<NodeKind, Diagnostic> {
        let start = self.at;
        while matches!(
            self.text.get(self.at),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        std::str::from_utf8(&self.text[start..self.at])
            .ok()
            .and_then(Number::parse)
            .map(NodeKind::Number)
            .ok_or_else(|| {
                let detail = "This is not a JSON number.";
                Diagnostic::at(
                    self.sources,
                    self.span(start),
                    "Invalid JSON number",
                    detail,
                )
            })
    }

    fn word(&mut self) -> Result<NodeKind, Diagnostic> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_alphabetic) {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            b"null" => Ok(NodeKind::Null),
            b"true" => Ok(NodeKind::Bool(true)),
            b"false" => Ok(NodeKind::Bool(false)),
            _ => {
                self.at = start;
                Err(self.error(
                    "Invalid JSON keyword",
                    "Expected a JSON value: an object, array, string, number, true, false or null.",
                ))
            }
        }
    }
}
