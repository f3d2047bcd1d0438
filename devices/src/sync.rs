//! The atomics that the drivers use; loom's stand in for them when every interleaving is explored (`--cfg loom`).

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{Ordering, fence};
