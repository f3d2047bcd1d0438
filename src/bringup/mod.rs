//! Bring-up: a ladder of checks that proves a board layer by layer.
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
//! | `rung.rs` | what a rung is, and what it works on |
//! | `choice.rs`, `plan.rs` | which rungs are run; limits of a board, from a file |
//! | `symptom.rs` | why a rung did not pass, and what is to blame |
//! | `driver.rs`, `refused.rs` | what is to blame for errors of drivers, and of the machine |
//! | `deltas.rs`, `evidence.rs` | what is noted of each rung |
//! | `general/` | rungs for devices of any kind |
//! | `own.rs` | the list of kinds of device that have rungs of their own |
//! | `bmu/`, `fifo/` | those rungs |

mod bmu;
mod choice;
mod deltas;
mod driver;
mod evidence;
mod fifo;
mod general;
mod ladder;
mod own;
mod plan;
mod refused;
mod rung;
mod symptom;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use choice::{Choice, Class, NoClass, NoRung};
pub use evidence::Evidence;
pub use general::{Kill, OwnerSymptom, TRAFFIC_RUNS};
pub use ladder::{ids, run, rungs};
pub use plan::{Limits, Plan, PlanError};
pub use symptom::{Blame, Causes, Failure, Symptom};

use crate::host::doctor::Row;
pub use crate::report::{Check, Item, Report, Status};

/// Bytes that the ladder has mapped for DMA at the most: the rings of two portals, in a page of 2 MiB each.
pub const PINNED: u64 = 2 * (2 << 20);

/// What a run of the ladder may be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Objects in the pool that is cycled through the rings, 64 to 2^24; fewer where the device holds fewer.
    pub buffers: u32,
    /// How often each object goes through the rings.
    pub laps: u32,
    /// How long the traffic of the last rung lasts, over all NUMA nodes.
    pub soak: Duration,
    /// Which driver the device's address asks for.
    pub driver: crate::devices::family::Choice,
    /// Which rungs are run.
    pub choice: Choice,
    /// What this board has to reach.
    pub limits: Limits,
    /// What the doctor says of the machine, where a kernel is between.
    pub host: Option<Vec<Row>>,
    /// NUMA nodes of the machine; the traffic runs with its rings on each.
    pub nodes: Vec<u32>,
    /// The node of the device.
    pub near: Option<u32>,
    /// Set by whoever wants the climb to end: traffic stops at once, then `progress` is asked.
    pub stop: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            buffers: 4096,
            laps: 4,
            soak: Duration::from_secs(2),
            driver: Default::default(),
            choice: Choice::default(),
            limits: Limits::default(),
            host: None,
            nodes: Vec::new(),
            near: None,
            stop: Arc::default(),
        }
    }
}

/// What [`run`] tells while it runs.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A rung is about to be run.
    Start {
        /// Its id.
        id: &'static str,
        /// What it proves.
        title: &'static str,
    },
    /// A rung was run.
    End(&'a Check),
}
