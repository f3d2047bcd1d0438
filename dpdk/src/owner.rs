//! Whose mempools are. Those in software are of all of DPDK's processes, whose memory has them; those on a device are of the
//! process that has the device. A child of `fork`, of a process that made one, is none of them: what it sees may be a copy of its
//! parent's.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::log::{self, Level};

/// How many forks this process is away from the one that made its first mempool.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// Whether this process made mempools on devices.
static HAS_DEVICES: AtomicBool = AtomicBool::new(false);
/// Set once the log was told of a mempool of another process.
static TOLD_FOREIGN: AtomicBool = AtomicBool::new(false);

/// Returns how many forks lie between this process and the one that made its first mempool.
#[inline(always)]
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Tells whether mempools on devices, among those with its stamp, are this process's own.
pub(crate) fn has_devices() -> bool {
    HAS_DEVICES.load(Ordering::Relaxed)
}

/// Has a child of `fork` know that it is one.
pub(crate) fn become_owner() {
    extern "C" fn in_child() {
        HAS_DEVICES.store(false, Ordering::Relaxed);
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    // SAFETY: the handler only changes atomics, which is allowed between `fork` and `exec`.
    ONCE.call_once(|| _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) });
}

/// Remembers that mempools on devices are this process's own, until a `fork`.
pub(crate) fn become_owner_of_device() {
    HAS_DEVICES.store(true, Ordering::Relaxed);
}

/// Tells the log, once, of a mempool that this process can't use.
#[cold]
pub(crate) fn tell_foreign() {
    if !TOLD_FOREIGN.swap(true, Ordering::Relaxed) {
        let text = "a secondary process or a child of fork can't use this mempool, nor can another build of this library: its list is that of the process that made it";
        log::line(Level::Error, "mempool", &text);
    }
}
