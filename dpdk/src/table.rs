//! The driver as DPDK's table has it, and how it gets there.

use std::ffi::{CStr, c_char};

use crate::abi::RteMempoolOps;
#[cfg(not(test))]
use crate::dpdk;
use crate::{hot, ops};

const NAME: &CStr = c"hwpool";

/// Registers the driver, when the library is loaded. DPDK is not initialised yet, so a failure goes to stderr.
#[cfg(not(test))]
pub(crate) extern "C" fn register() {
    let index = dpdk::register(&operations());
    if index < 0 {
        let why = match -index {
            libc::ENOSPC => {
                "its table of mempool drivers, which has 16 places, is full: load fewer with -d"
            }
            _ => "a name or a structure that it does not like",
        };
        let line = format_args!(
            "HWPOOL: DPDK did not take the driver (errno {}): {why}\n",
            -index
        );
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), line);
    }
}

/// The driver, as DPDK's table has it.
pub(crate) fn operations() -> RteMempoolOps {
    let mut name: [c_char; 32] = [0; 32];
    for (to, from) in name.iter_mut().zip(NAME.to_bytes()) {
        *to = *from as c_char;
    }
    let (enqueue, dequeue) = hot::widths()[0];
    RteMempoolOps {
        name,
        alloc: Some(ops::alloc),
        free: Some(ops::free),
        enqueue: Some(enqueue),
        dequeue: Some(dequeue),
        get_count: Some(ops::get_count),
        calc_mem_size: Some(ops::calc_mem_size),
        populate: Some(ops::populate),
        get_info: Some(ops::get_info),
        dequeue_contig_blocks: None,
    }
}
