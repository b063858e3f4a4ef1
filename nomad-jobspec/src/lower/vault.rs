//! `vault`, `consul`, `identity`, `secret`.

use nomad_core::spec::{Consul, Secret, Vault, WorkloadIdentity};

use super::body::Reader;
use super::{all, labelled};

pub(super) fn vault(reader: Reader<'_>) -> Vault {
    let vault = Vault {
        role: reader.text("role"),
        namespace: reader.string("namespace"),
        cluster: reader.text("cluster"),
        policies: reader.strings("policies"),
        env: Some(reader.bool("env").unwrap_or(true)),
        disable_file: Some(reader.bool("disable_file").unwrap_or(false)),
        change_mode: Some(
            reader
                .string("change_mode")
                .unwrap_or_else(|| "restart".to_owned()),
        ),
        change_signal: reader.string("change_signal"),
        allow_token_expiration: reader.bool("allow_token_expiration"),
    };
    reader.finish();
    vault
}

pub(super) fn consul(reader: Reader<'_>) -> Consul {
    let consul = Consul {
        namespace: reader.text("namespace"),
        cluster: reader.text("cluster"),
        partition: reader.text("partition"),
    };
    reader.finish();
    consul
}

pub(super) fn identity(reader: Reader<'_>) -> WorkloadIdentity {
    let identity = WorkloadIdentity {
        name: reader.text("name"),
        audience: reader.strings("aud"),
        change_mode: reader.text("change_mode"),
        change_signal: reader.text("change_signal"),
        env: reader.flag("env"),
        file: reader.flag("file"),
        filepath: reader.text("filepath"),
        service_name: reader.text("service_name"),
        ttl: reader.duration("ttl").unwrap_or_default(),
        extra_claims: reader.string_map("extra_claims"),
    };
    reader.finish();
    identity
}

/// The default identity (the last of that name) and the others.
pub(super) fn identities(
    reader: &Reader<'_>,
) -> (Option<WorkloadIdentity>, Option<Vec<WorkloadIdentity>>) {
    let mut default = None;
    let mut others = Vec::new();
    for identity in all(reader, "identity", identity).unwrap_or_default() {
        if matches!(identity.name.as_str(), "" | "default") {
            default = Some(identity);
        } else {
            others.push(identity);
        }
    }
    (
        default,
        if others.is_empty() {
            None
        } else {
            Some(others)
        },
    )
}

pub(super) fn secrets(reader: &Reader<'_>) -> Option<Vec<Secret>> {
    labelled(reader, "secret", secret)
}

fn secret(reader: Reader<'_>) -> Secret {
    let secret = Secret {
        name: reader.label(0).to_owned(),
        provider: reader.text("provider"),
        path: reader.text("path"),
        config: reader.free_form("config", true),
        env: reader.string_map_block("env"),
    };
    reader.finish();
    secret
}
