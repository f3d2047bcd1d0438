//! Copying words between a cache and its user, the one thing that a hot take or give does.
//!
//! What was just written is read again at once: a take reads what the last give wrote to the cache, a give what the take
//! wrote to the user's array. Processors forward a store to a load that lies within it, and wait some ten cycles longer
//! where a load spans two stores. So both directions use the same pieces, from the beginning, and never wider ones
//! (measured on Zen 4 for 8 words: 2.2 ns there and back by pairs, 4.9 by quads, 8.5 where widths are mixed; for 32 words:
//! 8.7, 5.0 and 9.0). Compilers choose widths of their own, so on x86-64 the moves are written out.

/// Up to here words move in pairs, which are forwarded soonest; beyond in quads, of which there are fewer.
const PAIRED: usize = 8;

/// The bits of a word that are an index; the others are the tag.
const INDEX: u32 = super::slot::MAX_OBJECTS - 1;

/// Copies `n` words, and tells whether all of them have the tag of `tag_word`.
///
/// # Safety
/// `from` is readable and `to` writable for `n` words, and they do not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u32, to: *mut u32, n: usize, tag_word: u32) -> bool {
    let mut at = 0;
    let mut quads = quad::Differences::none();
    let mut rest = 0;
    // SAFETY: `at` and what a piece adds to it never exceed `n`.
    unsafe {
        if n > PAIRED {
            // Four quads at a time: in a loop of one, compilers see a call of `memcpy`, which uses pieces of its own.
            while n - at >= 16 {
                let four = [
                    quad::load(from.add(at)),
                    quad::load(from.add(at + 4)),
                    quad::load(from.add(at + 8)),
                    quad::load(from.add(at + 12)),
                ];
                for (place, quad) in four.into_iter().enumerate() {
                    quad::store(to.add(at + 4 * place), quad);
                    quads.add(quad, tag_word);
                }
                at += 16;
            }
            while n - at >= 4 {
                let quad = quad::load(from.add(at));
                quad::store(to.add(at), quad);
                quads.add(quad, tag_word);
                at += 4;
            }
        }
        while n - at >= 2 {
            let pair = pair::load(from.add(at));
            pair::store(to.add(at), pair);
            rest |= pair ^ pair::of(tag_word);
            at += 2;
        }
        if at < n {
            let word = *from.add(at);
            *to.add(at) = word;
            rest |= u64::from(word ^ tag_word);
        }
    }
    quads.are_in_indices() && rest & pair::of(!INDEX) == 0
}

/// Tells whether all words have the tag of `tag_word`; reads them in the pieces that [`copy`] wrote.
#[inline(always)]
pub(super) fn all_tagged(words: &[u32], tag_word: u32) -> bool {
    let mut quads = quad::Differences::none();
    let (fours, rest) = words.as_chunks::<4>();
    for four in fours {
        // SAFETY: four words.
        quads.add(unsafe { quad::load(four.as_ptr()) }, tag_word);
    }
    let rest = rest.iter().fold(0, |seen, word| seen | (word ^ tag_word));
    quads.are_in_indices() && rest <= INDEX
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

/// Four words at a time.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod quad {
    use std::arch::x86_64::*;

    /// # Safety
    /// `from` is readable for four words.
    #[inline(always)]
    pub(super) unsafe fn load(from: *const u32) -> __m128i {
        // SAFETY: 16 bytes where the caller says, which need no alignment; every x86-64 has SSE2.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    /// # Safety
    /// `to` is writable for four words.
    #[inline(always)]
    pub(super) unsafe fn store(to: *mut u32, quad: __m128i) {
        // SAFETY: as in `load`.
        unsafe { _mm_storeu_si128(to.cast(), quad) }
    }

    /// The bits in which quads differed from a word.
    pub(super) struct Differences(__m128i);

    impl Differences {
        #[inline(always)]
        pub(super) fn none() -> Differences {
            // SAFETY: every x86-64 has SSE2.
            Differences(unsafe { _mm_setzero_si128() })
        }

        #[inline(always)]
        pub(super) fn add(&mut self, quad: __m128i, word: u32) {
            // SAFETY: every x86-64 has SSE2.
            self.0 =
                unsafe { _mm_or_si128(self.0, _mm_xor_si128(quad, _mm_set1_epi32(word as i32))) };
        }

        /// Tells whether no tag differed.
        #[inline(always)]
        pub(super) fn are_in_indices(&self) -> bool {
            // SAFETY: every x86-64 has SSE2.
            unsafe {
                let tags = _mm_and_si128(self.0, _mm_set1_epi32(!super::INDEX as i32));
                _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_setzero_si128())) == 0xffff
            }
        }
    }
}

/// Four words at a time, as two pairs.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod quad {
    use super::pair;

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

    /// The bits in which quads differed from a word.
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
