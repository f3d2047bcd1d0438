//! Structures and options as `hwpool.h` has them, which explains each, and how structures cross the boundary.
//!
//! A caller says how many bytes its structure has. What it has less than ours is zero, which is each option's default; what it
//! has more must be zero, or it asks for what is not known here.

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;

use crate::failure::Failure;
use crate::status::Status;

/// The ABI, the number in the soname.
pub(crate) const ABI: u32 = 0;

pub(crate) const CHECKED: u32 = 1;
pub(crate) const SPREAD: u32 = 2;

pub(crate) const PAGES_ANY: u32 = 0;
pub(crate) const PAGES_BASE: u32 = 1;
pub(crate) const PAGES_2M: u32 = 2;
pub(crate) const PAGES_1G: u32 = 3;

pub(crate) const LOG_ERROR: c_int = 1;
pub(crate) const LOG_WARNING: c_int = 2;
pub(crate) const LOG_INFO: c_int = 3;
pub(crate) const LOG_DEBUG: c_int = 4;

pub(crate) const NO_CACHE: u32 = u32::MAX;
pub(crate) const NO_IOVA: u64 = u64::MAX;

/// Stands behind the handle of a device: a number, never a place.
#[allow(non_camel_case_types, reason = "its name in C")]
#[repr(C)]
pub(crate) struct hwpool_device([u8; 0]);

/// Stands behind the handle of a pool: a number, never a place.
#[allow(non_camel_case_types, reason = "its name in C")]
#[repr(C)]
pub(crate) struct hwpool_pool([u8; 0]);

/// A structure that crosses the boundary by its bytes.
///
/// # Safety
/// It is `repr(C)`, any bytes are a value of it, and it has no padding.
pub(crate) unsafe trait Plain: Copy {
    /// Bytes that it had when it was new: no caller has fewer.
    const FIRST: usize;
}

/// Declares structures of C, without padding.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident ($first:literal) { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[allow(non_camel_case_types, reason = "its name in C")]
            #[derive(Copy, Clone)]
            #[repr(C)]
            pub(crate) struct $name { $(pub(crate) $field: $type,)* }

            const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*, "it has padding");

            // SAFETY: numbers and pointers, and no padding by the line above.
            unsafe impl Plain for $name {
                const FIRST: usize = $first;
            }
        )*

        /// Each structure with its size and its fields with their offsets, for the test that holds the header.
        #[cfg(test)]
        pub(crate) fn layouts() -> Vec<(&'static str, usize, Vec<(&'static str, usize)>)> {
            vec![$((
                stringify!($name),
                size_of::<$name>(),
                vec![$((stringify!($field), std::mem::offset_of!($name, $field)),)*],
            ),)*]
        }
    };
}

plain! {
    /// What a device is.
    hwpool_device_info (80) {
        name: *const c_char,
        kind: *const c_char,
        description: *const c_char,
        backend: *const c_char,
        capacity: u64,
        stride_min: u64,
        stride_max: u64,
        timeout_ms: u64,
        lists: u32,
        address_width: u32,
        node: i32,
        power_of_two: u32,
        page_size: u64,
    }

    /// What a pool shall be like.
    hwpool_pool_options (56) {
        name: *const c_char,
        backend: *const c_char,
        device: *const hwpool_device,
        objects: u32,
        size: u32,
        align: u32,
        cache: u32,
        pages: u32,
        node: u32,
        flags: u32,
        reserved: u32,
    }

    /// What a pool is.
    hwpool_pool_info (72) {
        name: *const c_char,
        backend: *const c_char,
        base: *mut c_void,
        iova: u64,
        stride: u64,
        size: u64,
        page_size: u64,
        objects: u32,
        cache: u32,
        node: i32,
        reserved: u32,
    }

    /// What a pool did so far.
    hwpool_pool_stats (80) {
        objects: u32,
        free: u32,
        cached: u32,
        reserved: u32,
        taken: u64,
        given: u64,
        late: u64,
        refills: u64,
        flushes: u64,
        shortages: u64,
        backend_enqueues: u64,
        backend_dequeues: u64,
    }

    /// What a pool had and had not when it closed.
    hwpool_close_report (40) {
        objects: u32,
        returned: u32,
        lost: u32,
        cached: u32,
        doubled: u32,
        workers: u32,
        taken: u64,
        given: u64,
    }
}

/// Most bytes that a structure is believed to have.
const MOST: usize = 4096;

/// Reads a structure of the caller's that has `size` bytes.
///
/// # Safety
/// `from` is null, or readable for `size` bytes.
pub(crate) unsafe fn read<T: Plain>(from: *const T, size: usize) -> Result<T, Failure> {
    check(from, size)?;
    // SAFETY: readable by the caller's promise; bytes have no alignment.
    let theirs = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size) };
    let known = size.min(size_of::<T>());
    if let Some(at) = theirs[known..].iter().position(|byte| *byte != 0) {
        let text = format!(
            "byte {} of a structure is set, which this library does not know: its own has {known}; it is older than the header",
            known + at
        );
        return Err(Failure::new(Status::Argument, text));
    }
    let mut ours = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` bytes are in both; any bytes are a `T`.
    unsafe {
        std::ptr::copy_nonoverlapping(theirs.as_ptr(), ours.as_mut_ptr().cast::<u8>(), known);
        Ok(ours.assume_init())
    }
}

/// Writes a structure to the caller's, which has `size` bytes; what it has more becomes zero.
///
/// # Safety
/// `to` is null, or writable for `size` bytes.
pub(crate) unsafe fn write<T: Plain>(to: *mut T, size: usize, ours: T) -> Result<(), Failure> {
    check(to, size)?;
    let known = size.min(size_of::<T>());
    // SAFETY: writable by the caller's promise; `known` bytes are in both, and `T` has no padding that would be no bytes.
    unsafe {
        let to = to.cast::<u8>();
        std::ptr::copy_nonoverlapping((&raw const ours).cast::<u8>(), to, known);
        to.add(known).write_bytes(0, size - known);
    }
    Ok(())
}

/// Refuses what can be no structure of the caller's, before anything is done.
pub(crate) fn check<T: Plain>(at: *const T, size: usize) -> Result<(), Failure> {
    if at.is_null() {
        return Err(Failure::new(Status::Argument, "a structure is NULL"));
    }
    let least = T::FIRST;
    if !(least..=MOST).contains(&size) {
        let text =
            format!("a structure of {size} bytes: {least} to {MOST} are possible; pass its sizeof");
        return Err(Failure::new(Status::Argument, text));
    }
    Ok(())
}

/// Returns the place that an answer goes to.
///
/// # Safety
/// `at` is null, or a place that nobody else uses as long as it is borrowed.
pub(crate) unsafe fn place<'a, T>(at: *mut *mut T) -> Result<&'a mut MaybeUninit<*mut T>, Failure> {
    // SAFETY: the caller's promise; what is there is not read.
    let place = unsafe { at.cast::<MaybeUninit<*mut T>>().as_mut() };
    place.ok_or_else(|| Failure::new(Status::Argument, "the place for the answer is NULL"))
}
