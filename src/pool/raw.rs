//! [`RawPool`]: a pool for callers in other languages, who have indices and no ownership.

use std::sync::{Arc, OnceLock};

use hwpool_devices::bus::Iova;

use crate::dma::Memory;
use crate::pool::backend::{Backend, BackendError};
use crate::pool::error::{BoxError, CloseError, Poison, PoolError, RawError};
use crate::pool::ledger::Ledger;
use crate::pool::store::Store;

/// Objects that come by way of the stack: as many as take no time to prepare.
const ON_STACK: usize = 64;

/// Memory and a free list, by index, without slots, buffers and workers: for C, and for pools like DPDK's that have
/// caches of their own. Made by [`PoolBuilder::build_raw`](crate::pool::PoolBuilder::build_raw).
///
/// What slots forbid at compile time is found at run time here. An index that no object has is always refused. A double
/// free is refused where something remembers what is out: in checked mode, with a backend that was registered from
/// outside, and with those that keep their list in a device, whose driver has a ledger. Without, it is refused as soon
/// as the backend would hold more objects than its capacity; the caller alone is hurt by it.
///
/// All methods can be called from any thread at the same time.
pub struct RawPool {
    pub(super) name: String,
    pub(super) backend_name: String,
    pub(super) objects: u32,
    pub(super) stride: usize,
    /// Dropped before `memory`, which its device may still reach until then.
    pub(super) backend: Store,
    pub(super) memory: Arc<Memory>,
    /// What is out, where it is remembered here.
    pub(super) out: Option<Ledger>,
    pub(super) poison: OnceLock<Arc<Poison>>,
}

/// What a raw pool had when it was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawCloseReport {
    /// Objects that the pool has.
    pub objects: u32,
    /// Objects that were in.
    pub returned: u32,
    /// Objects that were in more than once, or that no pool of this size has.
    pub invented: u32,
}

impl RawPool {
    /// Fills `objects` with indices of objects that are now the caller's; false where there are not as many.
    ///
    /// Waits for no other thread longer than it takes to copy, and for a device at most as long as its driver does.
    ///
    /// # Errors
    /// Where the pool is poisoned, or the backend refuses. `objects` is untouched then, and on false.
    pub fn dequeue(&self, objects: &mut [u32]) -> Result<bool, PoolError> {
        let (n, mut rest) = (objects.len(), objects);
        self.dequeue_with(n, |run| {
            let (here, next) = std::mem::take(&mut rest).split_at_mut(run.len());
            here.copy_from_slice(run);
            rest = next;
        })
    }

    /// Takes `n` objects as [`dequeue`](Self::dequeue), and shows their indices, in one or two runs, to `see`; other
    /// threads may have to wait until it is done. It is not called where there are not as many.
    ///
    /// `see` must not use this pool: it could wait for itself, for ever. Where it panics, the objects are lost to the pool, or
    /// still inside, whatever was seen of them.
    ///
    /// # Errors
    /// As `dequeue`.
    #[inline]
    pub fn dequeue_with(&self, n: usize, mut see: impl FnMut(&[u32])) -> Result<bool, PoolError> {
        if let Some(store) = self.bare_store()
            && let Some(taken) = store.take_with(n, &mut see)
        {
            return self.answer(taken.map_err(BackendError::from));
        }
        self.check_usable()?;
        with_indices(n, |objects| {
            let got = self.fetch(objects)?;
            if got {
                see(objects);
            }
            Ok(got)
        })
    }

    /// As [`dequeue_with`](Self::dequeue_with) where that is no more than a copy out of a list in memory; false where it is
    /// more, or there are not as many: then nothing was done. Does not panic, if `see` does not, which must not use the pool
    /// either.
    #[inline(always)]
    pub fn dequeue_quickly(&self, n: usize, see: impl FnMut(&[u32])) -> bool {
        match self.bare_store() {
            Some(store) => store.take_with(n, see) == Some(Ok(())),
            None => false,
        }
    }

    /// Tells whether the list is a ring in memory.
    #[inline(always)]
    pub fn is_ring(&self) -> bool {
        matches!(self.backend, Store::Ring(_))
    }

    /// Takes objects back, all or none.
    ///
    /// # Errors
    /// Where an index is out of range, or is known not to be out, or the backend does not take them. Nothing changed
    /// then, unless the pool is poisoned by it.
    pub fn enqueue(&self, objects: &[u32]) -> Result<(), RawError> {
        if let Some(&index) = objects.iter().find(|&&index| index >= self.objects) {
            let objects = self.objects;
            return Err(RawError::Foreign { index, objects });
        }
        if let Some(store) = self.bare_store()
            && let Some(put) = store.put(objects)
        {
            return put.map_err(|stop| RawError::Give(self.backend_error("enqueue", stop.into())));
        }
        self.check_usable().map_err(RawError::Give)?;
        self.give(objects)
    }

    /// As [`enqueue`](Self::enqueue) where that is no more than a copy into a list in memory; false where it is more, or
    /// there is not as much room: then nothing was done. Does not panic.
    ///
    /// # Safety
    /// All are indices of objects, below [`objects`](Self::objects): whoever takes them again may rely on them.
    #[inline(always)]
    pub unsafe fn enqueue_quickly(&self, objects: &[u32]) -> bool {
        match self.bare_store() {
            Some(store) => store.put(objects) == Some(Ok(())),
            None => false,
        }
    }

    /// Counts the objects that are in; approximate while others take and give.
    pub fn count(&self) -> u32 {
        self.backend.count()
    }

    /// Returns the pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the backend.
    pub fn backend(&self) -> &str {
        &self.backend_name
    }

    /// Returns how many objects the pool has, in and out.
    pub fn objects(&self) -> u32 {
        self.objects
    }

    /// Returns the bytes from one object to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns the memory that the objects are in, object 0 first.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Returns where the device finds object 0, if a device reaches this pool.
    pub fn iova(&self) -> Option<Iova> {
        self.backend.iova()
    }

    /// Closes the pool: takes everything out of the backend and counts it. What is out is out for ever, and its memory
    /// goes with the pool.
    ///
    /// # Errors
    /// Where the backend can't tell what it has.
    pub fn close(self) -> Result<RawCloseReport, CloseError> {
        let drained = self.backend.drain().map_err(|cause| CloseError::RawDrain {
            pool: self.name.clone(),
            cause: cause.into(),
        })?;
        let seen = Ledger::new(self.objects);
        let is_new = |index: &&u32| **index < self.objects && seen.claim(**index);
        let returned = drained.iter().filter(is_new).count() as u32;
        Ok(RawCloseReport {
            objects: self.objects,
            returned,
            invented: drained.len() as u32 - returned,
        })
    }

    /// Returns the store, where nothing else remembers what is out.
    #[inline(always)]
    fn bare_store(&self) -> Option<&Store> {
        self.out.is_none().then_some(&self.backend)
    }

    fn check_usable(&self) -> Result<(), PoolError> {
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => Err(PoolError::Poisoned {
                cause: cause.clone(),
            }),
        }
    }

    /// Takes out of any backend.
    fn fetch(&self, objects: &mut [u32]) -> Result<bool, PoolError> {
        let got = self.answer(self.backend.dequeue(objects))?;
        if let (true, Some(out)) = (got, &self.out) {
            self.claim_all(out, objects)?;
        }
        Ok(got)
    }

    /// Gives to any backend.
    fn give(&self, objects: &[u32]) -> Result<(), RawError> {
        if let Some(out) = &self.out {
            release_all(out, objects)?;
        }
        self.backend.enqueue(objects).map_err(|error| {
            let error = self.backend_error("enqueue", error);
            if let (Some(out), PoolError::Refused { .. }) = (&self.out, &error) {
                claim_again(out, objects);
            }
            RawError::Give(error)
        })
    }

    #[inline]
    fn answer(&self, result: Result<(), BackendError>) -> Result<bool, PoolError> {
        match result {
            Ok(()) => Ok(true),
            Err(BackendError::Short) => Ok(false),
            Err(error) => Err(self.backend_error("dequeue", error)),
        }
    }

    /// Marks what came from the backend as out. Where one can't be right, the pool is poisoned.
    fn claim_all(&self, out: &Ledger, objects: &[u32]) -> Result<(), PoolError> {
        let is_wrong = |&&index: &&u32| index >= self.objects || !out.claim(index);
        let Some(&index) = objects.iter().find(is_wrong) else {
            return Ok(());
        };
        let backend = self.backend_name.clone();
        let poison = match index < self.objects {
            true => Poison::HandedOutTwice { backend, index },
            false => Poison::OutOfRange {
                backend,
                index,
                objects: self.objects,
            },
        };
        Err(self.poisoned(poison))
    }

    #[cold]
    fn backend_error(&self, call: &'static str, error: BackendError) -> PoolError {
        match error {
            BackendError::Failed { cause } => self.poisoned(Poison::Failed {
                backend: self.backend_name.clone(),
                call,
                cause,
            }),
            BackendError::Refused { cause } => PoolError::Refused {
                cause: cause.into(),
            },
            other => PoolError::Refused {
                cause: BoxError::from(other).into(),
            },
        }
    }

    fn poisoned(&self, poison: Poison) -> PoolError {
        let cause = self.poison.get_or_init(|| {
            tracing::error!(pool = self.name, %poison, "pool is poisoned");
            Arc::new(poison)
        });
        PoolError::Poisoned {
            cause: cause.clone(),
        }
    }
}

/// Calls `act` with room for `n` indices.
fn with_indices<R>(n: usize, act: impl FnOnce(&mut [u32]) -> R) -> R {
    match n {
        0..=ON_STACK => act(&mut [0; ON_STACK][..n]),
        _ => act(&mut vec![0; n]),
    }
}

/// Marks objects as in, all or none.
fn release_all(out: &Ledger, objects: &[u32]) -> Result<(), RawError> {
    match objects.iter().position(|&index| !out.release(index)) {
        None => Ok(()),
        Some(at) => {
            claim_again(out, &objects[..at]);
            Err(RawError::NotOut { index: objects[at] })
        }
    }
}

fn claim_again(out: &Ledger, objects: &[u32]) {
    objects.iter().for_each(|&index| _ = out.claim(index));
}
