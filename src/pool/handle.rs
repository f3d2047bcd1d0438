//! [`Pool`]: the handle that users hold, and what can be asked of a pool.

use std::error::Error;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hwpool_devices::bus::Iova;

use crate::dma::Memory;
use crate::pool::checked::{Place, Table, epochs_repeat};
use crate::pool::error::CloseError;
use crate::pool::report::CloseReport;
use crate::pool::shared::Shared;
use crate::pool::stats::Stats;
use crate::pool::tls;

/// A pool of objects of one size. Cheap to clone: all clones are the same pool.
///
/// Threads that take and give often get a [`Worker`](crate::pool::Worker), which has a cache. The methods here that take and give go
/// straight to the backend and can be called from anywhere.
///
/// [`close`](Self::close) the pool to learn what is still out. When the last handle is dropped without, the pool closes
/// by itself and logs what is out; its memory stays until the last buffer has come back.
#[derive(Clone)]
pub struct Pool {
    handle: Arc<Handle>,
}

/// The one hold that all handles of a pool have together.
struct Handle {
    shared: NonNull<Shared>,
}

// SAFETY: a pointer to Shared, which is Send and Sync, with the right to use it from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: this handle's hold keeps it alive.
        let shared = unsafe { self.shared.as_ref() };
        if !shared.guard.is_here() {
            return; // the parent's, all of it
        }
        match shared.close() {
            Ok(report) if report.is_clean() => {
                tracing::debug!(%report, "pool closed at its last handle's end")
            }
            Ok(report) => tracing::warn!(%report, "pool closed at its last handle's end"),
            Err(CloseError::AlreadyClosed { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, cause = error.source().map(tracing::field::display), "pool closed badly")
            }
        }
        // SAFETY: the hold is ours, and this is the last use.
        unsafe { Shared::release(self.shared, 1) }
    }
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectState {
    /// Not known: checked mode is off, or has not seen the object since it was switched on.
    Unknown,
    /// In the backend.
    Free,
    /// In the cache of a worker of this name.
    Cached {
        /// Name of the worker.
        holder: Arc<str>,
    },
    /// On loan, taken by a worker of this name.
    Out {
        /// Name of the worker.
        holder: Arc<str>,
    },
}

/// An object, as [`Pool::walk`] shows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Object {
    /// Its number, from 0.
    pub index: u32,
    /// Where its bytes are in this process.
    pub address: NonNull<u8>,
    /// Where its bytes are for the device.
    pub iova: Option<Iova>,
    /// Where it is.
    pub state: ObjectState,
}

impl Pool {
    pub(super) fn from_shared(shared: Shared) -> Pool {
        // SAFETY: `into_raw` never returns null.
        let shared = unsafe { NonNull::new_unchecked(Box::into_raw(Box::new(shared))) };
        Pool {
            handle: Arc::new(Handle { shared }),
        }
    }

    #[inline]
    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: the handle's hold keeps it alive.
        unsafe { self.handle.shared.as_ref() }
    }

    #[inline]
    pub(super) fn shared_ptr(&self) -> NonNull<Shared> {
        self.handle.shared
    }

    /// Closes the pool for all its handles: flushes this thread's cache, takes everything out of the backend and
    /// compares with what there should be.
    ///
    /// A child of `fork` can't close its parent's pool; see [the module](crate::pool#after-fork).
    ///
    /// From then on takes fail with [`Closed`](crate::pool::PoolError::Closed), also those of a worker with a filled
    /// cache; gives succeed. Stop and drop the other threads' workers before: what is in their caches counts as out.
    ///
    /// # Errors
    /// Where the pool is closed already, or the backend can't tell what it has. It is closed afterwards in any case.
    pub fn close(&self) -> Result<CloseReport, CloseError> {
        let shared = self.shared();
        if !shared.guard.is_here() {
            return Err(CloseError::OtherProcess {
                pool: self.name().to_owned(),
            });
        }
        if let Some(cache) = tls::local(shared.tag.number()) {
            // Taken out before the backend is called, which may use the cache.
            let cached = cache.empty(shared);
            shared.put_away(&cached);
        }
        shared.close()
    }

    /// Tells whether the pool was closed.
    pub fn is_closed(&self) -> bool {
        self.shared().guard.is_closed()
    }

    /// Tells whether a failure of the backend has put the pool out of use: its takes tell which.
    pub fn is_poisoned(&self) -> bool {
        self.shared().guard.is_poisoned()
    }

    /// Returns the pool's name.
    pub fn name(&self) -> &str {
        &self.shared().guard.pool
    }

    /// Returns the name of the backend.
    pub fn backend(&self) -> &str {
        &self.shared().guard.backend
    }

    /// Returns how many objects the pool has, in and out.
    pub fn objects(&self) -> u32 {
        self.shared().guard.objects
    }

    /// Returns the bytes of an object.
    pub fn size(&self) -> usize {
        self.shared().guard.size()
    }

    /// Returns the bytes from one object to the next.
    pub fn stride(&self) -> usize {
        self.shared().stride
    }

    /// Returns the most objects that a worker caches.
    pub fn cache(&self) -> usize {
        self.shared().cache
    }

    /// Returns the memory that the objects are in.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.shared().memory
    }

    /// Returns where the device finds an object, if a device reaches this pool and there is such an object.
    pub fn iova(&self, index: u32) -> Option<Iova> {
        let shared = self.shared();
        (index < shared.guard.objects)
            .then(|| shared.iova_of(index))
            .flatten()
    }

    /// Counts the objects that are free: in the backend and in all caches. Approximate while threads take and give.
    pub fn count(&self) -> u32 {
        self.stats().free
    }

    /// Counts the objects that are out. Approximate while threads take and give.
    pub fn in_use(&self) -> u32 {
        self.objects() - self.count()
    }

    /// Returns what the pool did so far. Approximate while threads take and give.
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// Tells whether checked mode is on.
    pub fn checked(&self) -> bool {
        self.shared().checking().is_some()
    }

    /// Switches checked mode, at any time. While it is on, the pool notes who has which object, four bytes each, and
    /// refuses an object that is given but not out. Objects out at the switch become known as they come and go.
    pub fn set_checked(&self, on: bool) {
        let shared = self.shared();
        if !shared.guard.is_here() {
            return;
        }
        let roster = shared.roster();
        let epoch = shared.epoch.load(Ordering::Relaxed);
        if (epoch % 2 == 1) == on {
            return;
        }
        let next = epoch.wrapping_add(1);
        if on {
            let table = shared
                .table
                .get_or_init(|| Table::new(shared.guard.objects));
            if epochs_repeat(next) {
                table.clear();
            }
            // The quick ways first: who sees checking on finds no thread that takes unseen what was noted as free.
            roster.set_quick(false);
            shared.epoch.store(next, Ordering::Release);
        } else {
            shared.epoch.store(next, Ordering::Release);
            roster.set_quick(!shared.guard.is_closed());
        }
    }

    /// Shows every object in the order of memory, with what checked mode knows of it.
    pub fn walk(&self, mut visit: impl FnMut(&Object)) {
        let shared = self.shared();
        // No lock is taken in a child of `fork`: it may be held for ever.
        let names = match shared.guard.is_here() {
            true => shared.roster().names(),
            false => Vec::new(),
        };
        for index in 0..shared.guard.objects {
            visit(&Object {
                index,
                address: shared.address(index),
                iova: shared.iova_of(index),
                state: shared.state_of(index, &names),
            });
        }
    }
}

impl Shared {
    fn state_of(&self, index: u32, names: &[Arc<str>]) -> ObjectState {
        // Names come first into the roster and then into the table, so a name may be newer than our list.
        let named = |holder: u16| match names.get(usize::from(holder)) {
            Some(name) => Arc::clone(name),
            None => self.roster().name(holder),
        };
        let place = match self.checking() {
            Some((epoch, table)) if self.guard.is_here() => table.at(epoch, index),
            _ => Place::Unknown,
        };
        match place {
            Place::Unknown => ObjectState::Unknown,
            Place::Free => ObjectState::Free,
            Place::Cached(holder) => ObjectState::Cached {
                holder: named(holder),
            },
            Place::Out(holder) => ObjectState::Out {
                holder: named(holder),
            },
        }
    }
}

// A panic in a backend leaves the pool whole: every object stays accounted for.
impl UnwindSafe for Pool {}
impl RefUnwindSafe for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name())
            .field("backend", &self.backend())
            .field("objects", &self.objects())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
