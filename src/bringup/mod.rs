//! Bring-up: a ladder of checks that proves a board layer by layer.
//!
//! [`run`] climbs it. Each rung has a stable id, needs certain rungs below it, and leaves evidence: addresses, counts and
//! register values. A rung whose need did not pass is *blocked*, not run: its verdict would say nothing. The same ladder
//! runs on the model and on silicon; nothing in here knows which.
//!
//! Each rung is of a [`Class`] by what it does to the device. Those that write reset it in the end, and what was in its
//! lists is forgotten. No rung touches buffer memory: pools are laid over addresses that are never mapped, since a
//! buffer manager only stores them. Only the rings of its portals are real memory.
//!
//! | file | idea |
//! | --- | --- |
//! | `ladder.rs` | the table of rungs, and how they are climbed |
//! | `choice.rs`, `plan.rs` | which rungs are run; limits of a board, from a file |
//! | `causes.rs` | what a failure probably comes from |
//! | `deltas.rs`, `evidence.rs` | what is noted of each rung |
//! | `host.rs` to `soak.rs` | the rungs |

mod causes;
mod choice;
mod deltas;
mod evidence;
mod host;
mod interrupts;
mod ladder;
mod lists;
mod owner;
mod pci;
mod plan;
mod portal;
mod registers;
mod reset;
mod soak;
mod unmapped;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use choice::{Choice, Class, NoClass, NoRung};
pub use evidence::{Evidence, Failure, Item};
pub use ladder::{ids, run, rungs};
pub use owner::Kill;
pub use plan::{Limits, Plan, PlanError};
pub use soak::TRAFFIC_RUNS;

use crate::host::doctor::Row;
use crate::report::{self, Delta, Document};
use ladder::Board;

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
            choice: Choice::default(),
            limits: Limits::default(),
            host: None,
            nodes: Vec::new(),
            near: None,
            stop: Arc::default(),
        }
    }
}

/// How a rung ended.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Status {
    /// The device does what the specification says.
    Pass,
    /// It does not.
    Fail,
    /// The device does not have what the rung checks, or the rung was not chosen.
    Skip,
    /// A rung that this one needs did not pass, or the climb was ended before.
    Blocked,
}

impl Status {
    /// Returns the word that reports use.
    pub fn word(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Skip => "skip",
            Status::Blocked => "blocked",
        }
    }
}

/// The verdict on one rung.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Stable name, such as `portal.unique`.
    pub id: &'static str,
    /// Number on the ladder.
    pub rung: u8,
    /// What it does to the device.
    pub class: Class,
    /// What it proves, in a few words.
    pub title: &'static str,
    /// How it ended.
    pub status: Status,
    /// It was skipped because it was not chosen, not because the device does not have what it checks.
    pub is_left_out: bool,
    /// What was seen.
    pub evidence: Evidence,
    /// Why it did not pass.
    pub message: Option<String>,
    /// What a failure probably comes from, the likeliest first.
    pub causes: Vec<&'static str>,
    /// Registers that changed over the rung.
    pub registers: Vec<Delta>,
    /// Error status of the link that changed over the rung.
    pub aer: Vec<Delta>,
    /// What it took, in real time.
    pub elapsed: Duration,
}

/// The verdicts on all rungs, from the lowest up.
#[derive(Debug, Clone)]
pub struct Report {
    /// The device's address.
    pub device: String,
    /// The rungs.
    pub checks: Vec<Outcome>,
}

impl Report {
    /// Returns how many rungs ended with `status`.
    pub fn count(&self, status: Status) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }

    /// Tells whether the board is proved, as far as rungs were chosen: something passed, nothing failed, and nothing was
    /// blocked.
    pub fn is_good(&self) -> bool {
        self.count(Status::Pass) > 0 && self.count(Status::Fail) + self.count(Status::Blocked) == 0
    }

    /// Returns the report as data.
    pub fn document(&self, about: report::About) -> Document {
        Document {
            schema: report::SCHEMA.into(),
            device: self.device.clone(),
            about,
            checks: self.checks.iter().map(Outcome::document).collect(),
            passed: self.count(Status::Pass),
            failed: self.count(Status::Fail),
            skipped: self.count(Status::Skip),
            blocked: self.count(Status::Blocked),
        }
    }
}

impl Outcome {
    /// Returns the verdict as data.
    pub fn document(&self) -> report::Check {
        report::Check {
            id: self.id.into(),
            rung: self.rung,
            class: self.class.word().into(),
            title: self.title.into(),
            status: self.status.word().into(),
            left_out: self.is_left_out,
            seconds: self.elapsed.as_secs_f64(),
            message: self.message.clone(),
            causes: self.causes.iter().map(|cause| cause.to_string()).collect(),
            evidence: self.evidence.items.iter().map(evidence).collect(),
            registers: self.registers.clone(),
            aer: self.aer.clone(),
            series: self.evidence.series.clone(),
        }
    }
}

fn evidence((name, item): &(Cow<'static, str>, Item)) -> report::Evidence {
    report::Evidence {
        name: name.to_string(),
        value: match item {
            Item::Count(n) | Item::Hex(n) => (*n).into(),
            Item::Text(text) => text.clone().into(),
        },
        hex: matches!(item, Item::Hex(_)),
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
    End(&'a Outcome),
}
