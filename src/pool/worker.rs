//! [`Worker`]: a thread's own handle of a pool, with its cache.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::pool::batch::Slots;
use crate::pool::buffer::Buffer;
use crate::pool::cache::Core;
use crate::pool::direct::{append, give_buffer, give_tail};
use crate::pool::error::{GiveError, GiveFault, PoolError, WorkerError};
use crate::pool::handle::Pool;
use crate::pool::inner::{Given, Taken};
use crate::pool::roster::MAX_NAMES;
use crate::pool::slot::{Slot, words_of};
use crate::pool::tls::{self, Hidden};
use crate::pool::words;

/// Largest array of slots whose take is inlined.
const INLINED: usize = 8;

/// One thread's handle of a pool. It caches objects, so that most takes and gives are a few instructions, and has a name
/// that reports call its objects by.
///
/// A worker stays on its thread, any thread: unlike a pool, it is not `Send`.
///
/// ```
/// fn may_move<T: Send>() {}
/// may_move::<hwpool::pool::Pool>();
/// ```
///
/// ```compile_fail
/// fn may_move<T: Send>() {}
/// may_move::<hwpool::pool::Worker>();
/// ```
///
/// While it lives, buffers that are dropped on this thread go to its cache.
/// When it is dropped, also by a panic, the cache goes back to the backend.
///
/// A take that finds too few objects answers `None` or `false` and changes nothing, although other workers' caches may
/// have some.
///
/// In a poisoned pool, takes and gives that the cache can serve go on; all others fail with the cause.
pub struct Worker {
    core: Arc<Core>,
    pool: Pool,
    /// Neither Send nor Sync: the cache is this thread's.
    _thread: PhantomData<*mut ()>,
}

impl Worker {
    pub(super) fn attach(pool: Pool, name: &str) -> Result<Worker, WorkerError> {
        let inner = pool.inner();
        let tag = &inner.tag;
        if tls::is_attached(tag.number()) {
            return Err(WorkerError::AlreadyOnThread {
                pool: inner.name.clone(),
            });
        }
        let mut roster = inner.roster();
        if inner.is_closed() {
            return Err(WorkerError::Closed {
                pool: inner.name.clone(),
            });
        }
        let Some(holder) = roster.number(name) else {
            return Err(WorkerError::TooManyNames {
                pool: inner.name.clone(),
                limit: MAX_NAMES,
            });
        };
        let core = Arc::new(Core::new(inner.cache, tag.word(), holder));
        core.set_quick(inner.checking().is_none());
        roster.attach(Arc::clone(&core));
        drop(roster);
        tls::attach(tag.number(), Arc::as_ptr(&core));
        Ok(Worker {
            core,
            pool,
            _thread: PhantomData,
        })
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Counts the objects in the cache.
    pub fn cached(&self) -> usize {
        self.core.cached()
    }

    /// Takes an object; `None` where there is none.
    ///
    /// # Errors
    /// Where the pool is closed, or the backend is needed and the pool is poisoned or the backend refuses.
    #[inline]
    pub fn take(&mut self) -> Result<Option<Buffer>, PoolError> {
        match self.take_slots::<1>() {
            // SAFETY: the slot is of this pool.
            Ok(Some([slot])) => Ok(Some(unsafe { Buffer::new(self.pool.inner_ptr(), slot) })),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes `N` objects, the ones given last; `None` where there are not as many.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn take_slots<const N: usize>(&mut self) -> Result<Option<[Slot; N]>, PoolError> {
        if N <= INLINED {
            self.take_array()
        } else {
            self.take_large_array()
        }
    }

    /// Out of line, so that a large array is written once to where the caller wants it. Inlined, the error's fields
    /// would cut it into pieces that overlap 16-byte moves (measured: 3 times slower at 32).
    #[inline(never)]
    fn take_large_array<const N: usize>(&mut self) -> Result<Option<[Slot; N]>, PoolError> {
        self.take_array()
    }

    #[inline(always)]
    fn take_array<const N: usize>(&mut self) -> Result<Option<[Slot; N]>, PoolError> {
        // SAFETY: this is the worker's thread, because a worker can't leave it.
        let slots = match unsafe { self.core.pop(N) } {
            Some(slots) => slots,
            None => match self.take_words_slow(N)? {
                Some(slots) => slots,
                None => return Ok(None),
            },
        };
        // One copy at one place, whichever way was taken: else the array goes over the stack a second time.
        // SAFETY: these are `N` slots that are ours now, and their words have the layout of slots.
        Ok(Some(unsafe { slots.cast::<[Slot; N]>().read() }))
    }

    /// Appends `n` objects to `slots`; false where there are not as many, and `slots` is as it was.
    ///
    /// # Errors
    /// As [`take`](Self::take); `slots` is as it was.
    ///
    /// # Panics
    /// If `slots` is a [`Batch`](crate::pool::Batch) without room for `n`.
    #[inline]
    pub fn take_into<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<bool, PoolError> {
        let len = slots.len();
        if n <= slots.room() {
            let end = slots.end();
            // SAFETY: this is the worker's thread.
            if let Some(cached) = unsafe { self.core.pop(n) } {
                // SAFETY: `pop` gave `n` slots to us, and there is room for as many; the cache is no list's memory.
                unsafe {
                    words::copy(cached.as_ptr(), end.cast(), n, 0);
                    slots.set_len(len + n);
                }
                return Ok(true);
            }
        }
        self.take_into_slow(slots, n)
    }

    /// Gives a buffer back. Dropping it does the same, but can't say what went wrong.
    ///
    /// # Errors
    /// Where the buffer is another pool's, or it does not fit the cache and the backend does not take objects. The buffer
    /// comes back with the error.
    #[inline]
    pub fn give(&mut self, buffer: Buffer) -> Result<(), GiveError<Buffer>> {
        give_buffer(buffer, |slot| self.give_slots([slot]))
    }

    /// Gives objects back, all or none.
    ///
    /// # Errors
    /// Where one of them is another pool's, or they don't fit the cache and the backend does not take objects. They come
    /// back with the error.
    #[inline]
    pub fn give_slots<const N: usize>(
        &mut self,
        slots: [Slot; N],
    ) -> Result<(), GiveError<[Slot; N]>> {
        // SAFETY: this is the worker's thread, and the slots are ours, a copy of which is nothing.
        if unsafe { self.core.push(words_of(&slots).as_ptr(), N) } {
            return Ok(());
        }
        self.give_slots_slow(slots)
    }

    /// Gives the last `n` of `slots` back, all or none.
    ///
    /// # Errors
    /// As [`give_slots`](Self::give_slots). They stay in `slots`, unless the backend failed in between: then they are
    /// gone, and the pool is poisoned.
    ///
    /// # Panics
    /// If there are fewer than `n`.
    #[inline]
    pub fn give_from<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<(), GiveFault> {
        if let Some(rest) = slots.len().checked_sub(n) {
            // SAFETY: the list has `n` slots before its end.
            let first = unsafe { slots.end().sub(n).cast() };
            // SAFETY: this is the worker's thread, and the slots are ours.
            if unsafe { self.core.push(first, n) } {
                // SAFETY: fewer than before; what is forgotten was given.
                unsafe { slots.set_len(rest) };
                return Ok(());
            }
        }
        self.give_from_slow(slots, n)
    }

    /// Turns a slot into a buffer, which returns by itself.
    ///
    /// # Errors
    /// Where the slot is another pool's.
    #[inline]
    pub fn buffer(&self, slot: Slot) -> Result<Buffer, GiveError<Slot>> {
        self.pool.buffer(slot)
    }

    /// Returns the bytes of an object on loan; see [`Buffer`] on who writes to them.
    ///
    /// # Panics
    /// If the slot is another pool's.
    #[inline]
    pub fn bytes<'slot>(&self, slot: &'slot Slot) -> &'slot [u8] {
        self.pool.bytes(slot)
    }

    /// Returns the bytes of an object on loan for writing.
    ///
    /// # Panics
    /// If the slot is another pool's.
    #[inline]
    pub fn bytes_mut<'slot>(&self, slot: &'slot mut Slot) -> &'slot mut [u8] {
        self.pool.bytes_mut(slot)
    }

    /// Sends everything in the cache to the backend, for other threads to take.
    ///
    /// # Errors
    /// Where the backend does not take objects; they stay in the cache.
    pub fn flush(&mut self) -> Result<(), GiveFault> {
        let _hidden = self.hide();
        // SAFETY: this is the worker's thread, through its worker, which is hidden.
        let flushed = unsafe { self.core.flush(self.pool.inner(), self.core.cached()) };
        flushed.map_err(|fault| fault.fault)
    }

    /// Hides this worker while a backend runs that may drop buffers. Those that keep words are our own, and
    /// drop nothing.
    #[inline]
    fn hide(&self) -> Option<Hidden> {
        let inner = self.pool.inner();
        (!inner.store.is_ours()).then(|| Hidden::new(inner.tag.number()))
    }

    /// Takes `n` slots and returns where they lie until the next call.
    #[cold]
    #[inline(never)]
    fn take_words_slow(&mut self, n: usize) -> Taken<Option<NonNull<u32>>> {
        let _hidden = self.hide();
        // SAFETY: this is the worker's thread, through its worker, which is hidden.
        unsafe { self.core.take_to_scratch(self.pool.inner(), n) }
    }

    #[cold]
    #[inline(never)]
    fn take_into_slow<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<bool, PoolError> {
        let objects = self.pool.objects();
        append(slots, n, objects, |words| {
            let inner = self.pool.inner();
            if self.core.is_bare(inner) {
                // SAFETY: this is the worker's thread.
                return unsafe { self.core.take_bare(inner, words) };
            }
            self.take_slow(words)
        })
    }

    #[inline(never)]
    fn take_slow(&mut self, words: &mut [u32]) -> Taken {
        let inner = self.pool.inner();
        if !inner.store.is_ours() {
            return self.take_hidden(words);
        }
        // SAFETY: this is the worker's thread, through its worker; this store drops no buffers meanwhile.
        unsafe { self.core.take_slow(inner, words) }
    }

    #[inline(never)]
    fn take_hidden(&mut self, words: &mut [u32]) -> Taken {
        let _hidden = self.hide();
        // SAFETY: this is the worker's thread, through its worker, which is hidden.
        unsafe { self.core.take_slow(self.pool.inner(), words) }
    }

    #[cold]
    #[inline(never)]
    fn give_slots_slow<const N: usize>(
        &mut self,
        slots: [Slot; N],
    ) -> Result<(), GiveError<[Slot; N]>> {
        match self.give_slow(words_of(&slots)) {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.with(slots)),
        }
    }

    #[cold]
    #[inline(never)]
    fn give_from_slow<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<(), GiveFault> {
        give_tail(slots, n, |words| {
            let inner = self.pool.inner();
            if self.core.is_bare(inner) {
                // SAFETY: this is the worker's thread.
                return unsafe { self.core.give_bare(inner, words) };
            }
            self.give_slow(words)
        })
    }

    #[inline(never)]
    fn give_slow(&mut self, words: &[u32]) -> Given {
        let inner = self.pool.inner();
        inner.check_tags(words)?;
        if !inner.store.is_ours() {
            return self.give_hidden(words);
        }
        // SAFETY: this is the worker's thread, through its worker; this store drops no buffers meanwhile.
        unsafe { self.core.give_slow(inner, words) }
    }

    #[inline(never)]
    fn give_hidden(&mut self, words: &[u32]) -> Given {
        let _hidden = self.hide();
        // SAFETY: this is the worker's thread, through its worker, which is hidden.
        unsafe { self.core.give_slow(self.pool.inner(), words) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let inner = self.pool.inner();
        tls::detach(inner.tag.number());
        // SAFETY: this is the worker's thread, and nobody finds the core any more.
        let cached = unsafe { self.core.remove(inner, self.core.cached()) };
        if !cached.is_empty() {
            inner.put_away(&cached);
        }
        inner.roster().detach(&self.core);
    }
}

// As for `Pool`: the cache is whole before a backend is called.
impl UnwindSafe for Worker {}
impl RefUnwindSafe for Worker {}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("pool", &self.pool.name())
            .field("cached", &self.cached())
            .finish_non_exhaustive()
    }
}
