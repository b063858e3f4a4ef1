//! Rows of Variables and of the keys that encrypt them. What is secret is here only as ciphertext.
//!
//! Source: servers and scheduling reference, "Variables" and "Keyring".

use std::fmt;
use std::sync::Arc;

use nomad_core::{Nanos, Timestamp, Uuid};
use serde::{Deserialize, Serialize};

/// Bytes that only a key opens. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sealed bytes", self.0.len())
    }
}

/// Where a Variable is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct VariableKey {
    pub namespace: String,
    pub path: String,
}

impl VariableKey {
    /// The key of a path in a namespace.
    pub fn new(namespace: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            path: path.into(),
        }
    }
}

/// Who may write a Variable, as long as they keep renewing it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VariableLock {
    /// Known to its holder.
    pub id: Uuid,
    /// How long it is held without renewal.
    pub ttl: Nanos,
    /// How long nobody may take it after it was lost.
    pub delay: Nanos,
}

/// A Variable's items under one key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealedItems {
    /// The root key that opens them.
    pub key_id: Uuid,
    pub data: Sealed,
}

/// A Variable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VariableRow {
    pub key: VariableKey,
    pub lock: Option<VariableLock>,
    /// Until then nobody may take the lock: its holder was lost.
    pub locked_out_until: Timestamp,
    pub items: SealedItems,
    pub create_index: u64,
    pub create_time: Timestamp,
    pub modify_index: u64,
    pub modify_time: Timestamp,
}

/// What a write of a Variable does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum VariableOp {
    /// Writes the items.
    #[default]
    Set,
    /// Writes the items if the modify index is this; 0 is "must not exist".
    Cas(u64),
    /// Deletes it; fine if there is none.
    Delete,
    /// Deletes it if the modify index is this.
    DeleteCas(u64),
    /// Writes the items and takes the lock.
    LockAcquire,
    /// Gives the lock back; the items stay.
    LockRelease,
    /// The holder did not renew: the lock ends and its delay begins.
    LockExpire,
}

/// What became of a write of a Variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableOutcome {
    /// Done; the row as it is now, absent if deleted.
    Done(Option<Arc<VariableRow>>),
    /// The index is another; what is stored.
    Conflict(Option<Arc<VariableRow>>),
    /// Somebody else holds the lock, or nobody may take it yet.
    Locked,
    /// A lock was named, but none is held.
    UnexpectedLock,
    /// There is no lock to give back.
    NotLocked,
    /// There is no such Variable.
    Missing,
}

/// A Variable's items under a new key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RekeyedVariable {
    pub key: VariableKey,
    /// The row that was read; a newer one is left alone.
    pub modify_index: u64,
    /// The key that its items were under.
    pub from: Uuid,
    pub items: SealedItems,
}

/// What a root key is for now.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RootKeyState {
    /// Opens what it sealed.
    #[default]
    Inactive,
    /// Seals everything new. Exactly one is.
    Active,
    /// What it sealed is being sealed anew.
    Rekeying,
    /// Its public half is told, so that others know it when it becomes active.
    Prepublished,
    /// Nothing is under it any more.
    Deprecated,
}

/// A root key, wrapped, with what may be known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RootKeyRow {
    pub id: Uuid,
    pub state: RootKeyState,
    /// When it becomes active, for one that is prepublished.
    pub publish_time: Timestamp,
    pub create_time: Timestamp,
    /// The key that wraps it.
    pub wrapped_by: Uuid,
    pub wrapped: Sealed,
    /// Modulus of the public half of its signing key, big-endian; empty for none.
    #[serde(with = "serde_bytes")]
    pub rsa_modulus: Vec<u8>,
    /// Public exponent of its signing key, big-endian.
    #[serde(with = "serde_bytes")]
    pub rsa_exponent: Vec<u8>,
    pub create_index: u64,
    pub modify_index: u64,
}
