//! sprig's functions, each under the prefix `sprig_`.
//!
//! Not here, and said so when called: those that make keys and certificates, hash passwords, or
//! ask the name server. Nothing random is secret: the stream is seeded per rendering.

mod dicts;
mod lists;
mod math;
mod misc;
mod semver;
mod strings;

use super::Entry;

/// The tables of this module.
pub(super) fn tables() -> [&'static [Entry]; 6] {
    [
        strings::TABLE,
        lists::TABLE,
        dicts::TABLE,
        math::TABLE,
        misc::TABLE,
        semver::TABLE,
    ]
}

/// Functions whose result depends on time, chance or the host. The reference leaves them out.
pub(crate) fn is_not_repeatable(name: &str) -> bool {
    matches!(
        name.strip_prefix("sprig_").unwrap_or_default(),
        "date"
            | "date_in_zone"
            | "date_modify"
            | "now"
            | "htmlDate"
            | "htmlDateInZone"
            | "dateInZone"
            | "dateModify"
            | "randAlphaNum"
            | "randAlpha"
            | "randAscii"
            | "randNumeric"
            | "randBytes"
            | "uuidv4"
            | "env"
            | "expandenv"
            | "getHostByName"
    )
}
