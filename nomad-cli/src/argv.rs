//! Command lines in Go's manner made into ones that clap reads.
//!
//! `-x`, `--x`, `-x=v` and `-x v` mean the same; booleans never take the next word; flags end at the first word that
//! is none, or at `--`.

use clap::{ArgAction, Command};

/// A command's words, flags and the rest apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Flags as clap reads them: `--name`, `--name=value`.
    pub flags: Vec<String>,
    /// What comes after them.
    pub positionals: Vec<String>,
}

/// Why a command line cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum ArgvError {
    /// There is no such flag.
    Unknown(String),
    /// The flag's value is missing.
    NeedsValue(String),
    /// The value of a switch is no boolean.
    NotBoolean { flag: String, value: String },
}

impl std::fmt::Display for ArgvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(flag) => write!(f, "flag provided but not defined: -{flag}"),
            Self::NeedsValue(flag) => write!(f, "flag needs an argument: -{flag}"),
            Self::NotBoolean { flag, value } => write!(
                f,
                "invalid boolean value {value:?} for -{flag}: want true or false"
            ),
        }
    }
}

/// Splits the words after the command's name, by the flags that the command knows.
pub fn split(command: &Command, words: &[String]) -> Result<Split, ArgvError> {
    let mut split = Split::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = match word.strip_prefix('-') {
            None | Some("") => {
                split.positionals.push(word.clone());
                break;
            }
            Some("-") => break,
            Some(rest) => rest.strip_prefix('-').unwrap_or(rest),
        };
        let (name, given) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let known = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name))
            .ok_or_else(|| ArgvError::Unknown(name.to_owned()))?;
        if matches!(known.get_action(), ArgAction::SetTrue) {
            match given.as_deref().map(go_bool) {
                None | Some(Some(true)) => split.flags.push(format!("--{name}")),
                Some(Some(false)) => {}
                Some(None) => {
                    return Err(ArgvError::NotBoolean {
                        flag: name.to_owned(),
                        value: given.unwrap_or_default(),
                    });
                }
            }
            continue;
        }
        if known.is_require_equals_set() {
            // A boolean that is true where nothing is said.
            let value = given.as_deref().unwrap_or("true");
            let value = go_bool(value).ok_or_else(|| ArgvError::NotBoolean {
                flag: name.to_owned(),
                value: value.to_owned(),
            })?;
            split.flags.push(format!("--{name}={value}"));
            continue;
        }
        let value = match given {
            Some(value) => value,
            None => words
                .next()
                .cloned()
                .ok_or_else(|| ArgvError::NeedsValue(name.to_owned()))?,
        };
        split.flags.push(format!("--{name}={value}"));
    }
    split.positionals.extend(words.cloned());
    Ok(split)
}

/// Whether help is asked for anywhere before `--`.
pub fn wants_help(words: &[String]) -> bool {
    words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| matches!(word.as_str(), "-h" | "-help" | "--help"))
}

/// Booleans as Go's flags read them.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    fn command() -> Command {
        Command::new("x")
            .arg(Arg::new("json").long("json").action(ArgAction::SetTrue))
            .arg(Arg::new("address").long("address"))
            .arg(
                Arg::new("diff")
                    .long("diff")
                    .num_args(0..=1)
                    .require_equals(true),
            )
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn run(text: &str) -> Result<(String, String), ArgvError> {
        split(&command(), &words(text))
            .map(|split| (split.flags.join(" "), split.positionals.join(" ")))
    }

    #[test]
    fn all_spellings_of_a_flag_are_one() {
        for text in ["-address=a", "--address=a", "-address a", "--address a"] {
            assert_eq!(run(text).unwrap().0, "--address=a", "{text}");
        }
        assert_eq!(run("-address=a=b").unwrap().0, "--address=a=b");
        assert_eq!(run("-address -json").unwrap().0, "--address=-json");
    }

    #[test]
    fn booleans_never_take_the_next_word() {
        assert_eq!(
            run("-json false").unwrap(),
            ("--json".to_owned(), "false".to_owned())
        );
        assert_eq!(run("-json=false x").unwrap().0, "");
        assert_eq!(run("-json=1").unwrap().0, "--json");
        assert_eq!(run("-diff x").unwrap().0, "--diff=true");
        assert_eq!(run("-diff=f").unwrap().0, "--diff=false");
        assert!(matches!(
            run("-json=maybe"),
            Err(ArgvError::NotBoolean { .. })
        ));
    }

    #[test]
    fn flags_end_at_the_first_other_word() {
        assert_eq!(
            run("-json web -address=a").unwrap(),
            ("--json".to_owned(), "web -address=a".to_owned())
        );
        assert_eq!(run("-- -json").unwrap().1, "-json");
        assert_eq!(run("- -json").unwrap().1, "- -json");
    }

    #[test]
    fn unknown_flags_and_missing_values_are_named() {
        assert_eq!(
            run("-nope").unwrap_err().to_string(),
            "flag provided but not defined: -nope"
        );
        assert_eq!(
            run("-address").unwrap_err().to_string(),
            "flag needs an argument: -address"
        );
    }

    #[test]
    fn help_is_seen_anywhere_before_two_dashes() {
        assert!(wants_help(&words("job status web -h")));
        assert!(!wants_help(&words("alloc exec id -- ls -h")));
    }
}
