//! Userspace driver for hardware buffer managers.
//!
//! A hardware buffer manager is a PCIe function that keeps the free list of packet buffers. hwpool opens one, gives it
//! DMA memory, drives it through enqueue and dequeue doorbells, and offers the result as an object pool; a strict
//! software model takes the device's place where there is none.
//!
//! - [`device`]: open a device by its [`address`], such as `sim:bmu`.
//! - [`kinds`]: kinds of device by name, or by the file of a description.
//! - [`pool`]: object pools, in software or in a device.
//! - [`dma`]: memory that the device reaches.
//! - [`vfio`]: PCI functions through the kernel's VFIO.
//! - [`user`]: devices in other processes, over vfio-user sockets.
//! - [`machine`]: what the kernel's files tell: PCI functions, groups, NUMA nodes, hugepages.
//! - [`host`]: the machine around a device: what is wrong, binding and giving back.
//! - [`bringup`]: checks that prove a board layer by layer.
//! - [`report`]: what a bring-up leaves behind, as data and as files.
//! - [`devices`] and [`sim`]: the drivers and the models themselves.
//!
//! # Features
//!
//! | feature | what needs it |
//! | --- | --- |
//! | none | devices and models in this process, DMA memory |
//! | `pool` | [`pool`] |
//! | `vfio` | [`vfio`], and addresses `vfio:` |
//! | `user` | [`user`], and addresses `user:` |
//! | `describe` | devices that a file describes: `sim:FILE.toml`, `?driver=FILE.toml` |
//! | `fault-files` | `faults=FILE` in addresses of models |
//! | `bringup` | [`bringup`], [`host`], and the data of [`report`] |
//! | `report` | the pages of [`report`]; brings `bringup` |
//! | `cli`, the default | the program; brings all of the above |
//!
//! A library user who wants few dependencies takes `default-features = false` and what it uses.

pub mod address;
#[cfg(feature = "bringup")]
pub mod bringup;
pub mod device;
pub mod dma;
mod fork;
#[cfg(feature = "bringup")]
pub mod host;
pub mod kinds;
pub mod machine;
#[cfg(any(feature = "pool", feature = "user"))]
mod often;
#[cfg(feature = "pool")]
pub mod pool;
#[cfg(feature = "bringup")]
pub mod report;
#[cfg(feature = "user")]
pub mod user;
#[cfg(feature = "vfio")]
pub mod vfio;

#[cfg(feature = "describe")]
pub use hwpool_describe as describe;
pub use hwpool_devices as devices;
pub use hwpool_sim as sim;

pub use device::{Device, DeviceError};
#[cfg(feature = "pool")]
pub use pool::Pool;

/// The programs of the README and of the book are compiled and run with the documentation tests.
#[cfg(all(doctest, feature = "cli"))]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/src/pools.md")]
    struct Pools;
}
