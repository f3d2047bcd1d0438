//! Whose mempools are: those of the process that made them. A secondary process of DPDK's sees the same mempool, without the
//! memory that it points to; a child of `fork` sees its parent's, with a list that they do not share.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::log::{self, Level};

/// The number of this process among those that made mempools, from 1 on; 0 where it made none, and what `pool_data` points
/// to is not its own.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// How many forks this process is away from the one that loaded the driver.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Set once the log was told of a mempool of another process.
static TOLD_FOREIGN: AtomicBool = AtomicBool::new(false);

/// Returns the number of this process if it made mempools, else 0.
#[inline(always)]
pub(crate) fn current() -> u32 {
    OWNER.load(Ordering::Relaxed)
}

/// Returns what [`current`] is in this process once it has made a mempool.
pub(crate) fn number() -> u32 {
    FORKS.load(Ordering::Relaxed) + 1
}

/// Remembers that mempools of this process are its own, until a `fork`.
pub(crate) fn become_owner() {
    extern "C" fn in_child() {
        OWNER.store(0, Ordering::Relaxed);
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    // SAFETY: the handler only changes atomics, which is allowed between `fork` and `exec`.
    ONCE.call_once(|| _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) });
    OWNER.store(number(), Ordering::Relaxed);
}

/// Tells the log, once, of a mempool that this process can't use.
#[cold]
pub(crate) fn tell_foreign() {
    if !TOLD_FOREIGN.swap(true, Ordering::Relaxed) {
        let text = "a secondary process or a child of fork can't use this mempool: its list is that of the process that made it";
        log::line(Level::Error, "mempool", &text);
    }
}
