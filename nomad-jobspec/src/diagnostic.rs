//! What is wrong with a job file, where, and what to do about it.

use std::fmt;

use serde::Serialize;

use crate::source::{Range, Sources, Span, columns};

/// How many diagnostics one run keeps; more would not be read.
pub const MAX_DIAGNOSTICS: usize = 200;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably says something else than meant.
    Warning,
}

/// One thing to tell the writer of a job file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in few words.
    pub summary: String,
    /// What is wrong, in a sentence or two.
    pub detail: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The line in which the range starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
    /// What would be right there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub(crate) fn error(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            summary: summary.into(),
            detail: detail.into(),
            range: None,
            source_line: None,
            expected: None,
            hint: None,
        }
    }

    /// An error at a place.
    pub(crate) fn at(
        sources: &Sources,
        span: Span,
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let mut diagnostic = Self::error(summary, detail);
        diagnostic.range = Some(sources.range(span));
        diagnostic.source_line = Some(sources.line(span).chars().take(400).collect());
        diagnostic
    }

    /// Says what would be right.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether this makes the file unusable.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Several lines for a terminal: the message, the source line with a mark under the place, what was expected, a
    /// hint.
    pub fn render(&self) -> String {
        use fmt::Write as _;
        let word = if self.is_error() { "Error" } else { "Warning" };
        let mut text = format!("{word}: {}\n", self.summary);
        if let (Some(range), Some(line)) = (&self.range, &self.source_line) {
            let number = range.start.line.to_string();
            let margin = " ".repeat(number.len());
            let shown: String = line.replace('\t', " ");
            let before = range.start.column - 1;
            let width = if range.end.line == range.start.line {
                range.end.column.saturating_sub(range.start.column)
            } else {
                columns(line).saturating_sub(before)
            };
            let _ = write!(
                text,
                "{margin}--> {}:{}:{}\n{margin} |\n{number} | {shown}\n{margin} | {}{}\n",
                range.file,
                range.start.line,
                range.start.column,
                " ".repeat(before),
                "^".repeat(width.max(1)),
            );
        }
        if !self.detail.is_empty() {
            let _ = writeln!(text, "{}", self.detail);
        }
        if let Some(expected) = &self.expected {
            let _ = writeln!(text, "Expected: {expected}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "Hint: {hint}");
        }
        text
    }
}

/// One line: place, summary, detail. The API answers with these lines.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.range {
            Some(range) => write!(f, "{range}: ")?,
            None => f.write_str("<nil>: ")?,
        }
        write!(f, "{}; {}", self.summary, self.detail)?;
        if let Some(hint) = &self.hint {
            write!(f, " {hint}")?;
        }
        Ok(())
    }
}

/// Why a job file gives no job: every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Failure {
    /// In the order of the text; never empty.
    pub diagnostics: Vec<Diagnostic>,
}

/// The diagnostics as lines, as the API sends them.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.diagnostics.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

/// The name among `known` that `name` was probably meant to be: at most a third of its letters away.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=2 => return None,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
