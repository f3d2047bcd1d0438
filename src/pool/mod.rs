//! Object pools: objects of one size in one run of memory, taken and given by any thread.
//!
//! ```
//! use hwpool::pool::Pool;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::builder("rx").objects(8192).size(2048).build()?;
//! let mut worker = pool.worker("rx-0")?;
//! if let Some(mut buffer) = worker.take()? {
//!     buffer.bytes_mut()[0] = 1;
//! } // the buffer returns here
//! drop(worker);
//! println!("{}", pool.close()?);
//! # Ok(())
//! # }
//! ```
//!
//! # The life of a buffer
//! ```text
//!             refill (half a cache)              take
//!   ┌─────────┐ ───────────────► ┌──────────────┐ ──────► ┌────────────────┐
//!   │ backend │                  │ worker cache │         │ Buffer or Slot │
//!   └─────────┘ ◄─────────────── └──────────────┘ ◄────── └────────────────┘
//!     ▲     ▲    flush (coldest half, or all        give, drop    │     │
//!     │     │    when the worker goes)                            │     │
//!     │     └──── Pool::give, or drop on a thread without worker ─┘     │
//!   close: drain, compare, report                                       │
//!     └────────── after close: late, lets go of the memory ─────────────┘
//! ```
//! Every object has an index, 0 up to the number of objects; object *i* lies `i * stride` bytes into the pool's
//! memory, for the processor and for the device. The backend knows indices only. What users hold is a [`Slot`], the index
//! with the pool's tag, or a [`Buffer`], a slot that knows its pool.
//!
//! # What is never allowed to happen, and what prevents it
//! - Two holders of one object: slots can't be copied; a backend that is not trusted is checked by a ledger; the raw
//!   interface for other languages has a ledger of its own.
//! - An object given to another pool: the tag in each slot.
//! - Memory freed under a buffer: the lifeline.
//! - A cache lost with its thread: a worker's drop flushes it.
//! - A failed refill that damages a cache: it fetches to where nothing lies.
//! - A closed pool that keeps quiet about what is missing: the [`CloseReport`].
//!
//! # After fork
//! A pool is its process's. What a child of `fork` has of it is a copy that the kernel marks, whichever way the child was
//! made; takes, gives, workers and `close` answer `OtherProcess` there and do nothing, dropping handles, workers and
//! buffers does nothing, and buffers and slots have no bytes. No device is touched. The parent goes on as if there were no
//! child, and closes its pool itself. The child can make pools of its own. A [`Device`](crate::Device) that was opened
//! before is the parent's too: pools on it can't be made, and dropping it does nothing.
//!
//! # Lock order
//! No lock is held while a backend is called. The roster is locked alone, or before nothing; so are strays and tags.
//!
//! # Files
//! What users hold: `handle` (`Pool`), `worker`, `buffer`, `slot`, `batch`, `raw`; `uncached` takes and gives without a worker, `words`
//! shows a worker's cache to other languages.
//! The hot path is `cache`, with `copy` below it; what a cache can't serve is in `refill`. `shared` is what all handles of a
//! pool share, `guard` what stands before every backend, `store` the backends of this crate that are called directly. `list` is a
//! free list alone, in memory that processes share.
//! Start reading at [`Pool`] and [`Worker`].

mod backend;
mod batch;
mod buffer;
mod builder;
mod cache;
mod checked;
mod close;
mod copy;
mod device;
mod error;
mod guard;
mod handle;
mod in_place;
mod ledger;
mod lifeline;
mod limits;
#[cfg(not(loom))]
mod list;
mod raw;
mod refill;
mod registry;
mod report;
mod ring;
mod roster;
mod shared;
mod slot;
mod stack;
mod stats;
mod store;
mod sync;
mod tls;
mod uncached;
mod words;
mod worker;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

pub use backend::{Backend, BackendError, BackendRequest};
pub use batch::{Batch, Slots};
pub use buffer::Buffer;
pub use builder::PoolBuilder;
pub use error::{
    BoxError, CloseError, CreateError, GiveError, GiveFault, Poison, PoolError, RawError,
    RegisterError, WorkerError,
};
pub use handle::{Object, ObjectState, Pool};
pub use in_place::{Fill, See};
pub use limits::{MAX_ALIGN, MAX_CACHE, MIN_ALIGN};
#[cfg(not(loom))]
pub use list::{FreeList, Order};
pub use raw::{RawCloseReport, RawPool};
pub use registry::{backends, register, register_trusted};
pub use report::{CloseReport, HolderBalance, OutObject};
pub use slot::{MAX_OBJECTS, Slot};
pub use stats::Stats;
pub use words::{Hottest, Room};
pub use worker::Worker;
