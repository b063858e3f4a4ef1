//! Rows of namespaces: what jobs may do in them, and the hash by which replicas compare them.
//!
//! Source: HTTP API reference, "Namespaces".

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use nomad_core::job::StringMap;
use nomad_core::wire;
use serde::{Deserialize, Serialize};

/// A namespace. Blocks that this edition does not use are kept as they were written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamespaceRow {
    #[serde(with = "wire::null_default")]
    pub name: String,
    #[serde(with = "wire::null_default")]
    pub description: String,
    #[serde(with = "wire::null_default")]
    pub quota: String,
    pub capabilities: Option<NamespaceCapabilities>,
    pub node_pool_configuration: Option<serde_json::Value>,
    pub vault_configuration: Option<serde_json::Value>,
    pub consul_configuration: Option<serde_json::Value>,
    #[serde(with = "wire::null_if_empty")]
    pub meta: StringMap,
    /// Claims that workload identities of the namespace carry besides.
    #[serde(with = "wire::null_if_empty")]
    pub required_extra_claims: StringMap,
    #[serde(with = "wire::null_if_empty")]
    pub optional_extra_claims: StringMap,
    /// Over what an operator wrote; set when the row is applied.
    #[serde(with = "wire::base64_bytes")]
    pub hash: Vec<u8>,
    #[serde(with = "wire::null_default")]
    pub create_index: u64,
    #[serde(with = "wire::null_default")]
    pub modify_index: u64,
}

/// What jobs of a namespace may use. An empty list of what is enabled enables all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamespaceCapabilities {
    #[serde(with = "wire::null_if_empty")]
    pub enabled_task_drivers: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub disabled_task_drivers: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub enabled_network_modes: Vec<String>,
    #[serde(with = "wire::null_if_empty")]
    pub disabled_network_modes: Vec<String>,
}

/// Why a namespace cannot be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceUse {
    Jobs,
    Allocations,
    Variables,
}

impl NamespaceUse {
    /// What the namespace has, as the refusal says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "has non-terminal jobs",
            Self::Allocations => "has non-terminal allocations",
            Self::Variables => "has variables associated with it",
        }
    }
}

impl NamespaceRow {
    /// The namespace that is always there.
    pub(crate) fn built_in() -> Self {
        let mut row = Self {
            name: nomad_core::DEFAULT_NAMESPACE.to_owned(),
            description: "Default shared namespace".to_owned(),
            create_index: 1,
            modify_index: 1,
            ..Self::default()
        };
        row.hash = row.computed_hash();
        row
    }

    /// BLAKE2b-256 over everything that an operator writes.
    pub(crate) fn computed_hash(&self) -> Vec<u8> {
        let mut hash = Blake2b::<U32>::new();
        for text in [&self.name, &self.description, &self.quota] {
            hash.update(text);
        }
        if let Some(caps) = &self.capabilities {
            let lists = [
                &caps.enabled_task_drivers,
                &caps.disabled_task_drivers,
                &caps.enabled_network_modes,
                &caps.disabled_network_modes,
            ];
            for text in lists.into_iter().flatten() {
                hash.update(text);
            }
        }
        for block in [
            &self.node_pool_configuration,
            &self.vault_configuration,
            &self.consul_configuration,
        ]
        .into_iter()
        .flatten()
        {
            hash.update(block.to_string());
        }
        for map in [
            &self.meta,
            &self.required_extra_claims,
            &self.optional_extra_claims,
        ] {
            for (key, value) in map {
                hash.update(key);
                hash.update(value);
            }
        }
        hash.finalize().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_what_an_operator_writes() {
        let hash = |row: &NamespaceRow| row.computed_hash();
        let base = NamespaceRow {
            name: "team".to_owned(),
            ..NamespaceRow::default()
        };
        let mut other = base.clone();
        other.modify_index = 9;
        assert_eq!(hash(&base), hash(&other), "indexes do not count");
        assert_eq!(hash(&base).len(), 32);
        other.meta.insert("k".to_owned(), "v".to_owned());
        assert_ne!(hash(&base), hash(&other));
        other.meta.clear();
        other.capabilities = Some(NamespaceCapabilities {
            disabled_task_drivers: vec!["exec".to_owned()],
            ..NamespaceCapabilities::default()
        });
        assert_ne!(hash(&base), hash(&other));
    }
}
