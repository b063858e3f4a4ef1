//! Source texts and places in them.

use serde::Serialize;

/// The largest job file, variable file or variables text that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;

/// A text that was handed in, with a name for diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// What diagnostics call it, usually the base name of a file.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

/// A stretch of bytes in one of the sources of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub(crate) struct Span {
    /// Index into [`Sources`].
    pub(crate) file: u16,
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
}

impl Span {
    /// From here to the end of `other`.
    pub(crate) const fn to(self, other: Self) -> Self {
        Self {
            file: self.file,
            start: self.start,
            end: other.end,
        }
    }

    /// The stretch without its first and last `n` bytes.
    pub(crate) const fn inner(self, n: u32) -> Self {
        if self.end.saturating_sub(self.start) < 2 * n {
            return self;
        }
        Self {
            file: self.file,
            start: self.start + n,
            end: self.end - n,
        }
    }
}

/// A point in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters as a reader counts them.
    pub column: usize,
    /// From 0.
    pub byte: usize,
}

/// A stretch of text with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// Name of the source.
    pub file: String,
    /// First character.
    pub start: Position,
    /// One past the last character.
    pub end: Position,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, start, end } = self;
        if start.line == end.line {
            write!(f, "{file}:{},{}-{}", start.line, start.column, end.column)
        } else {
            write!(
                f,
                "{file}:{},{}-{},{}",
                start.line, start.column, end.line, end.column
            )
        }
    }
}

/// All the sources of one run.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<SourceFile>,
}

#[derive(Debug)]
struct SourceFile {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Sources {
    /// Keeps a source and gives its index.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> u16 {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        self.files.push(SourceFile {
            name: name.to_owned(),
            text: text.to_owned(),
            line_starts,
        });
        (self.files.len() - 1) as u16
    }

    /// Keeps a source, unless there are so many that no index is left.
    pub(crate) fn try_add(&mut self, name: &str, text: &str) -> Option<u16> {
        (self.files.len() < usize::from(u16::MAX)).then(|| self.add(name, text))
    }

    /// The whole text of a source.
    pub(crate) fn text(&self, file: u16) -> &str {
        &self.files[usize::from(file)].text
    }

    /// The place with lines and columns.
    pub(crate) fn range(&self, span: Span) -> Range {
        let file = &self.files[usize::from(span.file)];
        Range {
            file: file.name.clone(),
            start: file.position(span.start as usize),
            end: file.position(span.end as usize),
        }
    }

    /// The line in which a place starts, without its line end.
    pub(crate) fn line(&self, span: Span) -> &str {
        let file = &self.files[usize::from(span.file)];
        let line = file.line_of(span.start as usize);
        let start = file.line_starts[line];
        let end = file
            .line_starts
            .get(line + 1)
            .copied()
            .unwrap_or(file.text.len());
        file.text[start..end].trim_end_matches(['\n', '\r'])
    }
}

impl SourceFile {
    /// Index of the line in which a byte stands.
    fn line_of(&self, byte: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= byte)
            .saturating_sub(1)
    }

    fn position(&self, byte: usize) -> Position {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let line = self.line_of(byte);
        let column = columns(&self.text[self.line_starts[line]..byte]) + 1;
        Position {
            line: line + 1,
            column,
            byte,
        }
    }
}

/// Characters as a reader counts them: combining marks and joiners belong to the character before.
pub(crate) fn columns(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().filter(|c| !is_combining(*c)).count()
}

/// Whether a character continues the one before it.
pub(crate) const fn is_combining(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200d}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}')
}
