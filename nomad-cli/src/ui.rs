//! Where text goes: stdout and stderr, with colour where a person reads it.

use std::io::{IsTerminal, Write};

/// Stdout and stderr. Only stdout of a terminal is coloured, unless the user says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    color: bool,
    terminal: bool,
}

/// Colours of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Red,
    Green,
    Yellow,
    Blue,
    Cyan,
}

impl Color {
    const fn code(self) -> &'static str {
        match self {
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Cyan => "36",
        }
    }
}

impl Ui {
    /// `off` wins over `forced`.
    pub fn new(off: bool, forced: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            color: !off && (forced || terminal),
            terminal,
        }
    }

    /// Whether a person watches stdout.
    pub fn is_terminal(self) -> bool {
        self.terminal
    }

    /// A line to stdout. A reader that went away ends the program: there is nobody left to tell.
    pub fn out(self, text: impl AsRef<str>) {
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{}", text.as_ref()).is_err() {
            std::process::exit(1);
        }
    }

    /// Bytes to stdout, as they are.
    pub fn out_bytes(self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        if stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .is_err()
        {
            std::process::exit(1);
        }
    }

    /// Bytes to stderr, as they are.
    pub fn err_bytes(self, bytes: &[u8]) {
        let _ = std::io::stderr().lock().write_all(bytes);
    }

    /// An error to stderr.
    pub fn error(self, text: impl AsRef<str>) {
        let text = self.paint(Color::Red, text.as_ref());
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A warning to stderr.
    pub fn warn(self, text: impl AsRef<str>) {
        let text = self.paint(Color::Yellow, text.as_ref());
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A section: a blank line, its heading, its body.
    pub fn section(self, heading: &str, body: impl AsRef<str>) {
        self.out(format!("\n{}\n{}", self.bold(heading), body.as_ref()));
    }

    /// Text in bold.
    pub fn bold(self, text: &str) -> String {
        if self.color {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Text in a colour.
    pub fn paint(self, color: Color, text: &str) -> String {
        if self.color {
            format!("\x1b[{}m{text}\x1b[0m", color.code())
        } else {
            text.to_owned()
        }
    }

    /// Asks on the terminal; the answer without its line end.
    pub fn ask(self, question: &str) -> std::io::Result<String> {
        let mut stdout = std::io::stdout().lock();
        write!(stdout, "{question} ")?;
        stdout.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
    }
}
