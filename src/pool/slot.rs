//! [`Slot`], the four bytes that stand for an object out on loan, and the tags that tell pools apart.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// Bits of a slot that hold the index; the pool's tag is above.
const INDEX_BITS: u32 = 24;

/// Most objects of a pool: as many as a slot's index can name.
pub const MAX_OBJECTS: u32 = 1 << INDEX_BITS;

/// The right to one object of one pool, in four bytes; an array of slots is what moves on the hot path.
///
/// A slot is neither `Copy` nor `Clone`, so giving an object back twice can't be written in safe code; it carries
/// its pool's tag, so that another pool refuses it. A slot that is dropped is an object lost until the pool closes
/// and reports it: give it back, or make it a [`Buffer`](crate::pool::Buffer), which returns by itself.
#[must_use = "a slot that is dropped is an object that its pool misses"]
#[derive(PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Slot(
    /// Never 0, because tags start at 1. Yet no `NonZeroU32`: then `Option<[Slot; N]>` would live in the first element,
    /// and compilers would move arrays in two pieces, which stalls on store forwarding (measured: 4 times slower at 8).
    u32,
);

impl Slot {
    /// Makes the slot again that [`into_word`](Self::into_word) took apart, here or in another language.
    ///
    /// # Safety
    /// `word` came from `into_word` and is made a slot once only.
    pub unsafe fn from_word(word: NonZeroU32) -> Slot {
        Slot(word.get())
    }

    /// Takes the slot apart: tag in the upper 8 bits, index in the lower 24. The object stays out.
    pub fn into_word(self) -> NonZeroU32 {
        // SAFETY: a slot is never 0: its tag is not.
        unsafe { NonZeroU32::new_unchecked(self.0) }
    }

    /// Returns the object's index in its pool, from 0.
    #[inline]
    pub fn index(&self) -> u32 {
        index_of(self.0)
    }

    #[inline(always)]
    pub(super) fn tag(&self) -> u8 {
        tag_of(self.0)
    }

    #[inline(always)]
    pub(super) fn word(&self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({} of pool tag {})", self.index(), self.tag())
    }
}

/// Strips a word of its tag.
#[inline(always)]
pub(super) fn index_of(word: u32) -> u32 {
    word & (MAX_OBJECTS - 1)
}

/// Returns the tag in a word.
#[inline(always)]
pub(super) fn tag_of(word: u32) -> u8 {
    (word >> INDEX_BITS) as u8
}

/// Turns a word into the slot that it stands for.
///
/// # Safety
/// The word is a slot that is nobody else's.
pub(super) unsafe fn slot(word: u32) -> Slot {
    debug_assert!(word != 0);
    Slot(word)
}

/// Views slots as the words they are.
#[inline(always)]
pub(super) fn words_of(slots: &[Slot]) -> &[u32] {
    // SAFETY: Slot is transparent over u32.
    unsafe { std::slice::from_raw_parts(slots.as_ptr().cast(), slots.len()) }
}

/// A pool's tag: 1 to 255, so that a slot is never 0. Drops back into the bag when the pool's last trace is gone; the
/// tag of a pool that still misses slots is never used again.
pub(super) struct Tag(u8);

/// Which tags are in use, and the last that was given.
struct Tags {
    used: [bool; 256],
    last: u8,
}

static TAGS: Mutex<Tags> = Mutex::new(Tags {
    used: [false; 256],
    last: 0,
});

impl Tag {
    /// Returns a free tag, the one unused for longest first, or `None` where all 255 are in use.
    pub(super) fn acquire() -> Option<Tag> {
        let mut tags = TAGS.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (1..=255u8)
            .map(|step| tags.last.wrapping_add(step))
            .find(|&tag| tag != 0 && !tags.used[tag as usize])?;
        tags.used[next as usize] = true;
        tags.last = next;
        Some(Tag(next))
    }

    pub(super) fn number(&self) -> u8 {
        self.0
    }

    /// Returns the tag in the place where words have it.
    pub(super) fn word(&self) -> u32 {
        u32::from(self.0) << INDEX_BITS
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        TAGS.lock().unwrap_or_else(PoisonError::into_inner).used[self.0 as usize] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_four_bytes_and_has_no_niche_that_splits_arrays() {
        assert_eq!(size_of::<Slot>(), 4);
        assert_eq!(size_of::<Option<[Slot; 8]>>(), 36);
    }

    #[test]
    fn a_tag_in_use_is_not_given_again() {
        let held: Vec<Tag> = (0..20).map(|_| Tag::acquire().unwrap()).collect();
        let mut numbers: Vec<u8> = held.iter().map(Tag::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
        assert!(!numbers.contains(&0));
    }
}
