//! The keyring: root keys that encrypt Variables, wrapped in the state by keys that never leave the servers' disks.
//!
//! A root key is 32 bytes for AES-256-GCM and an RSA key that signs. The state holds it wrapped by a key-encryption
//! key, which lies in the server's `keystore` directory, readable by its owner alone. So the log and snapshots alone
//! open nothing; who keeps backups keeps the keystore apart from them.
//!
//! Source: servers and scheduling reference, "Keyring".

pub(crate) mod cipher;
mod keystore;
pub mod rotation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use nomad_core::{Timestamp, Uuid};
use nomad_state::State;
use nomad_state::variable::{
    RootKeyRow, RootKeyState, Sealed, SealedItems, VariableKey, VariableRow,
};
use parking_lot::Mutex;
use rand::RngCore as _;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use zeroize::Zeroizing;

use self::cipher::{KEY_BYTES, Key};
use self::keystore::Keystore;
use crate::error::ServerError;

pub use self::keystore::KeystoreError;

/// Bits of the RSA keys that sign.
const RSA_BITS: usize = 2048;
/// The algorithm that rows of keys name.
pub const ALGORITHM: &str = "aes256-gcm";
/// Opened root keys that are kept; beyond it all are opened anew.
const MAX_OPENED: usize = 64;

/// A Variable's items. Secret: not part of `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Items(pub BTreeMap<String, String>);

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items", self.0.len())
    }
}

/// Why something cannot be sealed or opened. No text holds anything secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyringError {
    /// The cluster has no active key yet.
    #[error("the keyring has no active key yet")]
    NoActiveKey,
    /// The state has no such key.
    #[error("root key {id} not found")]
    UnknownKey { id: Uuid },
    /// This server does not have the key that wraps it.
    #[error("root key {id} is wrapped by key {wrapped_by}, which is not in this server's keystore")]
    NotHere { id: Uuid, wrapped_by: Uuid },
    /// What is stored does not fit the key.
    #[error("{what} cannot be opened with key {id}: it was changed, or the key is another")]
    Damaged { what: &'static str, id: Uuid },
    /// The keystore on disk failed.
    #[error(transparent)]
    Keystore(#[from] Arc<KeystoreError>),
    /// Randomness or arithmetic failed.
    #[error("a key could not be made: {reason}")]
    Generate { reason: String },
}

impl From<KeyringError> for ServerError {
    fn from(error: KeyringError) -> Self {
        Self::internal(error.to_string())
    }
}

/// The keys of one server.
pub(crate) struct Keyring {
    keystore: Keystore,
    opened: Mutex<HashMap<Uuid, Arc<Key>>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    /// Reads the keystore in a directory; without one, keys are gone with the process.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, KeystoreError> {
        Ok(Self {
            keystore: Keystore::open(directory)?,
            opened: Mutex::default(),
        })
    }

    /// Makes a root key. Takes a good part of a second: not for async tasks.
    pub(crate) fn generate(
        &self,
        id: Uuid,
        state: RootKeyState,
        publish_time: Timestamp,
        now: Timestamp,
    ) -> Result<RootKeyRow, KeyringError> {
        let failed = |error: &dyn fmt::Display| KeyringError::Generate {
            reason: error.to_string(),
        };
        let signer = rsa::RsaPrivateKey::new(&mut SystemRng, RSA_BITS).map_err(|e| failed(&e))?;
        let der = signer.to_pkcs8_der().map_err(|e| failed(&e))?;
        let mut material = Zeroizing::new(vec![0; KEY_BYTES]);
        rand::rng().fill_bytes(&mut material);
        material.extend_from_slice(der.as_bytes());
        let (wrapped_by, wrapping) = self.keystore.wrapping().map_err(Arc::new)?;
        let wrapped = cipher::seal(&wrapping, &material, &wrap_context(id));
        Ok(RootKeyRow {
            id,
            state,
            publish_time,
            create_time: now,
            wrapped_by,
            wrapped: Sealed(wrapped),
            rsa_modulus: signer.n().to_bytes_be(),
            rsa_exponent: signer.e().to_bytes_be(),
            ..RootKeyRow::default()
        })
    }

    /// Seals items with the active key of the state.
    pub(crate) fn seal(
        &self,
        state: &State,
        place: &VariableKey,
        items: &Items,
    ) -> Result<SealedItems, KeyringError> {
        let row = state.active_root_key().ok_or(KeyringError::NoActiveKey)?;
        let key = self.key(row)?;
        let plain = rmp_serde::to_vec(&items.0).map_err(|error| KeyringError::Generate {
            reason: error.to_string(),
        })?;
        let plain = Zeroizing::new(plain);
        Ok(SealedItems {
            key_id: row.id,
            data: Sealed(cipher::seal(&key, &plain, &item_context(row.id, place))),
        })
    }

    /// Opens the items of a Variable.
    pub(crate) fn open_items(
        &self,
        state: &State,
        variable: &VariableRow,
    ) -> Result<Items, KeyringError> {
        let id = variable.items.key_id;
        let row = state.root_key(id).ok_or(KeyringError::UnknownKey { id })?;
        let key = self.key(row)?;
        let what = "a Variable";
        let damaged = || KeyringError::Damaged { what, id };
        let context = item_context(id, &variable.key);
        let plain = cipher::open(&key, &variable.items.data.0, &context).ok_or_else(damaged)?;
        let items = rmp_serde::from_slice(&plain).map_err(|_| damaged())?;
        Ok(Items(items))
    }

    /// The symmetric half of a root key.
    fn key(&self, row: &RootKeyRow) -> Result<Arc<Key>, KeyringError> {
        if let Some(key) = self.opened.lock().get(&row.id) {
            return Ok(Arc::clone(key));
        }
        let id = row.id;
        let wrapping = self.keystore.get(row.wrapped_by);
        let wrapping = wrapping.ok_or(KeyringError::NotHere {
            id,
            wrapped_by: row.wrapped_by,
        })?;
        let material = cipher::open(&wrapping, &row.wrapped.0, &wrap_context(id));
        let key = material.as_deref().and_then(|bytes| Key::read(bytes));
        let key = key.ok_or(KeyringError::Damaged {
            what: "a root key",
            id: row.wrapped_by,
        })?;
        let key = Arc::new(key);
        let mut opened = self.opened.lock();
        if opened.len() >= MAX_OPENED {
            opened.clear();
        }
        opened.insert(id, Arc::clone(&key));
        Ok(key)
    }

    /// Wrapping keys that rows of the state name and that this server does not have.
    pub(crate) fn missing(&self, state: &State) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = state
            .root_keys()
            .map(|row| row.wrapped_by)
            .filter(|id| self.keystore.get(*id).is_none())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// A wrapping key's bytes, for another server of the cluster.
    pub(crate) fn export(&self, id: Uuid) -> Option<Zeroizing<Vec<u8>>> {
        self.keystore.get(id).map(|key| key.bytes())
    }

    /// Keeps a wrapping key that another server gave: one that the state names, that is missing, and that fits.
    pub(crate) fn import(&self, state: &State, id: Uuid, bytes: &[u8]) -> Result<(), KeyringError> {
        let damaged = || KeyringError::Damaged {
            what: "a root key",
            id,
        };
        let key = Key::read_whole(bytes).ok_or_else(damaged)?;
        let row = state.root_keys().find(|row| row.wrapped_by == id);
        let row = row.ok_or(KeyringError::UnknownKey { id })?;
        cipher::open(&key, &row.wrapped.0, &wrap_context(row.id)).ok_or_else(damaged)?;
        Ok(self.keystore.add(id, key).map_err(Arc::new)?)
    }
}

/// Ties a wrapped key to its row.
fn wrap_context(id: Uuid) -> Vec<u8> {
    [b"root key ".as_slice(), &id.0].concat()
}

/// Ties items to their key and place, so that nobody who can write the state swaps them unnoticed.
fn item_context(id: Uuid, place: &VariableKey) -> Vec<u8> {
    let parts = [
        b"variable ".as_slice(),
        &id.0,
        place.namespace.as_bytes(),
        b"\0",
        place.path.as_bytes(),
    ];
    parts.concat()
}

/// The system's randomness in the form that RSA wants.
struct SystemRng;

impl rsa::rand_core::CryptoRng for SystemRng {}

impl rsa::rand_core::RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        rand::rng().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        rand::rng().next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
