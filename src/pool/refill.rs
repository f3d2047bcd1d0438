//! What a worker does where its cache has too little, no room, or each object must be looked at.
//!
//! A give that does not fit sends the coldest half to the backend; a take that finds too few fetches half a cache to where
//! nothing lies, so that a failure leaves all as it was. Larger requests go past the cache. This is how DPDK's
//! `rte_mempool` works since 26.07.

use crate::pool::cache::{Cache, Local, OwnCache, bump};
use crate::pool::checked::Place;
use crate::pool::error::{GiveFault, PoolError};
use crate::pool::guard::{Fault, Given, Taken};
use crate::pool::shared::Shared;

/// The paths of a worker without a cache, straight to a store of our own, which calls nobody back.
impl Cache {
    /// Tells whether these are the paths to use.
    #[inline(always)]
    pub(super) fn is_bare(&self, shared: &Shared) -> bool {
        self.size == 0 && !shared.guard.calls_back() && shared.checking().is_none()
    }

    /// Fills `out` with slots; false where there are not as many.
    #[inline(always)]
    pub(super) fn take_bare(&self, shared: &Shared, out: &mut [u32]) -> Taken {
        let got = self.fetch(shared, out)?;
        // Checking may have begun since `is_bare` looked, and have noted these as free: they are noted here too.
        Ok(self.record(shared, out, got))
    }

    /// Gives slots, all or none.
    #[inline(always)]
    pub(super) fn give_bare(&self, shared: &Shared, words: &[u32]) -> Given {
        shared.check_tags(words)?;
        self.send(shared, words)
    }

    /// Counts and notes what a take past the quick way got, and returns whether it got it.
    #[inline(always)]
    fn record(&self, shared: &Shared, out: &[u32], got: bool) -> bool {
        if got {
            self.count_taken(out.len());
            shared.note(out, Place::Out(self.holder));
        } else {
            bump(&self.calls.shortages, 1);
        }
        got
    }

    #[inline(always)]
    fn fetch(&self, shared: &Shared, out: &mut [u32]) -> Taken {
        bump(&self.calls.dequeues, 1);
        let got = shared.dequeue(out)?;
        if got {
            bump(&self.calls.acquired, out.len() as u64);
        }
        Ok(got)
    }

    /// Gives slots to the backend.
    #[inline(always)]
    fn send(&self, shared: &Shared, words: &[u32]) -> Given {
        bump(&self.calls.enqueues, 1);
        let sent = shared.enqueue(words);
        if !matches!(&sent, Err(fault) if fault.kept) {
            bump(&self.calls.released, words.len() as u64);
        }
        sent
    }
}

/// A cache that nothing else uses meanwhile, not even what the backend calls on this thread.
pub(super) struct Alone<'worker> {
    cache: &'worker Cache,
}

impl OwnCache {
    /// Has the cache alone, as its worker, which is hidden where the backend may call back; `None` in a child of `fork`.
    #[inline(always)]
    pub(super) fn alone(&mut self) -> Option<Alone<'_>> {
        self.local().briefly()
    }
}

/// What may run while a backend uses the worker of its own thread again: everything is in order before it is called, which
/// is the caller's affair.
impl<'worker> Local<'worker> {
    /// Takes in the slot of a buffer that is dropped. Returns what the caller must put away then.
    pub(super) fn put(self, shared: &Shared, word: u32) -> Vec<u32> {
        let Some(mut alone) = self.briefly() else {
            return Vec::new();
        };
        let cache = alone.cache;
        let mut rest = Vec::new();
        if shared.guard.is_closed() || cache.size < 2 {
            shared.note(&[word], Place::Free);
            bump(&cache.calls.released, 1);
            rest.push(word);
        } else {
            if cache.cached() == cache.size {
                rest = alone.remove(shared, cache.size / 2);
            }
            alone.append(shared, &[word]);
        }
        if !rest.is_empty() {
            bump(&cache.calls.enqueues, 1);
        }
        rest
    }

    /// Takes everything out of the cache and returns it, for the caller to put away.
    pub(super) fn empty(self, shared: &Shared) -> Vec<u32> {
        match self.briefly() {
            Some(mut alone) => alone.remove(shared, alone.cache.cached()),
            None => Vec::new(),
        }
    }

    /// Has the cache alone as long as no backend is called: who is in the middle of another path has it hidden.
    #[inline(always)]
    fn briefly(self) -> Option<Alone<'worker>> {
        self.cache().map(|cache| Alone { cache })
    }
}

impl Alone<'_> {
    /// Fills `out` with slots; false where there are not as many. On false and on errors the cache is as it was and
    /// what `out` has is void.
    #[inline(always)]
    pub(super) fn take(&mut self, shared: &Shared, out: &mut [u32]) -> Taken {
        let missing = out.len().saturating_sub(self.cache.cached());
        let got = if missing > self.cache.size / 2 {
            self.take_past(shared, out, missing)
        } else {
            self.take_near(shared, out, missing)
        };
        Ok(self.cache.record(shared, out, got?))
    }

    /// Takes what is cached, and the rest straight from the backend.
    #[inline(always)]
    fn take_past(&mut self, shared: &Shared, out: &mut [u32], missing: usize) -> Taken {
        let (cached, direct) = out.split_at_mut(out.len() - missing);
        if !self.cache.fetch(shared, direct)? {
            return Ok(false);
        }
        if !cached.is_empty() {
            cached.copy_from_slice(&self.words()[..cached.len()]);
            self.cache.set_cached(0);
        }
        Ok(true)
    }

    /// Takes what the cache has, after a refill if that is too little.
    #[inline(never)]
    fn take_near(&mut self, shared: &Shared, out: &mut [u32], missing: usize) -> Taken {
        if shared.guard.is_closed() {
            return Err(PoolError::Closed.into());
        }
        if missing > 0 {
            return self.refill(shared, out, missing);
        }
        let cached = self.cache.cached();
        let rest = cached - out.len();
        out.copy_from_slice(&self.words()[rest..cached]);
        self.cache.set_cached(rest);
        Ok(true)
    }

    /// Fetches half a cache, or else just what is `missing`, and fills `out` with what was cached and part of it.
    #[inline(always)]
    fn refill(&mut self, shared: &Shared, out: &mut [u32], missing: usize) -> Taken {
        let cache = self.cache;
        let (half, len) = (cache.size / 2, cache.cached());
        let (cached, room) = self.words().split_at_mut(len);
        let fetched = &mut room[..half];
        let n = if cache.fetch(shared, fetched)? {
            half
        } else if missing < half && cache.fetch(shared, &mut fetched[..missing])? {
            missing
        } else {
            return Ok(false);
        };
        bump(&cache.calls.refills, 1);
        let left = n - missing;
        out[len..].copy_from_slice(&fetched[left..n]);
        shared.note(&fetched[..left], Place::Cached(cache.holder));
        if len > 0 {
            out[..len].copy_from_slice(cached);
            self.words().copy_within(len..len + left, 0);
        }
        cache.set_cached(left);
        Ok(true)
    }

    /// Takes in `words`, slots of this pool, all or none.
    #[inline(always)]
    pub(super) fn give(&mut self, shared: &Shared, words: &[u32]) -> Given {
        shared.check_out(words)?;
        let (n, size) = (words.len(), self.cache.size);
        let room = size - self.cache.cached();
        if n > room && n > size / 2 || shared.guard.is_closed() {
            self.give_past(shared, words)
        } else {
            self.give_near(shared, words, n > room)
        }
    }

    /// Gives slots straight to the backend.
    #[inline(always)]
    fn give_past(&mut self, shared: &Shared, words: &[u32]) -> Given {
        shared.note(words, Place::Free);
        let sent = self.cache.send(shared, words);
        if matches!(&sent, Err(fault) if fault.kept) {
            shared.note(words, Place::Out(self.cache.holder));
        }
        sent
    }

    /// Takes slots into the cache, after a flush if there is no room.
    #[inline(never)]
    fn give_near(&mut self, shared: &Shared, words: &[u32], flush: bool) -> Given {
        if flush {
            self.flush(shared, self.cache.size / 2)
                .map_err(Fault::keep)?;
        }
        self.append(shared, words);
        Ok(())
    }

    /// Sends everything to the backend.
    pub(super) fn flush_all(&mut self, shared: &Shared) -> Given {
        self.flush(shared, self.cache.cached())
    }

    /// Sends the coldest `n` slots to the backend. Where it keeps nothing, they stay.
    #[inline(never)]
    fn flush(&mut self, shared: &Shared, n: usize) -> Given {
        let cache = self.cache;
        let coldest = &self.words()[..n];
        shared.note(coldest, Place::Free);
        match cache.send(shared, coldest) {
            Err(fault) if fault.kept => {
                shared.note(coldest, Place::Cached(cache.holder));
                return Err(fault);
            }
            // They are gone, to the backend or nobody knows where; the pool is poisoned then, and the next call says so.
            Ok(()) | Err(_) => {}
        }
        bump(&cache.calls.flushes, 1);
        self.close_gap(n);
        Ok(())
    }

    /// Takes the coldest `n` slots out of the cache and returns them, for the caller to put away.
    fn remove(&mut self, shared: &Shared, n: usize) -> Vec<u32> {
        let coldest = self.words()[..n].to_vec();
        shared.note(&coldest, Place::Free);
        bump(&self.cache.calls.flushes, 1);
        bump(&self.cache.calls.released, n as u64);
        self.close_gap(n);
        coldest
    }

    /// Adds slots, for which there is room.
    fn append(&mut self, shared: &Shared, words: &[u32]) {
        shared.note(words, Place::Cached(self.cache.holder));
        let len = self.cache.cached();
        self.words()[len..len + words.len()].copy_from_slice(words);
        self.cache.set_cached(len + words.len());
    }

    /// Moves what lies above the `n` coldest down over them.
    fn close_gap(&mut self, n: usize) {
        let cached = self.cache.cached();
        self.words().copy_within(n..cached, 0);
        self.cache.set_cached(cached - n);
    }

    #[inline(always)]
    fn words(&mut self) -> &mut [u32] {
        // SAFETY: made from a `Local`, so this is the thread, and nothing else uses the cache as long as this lives.
        unsafe { self.cache.words() }
    }
}

/// What a worker says in a child of `fork`.
#[cold]
pub(super) fn take_in_child() -> Taken {
    Err(PoolError::OtherProcess.into())
}

/// As [`take_in_child`].
#[cold]
pub(super) fn give_in_child() -> Given {
    Err(GiveFault::OtherProcess.into())
}
