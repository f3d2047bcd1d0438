//! `enqueue` and `dequeue` as DPDK's table has them, once for each width of vectors that processors have.
//!
//! A list in memory is served here, with nothing between the application's array and the list but the
//! arithmetic of `objects.rs`, and nothing that could panic. All else, failures included, is for `ops.rs`.

use std::ffi::{c_int, c_uint, c_void};

use crate::abi::{Dequeue, Enqueue, RteMempool};
use crate::ops;

/// Returns both for each width of vectors that this processor has, the widest first.
pub(crate) fn widths() -> Vec<(Enqueue, Dequeue)> {
    let mut all: Vec<(Enqueue, Dequeue)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512vl") {
        all.push((avx512::enqueue, avx512::dequeue));
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        all.push((avx2::enqueue, avx2::dequeue));
    }
    all.push((any::enqueue, any::dequeue));
    all
}

/// # Safety
/// `objects` has `n` pointers, and the mempool is DPDK's own.
#[inline(always)]
unsafe fn put(mempool: *mut RteMempool, objects: *const *mut c_void, n: c_uint) -> c_int {
    if n > 0
        && let Some(state) = ops::state(mempool)
        // SAFETY: the caller's promise.
        && state.put_quickly(unsafe { std::slice::from_raw_parts(objects, n as usize) })
    {
        return 0;
    }
    ops::enqueue(mempool, objects, n)
}

/// # Safety
/// `objects` has room for `n` pointers, and the mempool is DPDK's own.
#[inline(always)]
unsafe fn get(mempool: *mut RteMempool, objects: *mut *mut c_void, n: c_uint) -> c_int {
    if n > 0
        && let Some(state) = ops::state(mempool)
        // SAFETY: the caller's promise; what is there may be anything, because it is written only.
        && state.get_quickly(unsafe { std::slice::from_raw_parts_mut(objects, n as usize) })
    {
        return 0;
    }
    ops::dequeue(mempool, objects, n)
}

/// Makes both functions in a module, for processors with these features.
macro_rules! compiled_for {
    ($(#[$attribute:meta])* $module:ident) => {
        mod $module {
            use super::*;

            $(#[$attribute])*
            pub(super) unsafe extern "C" fn enqueue(
                mempool: *mut RteMempool,
                objects: *const *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: DPDK calls this with its mempool and a table of `n` pointers.
                unsafe { put(mempool, objects, n) }
            }

            $(#[$attribute])*
            pub(super) unsafe extern "C" fn dequeue(
                mempool: *mut RteMempool,
                objects: *mut *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: DPDK calls this with its mempool and room for `n` pointers.
                unsafe { get(mempool, objects, n) }
            }
        }
    };
}

compiled_for!(any);
#[cfg(target_arch = "x86_64")]
compiled_for!(
    #[target_feature(enable = "avx2")]
    avx2
);
#[cfg(target_arch = "x86_64")]
compiled_for!(
    #[target_feature(enable = "avx512f,avx512vl")]
    avx512
);
