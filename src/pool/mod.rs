//! Object pools: objects of one size in one run of memory, taken and given by any thread.
//!
//! ```no_run
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
//! # Lock order
//! No lock is held while a backend is called. The roster is locked alone, or before nothing; so are strays and tags.
//!
//! Start reading at [`Pool`] and [`Worker`]; the hot path is `cache.rs`.

mod backend;
mod batch;
mod buffer;
mod builder;
mod cache;
mod checked;
mod close;
mod device;
mod direct;
mod error;
mod handle;
mod inner;
mod ledger;
mod lifeline;
mod raw;
mod registry;
mod ring;
mod roster;
mod slot;
mod stack;
mod stats;
mod store;
mod sync;
mod tls;
mod words;
mod worker;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

pub use backend::{Backend, BackendError};
pub use batch::{Batch, Slots};
pub use buffer::Buffer;
pub use builder::{MAX_ALIGN, MAX_CACHE, MIN_ALIGN, PoolBuilder};
pub use close::{CloseReport, HolderBalance, OutObject};
pub use error::{
    BoxError, CloseError, CreateError, GiveError, GiveFault, Poison, PoolError, RawError,
    RegisterError, WorkerError,
};
pub use handle::{Object, ObjectState, Pool};
pub use raw::{RawCloseReport, RawPool};
pub use registry::{BackendRequest, backends, register, register_trusted};
pub use slot::{MAX_OBJECTS, Slot};
pub use stats::Stats;
pub use worker::Worker;
