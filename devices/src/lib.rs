//! Drivers of hardware buffer managers.
//!
//! Start reading at [`bus`]: the traits that a driver needs and that everything else in hwpool provides. [`reg`] makes
//! typed registers from one table per device; [`pci`] reads configuration space; [`wait`] ends every wait; each device
//! has a folder of its own, such as [`bmu`].
//!
//! This crate has no unsafe code, makes no system call and depends on nothing but an error macro.

#![forbid(unsafe_code)]

pub mod bmu;
pub mod bus;
pub mod fifo;
pub mod pci;
pub mod reg;
mod sync;
pub mod wait;
