//! How long work is shown: a log file for its output, one moving line on a terminal, plain lines elsewhere.

use crate::proc;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How often the moving line is drawn.
const REDRAW: Duration = Duration::from_millis(500);
/// Without a terminal, a sign of life this often.
const SIGN_OF_LIFE: Duration = Duration::from_mins(1);
/// Longest log that is read back for counting; what is longer is cut at the front.
const MAX_LOG_BYTES: u64 = 64 << 20;

/// How a command ended.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// It ran over its limit and was ended.
    pub(crate) timed_out: bool,
    /// Everything it wrote, stdout and stderr in order.
    pub(crate) log: String,
}

/// `1 h 02 min`, `3 min 05 s`, `12.3 s`, `85 ms`.
pub(crate) fn duration(d: Duration) -> String {
    let s = d.as_secs();
    if s >= 3600 {
        format!("{} h {:02} min", s / 3600, s % 3600 / 60)
    } else if s >= 60 {
        format!("{} min {:02} s", s / 60, s % 60)
    } else if s >= 1 {
        format!("{:.1} s", d.as_secs_f64())
    } else {
        format!("{} ms", d.as_millis())
    }
}

/// Runs `command` with its output in `log`, showing how long it takes.
///
/// `append` adds to a log that an earlier command began; only what this command wrote is returned.
pub(crate) fn run_logged(
    label: &str,
    mut command: Command,
    log: &Path,
    limit: Duration,
    append: bool,
) -> Result<Outcome> {
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    let mut options = File::options();
    options
        .create(true)
        .append(append)
        .write(true)
        .truncate(!append);
    let file = options
        .open(log)
        .with_context(|| format!("open {}", log.display()))?;
    let from = file.metadata().map(|m| m.len()).unwrap_or(0);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("share the log file")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let (success, timed_out) = watch(label, &mut child, log, limit)?;
    Ok(Outcome {
        success,
        timed_out,
        log: read_from(log, from)?,
    })
}

fn watch(label: &str, child: &mut Child, log: &Path, limit: Duration) -> Result<(bool, bool)> {
    let terminal = std::io::stdout().is_terminal();
    let started = Instant::now();
    let mut next = if terminal { REDRAW } else { SIGN_OF_LIFE };
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait().context("wait for the command")? {
            break status;
        }
        let elapsed = started.elapsed();
        if elapsed > limit && !timed_out {
            timed_out = true;
            proc::kill_tree(child.id());
        }
        if elapsed >= next {
            let doing = last_line(log);
            if terminal {
                draw(&format!("   {label} {} · {doing}", duration(elapsed)));
                next = elapsed + REDRAW;
            } else {
                println!("   {label}: {} so far · {doing}", duration(elapsed));
                next = elapsed + SIGN_OF_LIFE;
            }
        }
        std::thread::sleep(POLL);
    };
    if terminal {
        draw("");
    }
    Ok((status.success() && !timed_out, timed_out))
}

/// Replaces the moving line.
fn draw(text: &str) {
    let width = std::env::var("COLUMNS")
        .ok()
        .and_then(|c| c.parse().ok())
        .unwrap_or(100usize);
    let text: String = text.chars().take(width.saturating_sub(1)).collect();
    let mut out = std::io::stdout().lock();
    // A terminal that is gone is no reason to stop the work.
    let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
}

fn last_line(log: &Path) -> String {
    let tail = File::open(log).and_then(|mut f| {
        let len = f.metadata()?.len();
        f.seek(SeekFrom::Start(len.saturating_sub(400)))?;
        let mut bytes = Vec::new();
        f.take(400).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let tail = tail.unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    text.lines()
        .rev()
        .map(str::trim)
        .find(|l| !l.is_empty())
        .unwrap_or("")
        .to_owned()
}

fn read_from(log: &Path, from: u64) -> Result<String> {
    let mut file = File::open(log).with_context(|| format!("open {}", log.display()))?;
    let len = file.metadata().map(|m| m.len()).unwrap_or(0);
    file.seek(SeekFrom::Start(from.max(len.saturating_sub(MAX_LOG_BYTES))))
        .context("seek in the log")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .with_context(|| format!("read {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last `n` lines of a log, each indented.
pub(crate) fn tail(log: &str, n: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(n);
    lines[from..]
        .iter()
        .flat_map(|l| ["     ", l, "\n"])
        .collect()
}

/// Left-aligned columns, two spaces between them.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|v| v.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (value, width) in row.iter().zip(&widths) {
            line.push_str(value);
            line.extend(std::iter::repeat_n(' ', width + 2 - value.chars().count()));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Duration::from_millis(85)), "85 ms");
        assert_eq!(duration(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
        assert_eq!(duration(Duration::from_mins(62)), "1 h 02 min");
    }

    #[test]
    fn a_table_is_aligned() {
        let rows = vec![
            vec!["a".to_owned(), "b".to_owned()],
            vec!["long".to_owned(), "c".to_owned()],
        ];
        assert_eq!(table(&rows), "a     b\nlong  c\n");
    }

    #[test]
    fn a_command_over_its_limit_is_ended() {
        let log = std::env::temp_dir().join(format!("xtask-ui-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 60; echo ended"]);
        let out =
            run_logged("t", command, &log, Duration::from_millis(300), false).expect("sh starts");
        assert!(out.timed_out && !out.success);
        assert_eq!(out.log, "begun\n");
        let out = run_logged(
            "t",
            Command::new("true"),
            &log,
            Duration::from_secs(10),
            true,
        )
        .expect("true starts");
        assert!(out.success && out.log.is_empty());
        std::fs::remove_file(log).expect("the log is ours");
    }
}
