//! Lists of messages, and the two ways in which the API writes them.

use std::fmt::Write as _;

/// Messages that are collected, so that all mistakes are told at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Messages(Vec<String>);

impl Messages {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a message.
    pub fn add(&mut self, message: impl Into<String>) {
        self.0.push(message.into());
    }

    /// Adds a message unless `holds`.
    pub(super) fn require(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.add(message());
        }
    }

    /// Adds all messages of another list as one, if there are any.
    pub(super) fn nest(&mut self, prefix: &str, inner: &Self) {
        if !inner.is_empty() {
            let text = inner.error_text();
            self.add(if prefix.is_empty() {
                text
            } else {
                format!("{prefix}: {text}")
            });
        }
    }

    /// Adds all messages of another list, each by itself.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The messages themselves.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The messages themselves.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }

    /// As errors are written: a count, a list, two line ends. Empty for no message.
    pub fn error_text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut text = match self.0.len() {
            1 => "1 error occurred:".to_owned(),
            count => format!("{count} errors occurred:"),
        };
        for message in &self.0 {
            let _ = write!(text, "\n\t* {message}");
        }
        text + "\n\n"
    }

    /// As warnings are written: a count, a blank line, a list. Empty for no message.
    pub fn warning_text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut text = match self.0.len() {
            1 => "1 warning:\n".to_owned(),
            count => format!("{count} warnings:\n"),
        };
        for message in &self.0 {
            let _ = write!(text, "\n* {}", message.trim_end());
        }
        text
    }
}
