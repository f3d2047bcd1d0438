//! Drivers of hardware buffer managers.
//!
//! ```
//! use hwpool_devices::modules;
//!
//! for kind in modules::kinds() {
//!     println!("{}, {}: {} registers", kind.title, kind.doc, kind.registers.len());
//! }
//! # assert!(!modules::kinds().is_empty());
//! ```
//!
//! Start reading at [`bus`]: the traits that a driver needs and that everything else in hwpool provides. [`reg`] makes
//! typed registers from one table per device; [`pci`] reads configuration space; [`wait`] ends every wait. [`family`] has
//! what every kind of device has in common, [`modules`] lists the kinds, and each has a folder of its own, such as
//! [`bmu`]. [`description`] is what a file may say of a device that has no such folder, and [`described`] its driver.
//!
//! This crate has no unsafe code, makes no system call and depends on nothing but an error macro.

#![forbid(unsafe_code)]

pub mod bmu;
pub mod bus;
pub mod described;
pub mod description;
pub mod family;
pub mod fifo;
pub mod modules;
pub mod pci;
pub mod reg;
mod sync;
pub mod turns;
pub mod wait;
pub mod words;

/// The README's program is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
