//! Where a pool's objects are: from words to pointers, and back.
//!
//! Object *i* begins *i* strides into the pool's memory; its word is the pool's first word plus *i*. A stride is an odd number
//! times a power of two, 2^k. A distance times the inverse of the odd number, rotated right by k, is *i* where it is *i*
//! strides, and else no number below 2^(64 - k) / odd: more than there are objects (Granlund and Montgomery, Division by
//! Invariant Integers using Multiplication, section 9). So one comparison finds what begins elsewhere, out of the pool or
//! in the middle of an object.

use std::ffi::c_void;
use std::mem::MaybeUninit;

/// The objects of a pool.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Grid {
    base: *mut c_void,
    /// Where word 0 would lie.
    origin: *mut c_void,
    stride: u32,
    objects: u32,
    /// The word of object 0.
    first: u32,
    /// k of the stride.
    shift: u32,
    /// Times the odd part of the stride, this is 1 modulo 2^64; its lower half is that modulo 2^32.
    inverse: u64,
}

impl Grid {
    /// Of `objects` that begin at `base`, a stride apart, the first with the word `first`. All fit into memory.
    pub(crate) fn new(base: *mut c_void, stride: u32, objects: u32, first: u32) -> Grid {
        let shift = stride.trailing_zeros();
        Grid {
            base,
            origin: base.wrapping_byte_sub(stride as usize * first as usize),
            stride,
            objects,
            first,
            shift,
            inverse: inverse(u64::from(stride >> shift)),
        }
    }

    /// Returns how many objects there are.
    pub(crate) fn objects(&self) -> usize {
        self.objects as usize
    }

    /// Returns how far an address is into the memory; `None` where it is elsewhere.
    #[inline(always)]
    pub(crate) fn offset(&self, address: *const c_void) -> Option<u64> {
        let offset = address.addr().wrapping_sub(self.base.addr()) as u64;
        let bytes = u64::from(self.stride) * u64::from(self.objects);
        (offset < bytes).then_some(offset)
    }

    /// Tells whether distances, in the power of two of the stride, fit 32 bits: up to 256 GiB of memory at least.
    pub(crate) fn is_near(&self) -> bool {
        let bytes = u64::from(self.stride) * u64::from(self.objects);
        bytes >> self.shift <= 1 << 32
    }

    /// Returns how far an offset is into its object.
    pub(crate) fn inside(&self, offset: u64) -> u64 {
        offset % u64::from(self.stride)
    }

    /// Returns where an object begins.
    pub(crate) fn pointer_of(&self, index: u32) -> *mut c_void {
        self.pointer(self.first + index)
    }

    /// Returns where the object of a word begins.
    #[inline(always)]
    pub(crate) fn pointer(&self, word: u32) -> *mut c_void {
        // Wrapping: no word of the pool leads out of its memory, and 2^32 words of 2^32 bytes don't overflow.
        self.origin
            .wrapping_byte_add(word as usize * self.stride as usize)
    }

    /// Returns the word of the object that begins at `pointer`.
    #[inline(always)]
    pub(crate) fn word(&self, pointer: *const c_void) -> Option<u32> {
        let distance = pointer.addr().wrapping_sub(self.base.addr()) as u64;
        let index = distance.wrapping_mul(self.inverse).rotate_right(self.shift);
        (index < u64::from(self.objects)).then(|| self.first + index as u32)
    }

    // No branch within the loops that follow, so that they become code for vectors.

    /// Writes where the objects of words begin, to as many places.
    #[inline(always)]
    pub(crate) fn pointers(&self, words: &[u32], to: &mut [MaybeUninit<*mut c_void>]) {
        for (word, to) in words.iter().zip(to) {
            to.write(self.pointer(*word));
        }
    }

    /// Writes the words of the objects that begin at `pointers`; false where one begins elsewhere, and what was written is
    /// void.
    #[inline(always)]
    pub(crate) fn words(&self, pointers: &[*mut c_void], to: &mut [u32]) -> bool {
        let base = self.base.addr() as u64;
        let objects = u64::from(self.objects);
        let mut wrong = 0;
        for (pointer, to) in pointers.iter().zip(to) {
            let distance = (pointer.addr() as u64).wrapping_sub(base);
            let index = distance.wrapping_mul(self.inverse).rotate_right(self.shift);
            wrong |= u64::from(index >= objects);
            *to = self.first.wrapping_add(index as u32);
        }
        wrong == 0
    }

    /// As [`words`](Self::words) where the grid [is near](Self::is_near): multiplies 32 bits, as vectors do in one instruction.
    #[cfg(any(target_arch = "x86_64", test))] // where there is code for such vectors
    #[inline(always)]
    pub(crate) fn near_words(&self, pointers: &[*mut c_void], to: &mut [u32]) -> bool {
        let base = self.base.addr() as u64;
        let inverse = self.inverse as u32;
        let (mut bits, mut farthest) = (0, 0);
        for (pointer, to) in pointers.iter().zip(to) {
            let distance = (pointer.addr() as u64).wrapping_sub(base);
            let index = ((distance >> self.shift) as u32).wrapping_mul(inverse);
            bits |= distance;
            farthest = farthest.max(index);
            *to = self.first.wrapping_add(index);
        }
        let near = u64::from(u32::MAX) << self.shift;
        bits & !near == 0 && farthest < self.objects
    }
}

/// Returns what an odd number must be multiplied with to be 1, modulo 2^64. Each step doubles how many bits are right; of
/// its own inverse an odd number has 3.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    /// Strides with every power of two below and every kind of odd part, near and far.
    fn grids() -> Vec<Grid> {
        let strides = [
            64,
            128,
            192,
            2048,
            2112,
            2176,
            4160,
            1 << 20,
            (1 << 20) + 64,
            1 << 31,
        ];
        let counts = [1, 2, 3, 1000, (1 << 24) - 1, 1 << 24];
        let bases = [0x10_0000usize, 0x7f12_3456_7000, 0xffff_0000_0000_0000];
        let mut grids = Vec::new();
        for stride in strides {
            for objects in counts {
                for base in bases {
                    let base = ptr::without_provenance_mut(base);
                    grids.push(Grid::new(base, stride, objects, 7 << 24));
                }
            }
        }
        grids
    }

    #[test]
    fn there_and_back() {
        for grid in grids() {
            let last = grid.objects - 1;
            let indices = [0, 1, 2, last / 3, last / 2, last.saturating_sub(1), last];
            let words: Vec<u32> = indices
                .iter()
                .map(|index| grid.first + index % grid.objects)
                .collect();
            let mut pointers = [MaybeUninit::uninit(); 7];
            grid.pointers(&words, &mut pointers);
            // SAFETY: as many were written.
            let pointers = pointers.map(|pointer| unsafe { pointer.assume_init() });
            for (word, pointer) in words.iter().zip(pointers) {
                let index = (word - grid.first) as usize;
                assert_eq!(
                    pointer.addr(),
                    grid.base.addr().wrapping_add(index * grid.stride as usize)
                );
                assert_eq!(grid.word(pointer), Some(*word));
            }
            let mut back = [0; 7];
            assert!(grid.words(&pointers, &mut back));
            assert_eq!(back, words[..], "{grid:?}");
            if grid.is_near() {
                let mut back = [0; 7];
                assert!(grid.near_words(&pointers, &mut back));
                assert_eq!(back, words[..], "{grid:?}");
            }
        }
    }

    /// One wrong pointer among right ones, at each place, is found by each way.
    #[test]
    fn what_begins_elsewhere_is_found() {
        for grid in grids() {
            let stride = grid.stride as usize;
            let end = grid.objects as usize * stride;
            let distances = [
                1,
                7,
                8,
                63,
                stride - 1,
                stride + 1,
                stride / 2,
                end,
                end + stride,
                end + 64,
                usize::MAX,
                stride.wrapping_neg(),
                64usize.wrapping_neg(),
                1 << 32,
                1 << 38,
                1 << 44,
                1 << 63,
                (1 << 32) + stride,
                stride << 32,
            ];
            let is_object = |distance: usize| distance.is_multiple_of(stride) && distance < end;
            for distance in distances
                .into_iter()
                .filter(|distance| !is_object(*distance))
            {
                let wrong = grid.base.wrapping_byte_add(distance);
                assert_eq!(grid.word(wrong), None, "{distance:#x} of {grid:?}");
                for at in 0..5 {
                    let mut pointers = [grid.base; 5];
                    pointers[at] = wrong;
                    assert!(
                        !grid.words(&pointers, &mut [0; 5]),
                        "{distance:#x} of {grid:?}"
                    );
                    assert!(
                        !grid.is_near() || !grid.near_words(&pointers, &mut [0; 5]),
                        "{distance:#x} of {grid:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_memory_ends_where_it_ends() {
        let base = ptr::without_provenance_mut(0x10_0000);
        let grid = Grid::new(base, 192, 10, 1 << 24);
        assert_eq!(grid.offset(base), Some(0));
        assert_eq!(grid.offset(base.wrapping_byte_add(1919)), Some(1919));
        assert_eq!(grid.offset(base.wrapping_byte_add(1920)), None);
        assert_eq!(grid.offset(base.wrapping_byte_sub(1)), None);
    }
}
