//! The vfio-user protocol: PCI functions in other processes, over a stream socket.
//!
//! ```
//! use hwpool::Device;
//! use hwpool::sim::SimConfig;
//! use hwpool::user::{SimDevice, server::Server};
//!
//! let folder = tempfile::tempdir()?;
//! let socket = folder.path().join("fifo.sock");
//! let server = Server::bind(&socket)?;
//! let stop = server.stop_handle();
//! let mut config = SimConfig::new("fifo")?;
//! config.set("mode", "threaded")?;
//! let mut model = SimDevice::new("fifo", config)?;
//! let serving = std::thread::spawn(move || server.run(&mut model));
//!
//! let device = Device::open(&format!("user:{}", socket.display()))?;
//! assert_eq!(device.about().title, "FIFO");
//! drop(device);
//! stop.stop();
//! serving.join().expect("it does not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   Client ── Transport of a driver            Server ── serves what is Served, one client after the other
//!      │                                          │
//!      └──── codec (messages as bytes) ────┬──────┘
//!                        channel (one socket, with descriptors)
//! ```
//!
//! - [`codec`]: messages as bytes, pure.
//! - [`server`]: puts a device of any kind behind a socket.
//! - [`SimDevice`]: a model, to be served.
//! - [`Client`]: opens a device behind a socket; [`Device::open`](crate::Device::open) makes one for `user:PATH`.
//!
//! Facts of the protocol are those of its specification, "vfio-user Protocol Specification"; where peers in the field
//! differ from it, the code says so. Both sides expect a peer that lies.

mod channel;
mod client;
pub mod codec;
mod memory;
pub mod server;
mod sim_device;
mod sync;

pub use client::{Client, ClientError, PATIENCE, UserBar, UserDoorbell, UserIrq, UserWrite};
pub use sim_device::{SimDevice, SimDeviceError, SimMonitor};
