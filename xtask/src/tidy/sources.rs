//! Rules on single files: module lines, length, banned calls, attributes without a reason, paths of somebody's machine.

use super::{Finding, TextFile, mask};

/// Longest Rust file; generated code and tables that say why are free.
pub(super) const MAX_LINES: usize = 800;

/// What pure crates must not name, and what to do instead.
const IMPURE: [(&str, &str); 14] = [
    ("SystemTime", "take the time as an argument"),
    ("Instant", "take the time as an argument"),
    ("std::env", "take the value as an argument"),
    (
        "std::fs",
        "take the content, or a trait that the caller implements",
    ),
    ("TcpStream", SOCKETS),
    ("TcpListener", SOCKETS),
    ("UdpSocket", SOCKETS),
    ("UnixStream", SOCKETS),
    (
        "std::process",
        "processes belong to nomad-drivers and nomad-supervisor",
    ),
    (
        "std::thread",
        "threads belong to the shell around this crate",
    ),
    ("tokio", "decide here, await in the crate above"),
    ("rand", "take a seed or an id source as an argument"),
    ("thread_rng", "take a seed or an id source as an argument"),
    ("Uuid::new_v4", "take an id source as an argument"),
];
const SOCKETS: &str = "sockets belong to the shell around this crate";

/// Types whose order differs from run to run. The first mention in a file counts, which is its import: an exception
/// there, with the reason why the order never shows, holds for the file.
const UNORDERED: [&str; 2] = ["HashMap", "HashSet"];
const ORDERED: &str = "its order differs from run to run: use a BTree or imbl collection, \
    or say `// tidy-allow: hash, why its order never shows` above the import";

/// Modules of std that pure crates must not import in a group such as `use std::{env, fmt}`.
const IMPURE_STD: [&str; 4] = ["env", "fs", "process", "thread"];

/// Anywhere, tests included. Assembled so that this table is no finding.
const BANNED: [(&str, &str, &str); 6] = [
    (
        "ignore",
        "#[ignore",
        "make it run, or let it say `skipped: REASON` where it cannot",
    ),
    (
        "todo",
        "todo!",
        "build it, or return an error that says what is missing",
    ),
    (
        "todo",
        "unimplemented!",
        "build it, or return an error that says what is missing",
    ),
    (
        "allow",
        "#[allow(",
        "`#[expect(lint, reason = \"...\")]` says why and goes when it is no longer needed",
    ),
    (
        "allow",
        "#![allow(",
        "`#![expect(lint, reason = \"...\")]` says why and goes when it is no longer needed",
    ),
    ("dbg", "dbg!", "use tracing, or an assertion"),
];

/// Parts of paths that exist on one machine only.
const LOCAL_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/tmp/", "helper"),
    concat!("/tmp/", "t/"),
];

/// Code made by a generator is held to nothing but its own test.
pub(super) fn is_generated(path: &str) -> bool {
    path.contains("/gen/")
}

/// Is the whole file test code? Fixtures and `tests` folders are.
fn is_test_file(path: &str) -> bool {
    let inside = path.split_once('/').map_or(path, |(_, rest)| rest);
    !inside.starts_with("src/") || inside.ends_with("/tests.rs") || inside.contains("/tests/")
}

/// Does this line, or the comment line before it, carry `tidy-allow: RULE, reason`?
fn allowed(lines: &[&str], index: usize, rule: &str) -> bool {
    let says = |line: &str| {
        let Some((_, rest)) = line.split_once("tidy-allow: ") else {
            return false;
        };
        rest.split_once(", ")
            .is_some_and(|(name, reason)| name == rule && reason.trim().len() >= 8)
    };
    says(lines[index])
        || (index > 0 && lines[index - 1].trim_start().starts_with("//") && says(lines[index - 1]))
}

/// Rules on any text.
pub(super) fn check_any(file: &TextFile) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut findings = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        if let Some(part) = LOCAL_PATHS.iter().find(|p| line.contains(**p))
            && !allowed(&lines, i, "path")
        {
            let hint = "say it relative to the repository, or with an environment variable";
            findings.push(Finding::new(
                &file.path,
                i + 1,
                format!("`{part}` is a path of one machine"),
                hint,
            ));
        }
    }
    findings
}

/// Rules on Rust source.
pub(super) fn check_rust(file: &TextFile, pure: bool) -> Vec<Finding> {
    if is_generated(&file.path) {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let code = mask::code(&file.text);
    let code_lines: Vec<&str> = code.lines().collect();
    let mut findings = Vec::new();
    let mut add = |line: usize, what: String, hint: &str| {
        findings.push(Finding::new(&file.path, line, what, hint))
    };

    if !lines.first().is_some_and(|l| l.starts_with("//!")) {
        add(
            1,
            "no opening `//!` line".to_owned(),
            "say in one line what this module is for",
        );
    }
    if lines.len() > MAX_LINES && !(0..lines.len().min(20)).any(|i| allowed(&lines, i, "length")) {
        let hint = "split it by topic, tests into `tests.rs`; a table says `// tidy-allow: length, reason` near its top";
        add(
            MAX_LINES + 1,
            format!("{} lines, over the limit of {MAX_LINES}", lines.len()),
            hint,
        );
    }
    for (i, line) in code_lines.iter().enumerate() {
        for (rule, banned, hint) in BANNED {
            if has_word(line, banned) && !allowed(&lines, i, rule) {
                add(i + 1, format!("`{banned}`"), hint);
            }
        }
        if let Some(at) = line.find("[expect(")
            && !attribute(&code_lines, i, at).contains("reason")
        {
            add(
                i + 1,
                "`expect` without a reason".to_owned(),
                "add `reason = \"...\"`",
            );
        }
    }
    if pure && !is_test_file(&file.path) && !code.trim_start().starts_with("#![cfg(test)]") {
        let tests = mask::test_lines(&code);
        for (i, line) in code_lines.iter().enumerate().filter(|(i, _)| !tests[*i]) {
            for (banned, hint) in IMPURE {
                if has_word(line, banned) && !allowed(&lines, i, "pure") {
                    add(i + 1, format!("`{banned}` in a pure crate"), hint);
                }
            }
        }
        for unordered in UNORDERED {
            let first =
                (0..code_lines.len()).find(|i| !tests[*i] && has_word(code_lines[*i], unordered));
            if let Some(i) = first
                && !allowed(&lines, i, "hash")
            {
                add(i + 1, format!("`{unordered}` in a pure crate"), ORDERED);
            }
        }
        for (line, module) in grouped_std_imports(&code) {
            if IMPURE_STD.contains(&module.as_str())
                && !tests[line - 1]
                && !allowed(&lines, line - 1, "pure")
            {
                add(
                    line,
                    format!("`std::{module}` in a pure crate"),
                    "take what is needed as an argument",
                );
            }
        }
    }
    findings
}

/// `word` in `line`, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(at, _)| {
        let starts_name = is_name(word.as_bytes()[0]);
        let ends_name = is_name(word.as_bytes()[word.len() - 1]);
        let before = starts_name && at > 0 && is_name(bytes[at - 1]);
        let after = ends_name && bytes.get(at + word.len()).is_some_and(|b| is_name(*b));
        !before && !after
    })
}

/// An attribute from its bracket to the closing one, over several lines if need be.
fn attribute(lines: &[&str], index: usize, at: usize) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for (n, line) in lines[index..].iter().take(20).enumerate() {
        for c in line[if n == 0 { at } else { 0 }..].chars() {
            text.push(c);
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return text;
            }
        }
    }
    text
}

/// First-level names in each `std::{...}`, with their lines.
fn grouped_std_imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, group) in code.match_indices("std::{") {
        let (mut depth, mut name, mut fresh) = (1, String::new(), true);
        for (i, c) in code[at + group.len()..].char_indices() {
            match c {
                c if depth == 1 && fresh && (c.is_alphanumeric() || c == '_') => name.push(c),
                _ => {
                    if !name.is_empty() {
                        let line = code[..at + group.len() + i].matches('\n').count();
                        found.push((line + 1, std::mem::take(&mut name)));
                        fresh = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => fresh = true,
                        _ => {}
                    }
                }
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
