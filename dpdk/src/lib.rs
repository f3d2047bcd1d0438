//! A mempool driver for DPDK: `librte_mempool_hwpool.so`.
//!
//! An application that is started with `-d librte_mempool_hwpool.so --mbuf-pool-ops-name=hwpool` has its packet buffers
//! in a hardware free list, unchanged. What is behind the name is said by the mempool's configuration string, else by
//! the environment variable `HWPOOL_BACKEND`: `ring`, `stack`, or the address of a device, or several with blanks between;
//! else it is the model. A mempool has a list of a device to itself, in the first device that has one left that holds it.
//!
//! ```text
//!                                                                  ┌ shared.rs ──► hwpool::pool::FreeList (ring, stack)
//!  rte_mempool ── table.rs ──► hot.rs ──► ops.rs ──► mempool.rs ────┤   places.rs: pointers ◄─► words
//!                 "hwpool"                            per mempool  └ on_device.rs ──► hwpool::pool::RawPool ──► device
//!                                                                      create.rs: how it is made
//!                                                                      segments.rs: in DPDK's memory
//!                                                                      objects.rs: pointers ◄─► numbers
//! ```
//!
//! Objects in software lie in the chunks that DPDK brings, and their list in memory that DPDK's processes share, so that each
//! of them has it, and whoever looks for packets in EAL's segments. DPDK gives chunks back before it calls `free`, which
//! looks into none.
//!
//! Objects of a device lie in a chunk of DPDK's as well, where its pages are those of files that the device can have mapped
//! (`segments.rs`). Else they lie in memory that hwpool allocates and maps for it, so that memory and mapping outlive every
//! object. The chunk that DPDK offers is a token of 64 bytes then, unused; the memory becomes a chunk of the mempool beside
//! it, where drivers look for what they map for their devices.
//!
//! One name is registered, at load, because DPDK's table has 16 places for all drivers of a program. Nothing of DPDK is
//! needed to build; see `abi.rs`. A panic ends at the boundary as an error; a mistake of the application's is an errno
//! and a line in DPDK's log, for the first of its kind in a mempool.

mod abi;
mod config;
mod create;
mod devices;
#[cfg(not(test))]
mod dpdk;
#[cfg(test)]
#[path = "stand_in.rs"]
mod dpdk;
mod drain;
mod hot;
mod log;
mod mempool;
mod not_done;
mod objects;
mod on_device;
mod ops;
mod owner;
mod places;
mod segments;
mod shared;
mod table;
mod totals;

#[cfg(test)]
mod tests;

/// Runs when the library is loaded, before DPDK is initialised: only registers.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = table::register;

/// Runs when the process exits.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = totals::print;
