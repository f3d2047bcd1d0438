//! Why an operation on a mempool did nothing.

use std::ffi::{c_int, c_void};
use std::fmt;

use libc::{EINVAL, EIO, ENOBUFS, ENOMEM};

use crate::places::NoPlace;

/// Why an operation did nothing.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// Not as many objects as asked for: the everyday answer of an empty pool.
    Short,
    /// A pointer at which no object of this mempool begins.
    Foreign(*mut c_void),
    /// An object that was in already.
    Twice(*mut c_void),
    /// More objects than there are: one was in already, and nobody knows which.
    Full,
    /// Memory in which objects can't lie.
    Chunk {
        /// Where it begins.
        chunk: *mut c_void,
        /// Its length in bytes.
        len: usize,
        /// Why; `None` where the application brought it from outside of DPDK, for a device.
        why: Option<NoPlace>,
    },
    /// What the pool said.
    Pool(String),
    /// The pool is poisoned: its device is gone, or said what can't be.
    Broken(String),
}

impl NotDone {
    /// What [`kind`](Self::kind) says of [`Broken`](Self::Broken).
    pub(crate) const BROKEN: u8 = 16;

    /// Returns a bit that other kinds don't have.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            NotDone::Short => 1,
            NotDone::Foreign(_) => 2,
            NotDone::Chunk { .. } => 4,
            NotDone::Twice(_) | NotDone::Full | NotDone::Pool(_) => 8,
            NotDone::Broken(_) => NotDone::BROKEN,
        }
    }

    /// Returns what DPDK is told.
    pub(crate) fn errno(&self) -> c_int {
        match self {
            NotDone::Short => ENOBUFS,
            NotDone::Foreign(_) | NotDone::Twice(_) | NotDone::Full | NotDone::Pool(_) => EINVAL,
            NotDone::Chunk { .. } => ENOMEM,
            NotDone::Broken(_) => EIO,
        }
    }
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotDone::Short => f.write_str("there are fewer objects"),
            NotDone::Foreign(pointer) => write!(
                f,
                "{pointer:?} is no object of this mempool; nothing was taken"
            ),
            NotDone::Twice(pointer) => write!(f, "{pointer:?} was freed twice"),
            NotDone::Full => {
                f.write_str("more objects are freed than there are: one was freed twice")
            }
            NotDone::Chunk { chunk, len, why } => {
                write!(f, "the objects can't lie in the {len} bytes at {chunk:?}, ")?;
                f.write_str(match why {
                    None => "which DPDK does not know, and which has no file that a device's are mapped by; use rte_mempool_populate_default",
                    Some(NoPlace::Far) => "which are more than 128 GiB from the others: bring memory that lies together",
                    Some(NoPlace::Pieces) => "the 1025th piece of memory apart from the others: bring fewer and larger ones",
                    Some(NoPlace::Taken) => "where objects of this mempool lie already: it was populated with that memory before",
                })
            }
            NotDone::Pool(text) | NotDone::Broken(text) => f.write_str(text),
        }
    }
}
