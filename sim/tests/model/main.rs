//! The model against its specification, seen through the transport alone.

mod bench;
mod emptying;
mod faults;
mod halves;
mod interrupts;
mod iommu;
mod pools;
mod portals;
mod posted;
mod registers;
mod resets;
mod settled;
mod threaded;
mod time;
