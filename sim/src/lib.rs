//! Strict software models of hardware buffer managers.
//!
//! [`Model`] is a whole PCI function, written from the device's specification alone: it shares offsets and layouts with
//! the driver and no behaviour. [`InProcess`] makes a [`Transport`](hwpool_devices::bus::Transport) of it. The model is
//! harsher than hardware: what a host must not do is recorded as a [`Violation`], what can go wrong is a [`Fault`], and
//! in stepped mode one seed replays a run in virtual time.
//!
//! Arrows go `in_process → model → bmu → world`; the device logic in `bmu/` acts on the `world` around it, which is the
//! IOMMU, the link, configuration space, and what is counted and recorded.

#![forbid(unsafe_code)]

mod bmu;
mod config;
mod config_space;
mod counters;
mod faults;
mod in_process;
mod iommu;
mod memory;
mod model;
mod msix;
mod rng;
mod timing;
mod violation;
mod world;

pub use config::{ConfigError, Mode, SimConfig};
pub use counters::Counters;
pub use faults::{Fault, FaultError, FaultKind};
pub use in_process::{InProcess, SimBar, SimDoorbell, SimError, SimIrq};
pub use model::Model;
pub use violation::{Violation, ViolationKind};

/// A model by name.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name in addresses, as in `sim:bmu`.
    pub name: &'static str,
    /// One line for people.
    pub doc: &'static str,
}

/// Every model that [`InProcess::open`] knows.
pub const MODELS: &[ModelInfo] = &[ModelInfo {
    name: "bmu",
    doc: "hwpool's reference buffer management unit: pools, portals, thresholds, MSI-X",
}];

/// The README's program is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
