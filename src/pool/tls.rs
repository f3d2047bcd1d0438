//! Which worker this thread has, by the pool's tag: how a buffer that is dropped finds its cache in a few
//! instructions.
//!
//! The arrays are constant-initialised and have nothing to drop, so an access is an address computation, at any point
//! of a thread's life. A thread has at most one worker of a pool; the entry of a worker that was leaked stays, as does
//! its core.

use std::cell::Cell;
use std::ptr;

use crate::pool::cache::Core;

thread_local! {
    static CORES: [Cell<*const Core>; 256] = const { [const { Cell::new(ptr::null()) }; 256] };
    static ATTACHED: [Cell<bool>; 256] = const { [const { Cell::new(false) }; 256] };
}

/// Returns the core of this thread's worker of the pool with this tag, or null.
#[inline(always)]
pub(super) fn core(tag: u8) -> *const Core {
    CORES.with(|cores| cores[usize::from(tag)].get())
}

/// Tells whether this thread has a worker of the pool with this tag.
pub(super) fn is_attached(tag: u8) -> bool {
    ATTACHED.with(|attached| attached[usize::from(tag)].get())
}

/// Makes `core` the one of this thread's only worker of its pool.
pub(super) fn attach(tag: u8, core: *const Core) {
    set(tag, core);
    ATTACHED.with(|attached| attached[usize::from(tag)].set(true));
}

/// Forgets this thread's worker.
pub(super) fn detach(tag: u8) {
    set(tag, ptr::null());
    ATTACHED.with(|attached| attached[usize::from(tag)].set(false));
}

fn set(tag: u8, core: *const Core) {
    CORES.with(|cores| cores[usize::from(tag)].set(core));
}

/// Hides this thread's worker until dropped, while the worker itself uses its cache in a slow path: a backend that
/// drops a buffer of the same pool meanwhile finds no cache, and the buffer goes to the backend.
///
/// The worker is borrowed mutably all that time, so it can't be dropped before it is shown again.
pub(super) struct Hidden {
    tag: u8,
    core: *const Core,
}

impl Hidden {
    pub(super) fn new(tag: u8) -> Hidden {
        let hidden = Hidden {
            tag,
            core: core(tag),
        };
        set(tag, ptr::null());
        hidden
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        set(self.tag, self.core);
    }
}
