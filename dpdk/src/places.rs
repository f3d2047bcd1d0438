//! Where the objects of a mempool lie that has them in DPDK's chunks: from pointers to words, and back.
//!
//! A word counts units from a base, which lies far below the first chunk, so that chunks on both sides of it have words.
//! Objects follow each other at one stride, and none lies on two pages, in whatever chunk: a pointer is on this *grid* or not,
//! which arithmetic tells alone. Within a *run* each place of the grid is an object; nearly always there is one run.
//!
//! Lies in memory that DPDK's processes share: no pointer leads out of it.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::objects::inverse;

/// Objects begin at multiples of this many bytes, counted from the base.
const UNIT_LOG2: u32 = 6;
const UNIT: u64 = 1 << UNIT_LOG2;
/// The bits of an offset that are zero where it is whole units, and as many of them as 32 bits count.
const NOT_UNITS: u64 = !((u32::MAX as u64) << UNIT_LOG2);
/// Bytes from the base to the first chunk: half of what words reach.
const BELOW: u64 = 1 << 37;
/// Pointers that are moved together: as many words as a register of 256 bits has.
const LANES: usize = 8;

/// How objects follow each other.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Spacing {
    /// Bytes from one object to the next: header, element and trailer, in whole units.
    stride: u64,
    /// Bytes of the pages of which no object lies on two; `None` where that does not matter, or one is larger.
    page: Option<u64>,
}

impl Spacing {
    /// Of objects of `bytes`, on pages of a size, or 0. `None` where they are larger than words reach.
    pub(crate) fn new(bytes: usize, page: usize) -> Option<Spacing> {
        let stride = (bytes as u64).next_multiple_of(UNIT);
        let page = (page as u64).max(1);
        let is_paged = stride <= page && page.is_power_of_two() && page <= BELOW;
        (stride > 0 && stride < BELOW).then_some(Spacing {
            stride,
            page: is_paged.then_some(page),
        })
    }

    /// Returns the same for pages of another size, if they are smaller and have room for one.
    fn on_smaller(self, page: u64) -> Option<Spacing> {
        let is_smaller = self.page.is_some_and(|own| page < own) && self.stride <= page;
        (is_smaller && page.is_power_of_two()).then_some(Spacing {
            page: Some(page),
            ..self
        })
    }

    /// Returns the units of a page, less one; all ones where there are no pages.
    fn mask(&self) -> u32 {
        let units = |page| ((page >> UNIT_LOG2) as u32).wrapping_sub(1);
        self.page.map_or(u32::MAX, units)
    }

    /// Returns the number in its page of the last place of one, times the power of two of the stride; of all that words reach
    /// where there are no pages.
    fn last(&self) -> u32 {
        let units = self.stride >> UNIT_LOG2;
        let places = self.per_page().unwrap_or((1u64 << 32).div_ceil(units));
        ((places - 1) << units.trailing_zeros()) as u32
    }

    fn per_page(&self) -> Option<u64> {
        self.page.map(|page| page / self.stride)
    }

    /// Returns bytes of a chunk in which as many objects have room wherever it begins.
    pub(crate) fn room_for(&self, objects: u32) -> usize {
        let others = u64::from(objects.saturating_sub(1));
        let bytes = match (self.page, self.per_page()) {
            (Some(page), Some(per_page)) => {
                let tail = page - per_page * self.stride;
                others / per_page * page + others % per_page * self.stride + 2 * tail
            }
            _ => others * self.stride,
        };
        (bytes + 2 * self.stride) as usize
    }

    /// Returns the first place of the grid from `at` on, which counts from a beginning of pages, or of the grid.
    fn next(&self, at: u64) -> u64 {
        let Some(page) = self.page else {
            return at.next_multiple_of(self.stride);
        };
        let place = (at % page).next_multiple_of(self.stride);
        let begin = at - at % page;
        match place + self.stride <= page {
            true => begin + place,
            false => begin + page,
        }
    }

    /// Returns how many places of the grid come before one of them.
    fn index(&self, at: u64) -> u64 {
        match (self.page, self.per_page()) {
            (Some(page), Some(per_page)) => at / page * per_page + at % page / self.stride,
            _ => at / self.stride,
        }
    }
}

/// Objects that take each place of the grid from the first to the last, by their words.
#[derive(Debug, Default)]
pub(crate) struct Run {
    first: AtomicU32,
    last: AtomicU32,
    /// The number of the first: objects that were there before.
    number: AtomicU32,
}

/// Why a chunk can't have objects.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// It is too far from the first chunk.
    Far,
    /// There are as many pieces of memory as can be told apart.
    Pieces,
    /// Objects lie there already.
    Taken,
}

/// Where the objects are. DPDK adds chunks before it lets anybody have an object of them.
#[derive(Debug)]
pub(crate) struct Places {
    /// Bytes from one object to the next, and of a page; 0 where there are no pages.
    stride: u64,
    page: AtomicU64,
    /// Bytes of the header, which lies before what DPDK calls the object.
    header: u64,
    /// The address that word 0 stands for, behind its header; below zero, modulo 2^64, where addresses are low.
    base: AtomicU64,
    /// The stride in units is an odd number times a power of two; the odd number times this is 1, modulo 2^32.
    inverse: u32,
    /// Units of a page, less one; all ones where there are no pages.
    mask: AtomicU32,
    /// What the last place of a page is told by; [`Spacing::last`].
    last: AtomicU32,
    /// The bits that no offset of an object has; all while there is no run.
    wrong: AtomicU64,
    /// First word of the longest run, and units from there to its last.
    first: AtomicU32,
    span: AtomicU32,
    runs: NonNull<Run>,
    room: u32,
    len: AtomicU32,
}

impl Places {
    /// Makes it, without any object.
    ///
    /// # Safety
    /// From `runs` on there are `room` of them, whole, which nothing else uses while this is used.
    pub(crate) unsafe fn new(
        spacing: Spacing,
        header: usize,
        runs: NonNull<Run>,
        room: u32,
    ) -> Places {
        let units = (spacing.stride >> UNIT_LOG2) as u32;
        Places {
            stride: spacing.stride,
            page: AtomicU64::new(spacing.page.unwrap_or(0)),
            header: header as u64,
            base: AtomicU64::new(0),
            inverse: inverse(units >> units.trailing_zeros()),
            mask: AtomicU32::new(spacing.mask()),
            last: AtomicU32::new(spacing.last()),
            wrong: AtomicU64::new(u64::MAX),
            first: AtomicU32::new(u32::MAX),
            span: AtomicU32::new(0),
            runs,
            room,
            len: AtomicU32::new(0),
        }
    }

    /// Forgets all objects, whose chunks were given back.
    pub(crate) fn clear(&self) {
        self.len.store(0, Ordering::Release);
        self.set_quick();
    }

    /// As [`Spacing::room_for`].
    pub(crate) fn room_for(&self, objects: u32) -> usize {
        self.spacing().room_for(objects)
    }

    /// Has no object on two pages of `page` bytes either, as long as there is none: the first chunk may come in such.
    pub(crate) fn expect_pages(&self, page: u64) {
        if let Some(spacing) = self.spacing().on_smaller(page)
            && self.runs().is_empty()
        {
            self.page.store(page, Ordering::Relaxed);
            self.mask.store(spacing.mask(), Ordering::Relaxed);
            self.last.store(spacing.last(), Ordering::Relaxed);
        }
    }

    fn spacing(&self) -> Spacing {
        let page = self.page.load(Ordering::Relaxed);
        Spacing {
            stride: self.stride,
            page: (page > 0).then_some(page),
        }
    }

    fn runs(&self) -> &[Run] {
        let len = self.len.load(Ordering::Acquire) as usize;
        // SAFETY: as many are used, of those that `new` was given; they are atomic.
        unsafe { std::slice::from_raw_parts(self.runs.as_ptr(), len) }
    }

    /// Puts objects into a chunk, `most` at most, and returns their addresses.
    pub(crate) fn add(
        &self,
        chunk: *const c_void,
        len: usize,
        most: u32,
    ) -> Result<Vec<*mut c_void>, NoPlace> {
        let begin = chunk.expose_provenance() as u64;
        let end = begin.saturating_add(len as u64);
        if self.runs().is_empty() {
            self.base.store(self.base_for(begin), Ordering::Relaxed);
        }
        // Places count from the origin, which begins a page, or the grid.
        let origin = self.base.load(Ordering::Relaxed).wrapping_sub(self.header);
        let (begin, end) = (begin.wrapping_sub(origin), end.wrapping_sub(origin));
        if begin > end || end >= 2 * BELOW {
            return Err(NoPlace::Far);
        }
        let mut places = Vec::new();
        let mut next = self.spacing().next(begin);
        while places.len() < most as usize && next + self.stride <= end {
            places.push(next);
            next = self.spacing().next(next + self.stride);
        }
        if let (Some(first), Some(last)) = (places.first(), places.last()) {
            self.add_run(*first, *last)?;
        }
        let pointer = |place: &u64| self.pointer((place >> UNIT_LOG2) as u32);
        Ok(places.iter().map(pointer).collect())
    }

    /// Returns the base for a first chunk, below it by whole pages, or strides.
    fn base_for(&self, begin: u64) -> u64 {
        let origin = match self.spacing().page {
            Some(page) => (begin & !(page - 1)).wrapping_sub(BELOW),
            None => begin
                .next_multiple_of(UNIT)
                .wrapping_sub(BELOW / self.stride * self.stride),
        };
        origin.wrapping_add(self.header)
    }

    fn add_run(&self, first: u64, last: u64) -> Result<(), NoPlace> {
        let (from, to) = ((first >> UNIT_LOG2) as u32, (last >> UNIT_LOG2) as u32);
        let runs = self.runs();
        let load = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let is_over = |run: &Run| load(&run.first) <= to && from <= load(&run.last);
        if runs.iter().any(is_over) {
            return Err(NoPlace::Taken);
        }
        let newest = runs.iter().max_by_key(|run| load(&run.number));
        let end = |run: &Run| u64::from(load(&run.last)) << UNIT_LOG2;
        if let Some(run) = newest
            && self.spacing().next(end(run) + self.stride) == first
        {
            run.last.store(to, Ordering::Relaxed);
        } else {
            self.insert(from, to, newest.map_or(0, |run| self.number_after(run)))?;
        }
        self.set_quick();
        Ok(())
    }

    /// Returns the number of an object that comes behind a run.
    fn number_after(&self, run: &Run) -> u32 {
        self.number_in(run, run.last.load(Ordering::Relaxed)) + 1
    }

    /// Inserts a run, so that they ascend.
    fn insert(&self, first: u32, last: u32, number: u32) -> Result<(), NoPlace> {
        let len = self.len.load(Ordering::Relaxed);
        if len == self.room {
            return Err(NoPlace::Pieces);
        }
        // SAFETY: `new` was given `room` runs.
        let runs = unsafe { std::slice::from_raw_parts(self.runs.as_ptr(), len as usize + 1) };
        let at = self
            .runs()
            .partition_point(|run| run.first.load(Ordering::Relaxed) < first);
        for place in (at..len as usize).rev() {
            let (from, to) = (&runs[place], &runs[place + 1]);
            for (from, to) in [
                (&from.first, &to.first),
                (&from.last, &to.last),
                (&from.number, &to.number),
            ] {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        runs[at].first.store(first, Ordering::Relaxed);
        runs[at].last.store(last, Ordering::Relaxed);
        runs[at].number.store(number, Ordering::Relaxed);
        self.len.store(len + 1, Ordering::Release);
        Ok(())
    }

    /// Has pointers into the longest run told by arithmetic alone; none where there is no run.
    fn set_quick(&self) {
        let load = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let ends = |run: &Run| (self.wrong_bits(), load(&run.first), load(&run.last));
        let longest = self
            .runs()
            .iter()
            .map(ends)
            .max_by_key(|(_, first, last)| last - first);
        // Where there is none, only offset 0 has no wrong bit, and that is not at the first word.
        let (wrong, first, last) = longest.unwrap_or((u64::MAX, u32::MAX, u32::MAX));
        self.wrong.store(wrong, Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.span.store(last - first, Ordering::Relaxed);
    }

    /// Returns the bits that no offset of the grid has: those below the power of two in the stride, and above what words reach.
    fn wrong_bits(&self) -> u64 {
        NOT_UNITS | ((1 << self.stride.trailing_zeros()) - 1)
    }

    /// Returns the address that a word stands for, behind the header.
    #[inline(always)]
    pub(crate) fn pointer(&self, word: u32) -> *mut c_void {
        pointer(self.base.load(Ordering::Relaxed), word)
    }

    /// Returns the word of an object, if one begins there.
    pub(crate) fn find(&self, pointer: *mut c_void) -> Option<u32> {
        let offset = offset(self.base.load(Ordering::Relaxed), pointer);
        let word = (offset >> UNIT_LOG2) as u32;
        let in_page = word & self.mask.load(Ordering::Relaxed);
        let is_off = offset & self.wrong_bits() != 0
            || in_page.wrapping_mul(self.inverse) > self.last.load(Ordering::Relaxed);
        (!is_off && self.run_of(word).is_some()).then_some(word)
    }

    /// Returns the number of an object among all, from 0 on.
    pub(crate) fn number(&self, pointer: *mut c_void) -> Option<u32> {
        let word = self.find(pointer)?;
        self.run_of(word).map(|run| self.number_in(run, word))
    }

    fn run_of(&self, word: u32) -> Option<&Run> {
        let runs = self.runs();
        let after = runs.partition_point(|run| run.first.load(Ordering::Relaxed) <= word);
        let run = &runs[after.checked_sub(1)?];
        (word <= run.last.load(Ordering::Relaxed)).then_some(run)
    }

    fn number_in(&self, run: &Run, word: u32) -> u32 {
        let index = |word: u32| self.spacing().index(u64::from(word) << UNIT_LOG2);
        let first = run.first.load(Ordering::Relaxed);
        run.number.load(Ordering::Relaxed) + (index(word) - index(first)) as u32
    }

    // No branch within the loops that follow, so that they become code for vectors of what width they are compiled for.

    /// Tells whether an object of the longest run begins at each pointer.
    ///
    /// On the grid are the offsets that are multiples of the power of two in the stride, and whose units in a page, times the
    /// inverse of the odd part, are no more than those of the last place: that permutes the 32-bit numbers, and the multiples
    /// take the first places (Granlund and Montgomery, Division by Invariant Integers, section 9).
    ///
    /// # Safety
    /// The processor has AVX2, if that is said.
    #[inline(always)]
    pub(crate) unsafe fn are_quick<const AVX2: bool>(&self, pointers: &[*mut c_void]) -> bool {
        #[cfg(target_arch = "x86_64")]
        if AVX2 {
            let (fours, rest) = pointers.as_chunks();
            // SAFETY: the caller's promise.
            return unsafe { self.has_fours(fours) }
                && rest.iter().all(|one| self.has(std::slice::from_ref(one)));
        }
        self.has(pointers)
    }

    /// As [`are_quick`](Self::are_quick), without AVX2.
    #[inline(always)]
    fn has(&self, pointers: &[*mut c_void]) -> bool {
        let base = self.base.load(Ordering::Relaxed);
        let (mask, inverse) = (self.mask.load(Ordering::Relaxed), self.inverse);
        let first = self.first.load(Ordering::Relaxed);
        let (mut bits, mut last, mut farthest) = (0, 0, 0);
        for pointer in pointers {
            let offset = offset(base, *pointer);
            let word = (offset >> UNIT_LOG2) as u32;
            bits |= offset;
            last = last.max((word & mask).wrapping_mul(inverse));
            farthest = farthest.max(word.wrapping_sub(first));
        }
        bits & self.wrong.load(Ordering::Relaxed) == 0
            && last <= self.last.load(Ordering::Relaxed)
            && farthest <= self.span.load(Ordering::Relaxed)
    }

    /// As [`has`](Self::has), four at a time. What comes of the lanes stays in them until one instruction asks for all: an
    /// operation that follows waits for the answer, and compilers take twice as long to have it from many lanes.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    #[inline]
    fn has_fours(&self, fours: &[[*mut c_void; 4]]) -> bool {
        let all = |word: u64| _mm256_set1_epi64x(word.cast_signed());
        let load = |word: &AtomicU32| u64::from(word.load(Ordering::Relaxed));
        let (base, first) = (
            all(self.base.load(Ordering::Relaxed)),
            all(load(&self.first)),
        );
        let (mask, inverse) = (all(load(&self.mask)), all(self.inverse.into()));
        let (mut bits, mut last, mut farthest) = (all(0), all(0), all(0));
        for four in fours {
            // SAFETY: there are four of 64 bits; no alignment is needed.
            let four = unsafe { _mm256_loadu_si256(four.as_ptr().cast()) };
            let offset = _mm256_sub_epi64(four, base);
            let word = _mm256_srli_epi64::<{ UNIT_LOG2 as i32 }>(offset);
            let place = _mm256_mul_epu32(_mm256_and_si256(word, mask), inverse);
            bits = _mm256_or_si256(bits, offset);
            last = _mm256_max_epu32(last, place);
            farthest = _mm256_max_epu32(farthest, _mm256_sub_epi32(word, first));
            by_itself();
        }
        // Zero where it is no more than the limit, which for the upper halves of lanes, which are no words, is the largest.
        let over = |most, limit: &AtomicU32| {
            let limit = all(u64::from(u32::MAX) << 32 | load(limit));
            _mm256_xor_si256(_mm256_max_epu32(most, limit), limit)
        };
        let bits = _mm256_and_si256(bits, all(self.wrong.load(Ordering::Relaxed)));
        let places = _mm256_or_si256(over(last, &self.last), over(farthest, &self.span));
        let wrong = _mm256_or_si256(bits, places);
        _mm256_testz_si256(wrong, wrong) != 0
    }

    /// Writes a word for each pointer, at which objects begin.
    #[inline(always)]
    pub(crate) fn write(&self, pointers: &[*mut c_void], words: &mut [u32]) {
        let base = self.base.load(Ordering::Relaxed);
        let word = |pointer: *mut c_void| (offset(base, pointer) >> UNIT_LOG2) as u32;
        let ((many, few), (to_many, to_few)) = (pointers.as_chunks(), words.as_chunks_mut());
        for (pointers, words) in many.iter().zip(to_many) {
            *words = <[_; LANES]>::map(*pointers, word);
            by_itself();
        }
        for (pointer, place) in few.iter().zip(to_few) {
            *place = word(*pointer);
            by_itself();
        }
    }

    /// Writes a pointer for each word.
    #[inline(always)]
    pub(crate) fn pointers(&self, words: &[u32], pointers: &mut [*mut c_void]) {
        let base = self.base.load(Ordering::Relaxed);
        let ((many, few), (to_many, to_few)) = (words.as_chunks(), pointers.as_chunks_mut());
        for (words, pointers) in many.iter().zip(to_many) {
            *pointers = <[_; LANES]>::map(*words, |word| pointer(base, word));
            by_itself();
        }
        for (word, place) in few.iter().zip(to_few) {
            *place = pointer(base, *word);
            by_itself();
        }
    }
}

/// Keeps the rounds of a loop apart: compilers join many of them, for which few pointers then pay.
#[inline(always)]
fn by_itself() {
    #[cfg(not(miri))]
    // SAFETY: does nothing.
    unsafe {
        std::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}

#[inline(always)]
fn offset(base: u64, pointer: *mut c_void) -> u64 {
    (pointer.addr() as u64).wrapping_sub(base)
}

#[inline(always)]
fn pointer(base: u64, word: u32) -> *mut c_void {
    let address = base.wrapping_add(u64::from(word) << UNIT_LOG2);
    std::ptr::with_exposed_provenance_mut(address as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HEADER: usize = 64;

    fn places(bytes: usize, page: usize, room: u32) -> Places {
        let runs: &mut [Run] = (0..room).map(|_| Run::default()).collect::<Vec<_>>().leak();
        let spacing = Spacing::new(bytes, page).expect("a spacing");
        // SAFETY: leaked for this alone.
        unsafe { Places::new(spacing, HEADER, NonNull::from(runs).cast(), room) }
    }

    fn at(address: usize) -> *mut c_void {
        std::ptr::without_provenance_mut(address)
    }

    impl Places {
        fn first_quick(&self) -> *mut c_void {
            self.pointer(self.first.load(Ordering::Relaxed))
        }
    }

    /// What all ways say that this processor has, and which must agree.
    fn are_quick(places: &Places, pointers: &[*mut c_void]) -> bool {
        // SAFETY: nothing is said.
        let answer = unsafe { places.are_quick::<false>(pointers) };
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: it has it.
            let other = unsafe { places.are_quick::<true>(pointers) };
            assert_eq!(other, answer, "{pointers:?}");
        }
        answer
    }

    /// The word of a pointer, by both ways, which must agree.
    fn word(places: &Places, pointer: *mut c_void) -> Option<u32> {
        let (slow, quick) = (places.find(pointer), are_quick(places, &[pointer]));
        let mut many = [places.first_quick(); 11];
        many[pointer.addr() / 8 % 11] = pointer;
        assert_eq!(are_quick(places, &many), quick, "{pointer:?}");
        let is_alone = places.runs().len() == 1;
        assert!(
            quick == slow.is_some() || !quick && !is_alone,
            "{pointer:?}"
        );
        slow
    }

    /// Looks at each address of a chunk and around it: what begins there, and nothing else, is taken.
    fn is_exact(places: &Places, objects: &[*mut c_void], begin: usize, end: usize) {
        let all: BTreeSet<_> = objects.iter().copied().collect();
        for address in (begin - 5000..end + 5000).step_by(8) {
            let found = word(places, at(address));
            assert_eq!(found.is_some(), all.contains(&at(address)), "{address:#x}");
            if let Some(word) = found {
                assert_eq!(places.pointer(word), at(address));
            }
        }
    }

    #[test]
    fn objects_have_room_wherever_a_chunk_begins_and_no_other_address_is_one() {
        for (bytes, page) in [
            (2368, 0),
            (2368, 4096),
            (2368, 1 << 21),
            (64, 4096),
            (200, 4096),
            (4096, 4096),
            (9000, 4096),
            (3200, 1 << 14),
        ] {
            for begin in [
                0x1_0000_0000usize,
                0x7f12_3456_7040,
                0x7f12_3456_7fc0,
                0x7f00_001f_fa40,
            ] {
                for count in [1, 2, 3, 40] {
                    let places = places(bytes, page, 4);
                    let len = places.spacing().room_for(count);
                    let objects = places.add(at(begin), len, count).expect("places");
                    assert_eq!(objects.len(), count as usize, "{bytes} {page} {begin:#x}");
                    for (number, object) in objects.iter().enumerate() {
                        let slot = object.addr() - HEADER;
                        assert!(slot >= begin && slot + bytes <= begin + len);
                        let same = slot / page.max(1) == (slot + bytes - 1) / page.max(1);
                        assert!(same || bytes > page, "{slot:#x} is on two pages");
                        assert_eq!(places.number(*object), Some(number as u32));
                    }
                    is_exact(&places, &objects, begin, begin + len);
                }
            }
        }
    }

    #[test]
    fn objects_follow_smaller_pages_that_are_told_before_the_first() {
        let (begin, page) = (0x7f00_0000_3000, 4096);
        for bytes in [64, 264, 1152, 2176, 3200] {
            let places = places(bytes, 1 << 21, 1);
            places.expect_pages(page as u64);
            let len = places.room_for(1055);
            let mut objects = Vec::new();
            for chunk in (begin..begin + len).step_by(page) {
                let most = 1055 - objects.len() as u32;
                objects.extend(places.add(at(chunk), page, most).expect("places"));
            }
            assert_eq!((objects.len(), places.runs().len()), (1055, 1), "{bytes}");
            places.expect_pages(64);
            assert_eq!(places.room_for(1055), len, "too late");
        }
    }

    #[test]
    fn chunks_that_follow_each_other_are_one_run_and_others_are_told_apart() {
        let (page, places) = (1 << 21, places(2368, 1 << 21, 4));
        let begin = 0x7f00_0000_0000;
        let mut objects = Vec::new();
        for chunk in [begin, begin + page, begin + 9 * page, begin - 40 * page] {
            objects.extend(places.add(at(chunk), page, 885).expect("places"));
        }
        assert_eq!((objects.len(), places.runs().len()), (4 * 885, 3));
        let numbers = objects.iter().map(|at| places.number(*at));
        assert!(numbers.eq((0..4 * 885).map(Some)));
        for chunk in [begin - 40 * page, begin, begin + 9 * page] {
            is_exact(&places, &objects, chunk, chunk + page);
        }
        let (longest, others) = objects.split_at(2 * 885);
        assert!(are_quick(&places, longest), "two chunks, one run");
        let quick = |at: &&_| are_quick(&places, std::slice::from_ref(*at));
        assert_eq!(others.iter().filter(quick).count(), 0, "of three runs");
        places.clear();
        assert_eq!(objects.iter().filter(quick).count(), 0, "of none");
    }

    #[test]
    fn what_can_have_no_objects_is_told() {
        let places = places(2368, 4096, 2);
        let begin = 0x7000_0000_0000;
        let add = |at_: usize| places.add(at(at_), 1 << 16, 3).map(|objects| objects.len());
        assert_eq!(add(begin), Ok(3));
        assert_eq!(add(begin), Err(NoPlace::Taken));
        assert_eq!(add(begin + (1 << 37)), Err(NoPlace::Far));
        assert_eq!(add(begin - (1 << 37) - (1 << 20)), Err(NoPlace::Far));
        assert_eq!(add(begin - (1 << 36)), Ok(3));
        assert_eq!(add(begin + (1 << 36)), Err(NoPlace::Pieces));
    }
}
