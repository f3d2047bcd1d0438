//! The BMU's logic: what the device does, written from `SPEC.md` alone.
//!
//! `device` holds the registers. What acts on them and on the [`World`](crate::world::World) around: `registers`
//! dispatches accesses, `lists` moves buffers by registers, `rings` by portals, `raise` says what happened, `logic` is
//! asked by the function. What they act on, each by itself: `pool` with its free list, `portal`, `errors`. `config`,
//! `options` and `faults` are what the model takes from its user.

mod config;
mod device;
mod errors;
mod faults;
mod lies;
mod lists;
mod logic;
mod options;
mod pool;
mod portal;
mod raise;
mod registers;
mod rings;

pub(crate) use options::MODEL;
