//! What is asked of the library itself, and of the last error.

use std::ffi::{CStr, c_char, c_int};

use crate::abi::ABI;
use crate::failure;
use crate::status::STATUSES;

/// The version, as a string of C.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero in it"),
    };

#[unsafe(no_mangle)]
extern "C" fn hwpool_abi() -> u32 {
    ABI
}

#[unsafe(no_mangle)]
extern "C" fn hwpool_version() -> *const c_char {
    VERSION.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn hwpool_status_name(status: c_int) -> *const c_char {
    let known = STATUSES.iter().find(|(known, _)| *known as c_int == status);
    known.map_or(c"?", |(_, name)| name).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn hwpool_last_error() -> *const c_char {
    let line = failure::line();
    if line.is_null() { c"".as_ptr() } else { line }
}

#[unsafe(no_mangle)]
extern "C" fn hwpool_last_cause(depth: usize) -> *const c_char {
    failure::link(depth)
}
