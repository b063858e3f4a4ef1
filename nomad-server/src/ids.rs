//! Where the server's fresh ids and random numbers come from: handed in, so that tests can replay them.

use std::sync::Arc;

use nomad_core::{IdSource, Uuid};
use parking_lot::Mutex;
use rand::RngCore as _;

/// A source of ids that all parts of a server share.
#[derive(Clone)]
pub struct SharedIds(Arc<Mutex<dyn IdSource + Send>>);

impl SharedIds {
    /// Shares a source.
    pub fn new(source: impl IdSource + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(source)))
    }

    /// Ids from the system's randomness.
    pub fn random() -> Self {
        Self::new(RandomIds)
    }

    /// A fresh id of any kind.
    pub fn fresh<T: From<Uuid>>(&self) -> T {
        self.0.lock().next_uuid().into()
    }

    /// A number of 64 random bits.
    pub fn seed(&self) -> u64 {
        let Uuid(bytes) = self.0.lock().next_uuid();
        // Version and variant take some bits of each half; together the halves hold 64 free ones.
        let half = |at: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(part)
        };
        half(0).rotate_left(32) ^ half(8)
    }

    /// A number in [0, 1).
    pub fn fraction(&self) -> f64 {
        (self.seed() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl IdSource for SharedIds {
    fn next_uuid(&mut self) -> Uuid {
        self.0.lock().next_uuid()
    }
}

impl std::fmt::Debug for SharedIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedIds")
    }
}

/// Version 4 UUIDs from the system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        Uuid::from_random(bytes)
    }
}
