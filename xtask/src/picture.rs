//! `cargo xtask picture`: the README's picture, made from what the real binary prints.

use crate::agent::{Agent, Ports};
use crate::workspace::Workspace;
use crate::{quickstart, setup};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const JOB_FILE: &str = "examples/hello.nomad.hcl";
/// Time for the first log lines.
const GREETINGS: Duration = Duration::from_secs(5);
const READY_LIMIT: Duration = Duration::from_mins(1);

// Geometry of the drawn terminal, in pixels.
const CHAR: f64 = 7.8;
const LINE: usize = 18;
const MARGIN: usize = 16;
const COLUMNS: usize = 112;

/// Draws the commands of a first look into `docs/quickstart.svg`.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("picture takes no argument, got `{arg}`");
    }
    let ws = Workspace::load()?;
    let binary = if let Some(path) = std::env::var_os("NOMAD_BIN") {
        PathBuf::from(path)
    } else {
        setup::ensure(&ws)?;
        quickstart::build_release(&ws, &ws.target.join("xtask-logs/picture.log"))?
    };
    let mut agent = Agent::start(&binary, &[], Ports::Free)?;
    agent.wait_ready(READY_LIMIT)?;
    let say = |words: &[&str]| -> Result<String> {
        let out = Command::new(&binary)
            .args(words)
            .env("NOMAD_ADDR", agent.url())
            .current_dir(&ws.root)
            .output()
            .with_context(|| format!("run nomad {}", words.join(" ")))?;
        if !out.status.success() {
            let text = String::from_utf8_lossy(&out.stderr);
            bail!("nomad {} failed: {}", words.join(" "), text.trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let mut screen = String::new();
    let mut show = |words: &[&str]| -> Result<String> {
        let text = say(words)?;
        let _ = writeln!(screen, "$ nomad {}\n{}\n", words.join(" "), text.trim_end());
        Ok(text)
    };
    show(&["job", "run", JOB_FILE])?;
    std::thread::sleep(GREETINGS);
    let status = show(&["job", "allocs", "hello"])?;
    let alloc = running(&status).context("the job has no running allocation")?;
    show(&["alloc", "logs", alloc])?;
    let path = ws.root.join("docs/quickstart.svg");
    std::fs::write(&path, terminal(&screen))
        .with_context(|| format!("write {}", path.display()))?;
    println!("wrote {}", ws.relative(&path));
    Ok(true)
}

/// The short id in the first row of the table of allocations.
fn running(status: &str) -> Option<&str> {
    status.lines().nth(1)?.split_whitespace().next()
}

/// A terminal with this text, as SVG; prompts stand out.
fn terminal(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let width = (COLUMNS as f64).mul_add(CHAR, 2.0 * MARGIN as f64).ceil();
    let height = lines.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#14171c\"/>\n"
    );
    for (i, line) in lines.iter().enumerate() {
        let fill = if line.starts_with("$ ") {
            "#8ec07c"
        } else {
            "#d5d9e0"
        };
        let y = MARGIN + (i + 1) * LINE - 5;
        let line: String = line.chars().take(COLUMNS).collect();
        let line = line
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{fill}\" xml:space=\"preserve\">{line}</text>"
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_line_by_line_and_escaped() {
        let svg = terminal("$ nomad x\na <none> & b\n");
        assert_eq!(svg.matches("<text").count(), 2);
        assert!(svg.contains("a &lt;none&gt; &amp; b") && svg.contains("#8ec07c"));
    }

    #[test]
    fn the_allocation_is_found_in_its_table() {
        let status = "ID        Node ID\nb06e6bab  9b8aed01\n";
        assert_eq!(running(status), Some("b06e6bab"));
        assert_eq!(running("nothing"), None);
    }
}
