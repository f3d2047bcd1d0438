//! Userspace driver for hardware buffer managers.
//!
//! A hardware buffer manager is a PCIe function that keeps the free list of packet buffers. hwpool opens one, gives it
//! DMA memory, drives it through enqueue and dequeue doorbells, and offers the result as an object pool; a strict
//! software model takes the device's place where there is none.
//!
//! ```
//! use hwpool::{Device, Pool};
//!
//! let device = Device::open("sim:bmu")?; // or vfio:0000:01:00.0, or user:/run/bmu.sock
//! # #[cfg(feature = "pool")] {
//! let pool = Pool::builder("rx").objects(1024).size(2048).backend("bmu").device(&device).build()?;
//! let mut worker = pool.worker("rx-0")?;
//! let mut buffer = worker.take()?.ok_or("the pool is empty")?;
//! buffer.bytes_mut()[0] = 1;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Six doors
//!
//! | you say | go to |
//! | --- | --- |
//! | I have a board | [`host`]: what is wrong with the machine, binding and giving back; [`bringup`]: checks that prove a board layer by layer; [`report`]: what that leaves behind. The program does all three: `hwpool doctor`, `bind`, `bringup`, `report` |
//! | I have RTL, or a device in another process | [`user`]: both ends of vfio-user; the program `hwpool-rtl` serves designs under Verilator |
//! | I write a dataplane | [`pool`]: object pools, in software or in a device; [`metrics`]: how they fare, for Prometheus too |
//! | I run DPDK | the crate `hwpool-dpdk`, a mempool driver; [`pool::RawPool`] is what it stands on |
//! | I write a dataplane in C or C++ | the crate `hwpool-c`, in `c/` of the sources: a header and a library |
//! | I write a userspace driver | [`vfio`]: PCI functions through the kernel's VFIO; [`dma`]: memory that a device reaches; [`devices`]: drivers over a small bus interface, and what each kind of device has in common; [`sim`]: models |
//!
//! Everywhere: [`device`] opens a device by its [`address`]; [`kinds`] names kinds of device, or the file that describes one;
//! [`machine`] reads what the kernel's files tell. The book, in `docs/` of the sources, goes through each door step by step.
//!
//! # Features
//!
//! | feature | what needs it |
//! | --- | --- |
//! | none | devices and models in this process, DMA memory |
//! | `pool` | [`pool`] |
//! | `vfio` | [`vfio`], and addresses `vfio:` |
//! | `user` | [`user`], and addresses `user:` |
//! | `metrics` | [`metrics`] |
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
#[cfg(any(feature = "user", feature = "metrics"))]
mod listener;
pub mod machine;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(any(feature = "pool", feature = "user"))]
mod often;
mod order;
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
    #[doc = include_str!("../docs/src/metrics.md")]
    struct Metrics;
    #[doc = include_str!("../docs/src/pools.md")]
    struct Pools;
}
