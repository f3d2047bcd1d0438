//! Strict software models of hardware buffer managers.
//!
//! ```
//! use hwpool_devices::bus::{Bar, Transport};
//! use hwpool_sim::{Fault, FaultKind, InProcess, SimConfig};
//!
//! let mut config = SimConfig::new("fifo")?;
//! config.faults.push(Fault::new(FaultKind::ReadFails).on("STATUS").from(2).times(1)); // the second read alone
//! let device = InProcess::open("fifo", "sim:fifo", config)?;
//! let bar = device.bar(0)?;
//! assert!(bar.read32(0x14).is_ok());
//! assert!(bar.read32(0x14).is_err());
//! assert!(bar.read32(0x14).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Model`] is a whole PCI function around the logic of a device, each written from the device's specification alone: it
//! shares offsets and layouts with the driver and no behaviour. [`InProcess`] makes a [`Transport`](hwpool_devices::bus::Transport) of it. The model is
//! harsher than hardware: what a host must not do is recorded as a [`Violation`], what can go wrong is a [`Fault`], and
//! in stepped mode one seed replays a run in virtual time.
//!
//! Arrows go `in_process → model → logic → world`: the model is one PCI function for all devices; the logic of a device,
//! in a folder of its own such as `bmu/`, acts on the `world` around it, which is the IOMMU, the link, configuration
//! space, and what is counted and recorded. `models` lists the devices.

#![forbid(unsafe_code)]

mod agenda;
mod bmu;
mod config;
mod config_space;
mod counters;
mod decode;
mod described;
mod faults;
mod fifo;
mod in_process;
mod iommu;
mod lies;
mod logic;
mod memory;
mod model;
mod models;
mod msix;
mod parameter;
mod rng;
mod shape;
mod timing;
mod violation;
mod world;

pub use config::{Mode, SimConfig};
pub use counters::Counters;
pub use faults::{Fault, FaultError, FaultKind, Offer};
pub use in_process::{InProcess, SimBar, SimDoorbell, SimError, SimIrq};
pub use logic::ModelInfo;
pub use memory::AskedMemory;
pub use model::Model;
pub use models::MODELS;
pub use parameter::ConfigError;
pub use violation::{Violation, ViolationKind};

/// The README's program is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
