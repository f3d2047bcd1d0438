//! [`Core`]: a worker's cache and counters, where a take or give is a few instructions.
//!
//! ```text
//!   slots: │ coldest … │ … hottest │ (room) │ room for a refill │
//!          ▲          half         ▲        ▲ size          size + half
//!          floor                  top       ceiling
//! ```
//!
//! Last in, first out, never more than `size`. A give that does not fit sends the coldest half to the backend; a take
//! that finds too few fetches half a cache to where nothing lies, so that a failure leaves all as it was. Larger
//! requests go past the cache. This is how DPDK's `rte_mempool` works since 26.07.
//!
//! A take lowers `top` and a give raises it, by addresses, because each instruction of these counts (6 are a cycle). The
//! bounds that they compare with lie out of reach while something needs a look at each object (checked mode, or the pool
//! is closed), so that looking costs nothing while it is off.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU64, Ordering};

use crate::pool::checked::{HolderId, Place};
use crate::pool::error::PoolError;
use crate::pool::inner::{Fault, Given, Inner, Taken};
use crate::pool::roster::Tally;
use crate::pool::words;

/// A worker's cache and counters. One thread, the worker's, uses the cache; any thread may read the counters.
#[repr(C, align(128))]
pub(super) struct Core {
    /// After the hottest slot, within `slots`.
    top: AtomicPtr<u32>,
    /// The lowest that a quick take may bring `top` to, as an address: `slots`, or out of reach.
    floor: AtomicIsize,
    /// The highest that a quick give may bring it to: `size` slots above, or out of reach.
    ceiling: AtomicIsize,
    taken: AtomicU64,
    tag_word: u32,
    holder: HolderId,
    slots: NonNull<u32>,
    size: usize,
    calls: Calls,
    /// The array that `slots` points to the start of, from `Box::into_raw`: a box itself would claim to be alone.
    lines: NonNull<[UnsafeCell<Line>]>,
    scratch: UnsafeCell<Vec<u32>>,
}

// Addresses of a process are below 2^63, and an array's bytes are fewer: no sum or difference of both overflows, and one
// comparison tells whether there is enough.
const _: () = assert!(usize::BITS == 64, "signed addresses want 64 bits");

/// Counters of the slow paths.
#[derive(Default)]
struct Calls {
    acquired: AtomicU64,
    released: AtomicU64,
    refills: AtomicU64,
    flushes: AtomicU64,
    shortages: AtomicU64,
    enqueues: AtomicU64,
    dequeues: AtomicU64,
}

/// Words in a cache line, so that the array starts at one.
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "accessed through `Core::slots`")] [u32; 16]);

// SAFETY: `lines` and `scratch` are accessed only by unsafe methods, which the worker's thread alone may call.
unsafe impl Send for Core {}
// SAFETY: as above; the rest is atomic or constant.
unsafe impl Sync for Core {}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: it came from `Box::into_raw` in `new`, and is freed here only.
        drop(unsafe { Box::from_raw(self.lines.as_ptr()) });
    }
}

/// Bounds that no address is within.
const NO_FLOOR: isize = isize::MAX;
const NO_CEILING: isize = isize::MIN;

/// Returns the bytes of as many slots, which are in memory somewhere.
#[inline(always)]
fn bytes(slots: usize) -> isize {
    (slots * size_of::<u32>()) as isize
}

/// What any thread may call.
impl Core {
    /// Makes an empty cache for `size` slots, whose quick ways are off.
    pub(super) fn new(size: usize, tag_word: u32, holder: HolderId) -> Core {
        let words = size + size / 2;
        let lines: Box<[UnsafeCell<Line>]> = (0..words.div_ceil(16))
            .map(|_| UnsafeCell::new(Line([0; 16])))
            .collect();
        // SAFETY: `into_raw` never returns null.
        let lines = unsafe { NonNull::new_unchecked(Box::into_raw(lines)) };
        let slots: NonNull<u32> = lines.cast();
        Core {
            top: AtomicPtr::new(slots.as_ptr()),
            floor: AtomicIsize::new(NO_FLOOR),
            ceiling: AtomicIsize::new(NO_CEILING),
            taken: AtomicU64::new(0),
            tag_word,
            holder,
            slots,
            size,
            calls: Calls::default(),
            lines,
            scratch: UnsafeCell::default(),
        }
    }

    pub(super) fn holder(&self) -> HolderId {
        self.holder
    }

    pub(super) fn cached(&self) -> usize {
        let bytes = self.top.load(Ordering::Relaxed).addr() - self.slots.addr().get();
        bytes / size_of::<u32>()
    }

    /// Switches the quick ways on or off. Release: who sees the switch sees why it was made.
    pub(super) fn set_quick(&self, on: bool) {
        let first = self.slots.addr().get() as isize;
        let (floor, ceiling) = match on {
            true => (first, first + bytes(self.size)),
            false => (NO_FLOOR, NO_CEILING),
        };
        self.floor.store(floor, Ordering::Release);
        self.ceiling.store(ceiling, Ordering::Release);
    }

    pub(super) fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            taken: read(&self.taken),
            acquired: read(&self.calls.acquired),
            released: read(&self.calls.released),
            cached: self.cached() as u64,
            refills: read(&self.calls.refills),
            flushes: read(&self.calls.flushes),
            shortages: read(&self.calls.shortages),
            enqueues: read(&self.calls.enqueues),
            dequeues: read(&self.calls.dequeues),
        }
    }
}

/// What the worker's thread does.
impl Core {
    fn set_cached(&self, n: usize) {
        debug_assert!(n <= self.size);
        let top = self.slots.as_ptr().wrapping_add(n);
        self.top.store(top, Ordering::Relaxed);
    }
}

/// Adds to a counter that only this thread writes: a plain load and store.
#[inline(always)]
fn bump(counter: &AtomicU64, n: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

/// The quick ways.
impl Core {
    /// Takes the `n` hottest slots (at least one) off the cache and returns where they lie until the next call.
    ///
    /// # Safety
    /// Called by the worker's thread.
    #[inline(always)]
    pub(super) unsafe fn pop(&self, n: usize) -> Option<NonNull<u32>> {
        let top = self.top.load(Ordering::Relaxed);
        let rest = (top.addr() as isize).wrapping_sub(bytes(n));
        // Acquire: pairs with `set_quick`.
        if rest < self.floor.load(Ordering::Acquire) {
            return None;
        }
        let rest = top.wrapping_sub(n);
        self.top.store(rest, Ordering::Relaxed);
        bump(&self.taken, n as u64);
        // SAFETY: it is at or above the floor, within the array.
        Some(unsafe { NonNull::new_unchecked(rest) })
    }

    /// Takes in the `n` words at `from`, if they fit and are slots of this core's pool.
    ///
    /// # Safety
    /// Called by the worker's thread, which owns the slots and forgets them on true.
    #[inline(always)]
    pub(super) unsafe fn push(&self, from: *const u32, n: usize) -> bool {
        let top = self.top.load(Ordering::Relaxed);
        let raised = (top.addr() as isize).wrapping_add(bytes(n));
        // Acquire: pairs with `set_quick`.
        if raised > self.ceiling.load(Ordering::Acquire) {
            return false;
        }
        // Copied before all are looked at, in one pass: above `top` lies nothing.
        // SAFETY: the `n` words at `top` end at most at the ceiling, within the array, which is no list's memory.
        let sound = unsafe { words::copy(from, top, n, self.tag_word) };
        if sound {
            self.top.store(top.wrapping_add(n), Ordering::Relaxed);
        }
        sound
    }
}

/// The paths of a worker without a cache, straight to a store of our own, which calls nobody back.
impl Core {
    /// Tells whether these are the paths to use.
    #[inline(always)]
    pub(super) fn is_bare(&self, inner: &Inner) -> bool {
        self.size == 0 && inner.store.is_ours() && inner.checking().is_none()
    }

    /// Fills `out` with slots; false where there are not as many.
    ///
    /// # Safety
    /// Called by the worker's thread.
    #[inline(always)]
    pub(super) unsafe fn take_bare(&self, inner: &Inner, out: &mut [u32]) -> Taken {
        let got = self.fetch(inner, out)?;
        // Checking may have begun since `is_bare` looked, and have noted these as free: they are noted here too.
        Ok(self.record(inner, out, got))
    }

    /// Gives slots, all or none.
    ///
    /// # Safety
    /// Called by the worker's thread.
    #[inline(always)]
    pub(super) unsafe fn give_bare(&self, inner: &Inner, words: &[u32]) -> Given {
        inner.check_tags(words)?;
        // SAFETY: the caller's promise.
        unsafe { self.send(inner, words) }
    }
}

/// The slow paths of a worker, which is borrowed mutably and hidden from its thread meanwhile.
impl Core {
    /// Fills `out` with slots; false where there are not as many. On false and on errors the cache is as it was and
    /// what `out` has is void.
    ///
    /// # Safety
    /// Called by the worker's thread, through its worker.
    #[inline(always)]
    pub(super) unsafe fn take_slow(&self, inner: &Inner, out: &mut [u32]) -> Taken {
        let missing = out.len().saturating_sub(self.cached());
        let got = if missing > self.size / 2 {
            // SAFETY: the caller's promise.
            unsafe { self.take_past(inner, out, missing) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.take_near(inner, out, missing) }
        };
        Ok(self.record(inner, out, got?))
    }

    /// Counts and notes what a take past the quick way got, and returns whether it got it.
    #[inline(always)]
    fn record(&self, inner: &Inner, out: &[u32], got: bool) -> bool {
        if got {
            bump(&self.taken, out.len() as u64);
            inner.note(out, Place::Out(self.holder));
        } else {
            bump(&self.calls.shortages, 1);
        }
        got
    }

    /// Takes `n` slots and returns where they lie until the next call, or `None` as [`take_slow`](Self::take_slow).
    ///
    /// # Safety
    /// As [`take_slow`](Self::take_slow).
    pub(super) unsafe fn take_to_scratch(
        &self,
        inner: &Inner,
        n: usize,
    ) -> Taken<Option<NonNull<u32>>> {
        // SAFETY: this thread's alone, and nobody is in here twice, because the worker is hidden.
        let scratch = unsafe { &mut *self.scratch.get() };
        scratch.resize(n, 0);
        // SAFETY: the caller's promise.
        let got = unsafe { self.take_slow(inner, scratch) }?;
        Ok(got.then(|| NonNull::from(scratch.as_mut_slice()).cast()))
    }

    /// Takes what is cached, and the rest straight from the backend.
    ///
    /// # Safety
    /// As [`take_slow`](Self::take_slow); more than is cached.
    #[inline(always)]
    unsafe fn take_past(&self, inner: &Inner, out: &mut [u32], missing: usize) -> Taken {
        let (cached, direct) = out.split_at_mut(out.len() - missing);
        if !self.fetch(inner, direct)? {
            return Ok(false);
        }
        if !cached.is_empty() {
            // SAFETY: the caller's promise; the range is what is cached.
            cached.copy_from_slice(unsafe { self.range(0, cached.len()) });
            self.set_cached(0);
        }
        Ok(true)
    }

    /// Takes what the cache has, after a refill if that is too little.
    ///
    /// # Safety
    /// As [`take_slow`](Self::take_slow).
    #[inline(never)]
    unsafe fn take_near(&self, inner: &Inner, out: &mut [u32], missing: usize) -> Taken {
        if inner.is_closed() {
            return Err(PoolError::Closed.into());
        }
        if missing > 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.refill(inner, out, missing) };
        }
        let rest = self.cached() - out.len();
        // SAFETY: the caller's promise; the range lies within `len`.
        out.copy_from_slice(unsafe { self.range(rest, out.len()) });
        self.set_cached(rest);
        Ok(true)
    }

    /// Fetches half a cache, or else just what is `missing`, and fills `out` with what was cached and part of it.
    ///
    /// # Safety
    /// As [`take_slow`](Self::take_slow).
    #[inline(always)]
    unsafe fn refill(&self, inner: &Inner, out: &mut [u32], missing: usize) -> Taken {
        let (half, len) = (self.size / 2, self.cached());
        // SAFETY: the caller's promise. `len` is at most `size` and a half follows, within the array.
        let fetched = unsafe { self.range_mut(len, half) };
        let n = if self.fetch(inner, fetched)? {
            half
        } else if missing < half && self.fetch(inner, &mut fetched[..missing])? {
            missing
        } else {
            return Ok(false);
        };
        bump(&self.calls.refills, 1);
        let left = n - missing;
        out[len..].copy_from_slice(&fetched[left..n]);
        inner.note(&fetched[..left], Place::Cached(self.holder));
        if len > 0 {
            // SAFETY: the caller's promise; the range is what is cached, and ends where `fetched` begins.
            out[..len].copy_from_slice(unsafe { self.range(0, len) });
            // SAFETY: both runs are within the array; `fetched` is not used any more.
            unsafe { self.slots.add(len).copy_to(self.slots, left) };
        }
        self.set_cached(left);
        Ok(true)
    }

    #[inline(always)]
    fn fetch(&self, inner: &Inner, out: &mut [u32]) -> Taken {
        bump(&self.calls.dequeues, 1);
        let got = inner.dequeue(out)?;
        if got {
            bump(&self.calls.acquired, out.len() as u64);
        }
        Ok(got)
    }

    /// Takes in `words`, slots of this pool, all or none.
    ///
    /// # Safety
    /// Called by the worker's thread, through its worker.
    #[inline(always)]
    pub(super) unsafe fn give_slow(&self, inner: &Inner, words: &[u32]) -> Given {
        inner.check_out(words)?;
        let (n, room) = (words.len(), self.size - self.cached());
        if n > room && n > self.size / 2 || inner.is_closed() {
            // SAFETY: the caller's promise.
            unsafe { self.give_past(inner, words) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.give_near(inner, words, n > room) }
        }
    }

    /// Gives slots straight to the backend.
    ///
    /// # Safety
    /// As [`give_slow`](Self::give_slow).
    #[inline(always)]
    unsafe fn give_past(&self, inner: &Inner, words: &[u32]) -> Given {
        inner.note(words, Place::Free);
        // SAFETY: the caller's promise.
        let sent = unsafe { self.send(inner, words) };
        if matches!(&sent, Err(fault) if fault.kept) {
            inner.note(words, Place::Out(self.holder));
        }
        sent
    }

    /// Takes slots into the cache, after a flush if there is no room.
    ///
    /// # Safety
    /// As [`give_slow`](Self::give_slow).
    #[inline(never)]
    unsafe fn give_near(&self, inner: &Inner, words: &[u32], flush: bool) -> Given {
        if flush {
            // SAFETY: the caller's promise.
            unsafe { self.flush(inner, self.size / 2) }.map_err(Fault::keep)?;
        }
        // SAFETY: the caller's promise; there is room now.
        unsafe { self.append(inner, words) };
        Ok(())
    }

    /// Sends the coldest `n` slots to the backend. Where it keeps nothing, they stay.
    ///
    /// # Safety
    /// Called by the worker's thread, through its worker.
    #[inline(never)]
    pub(super) unsafe fn flush(&self, inner: &Inner, n: usize) -> Given {
        // SAFETY: the caller's promise; `n` is at most `len`.
        let coldest = unsafe { self.range(0, n) };
        inner.note(coldest, Place::Free);
        // SAFETY: the caller's promise.
        match unsafe { self.send(inner, coldest) } {
            Err(fault) if fault.kept => {
                inner.note(coldest, Place::Cached(self.holder));
                return Err(fault);
            }
            // They are gone, to the backend or into limbo; the pool is poisoned then, and the next call says so.
            Ok(()) | Err(_) => {}
        }
        bump(&self.calls.flushes, 1);
        // SAFETY: the caller's promise.
        unsafe { self.close_gap(n) };
        Ok(())
    }

    /// Gives slots to the backend.
    ///
    /// # Safety
    /// Called by the worker's thread, through its worker.
    #[inline(always)]
    unsafe fn send(&self, inner: &Inner, words: &[u32]) -> Given {
        bump(&self.calls.enqueues, 1);
        let sent = inner.enqueue(words);
        if !matches!(&sent, Err(fault) if fault.kept) {
            bump(&self.calls.released, words.len() as u64);
        }
        sent
    }
}

/// What may run while a backend uses the worker of its own thread again: everything is in order before it is called.
impl Core {
    /// Takes one slot in, for a buffer that is dropped.
    ///
    /// # Safety
    /// Called by the worker's thread. The caller has a hold on `inner`; `self` may be gone when this returns.
    pub(super) unsafe fn drop_slow(&self, inner: &Inner, word: u32) {
        if let Err(fault) = inner.check_out(&[word]) {
            tracing::error!(pool = inner.name, fault = %fault.fault, "a buffer was dropped that is not out");
            return;
        }
        let mut batch = Vec::new();
        if inner.is_closed() || self.size < 2 {
            inner.note(&[word], Place::Free);
            bump(&self.calls.released, 1);
            batch.push(word);
        } else {
            if self.cached() == self.size {
                // SAFETY: the caller's promise; half is at most `len`.
                batch = unsafe { self.remove(inner, self.size / 2) };
            }
            // SAFETY: the caller's promise; there is room now.
            unsafe { self.append(inner, &[word]) };
        }
        if !batch.is_empty() {
            bump(&self.calls.enqueues, 1);
            inner.put_away(&batch);
        }
    }

    /// Takes the coldest `n` slots out of the cache and returns them, for the caller to put away.
    ///
    /// # Safety
    /// Called by the worker's thread.
    pub(super) unsafe fn remove(&self, inner: &Inner, n: usize) -> Vec<u32> {
        // SAFETY: the caller's promise; `n` is at most `len`.
        let coldest = unsafe { self.range(0, n) };
        inner.note(coldest, Place::Free);
        let words = coldest.to_vec();
        bump(&self.calls.flushes, 1);
        bump(&self.calls.released, n as u64);
        // SAFETY: the caller's promise.
        unsafe { self.close_gap(n) };
        words
    }

    /// # Safety
    /// Called by the worker's thread, with room for all of `words`.
    unsafe fn append(&self, inner: &Inner, words: &[u32]) {
        inner.note(words, Place::Cached(self.holder));
        let len = self.cached();
        debug_assert!(len + words.len() <= self.size);
        // SAFETY: the caller's promise; `words` is not part of the cache.
        unsafe { self.range_mut(len, words.len()) }.copy_from_slice(words);
        self.set_cached(len + words.len());
    }

    /// Moves what lies above the `n` coldest down over them.
    ///
    /// # Safety
    /// Called by the worker's thread, with at least `n` cached.
    unsafe fn close_gap(&self, n: usize) {
        let left = self.cached() - n;
        // SAFETY: both runs are within `len`.
        unsafe { self.slots.add(n).copy_to(self.slots, left) };
        self.set_cached(left);
    }

    /// # Safety
    /// Called by the worker's thread, with nothing writing to the range meanwhile.
    unsafe fn range(&self, from: usize, n: usize) -> &[u32] {
        debug_assert!(from + n <= self.lines.len() * 16);
        // SAFETY: within the array, by the caller's promise alone.
        unsafe { std::slice::from_raw_parts(self.slots.add(from).as_ptr(), n) }
    }

    /// # Safety
    /// Called by the worker's thread, with nothing else using the range meanwhile.
    #[allow(clippy::mut_from_ref, reason = "the caller answers for being alone")]
    unsafe fn range_mut(&self, from: usize, n: usize) -> &mut [u32] {
        debug_assert!(from + n <= self.lines.len() * 16);
        // SAFETY: within the array, by the caller's promise alone.
        unsafe { std::slice::from_raw_parts_mut(self.slots.add(from).as_ptr(), n) }
    }
}
