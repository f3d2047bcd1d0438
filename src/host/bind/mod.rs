//! Takes functions from their drivers for VFIO, and gives them back exactly as they were.
//!
//! | file | idea |
//! | --- | --- |
//! | `state.rs` | what is, what shall be, and the steps from one to the other |
//! | `plan.rs` | the steps of a command |
//! | `needs.rs` | what several bindings need, and who gives it back |
//! | `objection.rs` | what speaks against them |
//! | `execute.rs` | doing them, and putting back what was before where one fails |
//! | `journal.rs` | what was before, kept on disk before anything is changed |
//! | `udev.rs` | the rules that make a binding last |
//! | `ids.rs` | why the kernel chose another driver |
//! | `error.rs` | why nothing was done, or what went wrong |
//!
//! A plan is made from what is there now, so it can be made again after an interruption at any step: `recover` makes
//! one from the state in the journal. Order of a binding: the driver is named (`driver_override`) while the old one
//! still has the function, so that no third driver can take it in between; then it is unbound and probed.

mod error;
mod execute;
mod ids;
mod journal;
mod needs;
mod objection;
mod plan;
mod state;
mod udev;

pub use error::BindError;
pub use journal::{Journals, Lock, Record};
pub use objection::Objection;
pub use plan::{Plan, Request};
pub use state::{Kept, Missing, Renewed, State, Step, Wanted};
pub use udev::rules as udev_rules;
