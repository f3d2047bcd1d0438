//! [`FreeList`]: a ring or a stack in memory that the caller brings, for processes that share it.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::pool::in_place::{Fill, See};
use crate::pool::ring::Ring;
use crate::pool::sync::{Backoff, Cells};

/// How a [`FreeList`] hands out what it has.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// First in, first out: as the backend `ring`.
    Ring,
    /// Last in, first out: as the backend `stack`.
    Stack,
}

/// A free list without a pool: words, no memory that they stand for, no checks but of the room.
///
/// It has no pointer but to the words that it was given. Where those, and the list itself, are put into memory that
/// several processes have at one address, each of them can use it. Any thread can call each method at any time, and
/// waits for no other longer than it takes to copy; one that is killed meanwhile keeps the others waiting, as with DPDK's
/// own lists.
pub struct FreeList(Kept);

#[allow(
    clippy::large_enum_variant,
    reason = "there is one a pool, in place, which saves a hop"
)]
enum Kept {
    Ring(Ring),
    Stack(Stack),
}

/// Words that are copied.
struct Copied<'words>(&'words [u32]);

impl Fill for Copied<'_> {
    #[inline(always)]
    fn fill(self, words: &mut [u32]) {
        words.copy_from_slice(self.0);
    }

    fn fill_two(self, first: &mut [u32], second: &mut [u32]) {
        let (here, rest) = self.0.split_at(first.len());
        first.copy_from_slice(here);
        second.copy_from_slice(rest);
    }
}

impl FreeList {
    /// Returns how many words a list of `capacity` needs.
    pub fn words(order: Order, capacity: u32) -> usize {
        match order {
            Order::Ring => Ring::words(capacity),
            Order::Stack => capacity as usize,
        }
    }

    /// Makes an empty list that holds at most `capacity` words.
    ///
    /// # Safety
    /// From `first` on there are as many [`words`](Self::words), initialised, which nothing else uses as long as the list
    /// is used by any process.
    pub unsafe fn new(order: Order, capacity: u32, first: NonNull<u32>) -> FreeList {
        // SAFETY: the caller's promise.
        let words = unsafe { Cells::at(first, FreeList::words(order, capacity)) };
        FreeList(match order {
            Order::Ring => Kept::Ring(Ring::on(words, capacity)),
            Order::Stack => Kept::Stack(Stack::on(words, capacity)),
        })
    }

    /// Takes `words` in, all or none; false where there is not as much room.
    #[inline(always)]
    pub fn put(&self, words: &[u32]) -> bool {
        self.put_with(words.len(), Copied(words))
    }

    /// Takes `n` words in, all or none, which `fill` writes where they shall lie; false where there is not as much room. It must
    /// not use the list. Other threads may have to wait until it is done, for ever where it panics.
    #[inline(always)]
    pub fn put_with(&self, n: usize, fill: impl Fill) -> bool {
        match &self.0 {
            Kept::Ring(ring) => ring.put_with(n, fill).is_ok(),
            Kept::Stack(stack) => stack.put_with(n, fill),
        }
    }

    /// Takes `n` words out, all or none, and shows them to `see`; false where there are not as many. It must not use the list.
    /// Other threads may have to wait until it is done.
    #[inline(always)]
    pub fn take_with(&self, n: usize, see: impl See) -> bool {
        match &self.0 {
            Kept::Ring(ring) => ring.take_with(n, see).is_ok(),
            Kept::Stack(stack) => stack.take_with(n, see),
        }
    }

    /// Counts the words inside; approximate while others take and put.
    pub fn count(&self) -> u32 {
        match &self.0 {
            Kept::Ring(ring) => ring.inside(),
            Kept::Stack(stack) => stack.lock().len() as u32,
        }
    }

    /// Tells whether it is a ring.
    #[inline(always)]
    pub fn is_ring(&self) -> bool {
        matches!(self.0, Kept::Ring(_))
    }
}

impl std::fmt::Debug for FreeList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreeList")
            .field("is_ring", &self.is_ring())
            .field("count", &self.count())
            .finish()
    }
}

/// As the backend `stack`, under a lock that processes can share, which spins and then gives the processor away.
struct Stack {
    locked: AtomicBool,
    len: UnsafeCell<usize>,
    words: Cells,
    capacity: usize,
}

// SAFETY: `len` is accessed by who has the lock alone.
unsafe impl Sync for Stack {}

/// The lock; gives it back when it is dropped, also where a caller's code panics.
struct Locked<'stack>(&'stack Stack);

impl Drop for Locked<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: what was done under the lock comes before, for the acquire of who has it next.
        self.0.locked.store(false, Ordering::Release);
    }
}

impl Locked<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: this is the lock.
        unsafe { *self.0.len.get() }
    }

    #[inline(always)]
    fn set_len(&mut self, len: usize) {
        // SAFETY: this is the lock.
        unsafe { *self.0.len.get() = len }
    }
}

impl Stack {
    fn on(words: Cells, capacity: u32) -> Stack {
        Stack {
            locked: AtomicBool::new(false),
            len: UnsafeCell::new(0),
            words,
            capacity: capacity as usize,
        }
    }

    #[inline(always)]
    fn lock(&self) -> Locked<'_> {
        // Acquire: pairs with the release of who had it before.
        if self.locked.swap(true, Ordering::Acquire) {
            self.wait_for_lock();
        }
        Locked(self)
    }

    #[cold]
    #[inline(never)]
    fn wait_for_lock(&self) {
        let mut backoff = Backoff::default();
        while self.locked.load(Ordering::Relaxed) || self.locked.swap(true, Ordering::Acquire) {
            backoff.wait();
        }
    }

    #[inline(always)]
    fn put_with(&self, n: usize, fill: impl Fill) -> bool {
        let mut locked = self.lock();
        let len = locked.len();
        if n > self.capacity - len {
            return false;
        }
        // SAFETY: there is room, and the lock keeps others off.
        unsafe { self.words.view().fill(len, n, fill) };
        locked.set_len(len + n);
        true
    }

    #[inline(always)]
    fn take_with(&self, n: usize, see: impl See) -> bool {
        let mut locked = self.lock();
        let Some(rest) = locked.len().checked_sub(n) else {
            return false;
        };
        // SAFETY: these were written, and the lock keeps writers off.
        unsafe { self.words.view().show(rest, n, see) };
        locked.set_len(rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list with words that it is given.
    fn list(order: Order, capacity: u32) -> FreeList {
        let words = vec![0u32; FreeList::words(order, capacity)].leak();
        // SAFETY: initialised, enough, and leaked for this list alone.
        unsafe { FreeList::new(order, capacity, NonNull::from(words).cast()) }
    }

    fn take(list: &FreeList, n: usize) -> Option<Vec<u32>> {
        let mut taken = Vec::new();
        list.take_with(n, |run: &[u32]| taken.extend_from_slice(run))
            .then_some(taken)
    }

    #[test]
    fn is_all_or_nothing_in_its_order() {
        for (order, next) in [(Order::Ring, [1, 2]), (Order::Stack, [2, 3])] {
            let list = list(order, 5);
            assert!(list.put(&[1, 2, 3]) && !list.put(&[4, 5, 6]));
            assert_eq!((take(&list, 4), list.count()), (None, 3), "{order:?}");
            assert_eq!(take(&list, 2), Some(next.to_vec()));
            assert!(list.put(&[7, 8, 9, 10]) && !list.put(&[11]));
            assert_eq!((list.count(), list.is_ring()), (5, order == Order::Ring));
        }
    }

    #[test]
    fn threads_neither_lose_nor_double_a_word() {
        for order in [Order::Ring, Order::Stack] {
            let list = list(order, 64);
            assert!(list.put(&(0..64).collect::<Vec<_>>()));
            std::thread::scope(|scope| {
                for n in 1..5 {
                    let list = &list;
                    scope.spawn(move || {
                        for _ in 0..5000 {
                            if let Some(taken) = take(list, n) {
                                assert!(list.put(&taken));
                            }
                        }
                    });
                }
            });
            let mut all = take(&list, 64).expect("all are in");
            all.sort_unstable();
            assert_eq!(all, (0..64).collect::<Vec<_>>(), "{order:?}");
        }
    }
}
