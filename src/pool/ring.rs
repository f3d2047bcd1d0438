//! `ring`: a bounded queue of indices for any number of producers and consumers, after DPDK's `rte_ring`.
//!
//! ```text
//!              cons.tail   cons.head        prod.tail    prod.head
//!                  │           │                │            │
//!   …── free ──────┼─ being ───┼──── objects ───┼── being ───┼── free ──…
//!                  │  read     │     to take    │  written   │
//! ```
//!
//! A producer reserves room for all of its objects with one compare-exchange of `prod.head`, copies them, waits until
//! those who reserved before it have published, and publishes with a store to `prod.tail`. Consumers mirror that.
//! Positions are 64-bit and never wrap in practice, so that a stalled compare-exchange can't succeed by coincidence.
//!
//! The storage is rounded up to a power of two so that a mask finds the place instead of a division: 4 to 8 bytes an
//! object. The capacity stays exact.

use crate::pool::backend::{Backend, BackendError, StoreError};
use crate::pool::in_place::{Fill, See};
use crate::pool::sync::{AtomicU64, Backoff, Cells, Ordering};

/// In a head: the ring is drained, nobody reserves any more.
const CLOSED: u64 = 1 << 63;

/// One side of the ring, on cache lines of its own (two, because processors fetch them in pairs).
#[repr(align(128))]
struct Side {
    /// End of what is reserved, with the bit [`CLOSED`].
    head: AtomicU64,
    /// End of what is done.
    tail: AtomicU64,
}

impl Side {
    fn new() -> Side {
        Side {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
        }
    }

    /// Waits for those who reserved before `from`, then declares everything up to `to` done.
    #[inline(always)]
    fn publish(&self, from: u64, to: u64) {
        // Acquire: what predecessors copied is published again by our own store, so it must come before it.
        if self.tail.load(Ordering::Acquire) != from {
            return self.publish_after_others(from, to);
        }
        // Release: the copy that was just made comes before its publication, for the acquire load of `tail` on the
        // other side.
        self.tail.store(to, Ordering::Release);
    }

    /// The whole of it out of line: who publishes last needs no registers afterwards, and so saves none.
    #[cold]
    #[inline(never)]
    fn publish_after_others(&self, from: u64, to: u64) {
        self.wait_until_done(from);
        // Release: as above.
        self.tail.store(to, Ordering::Release);
    }

    fn wait_until_done(&self, position: u64) {
        let mut backoff = Backoff::default();
        // Acquire: as above.
        while self.tail.load(Ordering::Acquire) != position {
            backoff.wait();
        }
    }

    /// Forbids reservations and waits for those already made; returns the position where the side ends.
    fn close(&self) -> u64 {
        let end = self.head.fetch_or(CLOSED, Ordering::AcqRel) & !CLOSED;
        self.wait_until_done(end);
        end
    }
}

/// Publishes when it is dropped, also where a caller's code panics: others would wait for ever.
struct Publishes<'ring> {
    side: &'ring Side,
    from: u64,
    to: u64,
}

impl Drop for Publishes<'_> {
    #[inline]
    fn drop(&mut self) {
        self.side.publish(self.from, self.to);
    }
}

/// A first-in, first-out queue of indices. Waits only for a thread that is between its reservation and its
/// publication, which is a copy long.
pub(super) struct Ring {
    prod: Side,
    cons: Side,
    words: Cells,
    mask: u64,
    capacity: u64,
}

impl Ring {
    /// Makes an empty ring that holds at most `capacity` objects.
    pub(super) fn new(capacity: u32) -> Ring {
        Ring::on(Cells::new(Ring::words(capacity)), capacity)
    }

    /// As [`new`](Self::new), on as many [`words`](Self::words).
    pub(super) fn on(words: Cells, capacity: u32) -> Ring {
        Ring {
            prod: Side::new(),
            cons: Side::new(),
            words,
            mask: Ring::words(capacity) as u64 - 1,
            capacity: u64::from(capacity),
        }
    }

    /// Returns the words of storage that a ring needs.
    pub(super) fn words(capacity: u32) -> usize {
        (capacity as usize).next_power_of_two()
    }

    /// Moves `side.head` by `n` where `available(head)` is at least `n`, and returns where it was.
    #[inline(always)]
    fn reserve(side: &Side, n: u64, available: impl Fn(u64) -> u64) -> Result<u64, StoreError> {
        // Acquire here and release below: who sees a head moved by another thread also sees the opposite tail that
        // allowed the move, so that `available` never looks back behind its head.
        let mut head = side.head.load(Ordering::Acquire);
        loop {
            if head & CLOSED != 0 {
                return Err(StoreError::Closed);
            }
            if n > available(head) {
                return Err(StoreError::Short);
            }
            match side.head.compare_exchange_weak(
                head,
                head + n,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(head),
                Err(moved) => head = moved,
            }
        }
    }

    /// Takes `objects` in, all or none.
    #[inline(always)]
    pub(super) fn put(&self, objects: &[u32]) -> Result<(), StoreError> {
        let n = objects.len() as u64;
        let at = self.reserve_room(n)?;
        // SAFETY: `reserve_room` gave these positions to us alone, and consumers are done with their last round.
        unsafe { self.copy_in(at, objects) };
        self.prod.publish(at, at + n);
        Ok(())
    }

    /// Fills `objects`, or leaves them as they are.
    #[inline(always)]
    pub(super) fn take(&self, objects: &mut [u32]) -> Result<(), StoreError> {
        let n = objects.len() as u64;
        let at = self.reserve_filled(n)?;
        // SAFETY: `reserve_filled` gave these positions to us alone, and producers have published them.
        unsafe { self.copy_out(at, objects) };
        self.cons.publish(at, at + n);
        Ok(())
    }

    /// Takes `n` objects, all or none, and shows them where they lie, in one or two runs. Others wait until `see` is done.
    #[inline(always)]
    pub(super) fn take_with(&self, n: usize, see: impl See) -> Result<(), StoreError> {
        // Read before the reservation: what follows one waits for it.
        let (words, mask) = (self.words.view(), self.mask);
        let at = self.reserve_filled(n as u64)?;
        let _publishes = Publishes {
            side: &self.cons,
            from: at,
            to: at + n as u64,
        };
        let (start, run) = place(mask, at);
        // SAFETY: `reserve_filled` gave these positions to us alone, and producers have published them.
        unsafe {
            if n <= run {
                words.show(start, n, see);
            } else {
                words.show_two(start, run, n - run, see);
            }
        }
        Ok(())
    }

    /// Takes `n` objects in, all or none, which `fill` writes where they shall lie, in one or two runs. Others wait until it is
    /// done, for ever where it panics.
    #[inline(always)]
    pub(super) fn put_with(&self, n: usize, fill: impl Fill) -> Result<(), StoreError> {
        // Read before the reservation: what follows one waits for it.
        let (words, mask) = (self.words.view(), self.mask);
        let at = self.reserve_room(n as u64)?;
        let (start, run) = place(mask, at);
        // SAFETY: `reserve_room` gave these positions to us alone, and consumers are done with their last round.
        unsafe {
            if n <= run {
                words.fill(start, n, fill);
            } else {
                words.fill_two(start, run, n - run, fill);
            }
        }
        self.prod.publish(at, at + n as u64);
        Ok(())
    }

    /// Counts the objects inside; approximate while others put and take.
    pub(super) fn inside(&self) -> u32 {
        let taken = self.cons.tail.load(Ordering::Acquire);
        let put = self.prod.tail.load(Ordering::Acquire);
        put.saturating_sub(taken).min(self.capacity) as u32
    }

    #[inline(always)]
    fn reserve_room(&self, n: u64) -> Result<u64, StoreError> {
        // Acquire: consumers have read the words before we write over them.
        let room = |head: u64| {
            self.capacity
                .wrapping_add(self.cons.tail.load(Ordering::Acquire))
                .wrapping_sub(head)
        };
        Self::reserve(&self.prod, n, room)
    }

    #[inline(always)]
    fn reserve_filled(&self, n: u64) -> Result<u64, StoreError> {
        // Acquire: producers have written the words before we read them.
        let filled = |head: u64| self.prod.tail.load(Ordering::Acquire).wrapping_sub(head);
        Self::reserve(&self.cons, n, filled)
    }

    /// # Safety
    /// The caller alone has reserved `position .. position + from.len()` for writing.
    #[inline(always)]
    unsafe fn copy_in(&self, position: u64, from: &[u32]) {
        let (start, run) = place(self.mask, position);
        // SAFETY: the reservation, within which both runs lie; no more is reserved than the storage has.
        unsafe {
            if from.len() <= run {
                self.words.write(start, from);
            } else {
                let (first, second) = from.split_at(run);
                self.words.write(start, first);
                self.words.write(0, second);
            }
        }
    }

    /// # Safety
    /// The caller alone has reserved `position .. position + into.len()` for reading.
    #[inline(always)]
    unsafe fn copy_out(&self, position: u64, into: &mut [u32]) {
        let (start, run) = place(self.mask, position);
        // SAFETY: as in `copy_in`.
        unsafe {
            if into.len() <= run {
                self.words.read(start, into);
            } else {
                let (first, second) = into.split_at_mut(run);
                self.words.read(start, first);
                self.words.read(0, second);
            }
        }
    }
}

/// Returns where `position` is in storage of a mask, and how many words follow up to its end.
#[inline(always)]
fn place(mask: u64, position: u64) -> (usize, usize) {
    let start = (position & mask) as usize;
    let run = mask as usize + 1 - start;
    // SAFETY: the start is at most the mask. Where one word moves, there is no end to look at.
    unsafe { std::hint::assert_unchecked(run > 0) };
    (start, run)
}

impl Backend for Ring {
    #[inline(always)]
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        Ok(self.put(objects)?)
    }

    #[inline(always)]
    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        Ok(self.take(objects)?)
    }

    fn count(&self) -> u32 {
        self.inside()
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        let end = self.prod.close();
        let start = self.cons.close();
        let mut objects = vec![0; (end - start) as usize];
        // SAFETY: both sides are closed and done, so nobody else accesses any word.
        unsafe { self.copy_out(start, &mut objects) };
        Ok(objects)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn is_first_in_first_out_across_the_end_of_its_storage() {
        let ring = Ring::new(5);
        let mut out = [0; 3];
        for round in 0..20 {
            let objects = [round, round + 100, round + 200];
            ring.enqueue(&objects).unwrap();
            assert_eq!(ring.count(), 3);
            ring.dequeue(&mut out).unwrap();
            assert_eq!(out, objects);
        }
    }

    #[test]
    fn holds_exactly_its_capacity() {
        let ring = Ring::new(5);
        ring.enqueue(&[0, 1, 2, 3]).unwrap();
        assert!(matches!(ring.enqueue(&[4, 5]), Err(BackendError::Short)));
        ring.enqueue(&[4]).unwrap();
        assert!(matches!(ring.enqueue(&[5]), Err(BackendError::Short)));
        assert_eq!(ring.count(), 5);
    }

    #[test]
    fn dequeues_all_or_nothing() {
        let ring = Ring::new(4);
        ring.enqueue(&[7, 8]).unwrap();
        let mut out = [99; 3];
        assert!(matches!(ring.dequeue(&mut out), Err(BackendError::Short)));
        assert_eq!(out, [99; 3]);
        assert_eq!(ring.count(), 2);
    }

    #[test]
    fn gives_everything_at_drain_and_nothing_after() {
        let ring = Ring::new(4);
        ring.enqueue(&[7, 8, 9]).unwrap();
        ring.dequeue(&mut [0]).unwrap();
        assert_eq!(ring.drain().unwrap(), [8, 9]);
        assert!(matches!(ring.enqueue(&[7]), Err(BackendError::Closed)));
        assert!(matches!(ring.dequeue(&mut [0]), Err(BackendError::Closed)));
    }
}
