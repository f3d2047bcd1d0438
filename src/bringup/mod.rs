//! Bring-up: a ladder of checks that proves a board layer by layer.
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::sync::Arc;
//!
//! use hwpool::bringup::{self, Options};
//! use hwpool::sim::{InProcess, SimConfig};
//!
//! let board = Arc::new(InProcess::open("fifo", "sim:fifo", SimConfig::new("fifo")?)?);
//! let mut options = Options::default();
//! options.choice.only = vec!["lists.single".into()]; // and the rungs that it needs
//! let report = bringup::run(board, &options, None, |_| ControlFlow::Continue(()));
//! assert!(report.is_good(), "{}", hwpool::report::text(&report));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`run`] climbs it. Each rung has a stable id, needs certain rungs below it, and leaves evidence: addresses, counts and
//! register values. A rung whose need did not pass is *blocked*, not run: its verdict would say nothing. The same ladder
//! runs on the model and on silicon; nothing in here knows which.
//!
//! Each rung is of a [`Class`] by what it does to the device. Those that write reset it in the end, and what was in its
//! lists is forgotten. No rung touches buffer memory: pools are laid over addresses that are never mapped, since a
//! buffer manager only stores them. Only the rings of its portals, if it has some, are real memory.
//!
//! A failure is a [`Symptom`]: a value with the numbers of what was seen. What it probably comes from hangs on its type.
//! Each failure of each rung is judged in one order, in one place: the device is gone; the machine refused; the device
//! is not as specified. Once it is gone, nothing above is run.
//!
//! | file | idea |
//! | --- | --- |
//! | `ladder.rs` | how the rungs are climbed, and how a failure is judged |
//! | `options.rs` | what a climb may be told, and what it tells |
//! | `rung.rs` | what a rung is, and what it works on |
//! | `choice.rs`, `limits.rs`, `plan.rs` | which rungs are run; what a board has to reach; both from a file |
//! | `within.rs` | the time that a climb has |
//! | `symptom.rs` | why a rung did not pass, and what is to blame |
//! | `driver.rs`, `refused.rs` | what is to blame for errors of drivers, and of the machine |
//! | `deltas.rs`, `evidence.rs` | what is noted of each rung |
//! | `general/` | rungs for devices of any kind |
//! | `own.rs` | the list of kinds of device that have rungs of their own |
//! | `bmu/`, `fifo/`, `described/` | those rungs |

mod bmu;
mod choice;
mod deltas;
mod described;
mod driver;
mod evidence;
mod fifo;
mod general;
mod ladder;
mod limits;
mod options;
mod own;
mod plan;
mod refused;
mod rung;
mod symptom;
mod within;

pub use choice::{Choice, Class, NoClass, NoRung};
pub use evidence::Evidence;
pub use general::{OwnerSymptom, TRAFFIC_RUNS};
pub use ladder::{ids, run, rungs, rungs_of};
pub use limits::Limits;
pub use options::{Options, Progress};
pub use plan::{Plan, PlanError};
pub use rung::Kill;
pub use symptom::{Blame, Causes, Failure, Symptom};

pub use crate::report::{Check, Item, Report, Status};
