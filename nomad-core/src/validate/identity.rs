//! Rules for identities, Vault and secrets.

use std::collections::BTreeSet;

use super::errors::Messages;
use super::text;
use crate::spec::{Task, Vault, WorkloadIdentity};

fn is_name(name: &str, dash: bool) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || (dash && b == b'-'))
}

/// All identities of a task.
pub(super) fn identities(task: &Task) -> Messages {
    let mut errors = Messages::new();
    let mut seen = BTreeSet::new();
    for identity in task.identity.iter().chain(task.identities.iter().flatten()) {
        errors.nest(
            &format!("Identity {:?} is invalid", identity.name),
            &self::identity(identity),
        );
        errors.require(seen.insert(&identity.name), || {
            format!("Identity {:?} is defined more than once", identity.name)
        });
    }
    errors
}

pub(super) fn identity(identity: &WorkloadIdentity) -> Messages {
    let mut errors = Messages::new();
    let default = matches!(identity.name.as_str(), "" | "default");
    errors.require(
        identity.name.is_empty() || is_name(&identity.name, true),
        || {
            format!(
                "invalid name {:?}: must be 1 to 128 letters, digits, dashes or underscores",
                identity.name
            )
        },
    );
    errors.require(
        identity
            .audience
            .iter()
            .flatten()
            .all(|audience| !audience.is_empty()),
        || "an empty string is an invalid audience".to_owned(),
    );
    let signal = !identity.change_signal.is_empty();
    match identity.change_mode.as_str() {
        "" | "noop" | "restart" => {
            errors.require(!signal, || {
                format!(
                    "can only use change_signal={:?} with change_mode=\"signal\"",
                    identity.change_signal
                )
            });
        }
        "signal" => errors.require(signal, || {
            "change_signal must be specified when using change_mode=\"signal\"".to_owned()
        }),
        other => errors.add(format!(
            "invalid change_mode {other:?}: must be noop, restart, or signal"
        )),
    }
    errors.require(identity.ttl.0 >= 0, || "ttl must be >= 0".to_owned());
    errors.require(!default || identity.ttl.is_zero(), || {
        "ttl for default identity not yet supported".to_owned()
    });
    errors.require(identity.filepath.is_empty() || identity.file, || {
        "file parameter must be true in order to specify filepath".to_owned()
    });
    errors
}

pub(super) fn vault(vault: &Vault) -> Messages {
    let mut errors = Messages::new();
    match text(vault.change_mode.as_ref()) {
        "noop" | "restart" => {}
        "signal" => {
            errors.require(!text(vault.change_signal.as_ref()).is_empty(), || {
                "Signal must be specified when using change mode \"signal\"".to_owned()
            });
        }
        other => errors.add(format!("Unknown change mode {other:?}")),
    }
    errors
}

pub(super) fn secrets(task: &Task) -> Messages {
    let mut errors = Messages::new();
    let mut seen = BTreeSet::new();
    for secret in task.secrets.iter().flatten() {
        let name = &secret.name;
        errors.require(seen.insert(name), || {
            format!("Duplicate secret {name:?} found")
        });
        let mut inner = Messages::new();
        inner.require(is_name(name, false), || {
            "secret name must be 1 to 128 letters, digits or underscores".to_owned()
        });
        inner.require(!secret.provider.is_empty(), || {
            "secret provider cannot be empty".to_owned()
        });
        inner.require(!secret.path.is_empty(), || {
            "secret path cannot be empty".to_owned()
        });
        inner.require(secret.provider != "vault" || task.vault.is_some(), || {
            "secret uses the vault provider, but the task has no vault block".to_owned()
        });
        let (has_env, has_config) = (
            secret.env.as_ref().is_some_and(|env| !env.is_empty()),
            secret
                .config
                .as_ref()
                .is_some_and(|config| !config.is_empty()),
        );
        if matches!(secret.provider.as_str(), "vault" | "nomad") {
            inner.require(!has_env, || {
                format!("{} provider cannot use the env block", secret.provider)
            });
        } else {
            inner.require(!has_config, || {
                format!(
                    "custom plugin provider {:?} cannot use the config block",
                    secret.provider
                )
            });
        }
        errors.nest(&format!("Secret {name:?} is invalid"), &inner);
    }
    errors
}
