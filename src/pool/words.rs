//! A worker's cache as the words that lie in it: for a boundary to another language, whose callers hold addresses or numbers,
//! and which turns one into the other without a copy in between.
//!
//! What the cache can't serve at once is answered with `None`, also in checked mode, in a closed pool and in a child of `fork`:
//! the worker's other methods do it, or say why not.

use std::fmt;

use crate::pool::cache;
use crate::pool::handle::Pool;
use crate::pool::limits::MAX_CACHE;
use crate::pool::worker::Worker;

impl Pool {
    /// Returns the word of object 0's slot, as [`Slot::into_word`](crate::pool::Slot::into_word) makes it; that of object *i* is
    /// greater by *i*.
    pub fn first_word(&self) -> u32 {
        self.shared().tag.word()
    }
}

impl Worker {
    /// Shows the `n` slots that were given last, where they lie in the cache.
    #[inline(always)]
    pub fn hottest(&mut self, n: usize) -> Option<Hottest<'_>> {
        let is_sane = n <= MAX_CACHE; // no sum of addresses overflows
        is_sane.then(|| self.local().hottest(n))?.map(Hottest)
    }

    /// Shows room for `n` slots, where they will lie in the cache.
    #[inline(always)]
    pub fn room(&mut self, n: usize) -> Option<Room<'_>> {
        let is_sane = n <= MAX_CACHE;
        is_sane.then(|| self.local().room(n))?.map(Room)
    }
}

/// Slots that lie in a worker's cache, and stay there unless they are [taken](Self::take).
pub struct Hottest<'worker>(cache::Hottest<'worker>);

impl Hottest<'_> {
    /// Returns their words, the one that was given last at the end.
    #[inline(always)]
    pub fn words(&self) -> &[u32] {
        self.0.words()
    }

    /// Takes them out of the cache: each word that was seen stands for an object on loan, as after
    /// [`Slot::into_word`](crate::pool::Slot::into_word).
    #[inline(always)]
    pub fn take(self) {
        self.0.take();
    }
}

/// Room for slots in a worker's cache; what is written to it counts once it is [kept](Self::keep).
pub struct Room<'worker>(cache::Room<'worker>);

impl Room<'_> {
    /// Returns where their words go. What stands there means nothing.
    #[inline(always)]
    pub fn words(&mut self) -> &mut [u32] {
        self.0.words()
    }

    /// Gives the slots whose words were written.
    ///
    /// # Safety
    /// Each word is that of a slot of this pool, as after [`Slot::into_word`](crate::pool::Slot::into_word), and is used no more.
    #[inline(always)]
    pub unsafe fn keep(self) {
        self.0.keep();
    }
}

impl fmt::Debug for Hottest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hottest({:#x?})", self.words())
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}
