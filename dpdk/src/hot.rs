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

// No closures here: one that is not inlined in time has not the vectors of its caller.

/// Takes one object in, if it goes into a ring and is not counted. Drivers that free each packet by itself come here: this
/// needs no vectors, and it calls nothing, so that no registers need to be saved.
#[inline(always)]
unsafe fn put_one(mempool: *mut RteMempool, objects: *const *mut c_void) -> bool {
    let Some(state) = ops::own_state(mempool) else {
        return false;
    };
    // SAFETY: DPDK's table has a pointer.
    state.is_uncounted_ring()
        && state.put_quickly(unsafe { std::slice::from_raw_parts(objects, 1) })
}

/// Hands one object out, if it comes from a ring and is not counted.
#[inline(always)]
unsafe fn get_one(mempool: *mut RteMempool, objects: *mut *mut c_void) -> bool {
    let Some(state) = ops::own_state(mempool) else {
        return false;
    };
    // SAFETY: DPDK's table has room for a pointer, which is written only.
    state.is_uncounted_ring()
        && state.get_quickly(unsafe { std::slice::from_raw_parts_mut(objects, 1) })
}

#[inline(always)]
unsafe fn put_many(mempool: *mut RteMempool, objects: *const *mut c_void, n: usize) -> bool {
    let Some(state) = ops::own_state(mempool) else {
        return false;
    };
    // SAFETY: DPDK's table has `n` pointers.
    n > 0 && state.put_quickly(unsafe { std::slice::from_raw_parts(objects, n) })
}

#[inline(always)]
unsafe fn get_many(mempool: *mut RteMempool, objects: *mut *mut c_void, n: usize) -> bool {
    let Some(state) = ops::own_state(mempool) else {
        return false;
    };
    // SAFETY: DPDK's table has room for `n` pointers, which are written only.
    n > 0 && state.get_quickly(unsafe { std::slice::from_raw_parts_mut(objects, n) })
}

/// Makes both functions in a module, with their code for many objects compiled for processors with these features.
macro_rules! compiled_for {
    ($(#[$attribute:meta])* $module:ident) => {
        mod $module {
            use super::*;

            pub(super) unsafe extern "C" fn enqueue(
                mempool: *mut RteMempool,
                objects: *const *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: DPDK calls this with its mempool and a table of `n` pointers.
                unsafe {
                    match n {
                        1 => enqueue_one(mempool, objects, 1),
                        _ => enqueue_many(mempool, objects, n),
                    }
                }
            }

            // Neither is inlined into the function above: it saves no registers then, and the calls are jumps.

            #[inline(never)]
            unsafe extern "C" fn enqueue_one(
                mempool: *mut RteMempool,
                objects: *const *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: as for `enqueue`.
                match unsafe { put_one(mempool, objects) } {
                    true => 0,
                    // SAFETY: as for `enqueue`.
                    false => unsafe { enqueue_many(mempool, objects, n) },
                }
            }

            $(#[$attribute])*
            #[inline(never)]
            unsafe extern "C" fn enqueue_many(
                mempool: *mut RteMempool,
                objects: *const *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: as for `enqueue`.
                match unsafe { put_many(mempool, objects, n as usize) } {
                    true => 0,
                    false => ops::enqueue(mempool, objects, n),
                }
            }

            pub(super) unsafe extern "C" fn dequeue(
                mempool: *mut RteMempool,
                objects: *mut *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: DPDK calls this with its mempool and room for `n` pointers.
                unsafe {
                    match n {
                        1 => dequeue_one(mempool, objects, 1),
                        _ => dequeue_many(mempool, objects, n),
                    }
                }
            }

            #[inline(never)]
            unsafe extern "C" fn dequeue_one(
                mempool: *mut RteMempool,
                objects: *mut *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: as for `dequeue`.
                match unsafe { get_one(mempool, objects) } {
                    true => 0,
                    // SAFETY: as for `dequeue`.
                    false => unsafe { dequeue_many(mempool, objects, n) },
                }
            }

            $(#[$attribute])*
            #[inline(never)]
            unsafe extern "C" fn dequeue_many(
                mempool: *mut RteMempool,
                objects: *mut *mut c_void,
                n: c_uint,
            ) -> c_int {
                // SAFETY: as for `dequeue`.
                match unsafe { get_many(mempool, objects, n as usize) } {
                    true => 0,
                    false => ops::dequeue(mempool, objects, n),
                }
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
