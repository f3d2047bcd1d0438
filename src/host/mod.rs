//! The machine around a device: which functions there are, whether they can be driven, and taking them for VFIO.
//!
//! ```
//! use hwpool::host::Tree;
//! use hwpool::host::doctor::{Question, Verdict, examine};
//!
//! let question = Question { device: None, pin: 64 << 20 }; // the machine alone, with 64 MiB to be pinned
//! for row in examine(&Tree::running(), question).unwrap_or_default() {
//!     if row.verdict == Verdict::Block {
//!         println!("{}: {:?}, so {:?}", row.id, row.evidence, row.remedy);
//!     }
//! }
//! ```
//!
//! | file | idea |
//! | --- | --- |
//! | `usage/` | who uses a function now |
//! | `doctor/` | checks, each with evidence, cause and remedy |
//! | `bind/` | plans, journal, and the way back |
//! | `hugepages.rs` | hugepages, reserved and released |
//! | `writer.rs` | the one way in which anything is changed |
//!
//! What there is tells [`machine`](crate::machine): here it is judged and changed. Everything reads a [`Tree`], and changes
//! it through a [`Writer`]: tests give a directory that looks like a machine, and something that reacts to writes as the
//! kernel does.

pub mod bind;
pub mod doctor;
pub mod hugepages;
mod usage;
mod writer;

pub use crate::machine::{
    Bar, Function, Group, Hugepages, Link, Member, Names, Opener, Openers, Permissions, Region,
    Sriov, Tree,
};
pub use usage::{Reason, Usage, Use};
pub use writer::{Kernel, Writer};
