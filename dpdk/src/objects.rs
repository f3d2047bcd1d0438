//! Objects that lie side by side in memory: from DPDK's pointers to numbers, and back.

use std::ffi::c_void;
use std::mem::MaybeUninit;

/// Objects begin at multiples of this many bytes, counted from the first.
const UNIT_LOG2: u32 = 6;
/// The bits of an offset that are zero where it is whole units, and as many of them as 32 bits count.
const NOT_UNITS: u64 = !((u32::MAX as u64) << UNIT_LOG2);

/// Where the objects of a pool are.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Objects {
    /// Address of object 0, behind its header.
    first: u64,
    /// Units from one object to the next: an odd number times two to the power `shift`.
    stride: u32,
    count: u32,
    shift: u32,
    /// That odd number times this is 1, modulo 2^32.
    inverse: u32,
}

impl Objects {
    /// `None` where they don't begin at whole units, or span more than 2^32 of them, 256 GiB.
    pub(crate) fn new(first: usize, stride: usize, count: u32) -> Option<Objects> {
        let units = u32::try_from(stride >> UNIT_LOG2).ok()?;
        units.checked_mul(count)?;
        let is_whole = units != 0 && stride.is_multiple_of(1 << UNIT_LOG2);
        let shift = units.trailing_zeros();
        is_whole.then(|| Objects {
            first: first as u64,
            stride: units,
            count,
            shift,
            inverse: inverse(units >> shift),
        })
    }

    /// Returns the address of an object, behind its header.
    #[inline(always)]
    pub(crate) fn pointer(&self, number: u32) -> *mut c_void {
        let offset = u64::from(number.wrapping_mul(self.stride)) << UNIT_LOG2;
        std::ptr::with_exposed_provenance_mut((self.first + offset) as usize)
    }

    /// Returns the first pointer at which no object begins; null where there is none.
    #[cold]
    pub(crate) fn first_wrong(&self, pointers: &[*mut c_void]) -> *mut c_void {
        let is_wrong = |&&pointer: &&*mut c_void| {
            let mut room = [MaybeUninit::uninit()];
            self.numbers(&[pointer], &mut room).is_none()
        };
        let wrong = pointers.iter().find(is_wrong);
        wrong.copied().unwrap_or(std::ptr::null_mut())
    }

    #[inline(always)]
    fn offset(&self, pointer: *mut c_void) -> u64 {
        (pointer.addr() as u64).wrapping_sub(self.first)
    }

    /// Returns the number of the object at an offset, if one begins there.
    ///
    /// An offset is a multiple of the stride exactly where its product with the inverse of the odd part, rotated by the
    /// power of two, is below the count: both permute the 32-bit numbers, and the objects take the first `count` places
    /// (Granlund and Montgomery, Division by Invariant Integers, section 9).
    #[inline(always)]
    fn number(&self, offset: u64) -> u32 {
        let units = (offset >> UNIT_LOG2) as u32;
        units.wrapping_mul(self.inverse).rotate_right(self.shift)
    }

    // No branch within the loops that follow, so that they become code for vectors of what width they are compiled for.

    /// Writes a number for each pointer, and returns them if an object begins at each.
    ///
    /// # Panics
    /// If there is room for fewer.
    #[inline(always)]
    pub(crate) fn numbers<'a>(
        &self,
        pointers: &[*mut c_void],
        room: &'a mut [MaybeUninit<u32>],
    ) -> Option<&'a [u32]> {
        let (mut bits, mut most) = (0, 0);
        let room = &mut room[..pointers.len()];
        for (place, pointer) in room.iter_mut().zip(pointers) {
            let offset = self.offset(*pointer);
            let number = self.number(offset);
            bits |= offset;
            most = most.max(number);
            place.write(number);
        }
        if bits & NOT_UNITS != 0 || most >= self.count {
            return None;
        }
        let words: *const [MaybeUninit<u32>] = room;
        // SAFETY: all are written, as many as there are pointers.
        Some(unsafe { &*(words as *const [u32]) })
    }

    /// Writes a pointer for each number.
    #[inline(always)]
    pub(crate) fn pointers(&self, numbers: &[u32], pointers: &mut [*mut c_void]) {
        for (pointer, number) in pointers.iter_mut().zip(numbers) {
            *pointer = self.pointer(*number);
        }
    }
}

/// Returns what an odd number has to be multiplied with for 1 modulo 2^32, by Newton's iteration: each step doubles the
/// bits that are right, and three are right at first.
pub(crate) fn inverse(odd: u32) -> u32 {
    (0..4).fold(odd, |inverse, _| {
        inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: usize = 0x7f12_3456_7040;

    fn at(address: usize) -> *mut c_void {
        std::ptr::without_provenance_mut(address)
    }

    fn numbers(objects: &Objects, pointers: &[*mut c_void]) -> Option<Vec<u32>> {
        let mut room = vec![MaybeUninit::uninit(); pointers.len()];
        objects.numbers(pointers, &mut room).map(<[u32]>::to_vec)
    }

    fn number(objects: &Objects, pointer: *mut c_void) -> Option<u32> {
        numbers(objects, &[pointer]).map(|numbers| numbers[0])
    }

    #[test]
    fn every_object_is_found_and_nothing_between() {
        for stride in [64, 192, 2368, 2432, 4096, 9216, 1 << 20] {
            for count in [1, 2, 63, 1000] {
                let objects = Objects::new(FIRST, stride, count).expect("a pool");
                for n in 0..count {
                    let pointer = objects.pointer(n);
                    assert_eq!(pointer.addr(), FIRST + n as usize * stride);
                    assert_eq!(number(&objects, pointer), Some(n));
                }
                let outside = [
                    FIRST - 1,
                    FIRST + 1,
                    FIRST + 8,
                    FIRST + stride / 2,
                    FIRST - stride,
                    FIRST + count as usize * stride,
                    FIRST + (count as usize + 1) * stride,
                    FIRST + (stride << 32),
                    0,
                    usize::MAX,
                    FIRST ^ (1 << 63),
                ];
                for address in outside {
                    let found = number(&objects, at(address));
                    assert_eq!(found, None, "{address:#x}, {stride}, {count}");
                }
            }
        }
    }

    #[test]
    fn no_address_in_the_pool_but_a_beginning_is_taken() {
        let (stride, count) = (2368, 50);
        let objects = Objects::new(FIRST, stride, count).expect("a pool");
        for offset in 0..stride * (count as usize + 2) {
            let is_one = offset % stride == 0 && offset / stride < count as usize;
            let found = number(&objects, at(FIRST + offset));
            assert_eq!(found.is_some(), is_one, "{offset}");
        }
    }

    #[test]
    fn of_many_the_first_that_is_wrong_is_named() {
        let objects = Objects::new(FIRST, 128, 10).expect("a pool");
        let mut pointers: Vec<_> = (0..10).map(|n| objects.pointer(n)).collect();
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(numbers(&objects, &pointers), Some(all));
        pointers[7] = at(FIRST + 3);
        pointers[8] = at(5);
        assert_eq!(numbers(&objects, &pointers), None);
        assert_eq!(objects.first_wrong(&pointers), pointers[7]);
    }

    #[test]
    fn pools_too_large_to_tell_apart_are_refused() {
        assert!(Objects::new(FIRST, 64, u32::MAX).is_some());
        assert!(Objects::new(FIRST, 128, u32::MAX).is_none());
        assert!(Objects::new(FIRST, 65, 8).is_none());
        assert!(Objects::new(FIRST, 0, 8).is_none());
        assert!(Objects::new(FIRST, 64 * 3, 1 << 31).is_none());
    }
}
