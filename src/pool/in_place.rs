//! [`Fill`] and [`See`]: what writes and reads the words of a list where they lie, without a copy in between.
//!
//! Traits, since nobody can ask for a closure to be inlined: what is not has none of the vectors of its caller.

/// Writes words where a list shall have them.
pub trait Fill: Sized {
    /// Writes all of these words, which are in memory as they were.
    fn fill(self, words: &mut [u32]);

    /// As [`fill`](Self::fill), in two runs: seldom, around the end of a ring.
    fn fill_two(self, first: &mut [u32], second: &mut [u32]);
}

/// Reads words where a list has them.
pub trait See: Sized {
    /// Reads all of these words.
    fn see(self, words: &[u32]);

    /// As [`see`](Self::see), in two runs: seldom, around the end of a ring.
    fn see_two(self, first: &[u32], second: &[u32]);
}

impl<F: FnMut(&[u32])> See for F {
    #[inline(always)]
    fn see(mut self, words: &[u32]) {
        self(words);
    }

    #[inline(always)]
    fn see_two(mut self, first: &[u32], second: &[u32]) {
        self(first);
        self(second);
    }
}
