//! What the kernel's files tell about this machine: the one reader of /sys and /proc.
//!
//! ```
//! use hwpool::machine::{Function, Tree};
//!
//! for function in Function::all(&Tree::running()) {
//!     println!("{} {:04x}:{:04x} {:?}", function.bdf, function.vendor, function.device, function.driver);
//! }
//! ```
//!
//! | file | idea |
//! | --- | --- |
//! | `tree.rs` | the files below a root directory, which is always given |
//! | `bdf.rs` | the address of a PCI function |
//! | `function.rs`, `config.rs` | a PCI function, by sysfs and by its configuration space |
//! | `page.rs`, `hugepages.rs`, `memory.rs` | page sizes, hugepages by node and size, memory that can be had |
//! | `pagemap.rs` | where the pages of this process lie |
//! | `process.rs`, `limit.rs`, `cgroup.rs` | who this process is, what it may do, and how much of it |
//! | `locks.rs` | who holds a lock |
//! | `slow.rs` | calls that the kernel may keep for minutes |
//! | `arguments.rs` | the kernel's command line |
//! | `openers.rs` | who holds files of devices, open or mapped |
//! | `mounts.rs`, `filesystems.rs` | what is mounted from a disk, alone or with others |
//! | `exports.rs` | disks that other machines are given |
//! | `routes.rs`, `namespaces.rs` | what hangs on a network interface, and where others may be |
//! | `names.rs` | what vendors, devices and classes are called |
//!
//! It is at the bottom of this crate: [`vfio`](crate::vfio), [`dma`](crate::dma) and [`host`](crate::host) read the machine
//! through it, and it knows none of them. Everything reads a [`Tree`], so that tests give a directory that looks like a
//! machine. Nothing here judges: what an absence means, and what to do about it, says whoever asked.

// Much of it is read for one feature alone.
#![cfg_attr(
    not(all(feature = "bringup", feature = "vfio")),
    allow(dead_code, unused_imports)
)]

#[cfg(feature = "bringup")]
mod arguments;
mod bdf;
#[cfg(feature = "bringup")]
mod cgroup;
mod config;
#[cfg(feature = "bringup")]
mod exports;
#[cfg(feature = "bringup")]
mod filesystems;
mod function;
mod hugepages;
mod limit;
#[cfg(feature = "bringup")]
mod locks;
mod memory;
#[cfg(feature = "bringup")]
mod mounts;
mod names;
#[cfg(feature = "bringup")]
mod namespaces;
mod openers;
mod page;
mod pagemap;
#[cfg(feature = "bringup")]
mod process;
#[cfg(feature = "bringup")]
mod routes;
mod slow;
#[cfg(test)]
pub(crate) mod testing;
mod tree;

pub use bdf::{Bdf, NotAnAddress};
pub use function::{Bar, Function, Group, Link, Member, Region, Sriov};
pub use hugepages::Hugepages;
pub use names::Names;
pub use openers::{Opener, Openers};
pub use page::PageSize;
pub use tree::{Permissions, Tree};

#[cfg(feature = "bringup")]
pub(crate) use arguments::{Arguments, has};
pub(crate) use bdf::directory;
#[cfg(feature = "bringup")]
pub(crate) use cgroup::{Hierarchy, hierarchies};
pub(crate) use config::{Acs, Config};
#[cfg(feature = "bringup")]
pub(crate) use exports::exports;
#[cfg(feature = "bringup")]
pub(crate) use filesystems::{Part, f2fs, is_journal, shared as shared_filesystems, zfs};
pub(crate) use function::{blocks_group, cdev_path, is_vfio};
pub(crate) use hugepages::directory as hugepage_directory;
pub(crate) use limit::Limit;
#[cfg(feature = "bringup")]
pub(crate) use locks::flock_holder;
#[cfg(feature = "bringup")]
pub(crate) use mounts::mount_points;
#[cfg(feature = "bringup")]
pub(crate) use namespaces::may_have_other_namespaces;
pub(crate) use pagemap::{Frame, Pagemap};
#[cfg(feature = "bringup")]
pub(crate) use process::Process;
#[cfg(feature = "bringup")]
pub(crate) use routes::{other_tables, routes};
pub(crate) use slow::{LONG, NO_ANSWER, SlowToClose, Watch};
