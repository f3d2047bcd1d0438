//! The structures that DPDK and this driver have to agree on.
//!
//! Declared by hand after `rte_mempool.h` of DPDK 22.11, whose layout 23.11 to 26.07 share, so that nothing of DPDK is
//! needed to build. Symbols carry no version: the library binds to whatever DPDK the application has. The assertions
//! below hold the layout here; `tests/layout.c` holds the same numbers against the headers, where they are installed.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::{align_of, offset_of, size_of};

/// `struct rte_mempool`, as far as a driver looks at it: DPDK allocates it, nobody here makes one.
#[repr(C)]
pub(crate) struct RteMempool {
    pub(crate) name: [c_char; 26],
    /// The driver's own.
    pub(crate) pool_data: *mut c_void,
    /// What the application gave to `rte_mempool_set_ops_byname`; here a string, or null.
    pub(crate) pool_config: *mut c_void,
    pub(crate) memzone: *const c_void,
    pub(crate) flags: c_uint,
    pub(crate) socket_id: c_int,
    pub(crate) size: u32,
    pub(crate) cache_size: u32,
    pub(crate) elt_size: u32,
    pub(crate) header_size: u32,
    pub(crate) trailer_size: u32,
    pub(crate) private_data_size: c_uint,
    pub(crate) ops_index: i32,
    pub(crate) local_cache: *const c_void,
    /// Objects that DPDK has on its list: all, until it frees the mempool and takes one after the other off it.
    pub(crate) populated_size: u32,
}

/// `struct rte_memseg`, as far as a driver looks at it: one page of DPDK's memory.
#[repr(C)]
pub(crate) struct RteMemseg {
    pub(crate) iova: u64,
    pub(crate) address: *mut c_void,
    pub(crate) len: usize,
    pub(crate) page_size: u64,
}

/// A page of DPDK's memory.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) address: usize,
    pub(crate) len: usize,
    /// The file that it is a page of, which stays open as long as the page is DPDK's, and where in it; `None` where it is of
    /// none.
    pub(crate) file: Option<(c_int, u64)>,
}

/// `rte_mempool_populate_obj_cb_t`.
pub(crate) type ObjectCallback = extern "C" fn(*mut RteMempool, *mut c_void, *mut c_void, u64);

/// How loud a line in DPDK's log is: RTE_LOG_ERR and RTE_LOG_NOTICE of `rte_log.h`.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Level {
    /// Something was not done.
    Error = 4,
    /// Something was done in another way.
    Notice = 6,
}

/// `rte_mempool_enqueue_t`.
pub(crate) type Enqueue =
    unsafe extern "C" fn(*mut RteMempool, *const *mut c_void, c_uint) -> c_int;

/// `rte_mempool_dequeue_t`.
pub(crate) type Dequeue = unsafe extern "C" fn(*mut RteMempool, *mut *mut c_void, c_uint) -> c_int;

/// `rte_mempool_populate_t`.
pub(crate) type Populate = extern "C" fn(
    *mut RteMempool,
    c_uint,
    *mut c_void,
    u64,
    usize,
    Option<ObjectCallback>,
    *mut c_void,
) -> c_int;

/// `struct rte_mempool_info`.
#[repr(C, align(64))]
pub(crate) struct RteMempoolInfo {
    pub(crate) contig_block_size: c_uint,
}

/// `struct rte_mempool_ops`.
#[repr(C, align(64))]
pub(crate) struct RteMempoolOps {
    pub(crate) name: [c_char; 32],
    pub(crate) alloc: Option<extern "C" fn(*mut RteMempool) -> c_int>,
    pub(crate) free: Option<extern "C" fn(*mut RteMempool)>,
    pub(crate) enqueue: Option<Enqueue>,
    pub(crate) dequeue: Option<Dequeue>,
    pub(crate) get_count: Option<extern "C" fn(*const RteMempool) -> c_uint>,
    pub(crate) calc_mem_size:
        Option<extern "C" fn(*const RteMempool, u32, u32, *mut usize, *mut usize) -> isize>,
    pub(crate) populate: Option<Populate>,
    pub(crate) get_info: Option<extern "C" fn(*const RteMempool, *mut RteMempoolInfo) -> c_int>,
    pub(crate) dequeue_contig_blocks: Option<extern "C" fn()>,
}

const _: () = assert!(offset_of!(RteMempool, pool_data) == 32);
const _: () = assert!(offset_of!(RteMempool, pool_config) == 40);
const _: () = assert!(offset_of!(RteMempool, flags) == 56);
const _: () = assert!(offset_of!(RteMempool, socket_id) == 60);
const _: () = assert!(offset_of!(RteMempool, size) == 64);
const _: () = assert!(offset_of!(RteMempool, elt_size) == 72);
const _: () = assert!(offset_of!(RteMempool, header_size) == 76);
const _: () = assert!(offset_of!(RteMempool, trailer_size) == 80);
const _: () = assert!(offset_of!(RteMempool, private_data_size) == 84);
const _: () = assert!(offset_of!(RteMempool, ops_index) == 88);
const _: () = assert!(offset_of!(RteMempool, populated_size) == 104);
const _: () = assert!(offset_of!(RteMemseg, address) == 8);
const _: () = assert!(offset_of!(RteMemseg, len) == 16);
const _: () = assert!(offset_of!(RteMemseg, page_size) == 24);
const _: () = assert!(size_of::<RteMempoolInfo>() == 64);
const _: () = assert!(size_of::<RteMempoolOps>() == 128);
const _: () = assert!(align_of::<RteMempoolOps>() == 64);
const _: () = assert!(offset_of!(RteMempoolOps, alloc) == 32);
const _: () = assert!(offset_of!(RteMempoolOps, get_info) == 88);
