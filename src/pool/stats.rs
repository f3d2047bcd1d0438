//! [`Stats`]: what a pool did, counted all the time.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::pool::backend::Backend;
use crate::pool::inner::Inner;
use crate::pool::roster::Tally;

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
}

impl Stats {
    pub(super) fn of(inner: &Inner) -> Stats {
        let mut sum = Tally::default();
        inner
            .roster()
            .tallies()
            .iter()
            .for_each(|(_, tally, _)| sum.add(tally));
        let parked = inner.stray().parked.len() as u64;
        let cached = sum.cached.min(u64::from(inner.objects));
        let in_backend = if inner.is_closed() {
            0
        } else {
            u64::from(inner.store.count())
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let direct = &inner.direct;
        Stats {
            objects: inner.objects,
            free: (in_backend + cached + parked).min(u64::from(inner.objects)) as u32,
            cached: cached as u32,
            taken: sum.taken + read(&direct.taken),
            given: sum.given() + read(&direct.given),
            late: read(&direct.late),
            refills: sum.refills,
            flushes: sum.flushes,
            shortages: sum.shortages + read(&direct.shortages),
            backend_enqueues: sum.enqueues + read(&direct.enqueues),
            backend_dequeues: sum.dequeues + read(&direct.dequeues),
        }
    }
}
