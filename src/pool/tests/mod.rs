//! Tests of pools as users see them.

mod basic;
mod batch;
mod closing;
mod create;
mod fork;
mod hostile;
mod model;
mod raw;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pool::{Batch, GiveError, GiveFault, Pool, PoolError, Slot, Worker};

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

/// Slots as arrays, which tests can take apart.
impl Pool {
    fn take_slots<const N: usize>(&self) -> Result<Option<[Slot; N]>, PoolError> {
        taken(|batch| self.take_into(batch, N))
    }

    fn give_slots<const N: usize>(&self, slots: [Slot; N]) -> Result<(), GiveError<[Slot; N]>> {
        given(slots, |batch| self.give_from(batch, N))
    }
}

impl Worker {
    fn take_slots<const N: usize>(&mut self) -> Result<Option<[Slot; N]>, PoolError> {
        taken(|batch| self.take_into(batch, N))
    }

    fn give_slots<const N: usize>(&mut self, slots: [Slot; N]) -> Result<(), GiveError<[Slot; N]>> {
        given(slots, |batch| self.give_from(batch, N))
    }
}

fn taken<const N: usize>(
    take: impl FnOnce(&mut Batch<N>) -> Result<bool, PoolError>,
) -> Result<Option<[Slot; N]>, PoolError> {
    let mut batch = Batch::new();
    Ok(take(&mut batch)?.then(|| array(&mut batch)))
}

fn given<const N: usize>(
    slots: [Slot; N],
    give: impl FnOnce(&mut Batch<N>) -> Result<(), GiveFault>,
) -> Result<(), GiveError<[Slot; N]>> {
    let mut batch = Batch::new();
    slots.into_iter().for_each(|slot| batch.push(slot).unwrap());
    give(&mut batch).map_err(|fault| GiveError {
        fault,
        returned: (batch.len() == N).then(|| array(&mut batch)),
    })
}

fn array<const N: usize>(batch: &mut Batch<N>) -> [Slot; N] {
    let mut slots = std::array::from_fn(|_| batch.pop().unwrap());
    slots.reverse();
    slots
}
