//! `enqueue` and `dequeue` as DPDK's table has them, once for each width of vectors that processors have.
//!
//! A list in memory is served here, with nothing between the application's array and the list but the
//! arithmetic of `places.rs`, and nothing that could panic. All else, failures included, is for `ops.rs`.

use std::ffi::{c_int, c_uint, c_void};

use crate::abi::{Dequeue, Enqueue, RteMempool};
use crate::mempool::Mempool;
use crate::ops;
use crate::shared::Shared;

/// Returns both for each width of vectors that this processor has, the widest first.
pub(crate) fn widths() -> Vec<(Enqueue, Dequeue)> {
    let mut all = wide();
    all.push((any::enqueue, any::dequeue));
    all
}

#[cfg(target_arch = "x86_64")]
fn wide() -> Vec<(Enqueue, Dequeue)> {
    let mut wide: Vec<(Enqueue, Dequeue)> = Vec::new();
    if std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx2")
    {
        wide.push((avx512::enqueue, avx512::dequeue));
    }
    if std::arch::is_x86_feature_detected!("avx2") {
        wide.push((avx2::enqueue, avx2::dequeue));
    }
    wide
}

/// What every processor of another kind has is in `any`.
#[cfg(not(target_arch = "x86_64"))]
fn wide() -> Vec<(Enqueue, Dequeue)> {
    Vec::new()
}

/// Makes an operation of four functions: the one that DPDK calls, and those for one object, for many of a ring, and for all
/// others. The latter two are compiled for processors with the features of the attributes.
///
/// Neither is inlined into the first, which saves no registers then and jumps. Drivers that free each packet by itself have
/// one object: that needs no vectors, and calls nothing where a ring takes it uncounted, so that no registers are saved for
/// it either. No closures: one that is not inlined in time has not the vectors of its caller.
macro_rules! operation {
    ($(#[$attribute:meta])* $name:ident, $one:ident, $many:ident, $other:ident, $pointers:ty, $slice:path, $single:expr, $quickly:expr) => {
        pub(super) unsafe extern "C" fn $name(
            mempool: *mut RteMempool,
            objects: $pointers,
            n: c_uint,
        ) -> c_int {
            // SAFETY: DPDK calls this with its mempool and a table of `n` pointers, or room for them, which is written only.
            unsafe {
                match n {
                    1 => $one(mempool, objects, 1),
                    _ => $many(mempool, objects, n),
                }
            }
        }

        #[inline(never)]
        unsafe extern "C" fn $one(
            mempool: *mut RteMempool,
            objects: $pointers,
            n: c_uint,
        ) -> c_int {
            if let Some(state) = Mempool::own(mempool)
                && let Some(ring) = state.uncounted_ring()
                // SAFETY: as above.
                && unsafe { $single(ring, $slice(objects, 1)) }
            {
                return 0;
            }
            // SAFETY: as above.
            unsafe { $many(mempool, objects, n) }
        }

        $(#[$attribute])*
        #[inline(never)]
        unsafe extern "C" fn $many(
            mempool: *mut RteMempool,
            objects: $pointers,
            n: c_uint,
        ) -> c_int {
            if n > 0
                && let Some(state) = Mempool::own(mempool)
                && state.is_ring()
                // SAFETY: as above; and this is compiled for processors that have what is said.
                && unsafe { $quickly(state, $slice(objects, n as usize)) }
            {
                return 0;
            }
            // SAFETY: as above.
            unsafe { $other(mempool, objects, n) }
        }

        $(#[$attribute])*
        #[inline(never)]
        unsafe extern "C" fn $other(
            mempool: *mut RteMempool,
            objects: $pointers,
            n: c_uint,
        ) -> c_int {
            if n > 0
                && let Some(state) = Mempool::own(mempool)
                && !state.is_ring()
                // SAFETY: as above; and this is compiled for processors that have what is said.
                && unsafe { $quickly(state, $slice(objects, n as usize)) }
            {
                return 0;
            }
            ops::$name(mempool, objects, n)
        }
    };
}

/// Makes both operations in a module, for processors with these features.
macro_rules! compiled_for {
    ($(#[$attribute:meta])* $module:ident, $avx2:literal) => {
        mod $module {
            use std::slice::{from_raw_parts, from_raw_parts_mut};

            use super::*;

            operation!(
                $(#[$attribute])*
                enqueue, enqueue_one, enqueue_many, enqueue_other, *const *mut c_void, from_raw_parts, Shared::put_quickly::<false>, Mempool::put_quickly::<$avx2>
            );
            operation!(
                $(#[$attribute])*
                dequeue, dequeue_one, dequeue_many, dequeue_other, *mut *mut c_void, from_raw_parts_mut, Shared::get_quickly, Mempool::get_quickly
            );
        }
    };
}

compiled_for!(any, false);
#[cfg(target_arch = "x86_64")]
compiled_for!(
    #[target_feature(enable = "avx2")]
    avx2,
    true
);
#[cfg(target_arch = "x86_64")]
compiled_for!(
    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    avx512,
    true
);
