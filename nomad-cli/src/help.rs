//! Help texts, from the commands' own descriptions.

use std::collections::BTreeMap;

use clap::{ArgAction, Command};

use crate::command::{Entry, general_flags};
use crate::registry::{COMMANDS, GROUPS, Group};

/// The common commands, in the order newcomers need them.
const COMMON: [&str; 7] = ["run", "stop", "status", "alloc", "job", "node", "agent"];
/// Left out of the list: they are the longer names' shorthands.
const UNLISTED: [&str; 6] = ["fs", "init", "inspect", "logs", "plan", "validate"];

/// What is shown without a command.
pub fn root() -> String {
    let mut synopses: BTreeMap<&str, &str> = BTreeMap::new();
    for group in GROUPS {
        if !group.path.contains(' ') {
            synopses.insert(group.path, group.synopsis);
        }
    }
    for entry in COMMANDS {
        let known = entry.path.contains(' ') || entry.hidden || UNLISTED.contains(&entry.path);
        if !known {
            synopses.insert(entry.path, entry.synopsis);
        }
    }
    let mut text =
        "Usage: nomad [-version] [-help] <command> [args]\n\nCommon commands:\n".to_owned();
    let common: Vec<_> = COMMON
        .iter()
        .filter_map(|name| synopses.remove(name).map(|synopsis| (*name, synopsis)))
        .collect();
    list(&mut text, &common);
    text.push_str("\nOther commands:\n");
    list(&mut text, &synopses.into_iter().collect::<Vec<_>>());
    text
}

/// Names in a column, and what they do.
fn list(text: &mut String, rows: &[(&str, &str)]) {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, synopsis) in rows {
        text.push_str(&format!("    {name:width$}    {synopsis}\n"));
    }
}

/// Help of a group: its commands.
pub fn of_group(group: &Group) -> String {
    let mut text = format!(
        "Usage: nomad {} <subcommand> [options] [args]\n\n  {}.\n  The help of each subcommand tells more: nomad {} <subcommand> -help\n\nSubcommands:\n",
        group.path, group.synopsis, group.path
    );
    let prefix = format!("{} ", group.path);
    let members = COMMANDS
        .iter()
        .filter(|entry| !entry.hidden)
        .map(|entry| (entry.path, entry.synopsis))
        .chain(GROUPS.iter().map(|group| (group.path, group.synopsis)))
        .filter_map(|(path, synopsis)| Some((path.strip_prefix(&prefix)?, synopsis)))
        .filter(|(name, _)| !name.contains(' '));
    let members: BTreeMap<&str, &str> = members.collect();
    list(&mut text, &members.into_iter().collect::<Vec<_>>());
    text
}

/// Help of a command: what it does, and its flags.
pub fn of_command(entry: &Entry) -> String {
    let mut text = format!("Usage: nomad {} [options]", entry.path);
    if !entry.arguments.is_empty() {
        text.push(' ');
        text.push_str(entry.arguments);
    }
    text.push_str("\n\n");
    wrap(&mut text, entry.about, 2);
    text.push_str("\nGeneral Options:\n");
    flags(&mut text, &general_flags());
    let own = entry.own_flags();
    if own.get_arguments().next().is_some() {
        text.push_str(&format!("\n{} Options:\n", title(entry.path)));
        flags(&mut text, &own);
    }
    text.truncate(text.trim_end().len());
    text
}

fn title(path: &str) -> String {
    path.split(' ')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_uppercase())
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn flags(text: &mut String, command: &Command) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(name) = arg.get_long() else { continue };
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let value = arg
            .get_value_names()
            .and_then(|names| names.first())
            .map_or("value".to_owned(), |name| name.to_lowercase());
        if switch || arg.is_require_equals_set() {
            text.push_str(&format!("\n  -{name}\n"));
        } else {
            text.push_str(&format!("\n  -{name}=<{value}>\n"));
        }
        if let Some(help) = arg.get_help() {
            wrap(text, &help.to_string(), 4);
        }
    }
}

/// Adds text in lines of at most 80 characters.
fn wrap(text: &mut String, prose: &str, indent: usize) {
    let mut line = " ".repeat(indent);
    for word in prose.split_whitespace() {
        if line.len() > indent && line.len() + 1 + word.len() > 80 {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(indent);
        }
        if line.len() > indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
