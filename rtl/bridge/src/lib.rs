//! RTL behind a socket: a Verilated design with AXI ports as a PCI function of a vfio-user server.
//!
//! ```text
//!   hwpool, QEMU, a guest's vfio-pci
//!        │ vfio-user socket
//!   hwpool::user::server ── Function ── configuration space, MSI-X
//!                              │ BAR accesses      ▲ interrupts, DMA
//!                           Clock (a lock and a thread)
//!                              │
//!                           Machine ── cycle: settle, look at every pin, rising edge, drive every pin
//!                  AXI4-Lite ──┤├── AXI4 reads and writes ── the client's memory
//!                              │
//!                           Model ── the design, Verilated, in a loaded library
//! ```
//!
//! - [`design`]: the file that says which port is what.
//! - [`mod@build`]: Verilator, the shim, the compiler, the cache.
//! - [`model`]: the loaded design; the only unsafe code.
//! - [`axi`]: the ports, and the rules that a design is held to.
//! - [`open`]: all of it, to a [`Function`] that a server serves.

#![deny(unsafe_code)]

pub mod axi;
pub mod build;
mod clock;
pub mod design;
mod dma;
mod function;
mod irq;
mod machine;
pub mod model;
mod pins;
mod serve;

pub use clock::Monitor;
pub use function::Function;
pub use machine::{Fault, NewError};
pub use serve::{OpenError, Opened, Run, open, open_built, prepare};
