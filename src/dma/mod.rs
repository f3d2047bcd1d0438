//! Memory that a device reaches by DMA.
//!
//! [`Memory`] is pages of a memfd, populated, on a NUMA node.
//! [`IovaAllocator`] chooses where a device finds it.

mod attempt;
mod error;
mod iova;
mod memory;
mod numa;
mod page;
mod system;
#[cfg(test)]
mod testing;

pub use error::{MemoryError, Shortage, Warning};
pub use iova::{IovaAllocator, IovaError, IovaRanges};
pub use memory::{Memory, MemoryRequest, Pages};
pub use page::PageSize;
