//! [`Lifeline`]: how long a pool's memory lives.
//!
//! While a pool has handles, they keep it alive together: one hold. Buffers on loan count nothing, which keeps taking
//! one cheap. Before a closing pool asks its backend what is inside, it takes one hold for *every* object, and lets go
//! of those that are found; each object that returns late lets go of its own. A thread that returns a buffer without
//! holding a handle takes a hold for the time of the return. Whoever lets go last frees.

use crate::pool::sync::{AtomicUsize, Ordering, fence};

/// A count of holds on something; the last to let go frees it.
pub(super) struct Lifeline {
    holds: AtomicUsize,
}

impl Lifeline {
    /// Makes a lifeline with one hold.
    pub(super) fn new() -> Lifeline {
        Lifeline {
            holds: AtomicUsize::new(1),
        }
    }

    /// Takes `n` more holds. The caller has a hold already, or has an object that is not found yet.
    pub(super) fn hold(&self, n: usize) {
        // Relaxed: as with a reference count, the right to take a hold is what keeps the object alive meanwhile.
        self.holds.fetch_add(n, Ordering::Relaxed);
    }

    /// Lets go of `n` holds; true where they were the last, and the caller must free.
    #[must_use]
    pub(super) fn release(&self, n: usize) -> bool {
        // Release: our use comes before the free, wherever it happens.
        if self.holds.fetch_sub(n, Ordering::Release) != n {
            return false;
        }
        // Acquire: all others' use comes before our free.
        fence(Ordering::Acquire);
        true
    }
}
