//! Copying words between a cache and its user, the one thing that a hot take or give does.
//!
//! What was just written is read again at once: a take reads what the last give wrote to the cache, a give what the take
//! wrote to the user's array. Processors forward a store to a load that lies within it, and wait some ten cycles longer
//! where a load spans two stores. So both directions use the same pieces, from the beginning, and never wider ones
//! (measured on Zen 4 for 8 words: 2.2 ns there and back by pairs, 4.9 by quads, 8.5 where widths are mixed; for 32 words:
//! 8.7, 5.0 and 9.0). Compilers choose widths of their own, and join moves of neighbours, so on x86-64 each piece goes
//! through assembly.

/// Up to here words move in pairs, which are forwarded soonest; beyond in wide pieces, of which there are fewer.
const PAIRED: usize = 8;

/// The bits of a word that are an index; the others are the tag.
const INDEX: u32 = super::slot::MAX_OBJECTS - 1;

/// Copies `n` words, and tells whether all of them have the tag of `tag_word`.
///
/// # Safety
/// `from` is readable and `to` writable for `n` words, and they do not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u32, to: *mut u32, n: usize, tag_word: u32) -> bool {
    // SAFETY: the caller's promise.
    unsafe { pass(from, Some(to), n, tag_word) }
}

/// Tells whether all words have the tag of `tag_word`; reads them in the pieces that [`copy`] wrote.
#[inline(always)]
pub(super) fn all_tagged(words: &[u32], tag_word: u32) -> bool {
    // SAFETY: the slice is readable, and nothing is written.
    unsafe { pass(words.as_ptr(), None, words.len(), tag_word) }
}

/// Looks at `n` words piece by piece, and copies them where there is a `to`.
///
/// # Safety
/// As [`copy`].
#[inline(always)]
unsafe fn pass(from: *const u32, to: Option<*mut u32>, n: usize, tag_word: u32) -> bool {
    let mut at = 0;
    let mut wides = wide::Differences::none();
    let mut rest = 0;
    // SAFETY: `at` and what a piece adds to it never exceed `n`.
    unsafe {
        while n > PAIRED && n - at >= wide::WORDS {
            let piece = wide::load(from.add(at));
            if let Some(to) = to {
                wide::store(to.add(at), piece);
            }
            wides.add(piece, tag_word);
            at += wide::WORDS;
        }
        while n - at >= 2 {
            let pair = pair::load(from.add(at));
            if let Some(to) = to {
                pair::store(to.add(at), pair);
            }
            rest |= pair ^ pair::of(tag_word);
            at += 2;
        }
        if at < n {
            let word = *from.add(at);
            if let Some(to) = to {
                *to.add(at) = word;
            }
            rest |= u64::from(word ^ tag_word);
        }
    }
    wides.are_in_indices() && rest & pair::of(!INDEX) == 0
}

/// Two words at a time.
mod pair {
    /// Returns a pair of the same word.
    #[inline(always)]
    pub(super) fn of(word: u32) -> u64 {
        u64::from(word) << 32 | u64::from(word)
    }

    /// Loads two words, in assembly, because plain loads would be joined to wider ones.
    ///
    /// # Safety
    /// `from` is readable for two words.
    #[inline(always)]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    pub(super) unsafe fn load(from: *const u32) -> u64 {
        let pair: u64;
        // SAFETY: reads eight bytes where the caller says, which need no alignment.
        unsafe {
            std::arch::asm!(
                "mov {pair}, qword ptr [{from}]",
                pair = out(reg) pair, from = in(reg) from,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        pair
    }

    /// # Safety
    /// `from` is readable for two words.
    #[inline(always)]
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    pub(super) unsafe fn load(from: *const u32) -> u64 {
        // SAFETY: eight bytes where the caller says.
        unsafe { from.cast::<u64>().read_unaligned() }
    }

    /// # Safety
    /// `to` is writable for two words.
    #[inline(always)]
    pub(super) unsafe fn store(to: *mut u32, pair: u64) {
        // SAFETY: eight bytes where the caller says.
        unsafe { to.cast::<u64>().write_unaligned(pair) }
    }
}

/// As many words at a time as a vector register has, at most eight: wider ones are forwarded in parts.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod wide {
    use register::*;

    #[cfg(target_feature = "avx2")]
    mod register {
        pub(in super::super) const WORDS: usize = 8;
        pub(super) const ALL_BYTES: i32 = -1;
        pub(in super::super) use std::arch::x86_64::__m256i as Piece;
        pub(super) use std::arch::x86_64::{
            _mm256_and_si256 as and, _mm256_cmpeq_epi8 as equal_bytes, _mm256_loadu_si256 as read,
            _mm256_movemask_epi8 as mask_of_bytes, _mm256_or_si256 as or, _mm256_set1_epi32 as of,
            _mm256_setzero_si256 as zero, _mm256_storeu_si256 as write, _mm256_xor_si256 as xor,
        };
    }

    #[cfg(not(target_feature = "avx2"))]
    mod register {
        pub(in super::super) const WORDS: usize = 4;
        pub(super) const ALL_BYTES: i32 = 0xffff;
        pub(in super::super) use std::arch::x86_64::__m128i as Piece;
        pub(super) use std::arch::x86_64::{
            _mm_and_si128 as and, _mm_cmpeq_epi8 as equal_bytes, _mm_loadu_si128 as read,
            _mm_movemask_epi8 as mask_of_bytes, _mm_or_si128 as or, _mm_set1_epi32 as of,
            _mm_setzero_si128 as zero, _mm_storeu_si128 as write, _mm_xor_si128 as xor,
        };
    }

    pub(super) use register::WORDS;

    /// Loads a piece, and hides from the compiler what it is, because moves of neighbours would be joined.
    ///
    /// # Safety
    /// `from` is readable for `WORDS` words.
    #[inline(always)]
    pub(super) unsafe fn load(from: *const u32) -> Piece {
        // SAFETY: bytes where the caller says, which need no alignment.
        let mut piece = unsafe { read(from.cast()) };
        // SAFETY: does nothing.
        #[cfg(target_feature = "avx2")]
        unsafe {
            std::arch::asm!("/* {0} */", inout(ymm_reg) piece, options(pure, nomem, nostack, preserves_flags));
        }
        // SAFETY: does nothing.
        #[cfg(not(target_feature = "avx2"))]
        unsafe {
            std::arch::asm!("/* {0} */", inout(xmm_reg) piece, options(pure, nomem, nostack, preserves_flags));
        }
        piece
    }

    /// # Safety
    /// `to` is writable for `WORDS` words.
    #[inline(always)]
    pub(super) unsafe fn store(to: *mut u32, piece: Piece) {
        // SAFETY: as in `load`.
        unsafe { write(to.cast(), piece) }
    }

    /// The bits in which pieces differed from a word.
    pub(super) struct Differences(Piece);

    impl Differences {
        #[inline(always)]
        pub(super) fn none() -> Differences {
            // SAFETY: this is compiled for processors that have it, as all below.
            Differences(unsafe { zero() })
        }

        #[inline(always)]
        pub(super) fn add(&mut self, piece: Piece, word: u32) {
            // SAFETY: as above.
            self.0 = unsafe { or(self.0, xor(piece, of(word as i32))) };
        }

        /// Tells whether no tag differed.
        #[inline(always)]
        pub(super) fn are_in_indices(&self) -> bool {
            // SAFETY: as above.
            unsafe {
                let tags = and(self.0, of(!super::INDEX as i32));
                mask_of_bytes(equal_bytes(tags, zero())) == ALL_BYTES
            }
        }
    }
}

/// Four words at a time, as two pairs.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod wide {
    use super::pair;

    pub(super) const WORDS: usize = 4;

    /// # Safety
    /// `from` is readable for four words.
    #[inline(always)]
    pub(super) unsafe fn load(from: *const u32) -> [u64; 2] {
        // SAFETY: four words are two pairs.
        unsafe { [pair::load(from), pair::load(from.add(2))] }
    }

    /// # Safety
    /// `to` is writable for four words.
    #[inline(always)]
    pub(super) unsafe fn store(to: *mut u32, [first, second]: [u64; 2]) {
        // SAFETY: four words are two pairs.
        unsafe {
            pair::store(to, first);
            pair::store(to.add(2), second);
        }
    }

    /// The bits in which pieces differed from a word.
    pub(super) struct Differences(u64);

    impl Differences {
        #[inline(always)]
        pub(super) fn none() -> Differences {
            Differences(0)
        }

        #[inline(always)]
        pub(super) fn add(&mut self, [first, second]: [u64; 2], word: u32) {
            self.0 |= first ^ pair::of(word) | second ^ pair::of(word);
        }

        /// Tells whether no tag differed.
        #[inline(always)]
        pub(super) fn are_in_indices(&self) -> bool {
            self.0 & pair::of(!super::INDEX) == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_any_number_and_no_more() {
        for n in 0..=70 {
            let from: Vec<u32> = (0..n as u32).map(|index| 5 << 24 | index).collect();
            let mut to = vec![7; n + 4];
            // SAFETY: both are long enough, and apart.
            assert!(unsafe { copy(from.as_ptr(), to.as_mut_ptr(), n, 5 << 24) });
            assert!(all_tagged(&from, 5 << 24));
            assert_eq!(to[..n], from);
            assert_eq!(to[n..], [7; 4]);
        }
    }

    #[test]
    fn one_foreign_word_among_many_is_seen() {
        for n in 1..=40 {
            for foreign in 0..n {
                let mut from = vec![5 << 24 | 0xff_ffff; n];
                from[foreign] ^= 1 << 24;
                let mut to = vec![0; n];
                // SAFETY: both are long enough, and apart.
                assert!(!unsafe { copy(from.as_ptr(), to.as_mut_ptr(), n, 5 << 24) });
                assert!(!all_tagged(&from, 5 << 24));
            }
        }
    }
}
