//! [`Inner`]: what all handles of a pool share, and the one way to its backend.
//!
//! Everything that reaches the backend goes through [`Inner::dequeue`] and [`Inner::enqueue`]. They check what an
//! untrusted backend says, turn indices into slots, and sort out what a failure leaves: every object is always either
//! in the backend, in a cache, on loan, *parked* here because the backend would not have it, or in *limbo* because a
//! failed backend may or may not have it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hwpool_devices::bus::Iova;

use crate::dma::Memory;
use crate::pool::backend::{Backend, BackendError, Stop};
use crate::pool::checked::{Place, Table};
use crate::pool::error::{BoxError, GiveFault, Poison, PoolError};
use crate::pool::ledger::Ledger;
use crate::pool::lifeline::Lifeline;
use crate::pool::roster::Roster;
use crate::pool::slot::{Tag, index_of};
use crate::pool::store::Store;

/// What all handles of a pool share. Lives until its [`Lifeline`] is cut.
pub(super) struct Inner {
    pub(super) name: String,
    pub(super) backend_name: String,
    pub(super) base: NonNull<u8>,
    pub(super) stride: usize,
    pub(super) size: usize,
    pub(super) objects: u32,
    /// Most objects in a worker's cache.
    pub(super) cache: usize,
    pub(super) iova: Option<Iova>,
    pub(super) tag: Tag,
    /// Dropped before `memory`, which its device may still reach until then.
    pub(super) store: Store,
    pub(super) memory: Arc<Memory>,
    /// For a backend that is not trusted: the objects that are not inside it.
    pub(super) ledger: Option<Ledger>,
    pub(super) lifeline: Lifeline,
    pub(super) closed: AtomicBool,
    pub(super) poison: OnceLock<Arc<Poison>>,
    /// Checked mode: on while odd; see [`Table`].
    pub(super) epoch: AtomicU32,
    pub(super) table: OnceLock<Table>,
    pub(super) roster: Mutex<Roster>,
    pub(super) stray: Mutex<Stray>,
    pub(super) direct: Direct,
}

/// Objects that are neither in the backend nor with a user, by index.
#[derive(Default)]
pub(super) struct Stray {
    /// The backend would not have them; the pool keeps them until it closes.
    pub(super) parked: Vec<u32>,
    /// The backend failed while it took them.
    pub(super) limbo: Vec<u32>,
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

/// Why objects did not go where they should.
pub(super) struct Fault {
    pub(super) fault: GiveFault,
    /// Whether they are still the caller's.
    pub(super) kept: bool,
}

/// What a take answers, with the error boxed as in [`Given`].
pub(super) type Taken<T = bool> = Result<T, Box<PoolError>>;

/// Whether objects went where they should. The fault is boxed, so that going well is a null pointer in a register: an
/// answer in memory that is passed on from call to call costs more than the rest of them (measured: 15 ns).
pub(super) type Given = Result<(), Box<Fault>>;

impl From<GiveFault> for Box<Fault> {
    /// A fault that changed nothing.
    fn from(fault: GiveFault) -> Box<Fault> {
        Box::new(Fault { fault, kept: true })
    }
}

// SAFETY: `base` points into `memory`, whose bytes are accessed only through slots and buffers, of which there is one
// an object. Everything else is Send and Sync by itself.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Inner {
    /// Lets go of `n` holds and frees `this` if they were the last.
    ///
    /// # Safety
    /// The caller owns the holds, and uses `this` no more.
    pub(super) unsafe fn release(this: NonNull<Inner>, n: usize) {
        // SAFETY: the caller's holds keep it alive up to here.
        if unsafe { this.as_ref() }.lifeline.release(n) {
            // SAFETY: it came from `Box::into_raw` in `Handle::new`; the last hold is gone, so nobody else uses it.
            drop(unsafe { Box::from_raw(this.as_ptr()) });
        }
    }

    #[inline(always)]
    pub(super) fn is_closed(&self) -> bool {
        // Acquire: who sees the pool closed also sees the holds that were taken for objects that come late.
        self.closed.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn address(&self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.objects);
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

    pub(super) fn stray(&self) -> MutexGuard<'_, Stray> {
        self.stray.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Taking from the backend.
impl Inner {
    /// Fills `words` with slots; false where the backend has fewer. On false and on errors, what `words` has is void.
    #[inline(always)]
    pub(super) fn dequeue(&self, words: &mut [u32]) -> Taken {
        match self.store.take(words) {
            Some(Ok(())) => Ok(true),
            Some(Err(Stop::Short)) => Ok(false),
            Some(Err(Stop::Closed)) => Err(PoolError::Closed.into()),
            None => self.dequeue_indices(words),
        }
    }

    /// Takes from a backend that may fail or lie, and keeps indices.
    #[inline(never)]
    fn dequeue_indices(&self, words: &mut [u32]) -> Taken {
        self.check_usable()?;
        match self.store.dequeue(words) {
            Ok(()) => self.verify(words)?,
            Err(BackendError::Short) => return Ok(false),
            Err(error) => return Err(self.dequeue_failed(error)),
        }
        let tag = self.tag.word();
        words.iter_mut().for_each(|word| *word |= tag);
        Ok(true)
    }

    #[cold]
    fn dequeue_failed(&self, error: BackendError) -> Box<PoolError> {
        let error = match error {
            BackendError::Closed if self.is_closed() => PoolError::Closed,
            BackendError::Failed { cause } => PoolError::Poisoned {
                cause: self.failed("dequeue", cause),
            },
            BackendError::Refused { cause } => PoolError::Refused {
                cause: cause.into(),
            },
            other => PoolError::Refused {
                cause: Arc::new(other),
            },
        };
        error.into()
    }

    fn check_usable(&self) -> Taken<()> {
        if self.is_closed() {
            return Err(PoolError::Closed.into());
        }
        match self.poison.get() {
            Some(cause) => Err(PoolError::Poisoned {
                cause: Arc::clone(cause),
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Claims what an untrusted backend handed out.
    fn verify(&self, indices: &[u32]) -> Taken<()> {
        match &self.ledger {
            Some(ledger) => self.claim(ledger, indices),
            None => {
                debug_assert!(indices.iter().all(|&index| index < self.objects));
                Ok(())
            }
        }
    }

    /// Claims all, or poisons the pool where one index is wrong, which then keeps the others.
    #[inline(never)]
    fn claim(&self, ledger: &Ledger, indices: &[u32]) -> Taken<()> {
        let claim = |&index: &u32| index < self.objects && ledger.claim(index);
        let Some(wrong) = indices.iter().position(|index| !claim(index)) else {
            return Ok(());
        };
        let mut sound = indices[..wrong].to_vec();
        sound.extend(indices[wrong + 1..].iter().copied().filter(claim));
        self.park(&sound);
        Err(PoolError::Poisoned {
            cause: self.poison(self.violation(indices[wrong])),
        }
        .into())
    }

    fn violation(&self, index: u32) -> Poison {
        let backend = self.backend_name.clone();
        if index < self.objects {
            Poison::HandedOutTwice { backend, index }
        } else {
            Poison::OutOfRange {
                backend,
                index,
                objects: self.objects,
            }
        }
    }

    /// Poisons the pool and returns the cause: this one, or an earlier one.
    fn poison(&self, poison: Poison) -> Arc<Poison> {
        let cause = self.poison.get_or_init(|| {
            tracing::error!(pool = self.name, %poison, "pool is poisoned");
            Arc::new(poison)
        });
        Arc::clone(cause)
    }

    fn failed(&self, call: &'static str, cause: BoxError) -> Arc<Poison> {
        self.poison(Poison::Failed {
            backend: self.backend_name.clone(),
            call,
            cause,
        })
    }
}

/// Giving to the backend.
impl Inner {
    /// Gives slots to the backend, all or none. In a closed pool they come late, and all is well too.
    #[inline(always)]
    pub(super) fn enqueue(&self, words: &[u32]) -> Given {
        match self.store.put(words) {
            Some(Ok(())) => Ok(()),
            Some(Err(stop)) => self.not_put(words, stop),
            None => with_indices(words, |indices| self.hand_over(indices)),
        }
    }

    /// Sorts out what a store of our own would not have.
    #[cold]
    fn not_put(&self, words: &[u32], stop: Stop) -> Given {
        match stop {
            Stop::Closed => {
                self.late(words.len());
                Ok(())
            }
            Stop::Short => Err(self.enqueue_failed(words, stop.into())),
        }
    }

    /// Gives objects to a backend that may fail.
    #[inline(never)]
    fn hand_over(&self, indices: &[u32]) -> Given {
        if self.is_closed() {
            self.late(indices.len());
            return Ok(());
        }
        if let Some(cause) = self.poison.get() {
            return Err(GiveFault::Poisoned {
                cause: Arc::clone(cause),
            }
            .into());
        }
        if let Some(ledger) = &self.ledger {
            // Before the call: another thread may be handed these objects while it still runs.
            indices.iter().for_each(|&index| _ = ledger.release(index));
        }
        match self.store.enqueue(indices) {
            Ok(()) => Ok(()),
            Err(BackendError::Closed) if self.is_closed() => {
                self.late(indices.len());
                Ok(())
            }
            Err(error) => Err(self.enqueue_failed(indices, error)),
        }
    }

    /// Sorts out who has the objects after an enqueue that failed.
    #[cold]
    fn enqueue_failed(&self, indices: &[u32], error: BackendError) -> Box<Fault> {
        let reclaimed = self.reclaim(indices);
        let (fault, unknown) = match error {
            BackendError::Failed { cause } => (
                GiveFault::Poisoned {
                    cause: self.failed("enqueue", cause),
                },
                self.ledger.is_none(),
            ),
            BackendError::Refused { cause } => (
                GiveFault::Refused {
                    cause: cause.into(),
                },
                false,
            ),
            short => (
                GiveFault::Refused {
                    cause: Arc::new(short),
                },
                false,
            ),
        };
        let (fault, kept) = match reclaimed {
            Err(cause) => (GiveFault::Poisoned { cause }, false),
            Ok(()) if unknown => {
                let mut stray = self.stray();
                stray
                    .limbo
                    .extend(indices.iter().map(|&word| index_of(word)));
                (fault, false)
            }
            Ok(()) => (fault, true),
        };
        Box::new(Fault { fault, kept })
    }

    /// Claims objects back that an untrusted backend refused. Where it has handed one to another thread meanwhile, the
    /// pool is poisoned and keeps the others.
    fn reclaim(&self, indices: &[u32]) -> Result<(), Arc<Poison>> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let (ours, gone): (Vec<u32>, Vec<u32>) =
            indices.iter().partition(|&&index| ledger.claim(index));
        let Some(&index) = gone.first() else {
            return Ok(());
        };
        self.park(&ours);
        Err(self.poison(self.violation(index)))
    }

    /// Gives slots to the backend for a caller that can't keep them, such as a drop.
    pub(super) fn put_away(&self, words: &[u32]) {
        if let Err(fault) = self.enqueue(words)
            && fault.kept
        {
            tracing::warn!(pool = self.name, objects = words.len(), fault = %fault.fault, "objects are parked until close");
            with_indices(words, |indices| self.park(indices));
        }
    }

    /// Keeps objects that the backend does not have.
    fn park(&self, indices: &[u32]) {
        let mut stray = self.stray();
        // Under the lock: the closing thread collects what is parked after it has set `closed`.
        if self.is_closed() {
            self.late(indices.len());
        } else {
            stray.parked.extend_from_slice(indices);
        }
    }

    /// Lets go of objects that come back after the pool was closed. The caller has a hold of its own.
    pub(super) fn late(&self, n: usize) {
        self.direct.late.fetch_add(n as u64, Ordering::Relaxed);
        let last = self.lifeline.release(n);
        debug_assert!(!last, "the caller of late() has no hold");
    }
}

/// Calls `then` with the indices of slots, on the stack where they are few.
fn with_indices<R>(words: &[u32], then: impl FnOnce(&[u32]) -> R) -> R {
    const FEW: usize = 64;
    if words.len() > FEW {
        let indices: Vec<u32> = words.iter().map(|&word| index_of(word)).collect();
        return then(&indices);
    }
    let mut indices = [0; FEW];
    indices
        .iter_mut()
        .zip(words)
        .for_each(|(index, &word)| *index = index_of(word));
    then(&indices[..words.len()])
}

/// Checked mode.
impl Inner {
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
