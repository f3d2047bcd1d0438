//! [`Buffer`]: an object on loan that returns by itself.

use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use hwpool_devices::bus::Iova;

use crate::pool::inner::Inner;
use crate::pool::slot::Slot;
use crate::pool::tls;

/// An object on loan: the only one for its memory. When it is dropped the object returns to its pool, through the cache
/// of this thread's worker if it has one.
///
/// A buffer may outlive all handles of its pool; the memory stays until the last one is dropped.
///
/// # Who writes
/// [`bytes`](Self::bytes) gives a plain slice, because nobody else writes to an object on loan: the buffer manager keeps
/// addresses and never touches what is behind them. Where *another* device writes to the buffer while it is on loan,
/// such as a NIC that was given its IOVA, use [`as_ptr`](Self::as_ptr) with volatile access until that device is done.
#[must_use = "a buffer that is dropped goes back to its pool at once"]
pub struct Buffer {
    inner: NonNull<Inner>,
    slot: Slot,
}

// SAFETY: a buffer is the only one for its object, and Inner is Send and Sync; giving it back works on any thread.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer gives shared bytes only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// # Safety
    /// `slot` is of the pool of `inner`.
    #[inline(always)]
    pub(super) unsafe fn new(inner: NonNull<Inner>, slot: Slot) -> Buffer {
        Buffer { inner, slot }
    }

    #[inline]
    fn inner(&self) -> &Inner {
        // SAFETY: an object that is out keeps its pool's memory; see `Lifeline`.
        unsafe { self.inner.as_ref() }
    }

    /// Returns the object's index in its pool, from 0.
    pub fn index(&self) -> u32 {
        self.slot.index()
    }

    /// Returns the bytes of the object: the size that the pool was made with.
    #[allow(
        clippy::len_without_is_empty,
        reason = "an object has at least one byte"
    )]
    pub fn len(&self) -> usize {
        self.inner().size
    }

    /// Returns where the object is in this process; valid for [`len`](Self::len) bytes while the object is out.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.inner().address(self.slot.index())
    }

    /// Returns where the object is for the device that the pool's backend drives, if there is one.
    #[inline]
    pub fn iova(&self) -> Option<Iova> {
        self.inner().iova_of(self.slot.index())
    }

    /// Returns the object's bytes. What they are after a take is what the last holder left.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the object is ours alone while it is out, its memory is initialised and stays; nobody writes while
        // the buffer is borrowed.
        unsafe { std::slice::from_raw_parts(self.as_ptr().as_ptr(), self.len()) }
    }

    /// Returns the object's bytes for writing.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and the buffer is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr().as_ptr(), self.len()) }
    }

    /// Turns the buffer into its slot, which no longer returns by itself.
    #[inline(always)]
    pub fn into_slot(self) -> Slot {
        let this = ManuallyDrop::new(self);
        // SAFETY: read once; the buffer it is read from is never used or dropped again.
        unsafe { std::ptr::read(&this.slot) }
    }

    #[inline(always)]
    pub(super) fn inner_ptr(&self) -> NonNull<Inner> {
        self.inner
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        let core = tls::core(self.slot.tag());
        if !core.is_null() {
            let word = self.slot.word();
            // SAFETY: an entry of this thread is a live core of our pool; we own the slot.
            if unsafe { (*core).push(&word, 1) } {
                return;
            }
        }
        drop_slow(self.inner, self.slot.word());
    }
}

/// Returns an object for which the cache has no room, or no eye.
#[cold]
#[inline(never)]
fn drop_slow(inner: NonNull<Inner>, word: u32) {
    // SAFETY: the object is out, which keeps the pool up to here; the hold keeps it for the rest of the call, although
    // the object may be found by a closing thread in the middle of it.
    let pool = unsafe { inner.as_ref() };
    pool.lifeline.hold(1);
    let core = tls::core(pool.tag.number());
    if core.is_null() {
        pool.drop_direct(word);
    } else {
        // SAFETY: an entry of this thread is a live core of this pool.
        unsafe { (*core).drop_slow(pool, word) };
    }
    // SAFETY: the hold is ours, and this is the last use.
    unsafe { Inner::release(inner, 1) }
}

// As for `Pool`.
impl UnwindSafe for Buffer {}
impl RefUnwindSafe for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {})", self.index(), self.inner().name)
    }
}
