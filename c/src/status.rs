//! [`Status`]: the numbers that calls return, as `hwpool.h` explains them.

use std::ffi::CStr;

/// What calls return.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    Ok = 0,
    Empty = 1,
    Argument = -1,
    Handle = -2,
    Closed = -3,
    Forked = -4,
    Thread = -5,
    Device = -6,
    Memory = -7,
    Backend = -8,
    Limit = -9,
    Foreign = -10,
    NotOut = -11,
    Poisoned = -12,
    Refused = -13,
    Lost = -14,
    Unclean = -15,
    Internal = -16,
}

/// Each status, and its name in C.
pub(crate) const STATUSES: [(Status, &CStr); 18] = [
    (Status::Ok, c"HWPOOL_OK"),
    (Status::Empty, c"HWPOOL_EMPTY"),
    (Status::Argument, c"HWPOOL_E_ARGUMENT"),
    (Status::Handle, c"HWPOOL_E_HANDLE"),
    (Status::Closed, c"HWPOOL_E_CLOSED"),
    (Status::Forked, c"HWPOOL_E_FORKED"),
    (Status::Thread, c"HWPOOL_E_THREAD"),
    (Status::Device, c"HWPOOL_E_DEVICE"),
    (Status::Memory, c"HWPOOL_E_MEMORY"),
    (Status::Backend, c"HWPOOL_E_BACKEND"),
    (Status::Limit, c"HWPOOL_E_LIMIT"),
    (Status::Foreign, c"HWPOOL_E_FOREIGN"),
    (Status::NotOut, c"HWPOOL_E_NOT_OUT"),
    (Status::Poisoned, c"HWPOOL_E_POISONED"),
    (Status::Refused, c"HWPOOL_E_REFUSED"),
    (Status::Lost, c"HWPOOL_E_LOST"),
    (Status::Unclean, c"HWPOOL_E_UNCLEAN"),
    (Status::Internal, c"HWPOOL_E_INTERNAL"),
];
