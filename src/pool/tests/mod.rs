//! Tests of pools as users see them.

mod basic;
mod batch;
mod closing;
mod create;
mod hostile;
mod model;
mod raw;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pool::{Pool, Slot};

/// A pool without much of anything: `objects` of 64 bytes over a ring, with a cache of 8.
fn small(objects: u32) -> Pool {
    Pool::builder("small")
        .objects(objects)
        .size(64)
        .cache(8.min(objects as usize))
        .build()
        .unwrap()
}

/// A name for a backend that no other test uses.
fn unique(stem: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{stem}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn indices<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<u32> {
    slots.into_iter().map(Slot::index).collect()
}

/// Tells whether the memory of a pool still exists, without keeping it.
struct Witness(std::sync::Weak<crate::dma::Memory>);

impl Witness {
    fn of(pool: &Pool) -> Witness {
        Witness(Arc::downgrade(pool.memory()))
    }

    fn memory_exists(&self) -> bool {
        self.0.strong_count() > 0
    }
}
