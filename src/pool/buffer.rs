//! [`Buffer`]: an object on loan that returns by itself.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use hwpool_devices::bus::Iova;

use crate::pool::cache::Local;
use crate::pool::checked::Place;
use crate::pool::shared::Shared;
use crate::pool::slot::{Slot, words_of};
use crate::pool::tls;

/// An object on loan: the only one for its memory. When it is dropped the object returns to its pool, through the cache
/// of this thread's worker if it has one.
///
/// It is a slice of bytes, and lends itself where one is wanted: `buffer[0]`, `&mut buffer[..4]`, `buffer.fill(0)`.
///
/// A buffer may outlive all handles of its pool; the memory stays until the last one is dropped.
///
/// # Who writes
/// [`bytes`](Self::bytes) gives a plain slice, because nobody else writes to an object on loan: the buffer manager keeps
/// addresses and never touches what is behind them. Where *another* device writes to the buffer while it is on loan,
/// such as a NIC that was given its IOVA, that slice must not be borrowed (by these methods, or by indexing): use [`as_ptr`](Self::as_ptr) with volatile access until that device is done.
#[must_use = "a buffer that is dropped goes back to its pool at once"]
pub struct Buffer {
    shared: NonNull<Shared>,
    slot: Slot,
}

// SAFETY: a buffer is the only one for its object, and Shared is Send and Sync; giving it back works on any thread.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer gives shared bytes only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// # Safety
    /// `slot` is of the pool of `shared`.
    #[inline(always)]
    pub(super) unsafe fn new(shared: NonNull<Shared>, slot: Slot) -> Buffer {
        Buffer { shared, slot }
    }

    #[inline]
    fn shared(&self) -> &Shared {
        // SAFETY: an object that is out keeps its pool's memory; see `Lifeline`.
        unsafe { self.shared.as_ref() }
    }

    /// Returns the object's index in its pool, from 0.
    pub fn index(&self) -> u32 {
        self.slot.index()
    }

    /// Returns how many bytes the object has: the size that the pool was made with; 0 in a child of `fork`.
    #[allow(
        clippy::len_without_is_empty,
        reason = "an object has at least one byte"
    )]
    pub fn len(&self) -> usize {
        self.shared().guard.size()
    }

    /// Returns where the object is in this process; valid for [`len`](Self::len) bytes while the object is out.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.shared().address(self.slot.index())
    }

    /// Returns where the object is for the device that the pool's backend drives, if there is one.
    #[inline]
    pub fn iova(&self) -> Option<Iova> {
        self.shared().iova_of(self.slot.index())
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
    pub(super) fn shared_ptr(&self) -> NonNull<Shared> {
        self.shared
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if let Some(cache) = tls::local(self.slot.tag())
            && cache.push(words_of(std::slice::from_ref(&self.slot)))
        {
            return;
        }
        drop_slow(self.shared, self.slot.word());
    }
}

/// Returns an object for which the cache has no room, or no eye.
#[cold]
#[inline(never)]
fn drop_slow(at: NonNull<Shared>, word: u32) {
    // SAFETY: the object is out, which keeps the pool up to here; the hold keeps it for the rest of the call, although
    // the object may be found by a closing thread in the middle of it.
    let shared = unsafe { at.as_ref() };
    if !shared.guard.is_here() {
        return; // the parent has it
    }
    shared.lifeline.hold(1);
    match tls::local(shared.tag.number()) {
        None => shared.drop_direct(word),
        Some(cache) => shared.drop_cached(word, cache),
    }
    // SAFETY: the hold is ours, and this is the last use.
    unsafe { Shared::release(at, 1) }
}

impl Shared {
    /// Takes in an object whose buffer was dropped on a thread without a worker.
    fn drop_direct(&self, word: u32) {
        if self.may_be_dropped(word) {
            self.note(&[word], Place::Free);
            self.count_given(1);
            self.put_away(&[word]);
        }
    }

    /// Takes in an object whose buffer was dropped on a thread with a worker, which may be gone afterwards.
    fn drop_cached(&self, word: u32, cache: Local<'_>) {
        if self.may_be_dropped(word) {
            let rest = cache.put(self, word);
            if !rest.is_empty() {
                self.put_away(&rest);
            }
        }
    }

    fn may_be_dropped(&self, word: u32) -> bool {
        let checked = self.check_out(&[word]);
        if let Err(fault) = &checked
            && self.strays.is_first()
        {
            let pool = &self.guard.pool;
            tracing::error!(pool, fault = %fault.fault, "a buffer was dropped that is not out; more are counted at the close");
        }
        checked.is_ok()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    /// Returns the [`bytes`](Buffer::bytes).
    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl DerefMut for Buffer {
    /// Returns the [`bytes`](Buffer::bytes_mut) for writing.
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes_mut()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes_mut()
    }
}

// As for `Pool`.
impl UnwindSafe for Buffer {}
impl RefUnwindSafe for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Buffer({} of {})",
            self.index(),
            self.shared().guard.pool
        )
    }
}
