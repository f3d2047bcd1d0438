//! The numbers that pools are limited by.

/// Most objects in a worker's cache.
pub const MAX_CACHE: usize = 4096;

/// Smallest alignment of objects: a cache line, so that no two objects share one.
pub const MIN_ALIGN: usize = 64;

/// Largest alignment of objects.
pub const MAX_ALIGN: usize = 1 << 30;
