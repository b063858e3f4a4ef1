//! Canonical formatting: indentation by brackets, one space between tokens, `=` and trailing comments in columns.
//!
//! Works on tokens, so that comments and line breaks stay where they are. Quoted strings and heredocs are left as
//! they are written: blanks inside them may mean something. Formatting twice changes nothing more.

mod columns;
mod spaces;
#[cfg(test)]
mod tests;
mod token;

use self::token::{Item, Kind, items};
use crate::diagnostic::Failure;
use crate::source::{Source, Sources};
use crate::syntax;

/// Why a text was not formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error("{0}")]
    Syntax(#[from] Failure),
    /// It is HCL-JSON, which has no canonical form here.
    #[error("{name}: JSON is not formatted")]
    Json {
        /// What the source is called.
        name: String,
    },
}

/// The text in canonical form.
///
/// # Errors
/// The text is no HCL: see [`FormatError`].
pub fn format(source: Source<'_>) -> Result<String, FormatError> {
    if source.text.trim_start_matches(' ').starts_with('{') {
        return Err(FormatError::Json {
            name: source.name.to_owned(),
        });
    }
    let mut sources = Sources::default();
    let file = sources.add(source.name, source.text);
    let (_, diagnostics) = syntax::parse(&sources, file);
    if !diagnostics.is_empty() {
        return Err(FormatError::Syntax(Failure { diagnostics }));
    }
    let mut lines: Vec<Line<'_>> = Vec::new();
    for line in items(source.text).split(|item| item.kind == Kind::Newline) {
        lines.push(Line::new(line));
    }
    indent(&mut lines);
    columns::align(&mut lines);
    let mut text: String = lines
        .iter()
        .map(Line::render)
        .collect::<Vec<_>>()
        .join("\n");
    if !source.text.ends_with('\n') && text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// One line: what it starts with, an assignment that is whole, a comment behind.
struct Line<'t> {
    indent: usize,
    lead: Vec<Item<'t>>,
    assign: Vec<Item<'t>>,
    comment: Option<Item<'t>>,
    /// Blanks before the assignment and before the comment.
    assign_gap: usize,
    comment_gap: usize,
}

impl<'t> Line<'t> {
    fn new(items: &[Item<'t>]) -> Self {
        let mut lead = items.to_vec();
        let comment = if lead.len() > 1 {
            lead.pop_if(|last| last.kind == Kind::Comment)
        } else {
            None
        };
        let mut assign = Vec::new();
        if let Some(at) = lead
            .iter()
            .skip(1)
            .position(|item| item.text == "=")
            .map(|at| at + 1)
        {
            // An assignment that goes on in the next line has no column.
            if lead[at..].iter().map(Item::brackets).sum::<i32>() == 0 {
                assign = lead.split_off(at);
            }
        }
        Self {
            indent: 0,
            lead,
            assign,
            comment,
            assign_gap: 1,
            comment_gap: 1,
        }
    }

    /// How many more brackets it opens than it closes.
    fn brackets(&self) -> i32 {
        self.lead
            .iter()
            .chain(&self.assign)
            .map(Item::brackets)
            .sum()
    }

    fn render(&self) -> String {
        let mut text = String::new();
        if !self.lead.is_empty() {
            text.push_str(&" ".repeat(self.indent));
            text.push_str(&spaces::join(&self.lead));
        }
        if !self.assign.is_empty() {
            text.push_str(&" ".repeat(self.assign_gap));
            text.push_str(&spaces::join(&self.assign));
        }
        if let Some(comment) = &self.comment {
            text.push_str(&" ".repeat(self.comment_gap));
            text.push_str(comment.text);
        }
        text
    }
}

/// Two blanks for each line whose brackets are still open; brackets opened on one line count once.
fn indent(lines: &mut [Line<'_>]) {
    let mut open: Vec<i32> = Vec::new();
    for line in lines {
        if line.lead.is_empty() {
            continue;
        }
        let net = line.brackets();
        if net < 0 {
            let mut closed = -net;
            while closed > 0 {
                let Some(last) = open.last_mut() else { break };
                if closed < *last {
                    *last -= closed;
                    break;
                }
                closed -= *last;
                open.pop();
            }
        }
        line.indent = 2 * open.len();
        if net > 0 {
            open.push(net);
        }
    }
}
