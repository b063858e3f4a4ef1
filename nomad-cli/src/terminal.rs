//! A running command on this terminal: raw mode, window size, escape sequence.

use std::io::{IsTerminal, Read};

use anyhow::{Context as _, Result, bail};
use nomad_api::client::{ExecConnection, ExecEvent, ExecSender};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::ui::Ui;

/// Bytes of input read at once.
const INPUT_BYTES: usize = 4096;
/// Pieces of input that wait to be sent.
const INPUT_PIECES: usize = 16;
/// How often an idle session says that it is there.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(10);

/// How a command is attached.
#[derive(Debug, Clone, Copy)]
pub struct Attach {
    /// Whether stdin is sent.
    pub stdin: bool,
    /// Whether the command has a terminal.
    pub tty: bool,
    /// Begins the sequence that disconnects (`~.` after a line end); none disables it.
    pub escape: Option<u8>,
}

impl Attach {
    /// From flags: `-i`, `-t` (by default where stdin and stdout are terminals), `-e`.
    pub fn new(stdin: bool, tty: Option<bool>, escape: &str) -> Result<Self, String> {
        let terminals = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let tty = tty.unwrap_or(stdin && terminals);
        if tty && !stdin {
            return Err("-i must be enabled if running with tty".to_owned());
        }
        let escape = match escape.as_bytes() {
            [] | b"none" => None,
            [byte] => Some(*byte),
            _ => return Err("-e requires 'none' or a single character".to_owned()),
        };
        Ok(Self { stdin, tty, escape })
    }
}

/// Puts the terminal back as it was.
struct RawMode(Option<Termios>);

impl RawMode {
    fn enter(wanted: bool) -> Self {
        let stdin = std::io::stdin();
        if !wanted || !stdin.is_terminal() {
            return Self(None);
        }
        let Ok(before) = tcgetattr(&stdin) else {
            return Self(None);
        };
        let mut raw = before.clone();
        raw.make_raw();
        if tcsetattr(&stdin, OptionalActions::Now, &raw).is_err() {
            return Self(None);
        }
        Self(Some(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Finds the escape sequence in typed input.
#[derive(Debug)]
struct Escape {
    byte: Option<u8>,
    at_line_start: bool,
    seen: bool,
}

impl Escape {
    const fn new(byte: Option<u8>) -> Self {
        Self {
            byte,
            at_line_start: true,
            seen: false,
        }
    }

    /// What of the input is to be sent, and whether the user wants to leave.
    fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let Some(escape) = self.byte else {
            return (input.to_vec(), false);
        };
        let mut out = Vec::with_capacity(input.len());
        for byte in input {
            if std::mem::take(&mut self.seen) {
                if *byte == b'.' {
                    return (out, true);
                }
                // Typed twice it stands for itself.
                if *byte != escape {
                    out.push(escape);
                }
            } else if *byte == escape && self.at_line_start {
                self.seen = true;
                self.at_line_start = false;
                continue;
            }
            self.at_line_start = matches!(byte, b'\r' | b'\n');
            out.push(*byte);
        }
        (out, false)
    }
}

/// Carries input and output until the command has ended; gives its exit code.
pub async fn attach(
    ui: Ui,
    attach: Attach,
    (mut sender, mut receiver): (ExecSender, ExecConnection),
) -> Result<i32> {
    let raw = RawMode::enter(attach.tty);
    let mut escape = Escape::new(attach.escape.filter(|_| attach.tty));
    let mut input = if attach.stdin {
        Some(read_stdin())
    } else {
        sender.close_stdin().await?;
        None
    };
    let mut resized = signal(SignalKind::window_change())?;
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    if attach.tty {
        send_size(&mut sender).await?;
    }
    let result = loop {
        tokio::select! {
            event = receiver.next() => match event.context("failed to exec into task")? {
                Some(ExecEvent::Stdout(data)) => ui.out_bytes(&data),
                Some(ExecEvent::Stderr(data)) => ui.err_bytes(&data),
                Some(ExecEvent::Exited { error: Some(error), .. }) => break Err(error),
                Some(ExecEvent::Exited { code, .. }) => break Ok(code),
                None => break Err("the connection ended before the command".to_owned()),
            },
            piece = next(&mut input) => match piece {
                // The command's end comes after; a send that fails is told by the receiver.
                None => { let _ = sender.close_stdin().await; input = None; }
                Some(piece) => {
                    let (data, leave) = escape.filter(&piece);
                    if !data.is_empty() { let _ = sender.stdin(&data).await; }
                    if leave { break Ok(0) }
                }
            },
            _ = resized.recv(), if attach.tty => { let _ = send_size(&mut sender).await; }
            _ = heartbeat.tick() => { let _ = sender.heartbeat().await; }
        }
    };
    drop(raw);
    match result {
        Ok(code) => Ok(code),
        Err(error) => bail!("failed to exec into task: {error}"),
    }
}

async fn next(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}

async fn send_size(sender: &mut ExecSender) -> Result<()> {
    if let Ok(size) = tcgetwinsize(std::io::stdout()) {
        sender.resize(size.ws_col, size.ws_row).await?;
    }
    Ok(())
}

/// Reads stdin on a thread of its own: a read cannot be called off.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(INPUT_PIECES);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = [0; INPUT_BYTES];
        while let Ok(count) = stdin.read(&mut buffer) {
            if count == 0 || sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_works_only_at_the_start_of_a_line() {
        let mut escape = Escape::new(Some(b'~'));
        assert_eq!(escape.filter(b"a~.\r"), (b"a~.\r".to_vec(), false));
        assert_eq!(escape.filter(b"~"), (Vec::new(), false));
        assert_eq!(escape.filter(b"."), (Vec::new(), true));
        let mut escape = Escape::new(Some(b'~'));
        assert_eq!(escape.filter(b"~~.\r~x"), (b"~.\r~x".to_vec(), false));
        let mut off = Escape::new(None);
        assert_eq!(off.filter(b"~."), (b"~.".to_vec(), false));
    }
}
