//! [`Shared`]: what all handles of a pool share.
//!
//! Everything that reaches the backend goes through [`Shared::dequeue`] and [`Shared::enqueue`], and the [`Guard`] below
//! them. Every object is always either in the backend, in a cache, on loan, *parked* here because the backend would not
//! have it, or missing because a failed backend may or may not have it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hwpool_devices::bus::Iova;

use crate::dma::Memory;
use crate::often::Often;
use crate::pool::backend::StoreError;
use crate::pool::cache::Tally;
use crate::pool::checked::{Place, Table};
use crate::pool::error::{GiveFault, PoolError};
use crate::pool::guard::{Fault, Given, Guard, Taken, with_indices};
use crate::pool::lifeline::Lifeline;
use crate::pool::roster::Roster;
use crate::pool::slot::{Tag, index_of};
use crate::pool::stats::Stats;

/// What all handles of a pool share. Lives until its [`Lifeline`] is cut.
pub(super) struct Shared {
    /// Dropped before `memory`, which its device may still reach until then.
    pub(super) guard: Guard,
    pub(super) base: NonNull<u8>,
    pub(super) stride: usize,
    /// Most objects in a worker's cache.
    pub(super) cache: usize,
    pub(super) iova: Option<Iova>,
    pub(super) tag: Tag,
    pub(super) memory: Arc<Memory>,
    pub(super) lifeline: Lifeline,
    /// Checked mode: on while odd; see [`Table`].
    pub(super) epoch: AtomicU32,
    pub(super) table: OnceLock<Table>,
    pub(super) roster: Mutex<Roster>,
    /// Objects by index that the backend would not have; the pool keeps them until it closes.
    pub(super) parked: Mutex<Vec<u32>>,
    pub(super) direct: Direct,
    /// Objects that could not be given back by a drop, and drops of what was not out.
    pub(super) kept: Often,
    pub(super) strays: Often,
}

/// Counters of what goes past the caches, and of what comes late.
#[derive(Default)]
pub(super) struct Direct {
    pub(super) taken: AtomicU64,
    pub(super) given: AtomicU64,
    pub(super) shortages: AtomicU64,
    pub(super) enqueues: AtomicU64,
    pub(super) dequeues: AtomicU64,
    pub(super) late: AtomicU64,
}

// SAFETY: `base` points into `memory`, whose bytes are accessed only through slots and buffers, of which there is one
// an object. Everything else is Send and Sync by itself.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Lets go of `n` holds and frees `this` if they were the last.
    ///
    /// # Safety
    /// The caller owns the holds, and uses `this` no more.
    pub(super) unsafe fn release(this: NonNull<Shared>, n: usize) {
        // SAFETY: the caller's holds keep it alive up to here.
        if unsafe { this.as_ref() }.lifeline.release(n) {
            // SAFETY: it came from `Box::into_raw` in `Pool::from_shared`; the last hold is gone, so nobody else uses it.
            drop(unsafe { Box::from_raw(this.as_ptr()) });
        }
    }

    #[inline]
    pub(super) fn address(&self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.guard.objects);
        // SAFETY: the memory has `objects * stride` bytes, and only indices below `objects` become slots.
        unsafe { self.base.add(index as usize * self.stride) }
    }

    #[inline]
    pub(super) fn iova_of(&self, index: u32) -> Option<Iova> {
        // The builder checked that the end of the last object does not wrap.
        self.iova
            .map(|first| Iova(first.0 + u64::from(index) * self.stride as u64))
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn parked(&self) -> MutexGuard<'_, Vec<u32>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the pool did so far. In a child of `fork` nothing can be told: locks may be held for ever.
    pub(super) fn stats(&self) -> Stats {
        let objects = self.guard.objects;
        if !self.guard.is_here() {
            return Stats {
                objects,
                ..Stats::default()
            };
        }
        let mut sum = Tally::default();
        self.roster()
            .tallies()
            .iter()
            .for_each(|(_, tally, _)| sum.add(tally));
        let parked = self.parked().len() as u64;
        let cached = sum.cached.min(u64::from(objects));
        let in_backend = match self.guard.is_closed() {
            true => 0,
            false => u64::from(self.guard.count()),
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let direct = &self.direct;
        Stats {
            objects,
            free: (in_backend + cached + parked).min(u64::from(objects)) as u32,
            cached: cached as u32,
            taken: sum.taken + read(&direct.taken),
            given: sum.given() + read(&direct.given),
            late: read(&direct.late),
            refills: sum.refills,
            flushes: sum.flushes,
            shortages: sum.shortages + read(&direct.shortages),
            backend_enqueues: sum.enqueues + read(&direct.enqueues),
            backend_dequeues: sum.dequeues + read(&direct.dequeues),
            doorbells: self.guard.doorbells(),
        }
    }
}

/// The way to the backend.
impl Shared {
    /// Fills `words` with slots; false where the backend has fewer. On false and on errors, what `words` has is void.
    #[inline(always)]
    pub(super) fn dequeue(&self, words: &mut [u32]) -> Taken {
        match self.guard.take(words) {
            Some(Ok(())) => Ok(true),
            Some(Err(StoreError::Short)) => Ok(false),
            Some(Err(StoreError::Closed)) => Err(PoolError::Closed.into()),
            None => self.dequeue_checked(words),
        }
    }

    /// As [`dequeue`](Self::dequeue), from a backend that may fail or lie.
    #[inline(never)]
    fn dequeue_checked(&self, words: &mut [u32]) -> Taken {
        self.guard.take_checked(words).map_err(|fault| {
            self.park(&fault.sound);
            fault.error.into()
        })
    }

    /// Gives slots to the backend, all or none. In a closed pool they come late, and all is well too.
    #[inline(always)]
    pub(super) fn enqueue(&self, words: &[u32]) -> Given {
        match self.guard.put(words) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => self.not_put(words, error),
            None => self.enqueue_checked(words),
        }
    }

    /// Sorts out what a store of our own would not have.
    #[cold]
    fn not_put(&self, words: &[u32], error: StoreError) -> Given {
        match error {
            StoreError::Closed => {
                self.late(words.len());
                Ok(())
            }
            StoreError::Short => Err(self.guard.fault(error.into()).into()),
        }
    }

    /// As [`enqueue`](Self::enqueue), to a backend that may fail.
    #[inline(never)]
    fn enqueue_checked(&self, words: &[u32]) -> Given {
        match with_indices(words, |indices| self.guard.give_checked(indices)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.late(words.len());
                Ok(())
            }
            Err(fault) => {
                self.park(&fault.sound);
                Err(fault)
            }
        }
    }

    /// Gives slots to the backend for a caller that can't keep them, such as a drop.
    pub(super) fn put_away(&self, words: &[u32]) {
        if let Err(fault) = self.enqueue(words)
            && fault.kept
        {
            // That a pool is poisoned was told when it happened, with the cause.
            let is_news = !matches!(fault.fault, GiveFault::Poisoned { .. });
            if is_news && self.kept.is_first() {
                let pool = &self.guard.pool;
                tracing::warn!(pool, objects = words.len(), fault = %fault.fault, "objects are parked until close; more are counted there");
            }
            with_indices(words, |indices| self.park(indices));
        }
    }

    /// Keeps objects that the backend does not have.
    fn park(&self, indices: &[u32]) {
        if indices.is_empty() {
            return;
        }
        let mut parked = self.parked();
        // Under the lock: the closing thread collects what is parked after it has set `closed`.
        if self.guard.is_closed() {
            self.late(indices.len());
        } else {
            parked.extend_from_slice(indices);
        }
    }

    /// Lets go of objects that come back after the pool was closed. The caller has a hold of its own.
    #[cold]
    pub(super) fn late(&self, n: usize) {
        self.direct.late.fetch_add(n as u64, Ordering::Relaxed);
        let last = self.lifeline.release(n);
        debug_assert!(!last, "the caller of late() has no hold");
    }
}

/// Checked mode.
impl Shared {
    /// Returns the epoch and the table while checking is on.
    #[inline(always)]
    pub(super) fn checking(&self) -> Option<(u32, &Table)> {
        // Acquire: pairs with the store that switches checking on, after all quick ways were switched off.
        let epoch = self.epoch.load(Ordering::Acquire);
        (epoch % 2 == 1)
            .then(|| self.table.get())
            .flatten()
            .map(|table| (epoch, table))
    }

    /// Notes where objects are. After a dequeue and before an enqueue, so that notes of one object don't overtake it.
    #[inline(always)]
    pub(super) fn note(&self, words: &[u32], place: Place) {
        if let Some((epoch, table)) = self.checking() {
            table.set(epoch, words, place);
        }
    }

    /// Notes that nobody has an object, as in a pool that was just made.
    pub(super) fn note_all_free(&self) {
        if let Some((epoch, table)) = self.checking() {
            table.set_all(epoch, Place::Free);
        }
    }

    /// Fails if one of the objects is known to be in.
    #[inline(always)]
    pub(super) fn check_out(&self, words: &[u32]) -> Given {
        match self.checking() {
            Some((epoch, table)) if !table.are_out(epoch, words) => {
                Err(not_out(epoch, table, words))
            }
            _ => Ok(()),
        }
    }
}

#[cold]
fn not_out(epoch: u32, table: &Table, words: &[u32]) -> Box<Fault> {
    let is_in = |index: &u32| matches!(table.at(epoch, *index), Place::Free | Place::Cached(_));
    let mut indices = words.iter().map(|&word| index_of(word));
    let index = indices.find(is_in).unwrap_or_default();
    GiveFault::NotOut { index }.into()
}
