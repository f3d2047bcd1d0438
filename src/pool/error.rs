//! Errors, one enum per operation. "Empty" is no error anywhere: takes answer `None` or `false`.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::dma::MemoryError;
use crate::pool::limits::{MAX_ALIGN, MAX_CACHE, MIN_ALIGN};
use crate::pool::report::CloseReport;
use crate::pool::slot::MAX_OBJECTS;

/// An error of somebody else, such as a backend that another crate registered.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a pool can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The name is empty.
    #[error("a pool needs a name: reports and logs tell pools apart by it")]
    EmptyName,
    /// `objects` is 0 or was not set.
    #[error("pool {pool}: zero objects; ask for 1 to {MAX_OBJECTS}")]
    NoObjects {
        /// Name of the pool.
        pool: String,
    },
    /// More objects than a slot can name.
    #[error(
        "pool {pool}: {objects} objects, more than the {MAX_OBJECTS} that a slot can name; make several pools"
    )]
    TooManyObjects {
        /// Name of the pool.
        pool: String,
        /// What was asked for.
        objects: u32,
    },
    /// `size` is 0 or was not set.
    #[error("pool {pool}: objects of zero bytes; set a size")]
    NoSize {
        /// Name of the pool.
        pool: String,
    },
    /// The memory would not fit the address space.
    #[error("pool {pool}: {objects} objects of {size} bytes are more than an address space holds")]
    TooLarge {
        /// Name of the pool.
        pool: String,
        /// How many objects.
        objects: u32,
        /// Bytes of one.
        size: usize,
    },
    /// The alignment is no power of two, or out of range.
    #[error("pool {pool}: alignment {align} is not a power of two from {MIN_ALIGN} to {MAX_ALIGN}")]
    BadAlign {
        /// Name of the pool.
        pool: String,
        /// What was asked for.
        align: usize,
    },
    /// The memory is aligned to its pages only, which is less than the objects need.
    #[error(
        "pool {pool}: memory at {address:#x} is not aligned to {align} bytes; use larger pages or a smaller alignment"
    )]
    MemoryMisaligned {
        /// Name of the pool.
        pool: String,
        /// Where the memory starts.
        address: usize,
        /// What was asked for.
        align: usize,
    },
    /// The memory that was brought has no room for all objects.
    #[error("pool {pool}: memory of {len} bytes is too small for the objects, which take {needed}")]
    MemoryTooSmall {
        /// Name of the pool.
        pool: String,
        /// Bytes of the memory.
        len: usize,
        /// Bytes that the objects take.
        needed: usize,
    },
    /// The device finds object 0 at an address that objects may not have.
    #[error(
        "pool {pool}: object 0 at IOVA {iova:#x} is misaligned to {align} bytes, or its memory wraps at the end"
    )]
    BadIova {
        /// Name of the pool.
        pool: String,
        /// What the backend said.
        iova: u64,
        /// What was asked for.
        align: usize,
    },
    /// Threads may not cache that many.
    #[error(
        "pool {pool}: a cache of {cache} is more than the {limit} allowed, the lesser of {MAX_CACHE} and the pool's objects"
    )]
    CacheTooLarge {
        /// Name of the pool.
        pool: String,
        /// What was asked for.
        cache: usize,
        /// What this pool allows.
        limit: usize,
    },
    /// Nobody registered a backend of this name.
    #[error("pool {pool}: no backend named {backend:?}; known are {}", known.join(", "))]
    UnknownBackend {
        /// Name of the pool.
        pool: String,
        /// What was asked for.
        backend: String,
        /// The names that are registered.
        known: Vec<String>,
    },
    /// Every tag that slots tell pools apart by is in use.
    #[error(
        "pool {pool}: 255 pools are open, or were closed with slots missing, which is the most a process can have"
    )]
    TooManyPools {
        /// Name of the pool.
        pool: String,
    },
    /// There is no memory.
    #[error("pool {pool}: no memory for the objects")]
    Memory {
        /// Name of the pool.
        pool: String,
        /// Why.
        #[source]
        cause: MemoryError,
    },
    /// The kernel gives no page that tells a child of `fork` that the pool is its parent's.
    #[error("pool {pool}: no page that is wiped on fork, which needs Linux 4.14 and memory")]
    ForkMark {
        /// Name of the pool.
        pool: String,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The backend could not be made.
    #[error("pool {pool}: backend {backend} can't be made")]
    Backend {
        /// Name of the pool.
        pool: String,
        /// Name of the backend.
        backend: String,
        /// Why, in the backend's words.
        #[source]
        cause: BoxError,
    },
    /// The new backend did not take the objects in.
    #[error("pool {pool}: backend {backend} did not take the objects from {first} on")]
    Fill {
        /// Name of the pool.
        pool: String,
        /// Name of the backend.
        backend: String,
        /// Index of the first object that it did not take.
        first: u32,
        /// Why, in the backend's words.
        #[source]
        cause: BoxError,
    },
}

/// Why a backend can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is empty, or has a colon, which marks the address of a device.
    #[error("{name:?} can't name a backend: it is empty, or has the colon of a device's address")]
    BadName {
        /// The name.
        name: String,
    },
    /// The name is taken.
    #[error("a backend named {name:?} is registered already")]
    Duplicate {
        /// The name.
        name: String,
    },
}

/// Why a thread can't have a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The pool is closed.
    #[error("pool {pool} is closed")]
    Closed {
        /// Name of the pool.
        pool: String,
    },
    /// The pool is that of the process which this one was forked from.
    #[error(
        "pool {pool} is that of the parent process: after fork, make a pool of this process's own"
    )]
    OtherProcess {
        /// Name of the pool.
        pool: String,
    },
    /// There is no page for the cache's bounds.
    #[error("pool {pool}: no page for a worker: {}", io::Error::from_raw_os_error(*errno))]
    NoMemory {
        /// Name of the pool.
        pool: String,
        /// What the kernel said.
        errno: i32,
    },
    /// The thread has one.
    #[error("this thread already has a worker of pool {pool}; use that one, or drop it first")]
    AlreadyOnThread {
        /// Name of the pool.
        pool: String,
    },
    /// More names than the pool can tell apart.
    #[error(
        "pool {pool} has had workers of {limit} names; name workers by their role, not by instance"
    )]
    TooManyNames {
        /// Name of the pool.
        pool: String,
        /// How many names a pool can tell apart.
        limit: usize,
    },
}

/// Why a pool gives no more objects out, though it may have some.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// The pool is that of the process which this one was forked from.
    #[error(
        "the pool is that of the parent process: after fork, make a pool of this process's own"
    )]
    OtherProcess,
    /// The pool's backend is in an unknown state, so nothing is taken from it or given to it any more.
    #[error("the pool is poisoned; close it and make another")]
    Poisoned {
        /// What poisoned it: the first failure.
        #[source]
        cause: Arc<Poison>,
    },
    /// The backend refused. Nothing changed.
    #[error("the backend refused to give objects")]
    Refused {
        /// Why, in the backend's words.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
}

impl From<Box<PoolError>> for PoolError {
    fn from(error: Box<PoolError>) -> PoolError {
        *error
    }
}

/// What poisoned a pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Poison {
    /// The backend said that it failed.
    #[error("backend {backend} failed in {call}: which objects it holds is unknown")]
    Failed {
        /// Name of the backend.
        backend: String,
        /// The operation: `enqueue` or `dequeue`.
        call: &'static str,
        /// Why, in the backend's words.
        #[source]
        cause: BoxError,
    },
    /// The backend gave an index that no object has.
    #[error("backend {backend} handed out object {index}, but the pool has {objects} objects")]
    OutOfRange {
        /// Name of the backend.
        backend: String,
        /// What it gave.
        index: u32,
        /// How many objects there are.
        objects: u32,
    },
    /// The backend gave an object that it did not have.
    #[error("backend {backend} handed out object {index}, which is out already")]
    HandedOutTwice {
        /// Name of the backend.
        backend: String,
        /// What it gave.
        index: u32,
    },
}

/// Why the pool does not take something back.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GiveFault {
    /// A slot or buffer of another pool.
    #[error("object {index} belongs to the pool of tag {theirs}, not to this one of tag {ours}")]
    Foreign {
        /// Index of the first such object in its own pool.
        index: u32,
        /// Tag of its pool.
        theirs: u8,
        /// Tag of this pool.
        ours: u8,
    },
    /// Checked mode: the object is not out, so somebody made its slot by unsafe means.
    #[error("object {index} is not out: it was given back before")]
    NotOut {
        /// Index of the object.
        index: u32,
    },
    /// The pool is that of the process which this one was forked from.
    #[error("the pool is that of the parent process, which has the object")]
    OtherProcess,
    /// The pool is poisoned.
    #[error("the pool is poisoned; close it and make another")]
    Poisoned {
        /// What poisoned it: the first failure.
        #[source]
        cause: Arc<Poison>,
    },
    /// The backend refused. Nothing changed.
    #[error("the backend refused to take objects back")]
    Refused {
        /// Why, in the backend's words.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
}

/// What a give failed on, with what was to be given.
#[non_exhaustive]
pub struct GiveError<T> {
    /// Why.
    pub fault: GiveFault,
    /// What was to be given, for the caller to keep; `None` where the backend failed in between, so that nobody knows
    /// whether it has them. The pool is poisoned then, and names those that it misses when it closes.
    pub returned: Option<T>,
}

impl<T> fmt::Debug for GiveError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GiveError")
            .field("fault", &self.fault)
            .field("returned", &self.returned.is_some())
            .finish()
    }
}

impl<T> fmt::Display for GiveError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("can't give back to the pool")
    }
}

impl<T> Error for GiveError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

/// Why a pool did not close in order. It is closed all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// It was closed before.
    #[error("pool {pool} is closed already")]
    AlreadyClosed {
        /// Name of the pool.
        pool: String,
    },
    /// The pool is that of the process which this one was forked from, where it stays open.
    #[error("pool {pool} is that of the parent process, which alone can close it")]
    OtherProcess {
        /// Name of the pool.
        pool: String,
    },
    /// The backend could not say what is inside, so the pool's memory is never freed.
    #[error("pool {pool}: the backend can't be drained; {} of {} objects are unaccounted for", report.out.len(), report.objects)]
    Drain {
        /// Name of the pool.
        pool: String,
        /// What is known nevertheless.
        report: Box<CloseReport>,
        /// Why, in the backend's words.
        #[source]
        cause: BoxError,
    },
    /// The backend of a raw pool could not say what is inside.
    #[error("raw pool {pool}: the backend can't be drained")]
    RawDrain {
        /// Name of the pool.
        pool: String,
        /// Why, in the backend's words.
        #[source]
        cause: BoxError,
    },
}

/// Why a raw pool did not take objects back.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// An index that no object has.
    #[error("object {index} does not exist: the pool has {objects} objects")]
    Foreign {
        /// The index.
        index: u32,
        /// How many objects there are.
        objects: u32,
    },
    /// An object that is not out: freed twice, or never taken.
    #[error("object {index} is not out: it was freed twice, or never taken")]
    NotOut {
        /// The index.
        index: u32,
    },
    /// The pool does not take it back.
    #[error("the pool did not take the objects back")]
    Give(#[source] PoolError),
}
