//! Variables, their locks, and the keys that encrypt them.

use std::collections::BTreeMap;
use std::fmt;

use nomad_core::wire;
use serde::{Deserialize, Serialize};

/// A Variable. Its items are secret: not part of `Debug`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Variable {
    #[serde(with = "wire::null_default")]
    pub namespace: String,
    #[serde(with = "wire::null_default")]
    pub path: String,
    pub lock: Option<VariableLock>,
    #[serde(with = "wire::null_default")]
    pub create_index: u64,
    /// Nanoseconds since 1970.
    #[serde(with = "wire::null_default")]
    pub create_time: i64,
    #[serde(with = "wire::null_default")]
    pub modify_index: u64,
    #[serde(with = "wire::null_default")]
    pub modify_time: i64,
    /// Absent where the caller may not see them, or gave none.
    pub items: Option<BTreeMap<String, String>>,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable")
            .field("namespace", &self.namespace)
            .field("path", &self.path)
            .field("modify_index", &self.modify_index)
            .finish_non_exhaustive()
    }
}

/// A Variable without its items.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VariableMetadata {
    pub namespace: String,
    pub path: String,
    pub lock: Option<VariableLock>,
    pub create_index: u64,
    pub create_time: i64,
    pub modify_index: u64,
    pub modify_time: i64,
}

/// A lock of a Variable.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VariableLock {
    /// A Go duration; "" is the default.
    #[serde(rename = "TTL", with = "wire::null_default")]
    pub ttl: String,
    #[serde(with = "wire::null_default")]
    pub lock_delay: String,
    /// What its holder proves itself by.
    #[serde(rename = "ID", with = "wire::null_default")]
    pub id: String,
}

impl fmt::Debug for VariableLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VariableLock")
            .field("ttl", &self.ttl)
            .field("lock_delay", &self.lock_delay)
            .finish_non_exhaustive()
    }
}

/// What may be known of a root key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RootKeyMeta {
    #[serde(rename = "KeyID")]
    pub key_id: String,
    pub algorithm: String,
    pub create_time: i64,
    pub create_index: u64,
    pub modify_index: u64,
    /// `active`, `inactive`, `rekeying`, `prepublished` or `deprecated`.
    pub state: String,
    pub publish_time: i64,
}

/// The answer to a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RotateKeyResponse {
    pub key: RootKeyMeta,
    pub index: u64,
}
