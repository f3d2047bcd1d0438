//! Whoever lent a descriptor, for as long as it is in use.

use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Something of the program's that has a descriptor, and closes it when the last of its owners is dropped.
pub type Lender = Arc<dyn AsRawFd + Send + Sync>;

/// A lender that is kept.
pub(super) struct Kept(Lender);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lent by descriptor {}", self.0.as_raw_fd())
    }
}

impl From<Lender> for Kept {
    fn from(lender: Lender) -> Kept {
        Kept(lender)
    }
}
