//! A doorbell as shared memory: the host stores without a lock, the model looks.

use std::sync::atomic::{AtomicU64, Ordering};

/// One hot doorbell as shared memory: written without a lock, looked at by the model.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cell {
    pub(crate) value: AtomicU64,
    /// Writes so far.
    pub(crate) rings: AtomicU64,
}

impl Cell {
    /// Writes the doorbell.
    #[inline]
    pub(crate) fn ring(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        // SeqCst: publishes the value, and orders it before the look at whether the model sleeps.
        self.rings.fetch_add(1, Ordering::SeqCst);
    }
}
