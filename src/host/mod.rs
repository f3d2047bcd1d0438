//! The machine around a device: which functions there are, whether they can be driven, and taking them for VFIO.
//!
//! | file | idea |
//! | --- | --- |
//! | `tree.rs` | the kernel's files below a root directory, which is always given |
//! | `function.rs`, `config.rs` | a PCI function, by sysfs and by its configuration space |
//! | `usage.rs` | who uses a function now |
//! | `doctor/` | checks, each with evidence, cause and remedy |
//! | `bind/` | plans, journal, and the way back |
//! | `hugepages.rs` | hugepages by node and size |
//! | `writer.rs` | the one way in which anything is changed |
//!
//! Everything reads a [`Tree`], and changes it through a [`Writer`]: tests give a directory that looks like a machine,
//! and something that reacts to writes as the kernel does.

pub mod bind;
mod config;
pub mod doctor;
mod function;
pub mod hugepages;
mod tree;
mod usage;
mod writer;

pub use function::{Bar, Function, Group, Link, Member, Sriov};
pub use tree::{Permissions, Tree};
pub use usage::{Opener, Openers, Reason, Usage, Use};
pub use writer::{Kernel, Writer};
