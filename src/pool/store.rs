//! [`Store`]: the backend of one pool, where those of this crate are called directly.

use hwpool_devices::bus::Iova;

use crate::pool::backend::{Backend, BackendError, StoreError};
use crate::pool::in_place::See;
use crate::pool::ring::Ring;
use crate::pool::stack::Stack;

/// A backend. A call of the software ones is compiled into its caller: they are quick enough that a call through a
/// table, with the registers that it spills, would be a good part of their cost.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one a pool, in place, which saves a hop"
)]
pub(super) enum Store {
    Ring(Ring),
    Stack(Stack),
    Other(Box<dyn Backend>),
}

impl Store {
    /// Tells whether it is one of this crate. Such a store keeps any words, so it gets slots as they are, and nothing is
    /// spent on making indices of them; and it calls nobody back, fails never, and says by itself that it is closed.
    #[inline(always)]
    pub(super) fn keeps_words(&self) -> bool {
        !matches!(self, Store::Other(_))
    }

    /// As [`enqueue`](Backend::enqueue), where the store is one of ours.
    #[inline(always)]
    pub(super) fn put(&self, objects: &[u32]) -> Option<Result<(), StoreError>> {
        match self {
            Store::Ring(ring) => Some(ring.put(objects)),
            Store::Stack(stack) => Some(stack.put(objects)),
            Store::Other(_) => None,
        }
    }

    /// As [`dequeue`](Backend::dequeue), where the store is one of ours.
    #[inline(always)]
    pub(super) fn take(&self, objects: &mut [u32]) -> Option<Result<(), StoreError>> {
        match self {
            Store::Ring(ring) => Some(ring.take(objects)),
            Store::Stack(stack) => Some(stack.take(objects)),
            Store::Other(_) => None,
        }
    }

    /// As [`take`](Self::take), and shows the objects where they lie, in one or two runs; others wait meanwhile.
    #[inline(always)]
    pub(super) fn take_with(&self, n: usize, see: impl See) -> Option<Result<(), StoreError>> {
        match self {
            Store::Ring(ring) => Some(ring.take_with(n, see)),
            Store::Stack(stack) => Some(stack.take_with(n, see)),
            Store::Other(_) => None,
        }
    }
}

impl Backend for Store {
    #[inline(always)]
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        match self {
            Store::Ring(ring) => ring.enqueue(objects),
            Store::Stack(stack) => stack.enqueue(objects),
            Store::Other(backend) => backend.enqueue(objects),
        }
    }

    #[inline(always)]
    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        match self {
            Store::Ring(ring) => ring.dequeue(objects),
            Store::Stack(stack) => stack.dequeue(objects),
            Store::Other(backend) => backend.dequeue(objects),
        }
    }

    fn count(&self) -> u32 {
        match self {
            Store::Ring(ring) => ring.count(),
            Store::Stack(stack) => stack.count(),
            Store::Other(backend) => backend.count(),
        }
    }

    fn iova(&self) -> Option<Iova> {
        match self {
            Store::Other(backend) => backend.iova(),
            Store::Ring(_) | Store::Stack(_) => None,
        }
    }

    fn doorbells(&self) -> Option<u64> {
        match self {
            Store::Other(backend) => backend.doorbells(),
            Store::Ring(_) | Store::Stack(_) => None,
        }
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        match self {
            Store::Ring(ring) => ring.drain(),
            Store::Stack(stack) => stack.drain(),
            Store::Other(backend) => backend.drain(),
        }
    }
}
