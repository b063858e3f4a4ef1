//! Names of signals, as job files and the API give them.

use rustix::process::Signal;

/// A name that is no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal {name:?}")]
pub struct UnknownSignal {
    /// As given.
    pub name: String,
}

/// The names that are accepted, with or without `SIG`, in any case.
const NAMES: [(&str, Signal); 29] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("BUS", Signal::BUS),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("IO", Signal::IO),
    ("IOT", Signal::ABORT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("PROF", Signal::PROF),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("STOP", Signal::STOP),
    ("SYS", Signal::SYS),
    ("TERM", Signal::TERM),
    ("TRAP", Signal::TRAP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("WINCH", Signal::WINCH),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
];

/// The number of a signal on this machine.
///
/// # Errors
/// If there is no such signal.
pub fn number(name: &str) -> Result<i32, UnknownSignal> {
    let upper = name.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let found = NAMES.iter().find(|(known, _)| *known == bare);
    found
        .map(|(_, signal)| signal.as_raw())
        .ok_or_else(|| UnknownSignal {
            name: name.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_form() {
        assert_eq!(number("SIGINT"), Ok(2));
        assert_eq!(number("sigterm"), Ok(15));
        assert_eq!(number("HUP"), Ok(1));
        assert_eq!(number("SIGXCPU"), Ok(24));
        assert_eq!(
            number("SIGNONE").expect_err("unknown").to_string(),
            "unknown signal \"SIGNONE\""
        );
        assert!(number("").is_err() && number("9").is_err());
    }
}
