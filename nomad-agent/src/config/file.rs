//! Configuration files: HCL or JSON, read into one tree with the line of every key.

use std::fs;
use std::path::{Path, PathBuf};

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::Element;

use super::reader::{Block, Entry, Item, Problem};

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// The files that a `-config` path stands for: itself, or those of a directory by name.
pub(super) fn expand(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |error: std::io::Error| Problem::of_file(path, format!("cannot be read: {error}"));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let editors = name.ends_with('~')
            || name.starts_with(".#")
            || (name.starts_with('#') && name.ends_with('#'));
        let known = file
            .extension()
            .is_some_and(|kind| kind == "hcl" || kind == "json");
        if known && !editors && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one file.
pub(super) fn read(path: &Path) -> Result<Block, Problem> {
    let failed = |error: std::io::Error| Problem::of_file(path, format!("cannot be read: {error}"));
    let len = fs::metadata(path).map_err(failed)?.len();
    if len > MAX_FILE_BYTES {
        return Err(Problem::of_file(
            path,
            format!("is larger than {MAX_FILE_BYTES} bytes"),
        ));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    parse(path, &text)
}

/// Reads text as JSON if it begins with `{`, as HCL otherwise.
pub(super) fn parse(path: &Path, text: &str) -> Result<Block, Problem> {
    if text.trim_start().starts_with('{') {
        return from_json(path, text);
    }
    let body: Body = hcl_edit::parser::parse_body(text).map_err(|error| Problem {
        file: path.to_owned(),
        line: error.location().line(),
        text: error.message().to_owned(),
    })?;
    let lines = Lines::new(text);
    from_body(path, &lines, &body, 0)
}

/// Where lines begin, to find the line of an offset.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            starts: text.match_indices('\n').map(|(at, _)| at + 1).collect(),
        }
    }

    fn of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at) + 1
    }

    /// The text of a template as it was written: configuration has no interpolation.
    fn template<'t>(&self, elements: impl Iterator<Item = &'t Element>) -> String {
        elements
            .map(|element| match element {
                Element::Literal(text) => text.value().as_str(),
                other => other
                    .span()
                    .and_then(|span| self.text.get(span))
                    .unwrap_or_default(),
            })
            .collect()
    }
}

fn line(lines: &Lines<'_>, spanned: &impl Span) -> usize {
    spanned.span().map_or(0, |span| lines.of(span.start))
}

fn too_deep(path: &Path, line: usize) -> Problem {
    Problem {
        file: path.to_owned(),
        line,
        text: format!("is nested deeper than {MAX_DEPTH} levels"),
    }
}

fn from_body(path: &Path, lines: &Lines<'_>, body: &Body, depth: usize) -> Result<Block, Problem> {
    let mut block = Block {
        file: path.to_owned(),
        entries: Vec::new(),
    };
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                let line = line(lines, &attribute.key);
                let item = from_expression(path, lines, &attribute.value, line, depth)?;
                block.push(attribute.key.as_str(), Vec::new(), line, item);
            }
            Structure::Block(inner) => {
                let line = line(lines, &inner.ident);
                if depth >= MAX_DEPTH {
                    return Err(too_deep(path, line));
                }
                let labels = inner
                    .labels
                    .iter()
                    .map(|label| label.as_str().to_owned())
                    .collect();
                let item = Item::Block(from_body(path, lines, &inner.body, depth + 1)?);
                block.push(inner.ident.as_str(), labels, line, item);
            }
        }
    }
    Ok(block)
}

fn from_expression(
    path: &Path,
    lines: &Lines<'_>,
    expression: &Expression,
    line_of_key: usize,
    depth: usize,
) -> Result<Item, Problem> {
    let line = match line(lines, expression) {
        0 => line_of_key,
        line => line,
    };
    if depth >= MAX_DEPTH {
        return Err(too_deep(path, line));
    }
    match expression {
        Expression::Null(_) => Ok(Item::Null),
        Expression::Bool(value) => Ok(Item::Bool(*value.value())),
        Expression::Number(number) => Ok(Item::Number(number.value().as_f64().unwrap_or(f64::NAN))),
        Expression::String(text) => Ok(Item::Text(text.value().clone())),
        Expression::StringTemplate(template) => {
            let text = lines.template(template.iter());
            Ok(Item::Text(text))
        }
        Expression::HeredocTemplate(heredoc) => {
            Ok(Item::Text(lines.template(heredoc.template.iter())))
        }
        Expression::Array(items) => items
            .iter()
            .map(|item| from_expression(path, lines, item, line, depth + 1))
            .collect::<Result<_, _>>()
            .map(Item::List),
        Expression::Object(object) => {
            let mut block = Block {
                file: path.to_owned(),
                entries: Vec::new(),
            };
            for (key, value) in object {
                let name = match key {
                    ObjectKey::Ident(name) => name.as_str().to_owned(),
                    ObjectKey::Expression(Expression::String(text)) => text.value().clone(),
                    ObjectKey::Expression(_) => {
                        return Err(Problem {
                            file: path.to_owned(),
                            line,
                            text: "a key must be a name or a quoted string".to_owned(),
                        });
                    }
                };
                let item = from_expression(path, lines, value.expr(), line, depth + 1)?;
                block.push(&name, Vec::new(), line, item);
            }
            Ok(Item::Block(block))
        }
        Expression::Parenthesis(inner) => {
            from_expression(path, lines, inner.inner(), line, depth + 1)
        }
        _ => Err(Problem {
            file: path.to_owned(),
            line,
            text: "expressions are not possible here: write the value itself".to_owned(),
        }),
    }
}

fn from_json(path: &Path, text: &str) -> Result<Block, Problem> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| Problem {
        file: path.to_owned(),
        line: error.line(),
        text: error.to_string(),
    })?;
    match json_item(path, text, value) {
        Item::Block(block) => Ok(block),
        _ => Err(Problem::of_file(path, "must hold a JSON object".to_owned())),
    }
}

/// JSON keeps no lines; the first place of a key in the text is named instead.
fn json_item(path: &Path, text: &str, value: serde_json::Value) -> Item {
    use serde_json::Value;
    match value {
        Value::Null => Item::Null,
        Value::Bool(value) => Item::Bool(value),
        Value::Number(number) => Item::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(value) => Item::Text(value),
        Value::Array(items) => Item::List(
            items
                .into_iter()
                .map(|item| json_item(path, text, item))
                .collect(),
        ),
        Value::Object(map) => {
            let mut block = Block {
                file: path.to_owned(),
                entries: Vec::new(),
            };
            for (key, value) in map {
                let line = text
                    .find(&format!("\"{key}\""))
                    .map_or(1, |at| text[..at].matches('\n').count() + 1);
                let item = json_item(path, text, value);
                block.entries.push(Entry {
                    key,
                    labels: Vec::new(),
                    line,
                    item,
                });
            }
            Item::Block(block)
        }
    }
}
