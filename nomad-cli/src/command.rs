//! From words to a verb: lookup, help, flags, exit codes.

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::argv::{self, split};
use crate::context::{Context, General, UsageError, usage};
use crate::help;
use crate::registry::{COMMANDS, GROUPS};
use crate::ui::Ui;

/// Exit code without a command, or with one that does not exist.
const UNKNOWN_COMMAND: i32 = 127;

/// A verb: its flags are its fields.
pub trait Verb: Args + 'static {
    /// What stands for its arguments in help: `<job>`.
    const ARGUMENTS: &'static str = "";
    /// Fewest and most arguments.
    const ARITY: (usize, usize) = (0, 0);
    /// What it does, in a sentence or two.
    const ABOUT: &'static str;

    /// Does it; gives the exit code.
    fn run(self, context: Context) -> impl Future<Output = Result<i32>>;
}

type Running = Pin<Box<dyn Future<Output = Result<i32>>>>;

/// A verb in the registry.
pub struct Entry {
    /// Its words: `job run`.
    pub path: &'static str,
    /// One line for lists of commands.
    pub synopsis: &'static str,
    pub about: &'static str,
    pub arguments: &'static str,
    pub arity: (usize, usize),
    /// Left out of lists.
    pub hidden: bool,
    flags: fn(Command) -> Command,
    run: fn(&ArgMatches, Context) -> Result<Running>,
}

impl Entry {
    /// A verb under its words.
    pub const fn new<V: Verb>(path: &'static str, synopsis: &'static str) -> Self {
        Self {
            path,
            synopsis,
            about: V::ABOUT,
            arguments: V::ARGUMENTS,
            arity: V::ARITY,
            hidden: false,
            flags: V::augment_args,
            run: |matches, context| {
                let verb = V::from_arg_matches(matches)?;
                Ok(Box::pin(verb.run(context)))
            },
        }
    }

    /// Not shown in lists.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Its own flags, and those of every command.
    pub fn own_flags(&self) -> Command {
        (self.flags)(bare())
    }
}

fn bare() -> Command {
    Command::new("nomad")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
}

/// The general flags alone.
pub fn general_flags() -> Command {
    General::augment_args(bare())
}

/// Runs the command line (without the program's name); gives the exit code.
pub fn main(line: &[String]) -> i32 {
    let ui = General::default().ui();
    // Modes of the program that are no commands of the interface.
    match line.first().map(String::as_str) {
        Some("agent") if !argv::wants_help(&line[1..]) => return agent(ui, &line[1..]),
        Some("supervisor") => return supervisor(ui, &line[1..]),
        Some("-v" | "-version" | "--version") => return main(&["version".to_owned()]),
        Some("-h" | "-help" | "--help") => {
            ui.out(help::root());
            return 0;
        }
        Some(word) if word.starts_with('-') => {
            ui.error(format!(
                "Invalid flags before the subcommand: {word}. Flags go after the command's name."
            ));
            return 1;
        }
        _ => {}
    }
    let Some((entry, rest)) = lookup(line) else {
        return unknown(ui, line);
    };
    if argv::wants_help(rest) {
        ui.out(help::of_command(entry));
        return 0;
    }
    match run(entry, rest, line) {
        Ok(code) => code,
        Err(error) => report(ui, entry, &error),
    }
}

fn report(ui: Ui, entry: &Entry, error: &anyhow::Error) -> i32 {
    if let Some(UsageError(text)) = error.downcast_ref() {
        ui.error(text);
        ui.error(format!(
            "For additional help try 'nomad {} -help'",
            entry.path
        ));
        return 1;
    }
    ui.error(format!("{error:#}"));
    if entry.path == "job plan" { 255 } else { 1 }
}

/// The verb of the longest path that begins the line, and the words after it.
fn lookup(line: &[String]) -> Option<(&'static Entry, &[String])> {
    (1..=line.len().min(4)).rev().find_map(|count| {
        let path = line[..count].join(" ");
        let entry = COMMANDS.iter().find(|entry| entry.path == path)?;
        Some((entry, &line[count..]))
    })
}

fn unknown(ui: Ui, line: &[String]) -> i32 {
    let group = (1..=line.len().min(3)).rev().find_map(|count| {
        let path = line[..count].join(" ");
        GROUPS.iter().find(|group| group.path == path)
    });
    match group {
        Some(group) if argv::wants_help(line) => {
            ui.out(help::of_group(group));
            0
        }
        Some(group) => {
            ui.err_bytes(help::of_group(group).as_bytes());
            1
        }
        None => {
            ui.err_bytes(help::root().as_bytes());
            UNKNOWN_COMMAND
        }
    }
}

fn run(entry: &Entry, words: &[String], line: &[String]) -> Result<i32> {
    let flags = General::augment_args(entry.own_flags());
    let split = match split(&flags, words) {
        Ok(split) => split,
        Err(error) => {
            let ui = General::default().ui();
            ui.error(error.to_string());
            ui.out(help::of_command(entry));
            return Ok(1);
        }
    };
    let matches = flags
        .try_get_matches_from(split.flags)
        .or_else(|error| usage(first_line(&error)))?;
    let general = General::from_arg_matches(&matches)?;
    check_arity(entry, split.positionals.len())?;
    let context = Context::new(&general, split.positionals, line.to_vec())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(async { (entry.run)(&matches, context)?.await });
    // A read of stdin may still be waiting; it must not keep the program alive.
    runtime.shutdown_background();
    code
}

/// Clap's own message without its usage text, in our spelling of flags.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").replace("'--", "'-")
}

fn check_arity(entry: &Entry, given: usize) -> Result<()> {
    let (least, most) = entry.arity;
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let count = |n: usize| match n {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        2 => "two arguments".to_owned(),
        n => format!("{n} arguments"),
    };
    let wanted = match (least, most) {
        (0, 0) => "no arguments".to_owned(),
        (0, 1) => "either no arguments or one".to_owned(),
        (least, usize::MAX) => format!("at least {}", count(least)),
        (least, most) if least == most => count(least),
        (least, most) => format!("{least} to {most} arguments"),
    };
    if entry.arguments.is_empty() {
        usage(format!("This command takes {wanted}"))
    } else {
        usage(format!("This command takes {wanted}: {}", entry.arguments))
    }
}

#[cfg(feature = "agent")]
fn agent(ui: Ui, args: &[String]) -> i32 {
    match nomad_agent::run(args) {
        Ok(code) => code,
        Err(error) => {
            ui.error(format!("==> {error:#}"));
            1
        }
    }
}

#[cfg(feature = "agent")]
fn supervisor(ui: Ui, args: &[String]) -> i32 {
    let dir = args
        .iter()
        .position(|arg| arg == "--dir")
        .and_then(|at| args.get(at + 1));
    let Some(dir) = dir else {
        ui.error("usage: nomad supervisor --dir DIR");
        return 1;
    };
    match nomad_supervisor::run(nomad_supervisor::SupervisorConfig::new(dir)) {
        Ok(()) => 0,
        Err(error) => {
            ui.error(format!("{:#}", anyhow::Error::from(error)));
            1
        }
    }
}

#[cfg(not(feature = "agent"))]
fn agent(ui: Ui, _: &[String]) -> i32 {
    ui.error("This nomad was built without the agent (feature `agent`).");
    1
}

#[cfg(not(feature = "agent"))]
fn supervisor(ui: Ui, args: &[String]) -> i32 {
    agent(ui, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_longest_path_wins() {
        let line = words("node status web -json");
        let (entry, rest) = lookup(&line).unwrap();
        assert_eq!(entry.path, "node status");
        assert_eq!(rest, ["web", "-json"]);
        assert!(lookup(&words("frobnicate")).is_none());
    }

    #[test]
    fn every_command_parses_its_defaults_and_has_help() {
        for entry in COMMANDS {
            let flags = General::augment_args(entry.own_flags());
            flags.clone().debug_assert();
            assert!(flags.try_get_matches_from(Vec::<String>::new()).is_ok());
            assert!(help::of_command(entry).contains(entry.path));
            assert!(!entry.synopsis.is_empty() && !entry.about.is_empty());
        }
    }

    #[test]
    fn every_group_has_members_and_every_member_a_group() {
        for group in GROUPS {
            let prefix = format!("{} ", group.path);
            assert!(COMMANDS.iter().any(|entry| entry.path.starts_with(&prefix)));
        }
        for entry in COMMANDS {
            if let Some((group, _)) = entry.path.rsplit_once(' ') {
                assert!(GROUPS.iter().any(|known| known.path == group), "{group}");
            }
        }
    }

    #[test]
    fn arity_is_told_in_words() {
        let entry = COMMANDS.iter().find(|e| e.path == "job run").unwrap();
        assert_eq!(
            check_arity(entry, 2).unwrap_err().to_string(),
            "This command takes one argument: <path>"
        );
    }
}
