//! The vfio-user protocol: PCI functions in other processes, over a stream socket.
//!
//! - [`codec`]: messages as bytes, pure.

pub mod codec;
