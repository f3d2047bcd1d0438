//! The FIFO, a small free list with 32-bit registers: its driver.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hwpool_devices::bus::Transport;
//! use hwpool_devices::family::{OpenError, OpenReset};
//! use hwpool_devices::fifo::Fifo;
//!
//! /// Opens a FIFO over any transport: recognised, reset and verified.
//! fn open<T: Transport>(transport: Arc<T>) -> Result<Fifo<T>, OpenError> {
//!     Fifo::open(transport, OpenReset::Best)
//! }
//! ```
//!
//! `SPEC.md` beside this file is the interface, on one page; [`regs`] is its register table. Comments cite its sections
//! as "SPEC 4".
//!
//! # Theory of operation
//!
//! The device keeps *numbers*, not addresses: the driver gives object `n` by a write of `n` and takes an object by a
//! read that returns its number. It has one list, [`Queue`], and no DMA. The device checks no double free, so the ledger
//! is the only one who does.
//!
//! ```text
//!   give ── ledger ── PUSH (1 posted write) ──►  ┌───────┐
//!                                                │ queue │  oldest first
//!   take ── ledger ── POP  (1 round trip)   ◄──  └───────┘
//! ```
//!
//! # Legal and forbidden
//!
//! | step | allowed | otherwise |
//! | --- | --- | --- |
//! | open the queue | nobody has it, and it is empty | [`AllInUse`](crate::family::SetupError::AllInUse), [`NotEmpty`](crate::family::SetupError::NotEmpty) |
//! | give an object | it is the host's | [`Misuse`](crate::family::Misuse), nothing changed |
//! | take an object | the ledger says that the device has it | the queue is poisoned |
//! | reset | the queue is not open | [`InUse`](crate::family::ResetError::InUse) |
//! | drop the queue | any time; a device that still holds numbers is reset | where that fails the queue stays taken |

mod about;
mod device;
mod module;
mod queue;
pub mod regs;

pub use about::{ABOUT, REGISTER};
pub use device::Fifo;
pub use module::Module;
pub use queue::Queue;
