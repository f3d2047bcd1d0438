//! The functions of DPDK that the driver calls, as Rust would have them. In unit tests `stand_in.rs` takes their place.

use std::alloc::Layout;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::{NonNull, null, null_mut};

use hwpool::dma::Memory;

use crate::abi::{Level, Page, RteMempool, RteMempoolOps, RteMemseg};

/// `RTE_LOGTYPE_USER1`: the types of DPDK's own parts change their numbers between releases.
const LOGTYPE: u32 = 24;
/// `RTE_PROC_PRIMARY` of `rte_eal.h`.
const PROC_PRIMARY: c_int = 0;
/// `RTE_IOVA_VA` of `rte_eal.h`.
const IOVA_VA: c_int = 2;
/// `RTE_BAD_IOVA` of `rte_common.h`.
pub(crate) const BAD_IOVA: u64 = u64::MAX;

unsafe extern "C" {
    fn rte_mempool_register_ops(ops: *const RteMempoolOps) -> c_int;
    safe fn rte_eal_process_type() -> c_int;
    safe fn rte_eal_iova_mode() -> c_int;
    fn rte_mempool_avail_count(mempool: *const RteMempool) -> c_uint;
    safe fn rte_mem_virt2memseg_list(address: *const c_void) -> *const c_void;
    safe fn rte_mem_virt2memseg(address: *const c_void, list: *const c_void) -> *const RteMemseg;
    fn rte_memseg_get_fd(page: *const RteMemseg) -> c_int;
    fn rte_memseg_get_fd_offset(page: *const RteMemseg, offset: *mut usize) -> c_int;
    fn rte_mempool_populate_virt(
        mempool: *mut RteMempool,
        address: *mut c_char,
        len: usize,
        page: usize,
        free: Option<extern "C" fn(*mut c_void, *mut c_void)>,
        argument: *mut c_void,
    ) -> c_int;
    fn rte_mempool_get_page_size(mempool: *mut RteMempool, page: *mut usize) -> c_int;
    safe fn rte_zmalloc_socket(
        kind: *const c_char,
        size: usize,
        align: c_uint,
        socket: c_int,
    ) -> *mut c_void;
    fn rte_free(block: *mut c_void);
    fn rte_log(level: u32, kind: u32, format: *const c_char, ...) -> c_int;
}

/// Registers a driver; DPDK copies the structure. Returns its index, or a negative errno.
pub(crate) fn register(ops: &RteMempoolOps) -> c_int {
    // SAFETY: the structure is whole.
    unsafe { rte_mempool_register_ops(ops) }
}

/// Tells whether this process made the memory that DPDK's processes share.
pub(crate) fn is_primary() -> bool {
    rte_eal_process_type() == PROC_PRIMARY
}

/// Tells whether devices see virtual addresses; else physical ones.
pub(crate) fn iova_is_address() -> bool {
    rte_eal_iova_mode() == IOVA_VA
}

/// Has a mempool populated with memory, in chunks as large as devices see them in one piece. Returns the number of objects,
/// or a negative errno.
pub(crate) fn populate(mempool: *mut RteMempool, memory: &Memory) -> c_int {
    let (address, page) = (memory.as_ptr().as_ptr().cast(), memory.page_size().bytes());
    // SAFETY: DPDK hands out its own mempool, which it populates just now; the memory stays until it is freed.
    unsafe { rte_mempool_populate_virt(mempool, address, memory.len(), page, None, null_mut()) }
}

/// Returns the bytes of the pages of which no object of a mempool shall lie on two; 0 where it does not matter.
pub(crate) fn page_size(mempool: &mut RteMempool) -> usize {
    let mut page = 0;
    // SAFETY: DPDK hands out its own mempool, and there is a place for the answer.
    match unsafe { rte_mempool_get_page_size(mempool, &mut page) } {
        0 => page,
        _ => 0,
    }
}

/// Allocates a block of zeros in memory that DPDK's processes have at one address; `None` where it has not as much.
pub(crate) fn allocate(layout: Layout, socket: c_int) -> Option<NonNull<u8>> {
    let align = layout.align() as c_uint;
    let block = rte_zmalloc_socket(c"hwpool".as_ptr(), layout.size(), align, socket);
    NonNull::new(block.cast())
}

/// Frees what [`allocate`] allocated.
///
/// # Safety
/// It did, and nobody uses the block any more.
pub(crate) unsafe fn free(block: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { rte_free(block.as_ptr().cast()) }
}

/// Counts the objects in a mempool's list and in the caches of DPDK's threads.
pub(crate) fn available(mempool: *const RteMempool) -> u32 {
    // SAFETY: DPDK hands out its own mempool, whose caches stay until after it is freed.
    unsafe { rte_mempool_avail_count(mempool) }
}

/// Tells whether memory is DPDK's, or was registered with it.
pub(crate) fn knows(address: *const c_void) -> bool {
    !rte_mem_virt2memseg_list(address).is_null()
}

/// Returns the page that an address lies in, if DPDK knows one. Waits while another thread has DPDK take or give back pages.
pub(crate) fn page(address: *const c_void) -> Option<Page> {
    let found = rte_mem_virt2memseg(address, null());
    // SAFETY: null, or DPDK's own, which stays as long as the page, in which something of the caller's lies.
    let page = unsafe { found.as_ref() }?;
    let mut offset = 0;
    // SAFETY: as above, and there is a place for the answer.
    let (file, located) = unsafe {
        (
            rte_memseg_get_fd(found),
            rte_memseg_get_fd_offset(found, &mut offset),
        )
    };
    Some(Page {
        address: page.address.addr(),
        len: page.len,
        file: (file >= 0 && located == 0).then_some((file, offset as u64)),
    })
}

/// Returns a page that a mempool itself lies in.
pub(crate) fn page_of(mempool: *const RteMempool) -> Option<Page> {
    page(mempool.cast())
}

/// Writes a line to DPDK's log.
pub(crate) fn log(level: Level, line: &str) {
    let Ok(line) = CString::new(line.replace('\0', " ")) else {
        return;
    };
    // SAFETY: the format takes one string, and both end with a zero.
    unsafe { rte_log(level as u32, LOGTYPE, c"%s\n".as_ptr(), line.as_ptr()) };
}
