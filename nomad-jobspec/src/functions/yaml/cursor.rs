//! A place in a text, for what is read character by character.

/// A text and how far it is read.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn bump(&mut self) {
        let _ = self.next();
    }

    /// Skips blanks, line breaks and comments.
    pub(super) fn space(&mut self) {
        loop {
            while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
                self.bump();
            }
            if self.peek() != Some('#') {
                return;
            }
            while self.peek().is_some_and(|c| c != '\n') {
                self.bump();
            }
        }
    }

    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let start = self.at;
        while self.peek().is_some_and(&keep) {
            self.bump();
        }
        &self.text[start..self.at]
    }

    /// A plain scalar inside brackets.
    pub(super) fn plain(&mut self) -> &'t str {
        let start = self.at;
        while let Some(c) = self.peek() {
            let next = self.text[self.at + c.len_utf8()..].chars().next();
            let ends = match c {
                ',' | ']' | '}' | '[' | '{' => true,
                ':' => matches!(next, None | Some(' ' | '\n' | ',' | ']' | '}')),
                '#' => self.text[..self.at].ends_with([' ', '\n']),
                _ => false,
            };
            if ends {
                break;
            }
            self.bump();
        }
        &self.text[start..self.at]
    }

    /// Reads on to behind the double quotes that start here; whether they are closed.
    pub(super) fn skip_double(&mut self) -> bool {
        self.bump();
        while let Some(c) = self.next() {
            match c {
                '"' => return true,
                '\\' => self.bump(),
                _ => {}
            }
        }
        false
    }

    /// Reads on to behind the single quotes that start here; whether they are closed.
    pub(super) fn skip_single(&mut self) -> bool {
        self.bump();
        while let Some(c) = self.next() {
            if c == '\'' {
                if self.peek() != Some('\'') {
                    return true;
                }
                self.bump();
            }
        }
        false
    }

    /// Whether the double quotes that start here are closed.
    pub(super) fn closed_double(&self) -> bool {
        Cursor {
            text: self.text,
            at: self.at,
        }
        .skip_double()
    }

    /// Whether the single quotes that start here are closed.
    pub(super) fn closed_single(&self) -> bool {
        Cursor {
            text: self.text,
            at: self.at,
        }
        .skip_single()
    }
}
