//! A model behind the server: what `hwpool sim serve` serves.
//!
//! ```text
//!   client's store ──► doorbell page (memfd) ◄── looked at by the model's thread ──┐
//!   client's messages ──► Served for SimDevice ───────────── lock ──► Model ◄──────┘
//!                                                                      │ interrupts
//!                                                                    Lines
//! ```
//!
//! The pages of the hot doorbells, where the device has some, can be mapped by the client; everything else takes a
//! message. Such a doorbell is a state, so a page is looked at and need not be caught at every value. When the device
//! begins or ends to serve one its page is zeroed: a doorbell counts as 0 until it is written in that life.
//!
//! Messages and stores come by different ways, and only a client that waits for its replies keeps them in order, as ours
//! does. Hypervisors post writes. Behind a posted write a doorbell that is seen may be older or younger, so: one that is
//! served is taken first, which the device may do at any time; one that is not served is taken after, for the write may
//! be what lets it be. For the same reason the model's thread reports a doorbell that nobody
//! serves a little later, so that a message that was sent before it can come.
//!
//! # What a client is trusted with
//!
//! Its own memory. The model maps sealed files that a client sends as DMA memory, as those of [`Memory`](crate::dma::Memory)
//! and of QEMU's `memory-backend-memfd` are, and reaches them by plain accesses. A file that the client could shorten
//! afterwards would end the server by SIGBUS, so the kernel copies its words, each by a system call: slow, and safe.
//!
//! Hugepages are mapped whatever the client could do to them, for the kernel does not write to their files. A client that
//! shortens such a file, or punches a hole into it when the system has no more hugepages, ends the server at the next
//! access. So the socket is for who may end the server anyhow, which is what its mode of 0600 says. A client can do no
//! other harm by its files: mappings are looked up and checked at each access, and the doorbell pages that it gets are
//! sealed.
//!
//! # Memory
//!
//! The model maps memory that came with a file and is readable and writable. Any other it asks the client for, by
//! DMA_READ and DMA_WRITE: a round trip an access, so a hypervisor without shared memory works, slowly. It asks with its
//! lock held, from either thread; the client may ask meanwhile, and is answered when the model has what it wants. What the
//! client refuses, or does not answer in time, is a DMA fault, and the driver poisons its list. Mappings without a file
//! beyond the model's aperture are accepted and met by a DMA fault, for hypervisors map ROMs and other functions anywhere.
//!
//! # Files
//!
//! `device` makes the model and ends it, `served` answers the server, `poller` is the model's thread, `shared` what the
//! two threads have in common, `doorbells` the pages.

mod device;
mod doorbells;
mod poller;
mod served;
mod shared;

pub use device::{SimDevice, SimDeviceError, SimMonitor};
