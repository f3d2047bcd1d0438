//! [`RawPool`]: a pool for callers in other languages, who have indices and no ownership.

use std::fmt;
use std::sync::Arc;

use hwpool_devices::bus::Iova;

use crate::dma::Memory;
use crate::pool::backend::StoreError;
use crate::pool::error::{CloseError, GiveFault, PoolError, RawError};
use crate::pool::guard::{Fault, Guard};
use crate::pool::ledger::Ledger;

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
/// All methods can be called from any thread at the same time. A child of `fork` gets errors; see
/// [the module](crate::pool#after-fork).
pub struct RawPool {
    /// Dropped before `memory`, which its device may still reach until then.
    pub(super) guard: Guard,
    pub(super) stride: usize,
    pub(super) memory: Arc<Memory>,
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
        if let Some(store) = self.guard.bare_store()
            && let Some(taken) = store.take_with(n, &mut see)
        {
            return match taken {
                Ok(()) => Ok(true),
                Err(StoreError::Short) => Ok(false),
                Err(error) => Err(self.guard.error("dequeue", error.into())),
            };
        }
        with_room(n, |objects| {
            let taken = self.guard.take_checked(objects);
            let got = taken.map_err(|fault| fault.error)?;
            if got {
                see(objects);
            }
            Ok(got)
        })
    }

    /// Takes objects back, all or none.
    ///
    /// # Errors
    /// Where an index is out of range, or is known not to be out, or the backend does not take them. Nothing changed
    /// then, unless the pool is poisoned by it.
    pub fn enqueue(&self, objects: &[u32]) -> Result<(), RawError> {
        if let Some(&index) = objects.iter().find(|&&index| index >= self.objects()) {
            let objects = self.objects();
            return Err(RawError::Foreign { index, objects });
        }
        if let Some(store) = self.guard.bare_store()
            && let Some(put) = store.put(objects)
        {
            let refused = |error: StoreError| self.guard.error("enqueue", error.into());
            return put.map_err(|error| RawError::Give(refused(error)));
        }
        match self.guard.give_checked(objects) {
            Ok(true) => Ok(()),
            Ok(false) => Err(RawError::Give(PoolError::Closed)),
            Err(fault) => Err(self.raw_error(*fault)),
        }
    }

    /// Counts the objects that are in; approximate while others take and give.
    pub fn count(&self) -> u32 {
        self.guard.count()
    }

    /// Returns the pool's name.
    pub fn name(&self) -> &str {
        &self.guard.pool
    }

    /// Returns the name of the backend.
    pub fn backend(&self) -> &str {
        &self.guard.backend
    }

    /// Returns how many objects the pool has, in and out.
    pub fn objects(&self) -> u32 {
        self.guard.objects
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
        self.guard.iova()
    }

    /// Closes the pool: takes everything out of the backend and counts it. What is out is out for ever, and its memory
    /// goes with the pool.
    ///
    /// # Errors
    /// Where the backend can't tell what it has.
    pub fn close(self) -> Result<RawCloseReport, CloseError> {
        let pool = || self.guard.pool.clone();
        if !self.guard.is_here() {
            return Err(CloseError::OtherProcess { pool: pool() });
        }
        let drained = self.guard.drain().map_err(|cause| CloseError::RawDrain {
            pool: pool(),
            cause: cause.into(),
        })?;
        let objects = self.objects();
        let seen = Ledger::new(objects);
        let is_new = |index: &&u32| **index < objects && seen.claim(**index);
        let returned = drained.iter().filter(is_new).count() as u32;
        Ok(RawCloseReport {
            objects,
            returned,
            invented: drained.len() as u32 - returned,
        })
    }

    fn raw_error(&self, fault: Fault) -> RawError {
        match fault.fault {
            GiveFault::NotOut { index } => RawError::NotOut { index },
            GiveFault::Foreign { index, .. } => RawError::Foreign {
                index,
                objects: self.objects(),
            },
            GiveFault::OtherProcess => RawError::Give(PoolError::OtherProcess),
            GiveFault::Poisoned { cause } => RawError::Give(PoolError::Poisoned { cause }),
            GiveFault::Refused { cause } => RawError::Give(PoolError::Refused { cause }),
        }
    }
}

impl fmt::Debug for RawPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPool")
            .field("name", &self.name())
            .field("backend", &self.backend())
            .field("objects", &self.objects())
            .finish_non_exhaustive()
    }
}

/// Calls `act` with room for `n` indices.
fn with_room<R>(n: usize, act: impl FnOnce(&mut [u32]) -> R) -> R {
    match n {
        0..=ON_STACK => act(&mut [0; ON_STACK][..n]),
        _ => act(&mut vec![0; n]),
    }
}
