//! What holds a pool's free objects: the [`Backend`] trait, and what one is made for.

use std::sync::Arc;

use hwpool_devices::bus::Iova;

use crate::device::Device;
use crate::dma::Memory;
use crate::pool::error::BoxError;

/// Holds the free objects of one pool, each known by its index.
///
/// Implementations need no unsafe code: unless it was registered with
/// [`register_trusted`](crate::pool::register_trusted), the pool checks everything that a backend says before it
/// believes it. Methods are called from any thread, at the same time, and never while the pool holds a lock.
pub trait Backend: Send + Sync {
    /// Takes `objects` in: all of them or none.
    ///
    /// # Errors
    /// On [`Refused`](BackendError::Refused), [`Short`](BackendError::Short) (no room) and
    /// [`Closed`](BackendError::Closed) nothing changed. After [`Failed`](BackendError::Failed) the state is unknown.
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError>;

    /// Fills `objects` with as many indices, which are then no longer inside: all of them or none.
    ///
    /// # Errors
    /// Leaves `objects` untouched on failure. [`Short`](BackendError::Short) says that fewer are inside: the normal
    /// answer of an empty pool, and therefore cheap.
    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError>;

    /// Counts the objects inside; approximate while other threads move some.
    fn count(&self) -> u32;

    /// Tells where the device finds object 0, if a device reaches this pool's memory. Constant over the pool's life.
    fn iova(&self) -> Option<Iova> {
        None
    }

    /// Counts the doorbells that it rang in its device, `None` where it rings none.
    fn doorbells(&self) -> Option<u64> {
        None
    }

    /// Closes: stops taking and giving, and returns every object that was inside.
    ///
    /// Called once. From then on `enqueue` and `dequeue` answer [`Closed`](BackendError::Closed). An `enqueue` that
    /// runs at the same time either succeeds, and what it took is in the answer, or is answered `Closed`.
    ///
    /// # Errors
    /// Where the objects inside can't be told.
    fn drain(&self) -> Result<Vec<u32>, BackendError>;
}

/// What a backend is made for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackendRequest<'a> {
    /// Name of the pool.
    pub pool: &'a str,
    /// How many objects there are: backends are given indices below this.
    pub objects: u32,
    /// How many of them are in at most: the backend must have room for as many, and refuses more if it keeps no ledger.
    pub capacity: u32,
    /// Bytes from one object to the next: a multiple of the alignment.
    pub stride: usize,
    /// Bytes of one object that users may use.
    pub size: usize,
    /// Alignment of every object, in memory and on the bus.
    pub align: usize,
    /// The memory that the objects are in, object 0 first.
    pub memory: &'a Arc<Memory>,
    /// Where the device shall find object 0; anywhere where there is none.
    pub iova: Option<Iova>,
    /// The NUMA node that was asked for.
    pub node: Option<u32>,
    /// What was given to [`PoolBuilder::device`](crate::pool::PoolBuilder::device).
    pub device: Option<Device>,
}

/// Why a backend did not do what the pool asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Fewer objects, or less room, than asked for. Nothing changed.
    #[error("not as many objects, or not as much room, as asked for")]
    Short,
    /// The backend was drained. Nothing changed.
    #[error("the backend is drained and closed")]
    Closed,
    /// The backend won't have these objects, as in a double free. Nothing changed.
    #[error("the backend refused, and nothing changed")]
    Refused {
        /// Why, in the backend's words.
        #[source]
        cause: BoxError,
    },
    /// The backend is broken and nobody knows which objects it holds; the pool is poisoned by it.
    #[error("the backend failed and its state is unknown")]
    Failed {
        /// What happened, in the backend's words.
        #[source]
        cause: BoxError,
    },
}

/// Why a store of our own did nothing: all that can go wrong with one, small enough for a register.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum StoreError {
    /// As [`BackendError::Short`].
    Short,
    /// As [`BackendError::Closed`].
    Closed,
}

impl From<StoreError> for BackendError {
    fn from(error: StoreError) -> BackendError {
        match error {
            StoreError::Short => BackendError::Short,
            StoreError::Closed => BackendError::Closed,
        }
    }
}
