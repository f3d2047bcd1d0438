//! [`Worker`]: a thread's own handle of a pool, with its cache.

use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::pool::batch::Slots;
use crate::pool::buffer::Buffer;
use crate::pool::cache::{Local, OwnCache};
use crate::pool::error::{GiveError, GiveFault, PoolError, WorkerError};
use crate::pool::guard::{Given, Taken};
use crate::pool::handle::Pool;
use crate::pool::refill::{give_in_child, take_in_child};
use crate::pool::roster::MAX_NAMES;
use crate::pool::slot::{Slot, slot, words_of};
use crate::pool::tls::{self, Hidden};
use crate::pool::uncached::{append, give_buffer, give_tail};

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
    /// Keeps the worker on its thread: neither Send nor Sync.
    cache: OwnCache,
    pool: Pool,
}

impl Pool {
    /// Gives this thread a worker: a cache, and a name that reports know it by. Workers of one role share a name.
    ///
    /// # Errors
    /// Where the thread has one already, the pool is closed, or it is the parent's of this process.
    pub fn worker(&self, name: &str) -> Result<Worker, WorkerError> {
        Worker::attach(self.clone(), name)
    }
}

impl Worker {
    fn attach(pool: Pool, name: &str) -> Result<Worker, WorkerError> {
        let shared = pool.shared();
        let pool_name = || shared.guard.pool.clone();
        let tag = &shared.tag;
        if !shared.guard.is_here() {
            return Err(WorkerError::OtherProcess { pool: pool_name() });
        }
        if tls::is_attached(tag.number()) {
            return Err(WorkerError::AlreadyOnThread { pool: pool_name() });
        }
        let mut roster = shared.roster();
        if shared.guard.is_closed() {
            return Err(WorkerError::Closed { pool: pool_name() });
        }
        let Some(holder) = roster.number(name) else {
            return Err(WorkerError::TooManyNames {
                pool: pool_name(),
                limit: MAX_NAMES,
            });
        };
        let cache = OwnCache::new(shared.cache, tag.word(), holder);
        let cache = cache.map_err(|error| WorkerError::NoMemory {
            pool: pool_name(),
            errno: error.raw_os_error().unwrap_or_default(),
        })?;
        cache.shared().set_quick(shared.checking().is_none());
        roster.attach(Arc::clone(cache.shared()));
        drop(roster);
        tls::attach(tag.number(), cache.local());
        Ok(Worker { cache, pool })
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    #[inline(always)]
    pub(super) fn local(&self) -> Local<'_> {
        self.cache.local()
    }

    /// Counts the objects in the cache.
    pub fn cached(&self) -> usize {
        self.cache.shared().cached()
    }

    /// Takes an object; `None` where there is none.
    ///
    /// # Errors
    /// Where the pool is closed, or the backend is needed and the pool is poisoned or the backend refuses.
    #[inline]
    pub fn take(&mut self) -> Result<Option<Buffer>, PoolError> {
        let mut word = [MaybeUninit::uninit()];
        if self.cache.local().pop(&mut word) {
            // SAFETY: `pop` filled it with a slot of this pool that is ours now.
            let slot = unsafe { slot(word[0].assume_init()) };
            // SAFETY: as above.
            return Ok(Some(unsafe { Buffer::new(self.pool.shared_ptr(), slot) }));
        }
        self.take_buffer_slow()
    }

    /// Takes an object, the one given last, as its slot; `None` where there is none.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn take_slot(&mut self) -> Result<Option<Slot>, PoolError> {
        let mut word = [MaybeUninit::uninit()];
        if self.cache.local().pop(&mut word) {
            // SAFETY: `pop` filled it with a slot that is ours now.
            return Ok(Some(unsafe { slot(word[0].assume_init()) }));
        }
        self.take_slot_slow()
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
        let len = slots.slots().len();
        if let Some(room) = slots.room(n)
            && self.cache.local().pop(room)
        {
            // SAFETY: `pop` filled the words after the last slot with slots that are ours now.
            unsafe { slots.set_len(len + n) };
            return Ok(true);
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
        give_buffer(buffer, |slot| self.give_slot(slot))
    }

    /// Gives an object back as its slot.
    ///
    /// # Errors
    /// As [`give`](Self::give). The slot comes back with the error.
    #[inline]
    pub fn give_slot(&mut self, slot: Slot) -> Result<(), GiveError<Slot>> {
        let local = self.cache.local();
        if local.push(words_of(std::slice::from_ref(&slot))) {
            return Ok(());
        }
        self.give_slot_slow(slot)
    }

    /// Gives the last `n` of `slots` back, all or none.
    ///
    /// # Errors
    /// Where one of them is another pool's, or they don't fit the cache and the backend does not take objects. They stay in `slots`, unless the backend failed in between: then they are
    /// gone, and the pool is poisoned.
    ///
    /// # Panics
    /// If there are fewer than `n`.
    #[inline]
    pub fn give_from<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<(), GiveFault> {
        let all = slots.slots();
        if let Some(rest) = all.len().checked_sub(n)
            && self.cache.local().push(words_of(&all[rest..]))
        {
            // SAFETY: fewer than before; what is forgotten was given.
            unsafe { slots.set_len(rest) };
            return Ok(());
        }
        self.give_from_slow(slots, n)
    }

    /// Gives all of `slots` back, as [`give_from`](Self::give_from), which is quicker where the number is a constant.
    ///
    /// # Errors
    /// As [`give_from`](Self::give_from).
    #[inline]
    pub fn give_all<S: Slots>(&mut self, slots: &mut S) -> Result<(), GiveFault> {
        let n = slots.slots().len();
        self.give_from(slots, n)
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
        let flushed = self.hidden(|worker| {
            let shared = worker.pool.shared();
            match worker.cache.alone() {
                Some(mut cache) => cache.flush_all(shared),
                None => give_in_child(),
            }
        });
        flushed.map_err(|fault| fault.fault)
    }

    #[cold]
    #[inline(never)]
    fn take_buffer_slow(&mut self) -> Result<Option<Buffer>, PoolError> {
        let slot = self.take_slot_slow()?;
        // SAFETY: the slot is of this pool.
        Ok(slot.map(|slot| unsafe { Buffer::new(self.pool.shared_ptr(), slot) }))
    }

    #[cold]
    #[inline(never)]
    fn take_slot_slow(&mut self) -> Result<Option<Slot>, PoolError> {
        let mut word = [0];
        let got = self.take_slow(&mut word)?;
        // SAFETY: on true, the word is a slot that is ours now.
        Ok(got.then(|| unsafe { slot(word[0]) }))
    }

    #[cold]
    #[inline(never)]
    fn take_into_slow<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<bool, PoolError> {
        let objects = self.pool.objects();
        append(slots, n, objects, |words| {
            let shared = self.pool.shared();
            if self.cache.shared().is_bare(shared) {
                return self.cache.shared().take_bare(shared, words);
            }
            self.take_slow(words)
        })
    }

    #[inline(never)]
    fn take_slow(&mut self, words: &mut [u32]) -> Taken {
        if self.pool.shared().guard.calls_back() {
            return self.hidden(|worker| worker.take_alone(words));
        }
        self.take_alone(words)
    }

    #[inline(always)]
    fn take_alone(&mut self, words: &mut [u32]) -> Taken {
        let shared = self.pool.shared();
        match self.cache.alone() {
            Some(mut cache) => cache.take(shared, words),
            None => take_in_child(),
        }
    }

    #[cold]
    #[inline(never)]
    fn give_slot_slow(&mut self, slot: Slot) -> Result<(), GiveError<Slot>> {
        match self.give_slow(&[slot.word()]) {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.with(slot)),
        }
    }

    #[cold]
    #[inline(never)]
    fn give_from_slow<S: Slots>(&mut self, slots: &mut S, n: usize) -> Result<(), GiveFault> {
        give_tail(slots, n, |words| {
            let shared = self.pool.shared();
            if self.cache.shared().is_bare(shared) {
                return self.cache.shared().give_bare(shared, words);
            }
            self.give_slow(words)
        })
    }

    #[inline(never)]
    fn give_slow(&mut self, words: &[u32]) -> Given {
        let shared = self.pool.shared();
        shared.check_tags(words)?;
        if shared.guard.calls_back() {
            return self.hidden(|worker| worker.give_alone(words));
        }
        self.give_alone(words)
    }

    #[inline(always)]
    fn give_alone(&mut self, words: &[u32]) -> Given {
        let shared = self.pool.shared();
        match self.cache.alone() {
            Some(mut cache) => cache.give(shared, words),
            None => give_in_child(),
        }
    }

    /// Acts while this worker is hidden from what a backend calls. Out of line: a store that calls nobody back needs none
    /// of it, and saves no registers for it.
    #[inline(never)]
    fn hidden<T>(&mut self, act: impl FnOnce(&mut Worker) -> T) -> T {
        let _hidden = Hidden::new(self.pool.shared().tag.number());
        act(self)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let shared = self.pool.shared();
        tls::detach(shared.tag.number());
        if !shared.guard.is_here() {
            return; // the parent has what is cached, and its own list of workers
        }
        let cached = self.cache.local().empty(shared);
        if !cached.is_empty() {
            shared.put_away(&cached);
        }
        shared.roster().detach(self.cache.shared());
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
