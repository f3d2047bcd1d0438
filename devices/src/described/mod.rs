//! A free list that a [`Description`](crate::description::Description) describes: its driver.
//!
//! ```
//! use hwpool_devices::description::{Description, Mistake};
//! use hwpool_devices::family::{Choice, Described};
//!
//! /// Makes of a description what recognition takes as the driver of a device.
//! fn driver(description: Description) -> Result<Choice, Mistake> {
//!     Ok(Choice::Described(Described::keep(description)?))
//! }
//! ```
//!
//! # Theory of operation
//!
//! Nothing of a description is looked up when objects move. `Plan` has, for one list, the offset of every
//! register, masks in place and what is compared with them; `By` makes the accesses, compiled for each way in
//! which a value passes, which is chosen once a call.
//!
//! ```text
//!   give ── ledger ── [room?] ── write value (by halves) ── [commit] ──►  ┌──────┐
//!                                                                         │ list │
//!   take ── ledger ◄── read value ◄── [length] ◄── [flag, level]    ◄──   └──────┘
//!                           └── [acknowledge] ─────────────────────────►
//! ```
//!
//! A device keeps numbers or addresses. Where it keeps numbers, addresses never pass through it. Either way what it hands out
//! goes through the ledger, and nothing else makes an object of it.
//!
//! What reads all ones is held against the register that never does so: the device is gone, or it said all ones.
//!
//! # Legal and forbidden
//!
//! | step | allowed | otherwise |
//! | --- | --- | --- |
//! | open a list | nobody has it, and it is empty, or as the reset filled it | [`AllInUse`](crate::family::SetupError::AllInUse), [`NotEmpty`](crate::family::SetupError::NotEmpty), [`Contents`](crate::family::SetupError::Contents) |
//! | give an object | it is the host's | [`Misuse`](crate::family::Misuse), nothing changed |
//! | take an object | the ledger says that the device has it | the list is poisoned |
//! | reset | no list is open | [`InUse`](crate::family::ResetError::InUse) |
//! | drop a list | any time; one that holds something is emptied: by its own reset, by the device's where no other list is open, else by pops | where that fails it stays taken until a reset |

mod device;
mod list;
mod module;
mod moves;
mod plan;
#[cfg(test)]
mod tests;

pub use device::Device;
pub use list::List;
pub use module::Module;

pub use crate::family::Described;
