//! What DPDK finds when it frees a mempool.
//!
//! It takes objects one by one, as often as there are any, before it calls `free`: those that are out or in a cache are
//! gets that fail. No application made them. DPDK counts down `populated_size` meanwhile, after each.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::abi::RteMempool;

/// The gets of DPDK's that failed while it frees a mempool; costs nothing while gets succeed.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Objects that DPDK was shown.
    shown: AtomicU32,
    /// How many objects were to come when a get failed for the first time, or 0.
    missing: AtomicU32,
    /// The room of the last get that failed while DPDK had all objects on its list.
    last: AtomicPtr<*mut c_void>,
}

/// What it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Objects that were in the list.
    pub(crate) found: u32,
    /// Objects that were not: out, or in a cache.
    pub(crate) missing: u32,
}

impl Drain {
    /// Hears that DPDK has none of them on its list any more, and may be shown others.
    pub(crate) fn none_shown(&self) {
        self.shown.store(0, Ordering::Relaxed);
    }

    /// Hears of objects that DPDK was shown, and has on its list.
    pub(crate) fn shown(&self, objects: u32) {
        self.shown.fetch_add(objects, Ordering::Relaxed);
    }

    /// Hears of a get of one object that failed.
    #[cold]
    pub(crate) fn failed(&self, mempool: &RteMempool, room: *mut *mut c_void) {
        let (left, all) = (mempool.populated_size, self.shown.load(Ordering::Relaxed));
        if left >= all {
            // Of the application, or the first of DPDK's: the second tells, which has the same room.
            self.last.store(room, Ordering::Relaxed);
            return;
        }
        let is_second = left + 1 == all;
        let too = is_second && self.last.load(Ordering::Relaxed) == room;
        self.missing
            .fetch_max(left + u32::from(too), Ordering::Relaxed);
    }

    /// Returns what was found, in a mempool that DPDK frees; `None` where it did not empty its list. Where a mempool has one
    /// object, nobody can tell whose get failed: it counts as found.
    pub(crate) fn result(&self, mempool: &RteMempool) -> Option<Drained> {
        let shown = self.shown.load(Ordering::Relaxed);
        let missing = self.missing.load(Ordering::Relaxed).min(shown);
        (mempool.populated_size == 0).then_some(Drained {
            found: shown - missing,
            missing,
        })
    }
}
