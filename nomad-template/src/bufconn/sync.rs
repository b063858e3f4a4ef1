//! The lock and the counted pointer of this module, in one place so that tests can swap them for instrumented ones.

pub(super) use std::sync::Arc;

/// A mutex without poisoning.
#[derive(Debug, Default)]
pub(super) struct Lock<T>(parking_lot::Mutex<T>);

impl<T> Lock<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    #[inline]
    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, T> {
        self.0.lock()
    }
}
