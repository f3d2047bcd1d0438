//! [`Stats`]: what a pool did, counted all the time.

/// What a pool has and what it did since it was made. The numbers are read while threads go on, each at its own moment.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Objects that the pool has, in and out.
    pub objects: u32,
    /// Objects that are free, wherever they are.
    pub free: u32,
    /// Objects in workers' caches, a part of `free`.
    pub cached: u32,
    /// Objects that users took.
    pub taken: u64,
    /// Objects that users gave.
    pub given: u64,
    /// Objects that came back after the pool was closed.
    pub late: u64,
    /// Times that a worker fetched from the backend to fill its cache.
    pub refills: u64,
    /// Times that a worker sent a part of its cache to the backend.
    pub flushes: u64,
    /// Takes that found too few objects.
    pub shortages: u64,
    /// Calls of the backend to take objects in.
    pub backend_enqueues: u64,
    /// Calls of the backend to hand objects out.
    pub backend_dequeues: u64,
    /// Doorbells that the backend rang in its device; `None` where it rings none, and once it is drained.
    pub doorbells: Option<u64>,
}
