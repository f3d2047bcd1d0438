//! Takes and gives that a worker's cache serves: words lie in the cache, pointers in the caller's array, and nothing in between.
//! Nothing here can panic; all else, mistakes included, is for `slow.rs`.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::slice::{from_raw_parts, from_raw_parts_mut};

use crate::abi::NO_IOVA;
use crate::grid::Grid;
use crate::shell::Shell;
use crate::slow;
use crate::status::Status;

const OK: c_int = Status::Ok as c_int;

/// # Safety
/// As `hwpool.h` says: null, or a worker of this thread; and a place for a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_take(worker: *mut Shell, object: *mut *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(shell) = unsafe { worker.as_mut() }
        && !object.is_null()
        && let Some(hottest) = shell.worker.hottest(1)
        && let [word] = hottest.words()
    {
        let pointer = shell.grid.pointer(*word);
        hottest.take();
        // SAFETY: a place by the caller's promise.
        unsafe { object.write(pointer) };
        return OK;
    }
    // SAFETY: as above.
    unsafe { slow::take(worker, object, 1) }
}

/// # Safety
/// As `hwpool.h` says: null, or a worker of this thread.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_give(worker: *mut Shell, object: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(shell) = unsafe { worker.as_mut() }
        && let Some(word) = shell.grid.word(object)
        && let Some(mut room) = shell.worker.room(1)
        && let [place] = room.words()
    {
        *place = word;
        // SAFETY: it is an object of the pool, and out, by the caller's promise.
        unsafe { room.keep() };
        return OK;
    }
    // SAFETY: as above; one pointer.
    unsafe { slow::give(worker, &raw const object, 1) }
}

/// # Safety
/// As `hwpool.h` says: null, or a worker of this thread; and places for `n` pointers.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_take_many(
    worker: *mut Shell,
    objects: *mut *mut c_void,
    n: usize,
) -> c_int {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: null, or a worker by the caller's promise.
    if unsafe { worker.as_ref() }.is_some_and(|shell| shell.is_wide) {
        // SAFETY: the caller's promise; and the processor has AVX2.
        return unsafe { avx2::take(worker, objects, n) };
    }
    // SAFETY: the caller's promise.
    unsafe { take(worker, objects, n) }
}

/// # Safety
/// As `hwpool.h` says: null, or a worker of this thread; and `n` pointers.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_give_many(
    worker: *mut Shell,
    objects: *const *mut c_void,
    n: usize,
) -> c_int {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: null, or a worker by the caller's promise.
    if unsafe { worker.as_ref() }.is_some_and(|shell| shell.is_wide) {
        // SAFETY: the caller's promise; and the processor has AVX2.
        return unsafe { avx2::give(worker, objects, n) };
    }
    // SAFETY: the caller's promise.
    unsafe { give(worker, objects, n, Grid::words) }
}

/// # Safety
/// As `hwpool.h` says: null, or a worker.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_iova(worker: *const Shell, address: *const c_void) -> u64 {
    // SAFETY: the caller's promise.
    let shell = unsafe { worker.as_ref() };
    shell
        .filter(|shell| shell.iova != NO_IOVA)
        .and_then(|shell| Some(shell.iova + shell.grid.offset(address)?))
        .unwrap_or(NO_IOVA)
}

/// # Safety
/// As [`hwpool_take_many`].
#[inline(always)]
unsafe fn take(worker: *mut Shell, objects: *mut *mut c_void, n: usize) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(shell) = unsafe { worker.as_mut() }
        && !objects.is_null()
        && let Some(hottest) = shell.worker.hottest(n)
    {
        // SAFETY: places by the caller's promise, as many as a cache has at most.
        let places = unsafe { from_raw_parts_mut(objects.cast::<MaybeUninit<*mut c_void>>(), n) };
        shell.grid.pointers(hottest.words(), places);
        hottest.take();
        return OK;
    }
    // SAFETY: the caller's promise.
    unsafe { slow::take(worker, objects, n) }
}

/// # Safety
/// As [`hwpool_give_many`].
#[inline(always)]
unsafe fn give(
    worker: *mut Shell,
    objects: *const *mut c_void,
    n: usize,
    words: fn(&Grid, &[*mut c_void], &mut [u32]) -> bool,
) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(shell) = unsafe { worker.as_mut() }
        && !objects.is_null()
        && let Some(mut room) = shell.worker.room(n)
        // SAFETY: pointers by the caller's promise, as many as a cache has at most.
        && words(&shell.grid, unsafe { from_raw_parts(objects, n) }, room.words())
    {
        // SAFETY: all are objects of the pool, and out, by the caller's promise.
        unsafe { room.keep() };
        return OK;
    }
    // SAFETY: the caller's promise.
    unsafe { slow::give(worker, objects, n) }
}

/// The same for processors with wider vectors.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::*;

    /// # Safety
    /// As [`hwpool_take_many`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn take(worker: *mut Shell, objects: *mut *mut c_void, n: usize) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { super::take(worker, objects, n) }
    }

    /// # Safety
    /// As [`hwpool_give_many`]; and the grid of the worker is near.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn give(worker: *mut Shell, objects: *const *mut c_void, n: usize) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { super::give(worker, objects, n, Grid::near_words) }
    }
}
