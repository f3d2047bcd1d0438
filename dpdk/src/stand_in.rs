//! Stands for DPDK in unit tests.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use hwpool::dma::Memory;

use crate::abi::{Level, ObjectCallback, Page, Populate, RteMempool};

thread_local! {
    pub(crate) static PRIMARY: Cell<bool> = const { Cell::new(true) };
    pub(crate) static PHYSICAL: Cell<bool> = const { Cell::new(false) };
    /// Objects in the caches of this DPDK's threads.
    pub(crate) static CACHED: Cell<u32> = const { Cell::new(0) };
    /// The size of this DPDK's pages; 0 where it does not matter.
    pub(crate) static PAGE: Cell<usize> = const { Cell::new(0) };
    pub(crate) static KNOWN: Cell<bool> = const { Cell::new(false) };
    /// The pages of this DPDK's that have files. Where there are some, its mempools' own memory has.
    pub(crate) static PAGES: RefCell<Vec<Page>> = const { RefCell::new(Vec::new()) };
    /// The driver's `populate`, and what this DPDK does with each object.
    pub(crate) static SHOW: Cell<Option<(Populate, ObjectCallback, *mut c_void)>> = const { Cell::new(None) };
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// `RTE_BAD_IOVA`.
pub(crate) const BAD_IOVA: u64 = u64::MAX;

/// Where the physical addresses of this DPDK begin.
pub(crate) const PHYSICAL_BASE: u64 = 1 << 40;

pub(crate) fn is_primary() -> bool {
    PRIMARY.get()
}

pub(crate) fn iova_is_address() -> bool {
    !PHYSICAL.get()
}

/// Populates with all of the memory, or, where addresses are physical, page by page.
pub(crate) fn populate(mempool: *mut RteMempool, memory: &Memory) -> c_int {
    let (populate, show, argument) = SHOW.get().expect("what to do with objects");
    let (piece, base) = match PHYSICAL.get() {
        true => (memory.page_size().bytes(), PHYSICAL_BASE),
        false => (memory.len(), 0),
    };
    // SAFETY: the mempool of the test.
    let size = unsafe { (*mempool).size };
    (0..memory.len()).step_by(piece).fold(0, |count, offset| {
        let chunk = memory.as_ptr().as_ptr().wrapping_add(offset);
        let (most, iova) = (size - count as u32, chunk.addr() as u64 ^ base);
        count
            + populate(
                mempool,
                most,
                chunk.cast(),
                iova,
                piece,
                Some(show),
                argument,
            )
    })
}

pub(crate) fn page_size(_: &mut RteMempool) -> usize {
    PAGE.get()
}

/// A block follows its length.
const BEFORE: usize = 128;

pub(crate) fn allocate(layout: Layout, _: c_int) -> Option<NonNull<u8>> {
    assert!(layout.align() <= BEFORE);
    let whole = Layout::from_size_align(BEFORE + layout.size(), BEFORE).ok()?;
    // SAFETY: not empty.
    let begin = NonNull::new(unsafe { alloc_zeroed(whole) })?;
    // SAFETY: there is room for the length before the block.
    unsafe {
        begin.cast::<Layout>().write(whole);
        Some(begin.add(BEFORE))
    }
}

/// # Safety
/// `allocate` allocated it, and nobody uses the block any more.
pub(crate) unsafe fn free(block: NonNull<u8>) {
    // SAFETY: the caller's promise, and what `allocate` put before it.
    unsafe {
        let begin = block.sub(BEFORE);
        dealloc(begin.as_ptr(), begin.cast::<Layout>().read());
    }
}

pub(crate) fn available(mempool: *const RteMempool) -> u32 {
    crate::ops::get_count(mempool) + CACHED.get()
}

pub(crate) fn knows(_: *const c_void) -> bool {
    KNOWN.get()
}

pub(crate) fn page(address: *const c_void) -> Option<Page> {
    let has = |page: &&Page| (page.address..page.address + page.len).contains(&address.addr());
    PAGES.with_borrow(|pages| pages.iter().find(has).copied())
}

/// Mempools of tests are in no page: as if they were in the first.
pub(crate) fn page_of(_: *const RteMempool) -> Option<Page> {
    PAGES.with_borrow(|pages| pages.first().copied())
}

pub(crate) fn log(level: Level, line: &str) {
    LINES.with_borrow_mut(|lines| lines.push((level, line.to_string())));
}

/// Returns the errors that were logged since the last time; other lines are forgotten.
pub(crate) fn errors() -> Vec<String> {
    lines(Level::Error)
}

/// As [`errors`], of any level.
pub(crate) fn lines(level: Level) -> Vec<String> {
    let lines = LINES.take().into_iter();
    lines
        .filter(|(of, _)| *of == level)
        .map(|(_, text)| text)
        .collect()
}
