//! Memory that a device reaches by DMA.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hwpool::devices::bus::DmaBuffer;
//! use hwpool::dma::{Domain, Memory, MemoryRequest, PageSize, Pages, Placement};
//! use hwpool::sim::{InProcess, SimConfig};
//!
//! let device = Arc::new(InProcess::open("bmu", "sim:bmu", SimConfig::new("bmu")?)?);
//! let domain = Domain::new(device, 48)?; // 48 bits of address
//! let request = MemoryRequest::new(4096).pages(Pages::Exactly(PageSize::Base)).label("rings");
//! let memory = Arc::new(Memory::allocate(&request)?);
//! let mapping = Arc::new(domain.map(memory, Placement::Anywhere { align: 64 })?);
//! let ring = mapping.slice(0..512).ok_or("a ring of 512 bytes")?;
//! assert_eq!(ring.iova(), mapping.iova()); // where the device finds it, until both are dropped
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   Memory ── pages of a memfd, populated, on a NUMA node; or somebody else's
//!      │ Domain::map             IovaAllocator: which addresses are free
//!      ▼                                ▲
//!   Mapping ── the device reaches them ─┘ until it is dropped
//!      │ Mapping::slice
//!      ▼
//!   Slice ── a piece: one ring, one status line
//! ```
//!
//! [`Memory`] is this process' side of it, [`Mapping`] the device's; [`Domain`] is the set of mappings of one
//! device. [`Mapping`] and [`Slice`] implement [`DmaBuffer`](hwpool_devices::bus::DmaBuffer) for drivers. The
//! mappings themselves are made by the [`Transport`](hwpool_devices::bus::Transport).
//!
//! Addresses are never pointers of this process nor physical ones: [`IovaAllocator`] chooses them, unless a caller
//! asks for a [`Placement::Fixed`].
//!
//! | file | idea |
//! | --- | --- |
//! | `request.rs` | what memory is asked for |
//! | `allocate.rs`, `memfd.rs` | which pages are taken, and how pages of one size are |
//! | `memory.rs` | memory that is there |
//! | `foreign.rs` | pages of somebody else's |
//! | `numa.rs` | the calls that place it |
//! | `iova.rs` | addresses that are free |
//! | `domain.rs`, `mapping.rs` | the mappings of a device, and one of them |
//! | `error.rs` | what can go wrong, or less well |

mod allocate;
mod domain;
mod error;
mod foreign;
mod iova;
mod mapping;
mod memfd;
mod memory;
mod numa;
mod request;
#[cfg(test)]
mod testing;

pub use domain::{Domain, DomainError, MapError, Placement};
pub use error::{MemoryError, Shortage, Warning};
pub use foreign::Segment;
pub use iova::{IovaAllocator, IovaError, IovaRanges};
pub use mapping::{Mapping, Slice};
pub use memory::Memory;
pub use request::{MemoryRequest, Pages};

pub use crate::machine::PageSize;
