//! What keeps the objects of a mempool in software: a list of words, and where they lie. All of it is in memory that DPDK's
//! processes have at one address, so that each of them can use it.

use std::alloc::{Layout, LayoutError};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use hwpool::pool::{Fill, FreeList, Order, See};

use crate::places::{NoPlace, Places, Run, Spacing};

/// Most pieces of memory, apart from each other, that a mempool's objects lie in.
const MOST_RUNS: u32 = 1024;

/// Where the parts of a mempool's state are that follow it in one block.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Parts {
    /// The whole block.
    pub(crate) block: Layout,
    objects: u32,
    runs: usize,
    claims: usize,
    words: usize,
    order: Order,
}

impl Parts {
    /// Of a state that begins with `head`.
    pub(crate) fn new(head: Layout, order: Order, objects: u32) -> Result<Parts, LayoutError> {
        let (block, runs) = head.extend(Layout::array::<Run>(Parts::room(objects) as usize)?)?;
        let (block, claims) = block.extend(Layout::array::<u64>(Parts::claims(objects))?)?;
        let (block, words) =
            block.extend(Layout::array::<u32>(FreeList::words(order, objects))?)?;
        Ok(Parts {
            block,
            objects,
            runs,
            claims,
            words,
            order,
        })
    }

    fn room(objects: u32) -> u32 {
        objects.min(MOST_RUNS)
    }

    fn claims(objects: u32) -> usize {
        objects.div_ceil(64) as usize
    }
}

/// Why a pointer is not taken.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum NotPut {
    /// No object begins there.
    Foreign(*mut c_void),
    /// It was in already.
    Twice(*mut c_void),
    /// There are more than there can be.
    Full,
}

/// The list, and where the objects are.
#[derive(Debug)]
pub(crate) struct Shared {
    list: FreeList,
    places: Places,
    /// A bit an object, set while it is in; looked at in checked mode only.
    claims: NonNull<AtomicU64>,
    /// Whether it is remembered which objects are in.
    remembers: bool,
}

// SAFETY: its pointers lead to what only it uses, by atomics.
unsafe impl Sync for Shared {}

impl Shared {
    /// Makes it in a block, without any object.
    ///
    /// # Safety
    /// The block is as `parts` says and all zeros, and stays as long as any process uses this.
    pub(crate) unsafe fn new(
        block: NonNull<u8>,
        parts: &Parts,
        spacing: Spacing,
        header: usize,
        remembers: bool,
    ) -> Shared {
        let room = Parts::room(parts.objects);
        // SAFETY: the caller's promise; each part is where the layout has it, aligned and large enough, and all zeros are
        // values of it.
        unsafe {
            Shared {
                list: FreeList::new(parts.order, parts.objects, block.add(parts.words).cast()),
                places: Places::new(spacing, header, block.add(parts.runs).cast(), room),
                claims: block.add(parts.claims).cast(),
                remembers,
            }
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.list.count()
    }

    /// Puts objects into a chunk, `most` at most, and returns their addresses. They are out.
    pub(crate) fn add(
        &self,
        chunk: *const c_void,
        len: usize,
        most: u32,
    ) -> Result<Vec<*mut c_void>, NoPlace> {
        self.places.add(chunk, len, most)
    }

    /// Forgets where objects lie.
    pub(crate) fn clear(&self) {
        self.places.clear();
    }

    /// Returns bytes of a chunk in which as many objects have room wherever it begins.
    pub(crate) fn room_for(&self, objects: u32) -> usize {
        self.places.room_for(objects)
    }

    /// Has no object on two pages of `page` bytes, as long as there is none.
    pub(crate) fn expect_pages(&self, page: u64) {
        self.places.expect_pages(page);
    }

    /// Tells whether it is a ring.
    #[inline(always)]
    pub(crate) fn is_ring(&self) -> bool {
        self.list.is_ring()
    }

    /// Tells whether it is a ring, and nobody remembers what is in it.
    #[inline(always)]
    pub(crate) fn is_bare_ring(&self) -> bool {
        self.list.is_ring() && !self.remembers
    }

    /// Takes objects in, where that is a copy in memory; false where it is more, or did not work: nothing was done then.
    ///
    /// # Safety
    /// The processor has AVX2, if that is said.
    #[inline(always)]
    pub(crate) unsafe fn put_quickly<const AVX2: bool>(&self, pointers: &[*mut c_void]) -> bool {
        // SAFETY: the caller's promise.
        let are_quick = || unsafe { self.places.are_quick::<AVX2>(pointers) };
        !self.remembers && are_quick() && self.put_words(pointers)
    }

    #[inline(always)]
    fn put_words(&self, pointers: &[*mut c_void]) -> bool {
        let places = &self.places;
        self.list.put_with(pointers.len(), In { places, pointers })
    }

    /// Fills `pointers`, where that is a copy in memory; false where it is more, or there are not as many.
    #[inline(always)]
    pub(crate) fn get_quickly(&self, pointers: &mut [*mut c_void]) -> bool {
        !self.remembers && self.take(pointers)
    }

    #[inline(always)]
    fn take(&self, pointers: &mut [*mut c_void]) -> bool {
        let places = &self.places;
        self.list
            .take_with(pointers.len(), Out { places, pointers })
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), NotPut> {
        let foreign = |pointer: &&_| self.places.find(**pointer).is_none();
        if let Some(pointer) = pointers.iter().find(foreign) {
            return Err(NotPut::Foreign(*pointer));
        }
        if self.remembers {
            self.mark(pointers)?;
        }
        // Full only where nobody remembers: those that were out have room.
        let put = self.put_words(pointers);
        put.then_some(()).ok_or(NotPut::Full)
    }

    /// Fills `pointers` with objects, all or none; untouched on false.
    pub(crate) fn get(&self, pointers: &mut [*mut c_void]) -> bool {
        let got = self.take(pointers);
        if got && self.remembers {
            for pointer in pointers {
                self.unmark(*pointer);
            }
        }
        got
    }

    /// Marks objects as in, all or none.
    fn mark(&self, pointers: &[*mut c_void]) -> Result<(), NotPut> {
        for (at, pointer) in pointers.iter().enumerate() {
            let (claim, bit) = self.claim(*pointer);
            // AcqRel: of two threads that put one object, one sees what the other did.
            if claim.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
                pointers[..at]
                    .iter()
                    .for_each(|marked| self.unmark(*marked));
                return Err(NotPut::Twice(*pointer));
            }
        }
        Ok(())
    }

    fn unmark(&self, pointer: *mut c_void) {
        let (claim, bit) = self.claim(pointer);
        claim.fetch_and(!bit, Ordering::AcqRel);
    }

    /// Returns the bit of an object.
    fn claim(&self, pointer: *mut c_void) -> (&AtomicU64, u64) {
        let number = self.places.number(pointer).unwrap_or(0);
        // SAFETY: there is a bit for each object, and numbers are below their count.
        let claim = unsafe { self.claims.add(number as usize / 64).as_ref() };
        (claim, 1 << (number % 64))
    }
}

/// Writes the words of pointers into the list.
struct In<'a> {
    places: &'a Places,
    pointers: &'a [*mut c_void],
}

impl Fill for In<'_> {
    #[inline(always)]
    fn fill(self, words: &mut [u32]) {
        self.places.write(self.pointers, words);
    }

    #[inline(always)]
    fn fill_two(self, first: &mut [u32], second: &mut [u32]) {
        fill_two(self.places, self.pointers, first, second);
    }
}

#[cold]
#[inline(never)]
fn fill_two(places: &Places, pointers: &[*mut c_void], first: &mut [u32], second: &mut [u32]) {
    let n = first.len().min(pointers.len()); // no more than there are, so that nothing here can panic
    let (here, rest) = pointers.split_at(n);
    places.write(here, first);
    places.write(rest, second);
}

/// Writes pointers for the words of the list.
struct Out<'a> {
    places: &'a Places,
    pointers: &'a mut [*mut c_void],
}

impl See for Out<'_> {
    #[inline(always)]
    fn see(self, words: &[u32]) {
        self.places.pointers(words, self.pointers);
    }

    #[inline(always)]
    fn see_two(self, first: &[u32], second: &[u32]) {
        see_two(self.places, self.pointers, first, second);
    }
}

#[cold]
#[inline(never)]
fn see_two(places: &Places, pointers: &mut [*mut c_void], first: &[u32], second: &[u32]) {
    let n = first.len().min(pointers.len()); // as above
    let (here, rest) = pointers.split_at_mut(n);
    places.pointers(first, here);
    places.pointers(second, rest);
}
