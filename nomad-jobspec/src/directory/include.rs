//! `include "path" { name = value }`: the content of another file in the place of the block.
//!
//! Paths count from the job's directory and stay in it. The attributes of the block are what the file sees as
//! `include.name`; variables and locals are shared. Expansion is done on the tree, before anything is evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::substitute;
use crate::diagnostic::Diagnostic;
use crate::host::Files;
use crate::source::{MAX_SOURCE_BYTES, Sources, Span};
use crate::syntax;
use crate::syntax::ast::{Block, Body, Expr};

/// How deep included files may include others.
const MAX_DEPTH: usize = 16;
/// How many `include` blocks one job may have, those of included files counted each time.
const MAX_INCLUDES: usize = 1_000;
/// The longest path, in bytes.
const MAX_PATH: usize = 255;

/// Blocks in which an `include` may stand, beside the top level of a file. In a body without a schema it is an
/// ordinary name.
const PLACES: [&str; 8] = [
    "job",
    "group",
    "task",
    "service",
    "network",
    "resources",
    "template",
    "dynamic",
];

/// The body with every `include` replaced.
pub(crate) fn expand(
    sources: &mut Sources,
    body: Body,
    directory: &str,
    files: &dyn Files,
) -> (Body, Vec<Diagnostic>) {
    let mut includes = Includes {
        sources,
        directory,
        files,
        read: BTreeMap::new(),
        open: Vec::new(),
        count: 0,
        bytes: 0,
        diagnostics: Vec::new(),
    };
    let body = includes.body(body);
    (body, includes.diagnostics)
}

struct Includes<'a> {
    sources: &'a mut Sources,
    directory: &'a str,
    files: &'a dyn Files,
    /// The files that have been read, with what they hold; `None` where that failed and has been told.
    read: BTreeMap<String, Option<(Arc<Body>, usize)>>,
    /// The files on the way to the place that is being expanded.
    open: Vec<String>,
    count: usize,
    bytes: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Includes<'_> {
    fn tell(&mut self, span: Span, summary: &str, detail: impl Into<String>) {
        if self.diagnostics.len() < crate::diagnostic::MAX_DIAGNOSTICS {
            self.diagnostics
                .push(Diagnostic::at(self.sources, span, summary, detail));
        }
    }

    fn body(&mut self, mut body: Body) -> Body {
        if !wants_expansion(&body) {
            return body;
        }
        for block in std::mem::take(&mut body.blocks) {
            if block.name == "include" {
                if let Some(included) = self.include(&block) {
                    self.merge(&mut body, included);
                }
            } else {
                body.blocks.push(self.block(block));
            }
        }
        body
    }

    fn block(&mut self, mut block: Block) -> Block {
        if PLACES.contains(&block.name.as_str()) || block.name == "content" {
            let inner = Arc::unwrap_or_clone(std::mem::take(&mut block.body));
            block.body = Arc::new(self.body(inner));
        }
        block
    }

    /// Adds what was included; a name that is set twice is told.
    fn merge(&mut self, body: &mut Body, included: Body) {
        for attribute in included.attributes {
            let earlier = body
                .attributes
                .iter()
                .find(|earlier| earlier.name == attribute.name);
            if let Some(earlier) = earlier {
                let before = self.sources.range(earlier.name_span);
                let detail = format!(
                    "The argument {:?} was already set at {before}. Each argument may be set only once.",
                    attribute.name
                );
                self.tell(attribute.name_span, "Attribute redefined", detail);
            } else {
                body.attributes.push(attribute);
            }
        }
        body.blocks.extend(included.blocks);
        body.properties.extend(included.properties);
    }

    /// What an `include` block stands for.
    fn include(&mut self, block: &Block) -> Option<Body> {
        let [label] = block.labels.as_slice() else {
            let detail =
                "An include block has one label: the path of the file, below the job's directory.";
            self.tell(block.header_span, "Invalid include", detail);
            return None;
        };
        let path = match safe_path(&label.text) {
            Ok(path) => path,
            Err(why) => {
                self.tell(label.span, "Invalid include path", why);
                return None;
            }
        };
        if let Some(inner) = block.body.blocks.first() {
            let detail =
                "An include block holds only arguments, which the file sees as include.NAME.";
            self.tell(inner.header_span, "Invalid include", detail);
            return None;
        }
        if self.open.contains(&path) {
            let chain = self.open.join(" -> ");
            let detail = format!("Files must not include themselves: {chain} -> {path}.");
            self.tell(label.span, "Circular include", detail);
            return None;
        }
        self.count += 1;
        if self.open.len() >= MAX_DEPTH || self.count > MAX_INCLUDES {
            if self.count <= MAX_INCLUDES + 1 {
                let detail = format!(
                    "At most {MAX_INCLUDES} files are included in one job, and at most {MAX_DEPTH} one in the other."
                );
                self.tell(label.span, "Too many includes", detail);
            }
            return None;
        }
        let (body, bytes) = self.file(&path, label.span)?;
        self.bytes += bytes;
        if self.bytes > MAX_SOURCE_BYTES {
            let detail = format!("Included files may make up at most {MAX_SOURCE_BYTES} bytes.");
            self.tell(label.span, "Too much to include", detail);
            self.count = MAX_INCLUDES + 1;
            return None;
        }
        let arguments: BTreeMap<&str, &Expr> = block
            .body
            .attributes
            .iter()
            .map(|attribute| (attribute.name.as_str(), &attribute.value))
            .collect();
        let substituted = substitute::body(self.sources, &body, &arguments);
        let body = match substituted {
            Ok(body) => body,
            Err(mut diagnostics) => {
                self.diagnostics.append(&mut diagnostics);
                return None;
            }
        };
        self.open.push(path);
        let body = self.body(body);
        self.open.pop();
        Some(body)
    }

    /// The tree of a file and its length; each file is read once.
    fn file(&mut self, path: &str, span: Span) -> Option<(Arc<Body>, usize)> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let read = self.read_file(path, span);
        self.read.insert(path.to_owned(), read.clone());
        read
    }

    fn read_file(&mut self, path: &str, span: Span) -> Option<(Arc<Body>, usize)> {
        let left = MAX_SOURCE_BYTES - self.bytes.min(MAX_SOURCE_BYTES);
        let bytes = match self.files.read_below(self.directory, path, left) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.tell(span, "Unreadable included file", error.to_string());
                return None;
            }
        };
        let Ok(text) = String::from_utf8(bytes) else {
            self.tell(
                span,
                "Unreadable included file",
                format!("{path} is not UTF-8 text."),
            );
            return None;
        };
        let Some(file) = self.sources.try_add(path, &text) else {
            self.tell(span, "Too many includes", "Too many files are read.");
            return None;
        };
        let (body, mut diagnostics) = syntax::parse(self.sources, file);
        self.diagnostics.append(&mut diagnostics);
        if !body.properties.is_empty() {
            let detail = format!("{path} is JSON; included files are native syntax.");
            self.tell(span, "Invalid include", detail);
            return None;
        }
        Some((Arc::new(body), text.len()))
    }
}

/// Whether there is an `include` in the body, or may be one deeper.
fn wants_expansion(body: &Body) -> bool {
    body.blocks.iter().any(|block| {
        block.name == "include" || block.name == "content" || PLACES.contains(&block.name.as_str())
    })
}

/// The path, if it is relative, plain, and leads nowhere but down.
fn safe_path(path: &str) -> Result<String, String> {
    let bad = |why: &str| {
        Err(format!(
            "{why} A path counts from the job's directory and stays in it, such as \"parts/sidecar.hcl\"."
        ))
    };
    if path.is_empty() || path.len() > MAX_PATH {
        return bad(&format!("The path must have 1 to {MAX_PATH} bytes."));
    }
    if path.starts_with(['/', '~']) || path.contains(['\\', '\0', '\n']) {
        return bad("The path must be relative, with its parts separated by slashes.");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| *part != ".").collect();
    if parts.iter().any(|part| part.is_empty() || *part == "..") {
        return bad("The path must not have empty parts or lead upwards.");
    }
    Ok(parts.join("/"))
}
