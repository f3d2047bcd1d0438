//! The BMU, hwpool's open buffer management unit: its driver.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hwpool_devices::bmu::Bmu;
//! use hwpool_devices::bus::Transport;
//! use hwpool_devices::family::{OpenError, OpenReset};
//!
//! /// Opens a BMU over any transport: recognised, reset and verified.
//! fn open<T: Transport>(transport: Arc<T>) -> Result<Bmu<T>, OpenError> {
//!     Bmu::open(transport, OpenReset::Best)
//! }
//! ```
//!
//! `SPEC.md` beside this file is the interface; [`regs`] is its register table. Comments cite its sections as
//! "SPEC 6.4".
//!
//! # Theory of operation
//!
//! The device keeps free lists of buffers. [`Bmu`] is the function as a whole, [`List`] one list with the driver's own
//! [`Ledger`](crate::family::Ledger) of what the device holds, and with its portals, each a pair of rings that moves
//! objects in bulk:
//!
//! ```text
//!            List::free (1 posted write)               ┌────────────────┐
//!   host ───────────────────────────────────────────► │                │
//!        ◄─────────────────────────────────────────── │   free list    │
//!            List::alloc (1 round trip)                │   in the       │
//!                                                      │   device       │
//!        List::give ─────► release ring ── DMA read ─► │                │
//!        List::take ◄───── acquire ring ◄─ DMA write ─ │                │
//!                 ▲        status line  ◄─ DMA write ─ │                │
//!                 └──── doorbell: 1 posted write ────► └────────────────┘
//! ```
//!
//! Objects are numbers from 0; [`Geometry`](crate::family::Geometry) turns them into addresses and back. An address from
//! the device becomes an object in [`Ledger::take`](crate::family::Ledger::take) alone, which checks range, stride and
//! that the device can have it.
//!
//! # Life of an object
//!
//! ```text
//!   host's ── give (ledger) ──► release ring ── doorbell ──► list ──► acquire ring ── take (ledger) ──► host's
//! ```
//!
//! # Legal and forbidden
//!
//! | step | allowed | otherwise |
//! | --- | --- | --- |
//! | open a [`List`] | pools are left | [`AllInUse`](crate::family::SetupError::AllInUse) |
//! | give an object | it is the host's | [`Misuse`](crate::family::Misuse), nothing changed |
//! | take an object | the ledger says that the device has it | the list is poisoned ([`Breach`](crate::family::Breach)) |
//! | reset | no list is open | [`InUse`](crate::family::ResetError::InUse): a reset forgets every buffer |
//! | close a portal | any time; its acquire ring's objects come back | |
//! | drop a list | any time: its portals go first, which [`List`] keeps with it | a pool that the device keeps enabled is not used again before a reset |
//!
//! # What a device may be
//!
//! The driver goes by CAP_FEATURES, never by the version: registers by halves ([`Words`](crate::words::Words), where
//! HALVES_ONLY says so), strides that are powers of two, lists that take time to be emptied, writes whose refusal nobody sees.
//! Where 1.1 of the specification settles what 1.0 left open, it takes either from a device of 1.0 (SPEC 11).
//!
//! After the first breach of trust a list is poisoned: an access with effect that failed, or a device that lied, leaves
//! the device's list in a state that nobody knows.

mod about;
mod claims;
mod device;
mod errors;
mod identity;
mod list;
mod module;
mod parts;
mod pool;
mod portal;
pub mod regs;
mod rings;

pub use about::{ABOUT, PORTAL, REGISTER};
pub use claims::{PoolId, PortalId};
pub use device::{Bmu, ErrorRecord};
pub use errors::ErrorBits;
pub use identity::{Capabilities, identify};
pub use list::{List, PortalRef};
pub use module::Module;
pub use parts::absent;
pub use portal::PortalConfig;
pub use rings::{Layout, Rings, Status};
