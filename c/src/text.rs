//! Strings that C hands over.

use std::ffi::{CStr, c_char};

use crate::failure::Failure;
use crate::status::Status;

/// Reads a string that must be there; `what` says which it is.
///
/// # Safety
/// `text` is null, or a string that stays as long as it is borrowed.
pub(crate) unsafe fn required<'a>(text: *const c_char, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let text = unsafe { optional(text, what) }?;
    text.ok_or_else(|| Failure::new(Status::Argument, format!("{what} is NULL")))
}

/// Reads a string; `None` where it is null.
///
/// # Safety
/// As [`required`].
pub(crate) unsafe fn optional<'a>(
    text: *const c_char,
    what: &str,
) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: a string by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    let utf8 = text.to_str().map_err(|error| {
        Failure::of(Status::Argument, &error).within(format!("{what} is no UTF-8: {text:?}"))
    })?;
    Ok(Some(utf8))
}
