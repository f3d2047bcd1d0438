//! The BMU, hwpool's open buffer management unit: its driver.
//!
//! `SPEC.md` beside this file is the interface; [`regs`] is its register table. Comments cite its sections as
//! "SPEC 6.4".
//!
//! # Theory of operation
//!
//! The device keeps free lists of buffers. [`Bmu`] is the function as a whole, [`FreeList`] one list with the driver's
//! own [`Ledger`] of what the device holds, [`Portal`] a pair of rings that moves objects in bulk:
//!
//! ```text
//!            FreeList::free (1 posted write)           ┌────────────────┐
//!   host ───────────────────────────────────────────► │                │
//!        ◄─────────────────────────────────────────── │   free list    │
//!            FreeList::alloc (1 round trip)            │   in the       │
//!                                                      │   device       │
//!        Portal::enqueue ► release ring ── DMA read ─► │                │
//!        Portal::dequeue ◄ acquire ring ◄─ DMA write ─ │                │
//!                 ▲        status line  ◄─ DMA write ─ │                │
//!                 └──── doorbell: 1 posted write ────► └────────────────┘
//! ```
//!
//! Objects are numbers from 0; [`Geometry`] turns them into addresses and back. An address from the device becomes an
//! object in [`Ledger::take`] alone, which checks range, stride and that the device can have it.
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
//! | open a [`FreeList`] | pools are left | [`SetupError::NoPool`] |
//! | give an object | it is the host's | [`Refusal`], nothing changed |
//! | take an object | the ledger says that the device has it | the list is poisoned ([`Fault`]) |
//! | reset | no list and no portal is open | [`ResetError::InUse`]: a reset forgets every buffer |
//! | close a portal | any time; its acquire ring's objects come back | |
//! | drop a list | after its portals, which the types do not enforce: the device refuses to disable it | the number stays taken until a reset |
//!
//! After the first fault a list is poisoned: an access with effect that failed, or a device that lied, leaves the
//! device's list in a state that nobody knows.

mod claims;
mod device;
mod error;
mod identity;
mod ledger;
mod list;
mod portal;
pub mod regs;
mod rings;

pub use claims::{PoolId, PortalId};
pub use device::{Bmu, ErrorRecord, OpenReset};
pub use error::{ErrorBits, Fault, OpenError, PathError, Refusal, ResetError, SetupError};
pub use identity::{Capabilities, identify};
pub use ledger::{Geometry, Ledger};
pub use list::{FreeList, ListConfig};
pub use portal::{Portal, PortalConfig};
pub use rings::{Layout, Rings, Status};
