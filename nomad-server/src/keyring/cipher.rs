//! AES-256-GCM: a random nonce, then the ciphertext with its tag.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use rand::RngCore as _;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// A key. Wiped from memory with its last owner, and never shown.
pub(crate) struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// A new key from the system's randomness.
    pub(crate) fn random() -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::rng().fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The key at the start of some bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; KEY_BYTES] = bytes.get(..KEY_BYTES)?.try_into().ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    /// The key that some bytes are.
    pub(crate) fn read_whole(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes).filter(|_| bytes.len() == KEY_BYTES)
    }

    pub(crate) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_vec())
    }
}

/// Seals bytes together with a context, which is not kept but must be the same to open them.
///
/// # Panics
/// Never: only inputs of many gigabytes cannot be sealed, and what is sealed here is bounded far below.
pub(crate) fn seal(key: &Key, plain: &[u8], context: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    let payload = Payload {
        msg: plain,
        aad: context,
    };
    let cipher = Aes256Gcm::new(key.0.as_slice().into());
    let sealed = cipher
        .encrypt(Nonce::from_slice(&nonce), payload)
        .expect("inputs are far below the limit of 64 GiB");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`seal`] gave; nothing if it was changed, or if key or context are others.
pub(crate) fn open(key: &Key, sealed: &[u8], context: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
    let payload = Payload {
        msg: sealed,
        aad: context,
    };
    let cipher = Aes256Gcm::new(key.0.as_slice().into());
    let plain = cipher.decrypt(Nonce::from_slice(nonce), payload).ok()?;
    Some(Zeroizing::new(plain))
}
