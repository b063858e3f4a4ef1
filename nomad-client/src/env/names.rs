//! Names of environment variables: what is made legal, what is kept from tasks.

use std::collections::BTreeMap;

/// Variables of the agent that tasks do not inherit, unless `env.denylist` says otherwise.
pub const DEFAULT_DENYLIST: &[&str] = &[
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "NOMAD_TOKEN",
    "VAULT_TOKEN",
    "CONSUL_LICENSE",
    "CONSUL_LICENSE_PATH",
    "NOMAD_LICENSE",
    "NOMAD_LICENSE_PATH",
    "VAULT_LICENSE",
    "VAULT_LICENSE_PATH",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_METADATA_URL",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
];

/// Families of variables whose names come from users and are made legal.
const CLEANED: &[&str] = &[
    "NOMAD_ADDR_",
    "NOMAD_IP_",
    "NOMAD_PORT_",
    "NOMAD_HOST_PORT_",
    "NOMAD_META_",
];

/// The name under which a variable is set: in some families every character that shells refuse becomes `_`; dots stay.
pub fn clean_key(key: &str) -> String {
    if CLEANED.iter().any(|prefix| key.starts_with(prefix)) {
        clean(key)
    } else {
        key.to_owned()
    }
}

/// Every character that may not stand in a variable's name becomes `_`; dots stay.
pub(super) fn clean(key: &str) -> String {
    key.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// The agent's environment without what tasks must not see. `denylist` is the value of the client option
/// `env.denylist`, separated by commas; it replaces the default list.
pub fn filter_agent_env(
    agent: impl IntoIterator<Item = (String, String)>,
    denylist: Option<&str>,
) -> BTreeMap<String, String> {
    let denied: Vec<&str> = match denylist {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => DEFAULT_DENYLIST.to_vec(),
    };
    agent
        .into_iter()
        .filter(|(key, _)| !key.is_empty() && !denied.contains(&key.as_str()))
        .collect()
}
