//! [`Guard`]: what stands between a pool and its backend, for pools of slots and raw ones alike.
//!
//! What an untrusted backend says is checked in a ledger; a backend whose state is unknown is called no more; a failure is
//! sorted out, so that it is known who has the objects; a child of `fork` gets nowhere. Callers have *words*: slots, or in
//! a raw pool indices. Which of the two a backend sees is decided here alone.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hwpool_devices::bus::Iova;

use crate::fork::Wiped;
use crate::pool::backend::{Backend, BackendError, StoreError};
use crate::pool::error::{GiveFault, Poison, PoolError};
use crate::pool::ledger::Ledger;
use crate::pool::slot::index_of;
use crate::pool::store::Store;

/// A pool's backend, behind all checks.
pub(super) struct Guard {
    pub(super) pool: String,
    pub(super) backend: String,
    pub(super) objects: u32,
    /// What a word has besides its index: the tag of slots, or nothing.
    tag_word: u32,
    /// Dropped in its own process only: a device has one driver.
    store: ManuallyDrop<Store>,
    /// The objects that are not inside, where somebody must remember them.
    ledger: Option<Ledger>,
    poison: OnceLock<Arc<Poison>>,
    closed: AtomicBool,
    /// Bytes of an object; 0 in a child of `fork`.
    size: Wiped<AtomicUsize>,
}

/// What a guard is made of.
pub(super) struct Parts {
    pub(super) pool: String,
    pub(super) backend: String,
    pub(super) objects: u32,
    pub(super) tag_word: u32,
    pub(super) store: Store,
    pub(super) ledger: Option<Ledger>,
    pub(super) size: Wiped<AtomicUsize>,
}

/// What a take answers. The error is boxed as in [`Given`].
pub(super) type Taken<T = bool> = Result<T, Box<PoolError>>;

/// Whether objects went where they should. The fault is boxed, so that going well is a null pointer in a register: an
/// answer in memory that is passed on from call to call costs more than the rest of them (measured: 15 ns).
pub(super) type Given = Result<(), Box<Fault>>;

/// Why objects did not come.
pub(super) struct NotTaken {
    pub(super) error: PoolError,
    /// Those that came all the same, with one that can't be right.
    pub(super) sound: Vec<u32>,
}

/// Why objects did not go where they should.
pub(super) struct Fault {
    pub(super) fault: GiveFault,
    /// Whether they are still the caller's.
    pub(super) kept: bool,
    /// Those that are nobody's now, and must be kept by the pool, by index.
    pub(super) sound: Vec<u32>,
}

impl From<PoolError> for Box<NotTaken> {
    fn from(error: PoolError) -> Box<NotTaken> {
        let sound = Vec::new();
        Box::new(NotTaken { error, sound })
    }
}

impl From<GiveFault> for Box<Fault> {
    /// A fault that changed nothing.
    fn from(fault: GiveFault) -> Box<Fault> {
        Box::new(Fault {
            fault,
            kept: true,
            sound: Vec::new(),
        })
    }
}

impl Fault {
    /// Says that the caller has its objects all the same.
    pub(super) fn keep(mut self: Box<Fault>) -> Box<Fault> {
        self.kept = true;
        self
    }
}

/// An index that the backend can't have handed out, and who is sound beside it.
struct Lie {
    cause: Arc<Poison>,
    sound: Vec<u32>,
}

impl Guard {
    pub(super) fn new(parts: Parts) -> Guard {
        Guard {
            pool: parts.pool,
            backend: parts.backend,
            objects: parts.objects,
            tag_word: parts.tag_word,
            store: ManuallyDrop::new(parts.store),
            ledger: parts.ledger,
            poison: OnceLock::new(),
            closed: AtomicBool::new(false),
            size: parts.size,
        }
    }

    /// Returns the bytes of an object; 0 in a child of `fork`, which has none.
    #[inline(always)]
    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Tells whether this is the process that made the pool.
    #[inline(always)]
    pub(super) fn is_here(&self) -> bool {
        self.size() != 0
    }

    #[inline(always)]
    pub(super) fn is_closed(&self) -> bool {
        // Acquire: who sees the pool closed also sees the holds that were taken for objects that come late.
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Tells whether the backend may call code of users, who may drop buffers. Our own stores call nobody.
    #[inline(always)]
    pub(super) fn calls_back(&self) -> bool {
        !self.store.keeps_words()
    }

    /// Returns the store of our own, where nothing else remembers what is out.
    #[inline(always)]
    pub(super) fn bare_store(&self) -> Option<&Store> {
        (self.ledger.is_none() && self.is_here()).then_some(&self.store)
    }

    /// Counts the objects inside; 0 in a child of `fork`.
    pub(super) fn count(&self) -> u32 {
        if self.is_here() {
            self.store.count()
        } else {
            0
        }
    }

    /// Counts the doorbells that were rung; `None` in a child of `fork`.
    pub(super) fn doorbells(&self) -> Option<u64> {
        self.is_here().then(|| self.store.doorbells()).flatten()
    }

    /// Tells whether nobody knows any more what the backend has.
    pub(super) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    pub(super) fn iova(&self) -> Option<Iova> {
        self.store.iova()
    }

    /// Tells whether an object may be inside the backend, as far as the ledger knows.
    pub(super) fn may_be_inside(&self, index: u32) -> bool {
        let is_out = |ledger: &Ledger| ledger.is_claimed(index);
        index < self.objects && !self.ledger.as_ref().is_some_and(is_out)
    }

    /// Gives a new backend all objects, `at_once` at a time. Where it does not take them, returns the first it did not.
    pub(super) fn fill(&self, at_once: usize) -> Result<(), (u32, BackendError)> {
        let tag_word = match self.store.keeps_words() {
            true => self.tag_word,
            false => 0,
        };
        let mut batch = Vec::with_capacity(at_once);
        for first in (0..self.objects).step_by(at_once) {
            batch.clear();
            let objects = first..self.objects.min(first.saturating_add(at_once as u32));
            batch.extend(objects.map(|index| tag_word | index));
            self.store.enqueue(&batch).map_err(|error| (first, error))?;
        }
        Ok(())
    }

    /// Takes everything out, for ever, by index: what the backend says, unchecked.
    pub(super) fn drain(&self) -> Result<Vec<u32>, BackendError> {
        let mut drained = self.store.drain()?;
        if self.store.keeps_words() {
            drained.iter_mut().for_each(|word| *word = index_of(*word));
        }
        Ok(drained)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: dropped once, here, and not used any more.
            unsafe { ManuallyDrop::drop(&mut self.store) }
        }
    }
}

/// Taking from the backend.
impl Guard {
    /// Fills `words` from a store of our own; `None` where [`take_checked`](Self::take_checked) must.
    #[inline(always)]
    pub(super) fn take(&self, words: &mut [u32]) -> Option<Result<(), StoreError>> {
        match self.is_here() {
            true => self.store.take(words),
            false => None,
        }
    }

    /// Fills `words` from a backend that may fail or lie, and keeps indices; false where it has fewer. On false and on
    /// errors, what `words` has is void.
    pub(super) fn take_checked(&self, words: &mut [u32]) -> Result<bool, Box<NotTaken>> {
        self.check_usable()?;
        match self.store.dequeue(words) {
            Ok(()) => self.claim(words)?,
            Err(BackendError::Short) => return Ok(false),
            Err(error) => return Err(self.error("dequeue", error).into()),
        }
        words.iter_mut().for_each(|word| *word |= self.tag_word);
        Ok(true)
    }

    /// Fails where nothing can be had any more.
    pub(super) fn check_usable(&self) -> Result<(), PoolError> {
        if !self.is_here() {
            return Err(PoolError::OtherProcess);
        }
        if self.is_closed() {
            return Err(PoolError::Closed);
        }
        match self.poison.get() {
            Some(cause) => Err(PoolError::Poisoned {
                cause: Arc::clone(cause),
            }),
            None => Ok(()),
        }
    }

    /// Sorts what a backend failed on, and poisons the pool where its state is unknown.
    #[cold]
    pub(super) fn error(&self, call: &'static str, error: BackendError) -> PoolError {
        match error {
            BackendError::Closed if self.is_closed() => PoolError::Closed,
            BackendError::Failed { cause } => PoolError::Poisoned {
                cause: self.poison(Poison::Failed {
                    backend: self.backend.clone(),
                    call,
                    cause,
                }),
            },
            BackendError::Refused { cause } => PoolError::Refused {
                cause: cause.into(),
            },
            other => PoolError::Refused {
                cause: Arc::new(other),
            },
        }
    }

    /// Marks what the backend handed out. Where one index is wrong, the pool is poisoned, and the others are returned.
    fn claim(&self, indices: &[u32]) -> Result<(), Box<NotTaken>> {
        match &self.ledger {
            Some(ledger) => self.claim_in(ledger, indices).map_err(|lie| {
                let (error, sound) = (PoolError::Poisoned { cause: lie.cause }, lie.sound);
                Box::new(NotTaken { error, sound })
            }),
            None => {
                debug_assert!(indices.iter().all(|&index| index < self.objects));
                Ok(())
            }
        }
    }

    #[inline(never)]
    fn claim_in(&self, ledger: &Ledger, indices: &[u32]) -> Result<(), Lie> {
        let claim = |&index: &u32| index < self.objects && ledger.claim(index);
        let Some(wrong) = indices.iter().position(|index| !claim(index)) else {
            return Ok(());
        };
        let mut sound = indices[..wrong].to_vec();
        sound.extend(indices[wrong + 1..].iter().copied().filter(claim));
        let cause = self.poison(self.violation(indices[wrong]));
        Err(Lie { cause, sound })
    }

    fn violation(&self, index: u32) -> Poison {
        let backend = self.backend.clone();
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
            tracing::error!(pool = self.pool, %poison, "pool is poisoned");
            Arc::new(poison)
        });
        Arc::clone(cause)
    }
}

/// Giving to the backend.
impl Guard {
    /// Gives `words` to a store of our own, all or none; `None` where [`give_checked`](Self::give_checked) must.
    #[inline(always)]
    pub(super) fn put(&self, words: &[u32]) -> Option<Result<(), StoreError>> {
        match self.is_here() {
            true => self.store.put(words),
            false => None,
        }
    }

    /// Gives objects to a backend that may fail, all or none; false where it is closed, and they come late.
    pub(super) fn give_checked(&self, indices: &[u32]) -> Result<bool, Box<Fault>> {
        match self.check_usable() {
            Ok(()) => {}
            Err(PoolError::Closed) => return Ok(false),
            Err(error) => return Err(give_fault(error).into()),
        }
        // Before the call: another thread may be handed these objects while it still runs.
        self.release(indices)?;
        match self.store.enqueue(indices) {
            Ok(()) => Ok(true),
            Err(BackendError::Closed) if self.is_closed() => Ok(false),
            Err(error) => Err(self.not_given(indices, error)),
        }
    }

    pub(super) fn fault(&self, error: BackendError) -> GiveFault {
        give_fault(self.error("enqueue", error))
    }

    /// Marks objects as in, all or none.
    fn release(&self, indices: &[u32]) -> Result<(), GiveFault> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let Some(at) = indices.iter().position(|&index| !ledger.release(index)) else {
            return Ok(());
        };
        for &index in &indices[..at] {
            ledger.claim(index);
        }
        Err(GiveFault::NotOut { index: indices[at] })
    }

    /// Sorts out who has the objects after an enqueue that failed.
    #[cold]
    fn not_given(&self, indices: &[u32], error: BackendError) -> Box<Fault> {
        // Without a ledger nobody knows what a backend has that failed.
        let unknown = self.ledger.is_none() && matches!(error, BackendError::Failed { .. });
        let reclaimed = self.reclaim(indices);
        let fault = self.fault(error);
        let (fault, kept, sound) = match reclaimed {
            Ok(()) => (fault, !unknown, Vec::new()),
            Err(Lie { cause, sound }) => (GiveFault::Poisoned { cause }, false, sound),
        };
        Box::new(Fault { fault, kept, sound })
    }

    /// Claims objects back that an untrusted backend refused. Where it has handed one to another thread meanwhile, the
    /// pool is poisoned, and the others are returned.
    fn reclaim(&self, indices: &[u32]) -> Result<(), Lie> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let (sound, gone): (Vec<u32>, Vec<u32>) =
            indices.iter().partition(|&&index| ledger.claim(index));
        let Some(&index) = gone.first() else {
            return Ok(());
        };
        let cause = self.poison(self.violation(index));
        Err(Lie { cause, sound })
    }
}

/// Says for a give what was found out by what a take says too.
fn give_fault(error: PoolError) -> GiveFault {
    match error {
        PoolError::OtherProcess => GiveFault::OtherProcess,
        PoolError::Poisoned { cause } => GiveFault::Poisoned { cause },
        PoolError::Refused { cause } => GiveFault::Refused { cause },
        PoolError::Closed => GiveFault::Refused {
            cause: Arc::new(PoolError::Closed),
        },
    }
}

/// Calls `then` with the indices of words, on the stack where they are few.
pub(super) fn with_indices<R>(words: &[u32], then: impl FnOnce(&[u32]) -> R) -> R {
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
