//! Which worker this thread has, by the pool's tag: how a buffer that is dropped finds its cache in a few
//! instructions.
//!
//! The arrays are constant-initialised and have nothing to drop, so an access is an address computation, at any point
//! of a thread's life. A thread has at most one worker of a pool; the entry of a worker that was leaked stays, as does
//! its cache.

use std::cell::Cell;
use std::ptr;

use crate::pool::cache::{Hot, Local};

thread_local! {
    static CACHES: [Cell<*const Hot>; 256] = const { [const { Cell::new(ptr::null()) }; 256] };
    static ATTACHED: [Cell<bool>; 256] = const { [const { Cell::new(false) }; 256] };
}

/// Returns the cache of this thread's worker of the pool with this tag, for as long as that worker is not dropped.
#[inline(always)]
pub(super) fn local<'worker>(tag: u8) -> Option<Local<'worker>> {
    let hot = CACHES.with(|caches| caches[usize::from(tag)].get());
    // SAFETY: an entry of this thread is that of a worker of this thread, and lives: its drop takes it out.
    unsafe { hot.as_ref().map(|hot| Local::new(hot)) }
}

/// Tells whether this thread has a worker of the pool with this tag.
pub(super) fn is_attached(tag: u8) -> bool {
    ATTACHED.with(|attached| attached[usize::from(tag)].get())
}

/// Makes `cache` the one of this thread's only worker of its pool.
pub(super) fn attach(tag: u8, cache: Local<'_>) {
    set(tag, cache.as_ptr());
    ATTACHED.with(|attached| attached[usize::from(tag)].set(true));
}

/// Forgets this thread's worker.
pub(super) fn detach(tag: u8) {
    set(tag, ptr::null());
    ATTACHED.with(|attached| attached[usize::from(tag)].set(false));
}

fn set(tag: u8, hot: *const Hot) {
    CACHES.with(|caches| caches[usize::from(tag)].set(hot));
}

/// Hides this thread's worker until dropped, while the worker itself uses its cache in a slow path: a backend that
/// drops a buffer of the same pool meanwhile finds no cache, and the buffer goes to the backend.
///
/// The worker is borrowed mutably all that time, so it can't be dropped before it is shown again.
pub(super) struct Hidden {
    tag: u8,
    hot: *const Hot,
}

impl Hidden {
    pub(super) fn new(tag: u8) -> Hidden {
        let hot = CACHES.with(|caches| caches[usize::from(tag)].replace(ptr::null()));
        Hidden { tag, hot }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        set(self.tag, self.hot);
    }
}
