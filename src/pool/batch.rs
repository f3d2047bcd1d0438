//! [`Batch`], slots in place, and [`Slots`], what bulk calls fill and empty.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use crate::pool::slot::{Slot, slot};

/// Up to `N` slots in place, for loops that take and give many at a time.
///
/// Where `n` in `take_into(&mut batch, n)` is a constant, a take or give that the cache serves is a few instructions for
/// each four slots, and nothing is copied twice: the quickest way to use a pool.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hwpool::pool::{Batch, Pool};
///
/// let pool = Pool::builder("rx").objects(8192).size(2048).build()?;
/// let mut worker = pool.worker("rx-0")?;
/// let mut batch = Batch::<32>::new();
/// if worker.take_into(&mut batch, 32)? {
///     for slot in &mut batch {
///         pool.bytes_mut(slot)[0] = 1;
///     }
///     worker.give_from(&mut batch, 32)?;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "slots that are dropped are objects that their pool misses"]
#[repr(C, align(16))]
pub struct Batch<const N: usize> {
    /// The first `len` are slots, the others any words.
    words: [u32; N],
    len: usize,
}

impl<const N: usize> Batch<N> {
    /// Makes an empty batch.
    pub const fn new() -> Batch<N> {
        Batch {
            words: [0; N],
            len: 0,
        }
    }

    /// Adds a slot, which comes back where the batch is full.
    ///
    /// # Errors
    /// The slot, where there are `N` already.
    pub fn push(&mut self, slot: Slot) -> Result<(), Slot> {
        let Some(word) = self.words.get_mut(self.len) else {
            return Err(slot);
        };
        *word = slot.into_word().get();
        self.len += 1;
        Ok(())
    }

    /// Takes the last slot out.
    pub fn pop(&mut self) -> Option<Slot> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: it was within `len`, and is not any more.
        Some(unsafe { slot(self.words[self.len]) })
    }
}

impl<const N: usize> Default for Batch<N> {
    fn default() -> Batch<N> {
        Batch::new()
    }
}

impl<const N: usize> Deref for Batch<N> {
    type Target = [Slot];

    #[inline]
    fn deref(&self) -> &[Slot] {
        // SAFETY: the first `len` are slots, which have the layout of words, and `len` is at most `N`.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.len) }
    }
}

impl<const N: usize> DerefMut for Batch<N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Slot] {
        // SAFETY: as for `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.len) }
    }
}

impl<'a, const N: usize> IntoIterator for &'a mut Batch<N> {
    type Item = &'a mut Slot;
    type IntoIter = std::slice::IterMut<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<const N: usize> fmt::Debug for Batch<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

/// What bulk calls fill and empty, from its end: a [`Batch`], or a `Vec<Slot>`, which grows.
#[allow(
    private_bounds,
    reason = "sealed: the pool's soundness rests on what the methods say"
)]
pub trait Slots: List {}

impl<const N: usize> Slots for Batch<N> {}
impl Slots for Vec<Slot> {}

/// A list of slots, as the pool handles it.
///
/// # Safety
/// `room` and `spare` return the words right after the slots.
pub(super) unsafe trait List {
    fn slots(&self) -> &[Slot];

    /// Returns the words after the last slot, for words only; `None` where the list must grow for as many.
    fn room(&mut self, n: usize) -> Option<&mut [MaybeUninit<u32>]>;

    /// As [`room`](Self::room), and grows.
    ///
    /// # Panics
    /// Where the list can't have as many.
    fn spare(&mut self, n: usize) -> &mut [u32];

    /// Forgets or begins to know slots at the end.
    ///
    /// # Safety
    /// The first `len` words are slots.
    unsafe fn set_len(&mut self, len: usize);
}

// SAFETY: the array has `N` words, `len` of which are slots.
unsafe impl<const N: usize> List for Batch<N> {
    #[inline(always)]
    fn slots(&self) -> &[Slot] {
        self
    }

    #[inline(always)]
    fn room(&mut self, n: usize) -> Option<&mut [MaybeUninit<u32>]> {
        let room = self.words.get_mut(self.len..)?.get_mut(..n)?;
        // SAFETY: the same words, to which only words are written.
        Some(unsafe { &mut *(std::ptr::from_mut(room) as *mut [MaybeUninit<u32>]) })
    }

    #[inline(always)]
    fn spare(&mut self, n: usize) -> &mut [u32] {
        assert!(n <= N - self.len, "{n} slots don't fit into the batch");
        &mut self.words[self.len..self.len + n]
    }

    #[inline(always)]
    unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

// SAFETY: the vector's own promises.
unsafe impl List for Vec<Slot> {
    #[inline(always)]
    fn slots(&self) -> &[Slot] {
        self
    }

    #[inline(always)]
    fn room(&mut self, n: usize) -> Option<&mut [MaybeUninit<u32>]> {
        let room = self.spare_capacity_mut().get_mut(..n)?;
        // SAFETY: slots have the layout of words.
        Some(unsafe { &mut *(std::ptr::from_mut(room) as *mut [MaybeUninit<u32>]) })
    }

    #[inline(always)]
    fn spare(&mut self, n: usize) -> &mut [u32] {
        self.reserve(n);
        let spare = self.spare_capacity_mut().as_mut_ptr().cast::<u32>();
        // SAFETY: there is room for `n` words, which zeros initialise.
        unsafe {
            spare.write_bytes(0, n);
            std::slice::from_raw_parts_mut(spare, n)
        }
    }

    #[inline(always)]
    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.set_len(len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_was_made_for_and_no_more() {
        let slot = |index: u32| {
            let word = std::num::NonZeroU32::new((1 << 24) | index).unwrap();
            // SAFETY: no pool has these.
            unsafe { Slot::from_word(word) }
        };
        let mut batch = Batch::<2>::new();
        assert!(batch.push(slot(1)).is_ok());
        assert!(batch.push(slot(2)).is_ok());
        assert_eq!(batch.push(slot(3)), Err(slot(3)));
        assert_eq!(*batch, [slot(1), slot(2)]);
        assert_eq!(batch.pop(), Some(slot(2)));
        assert_eq!(batch.pop(), Some(slot(1)));
        assert_eq!(batch.pop(), None);
    }
}
