//! Bring-up: a ladder of checks that proves a board layer by layer.
//!
//! [`run`] climbs it. Each rung has a stable id, needs certain rungs below it, and leaves evidence: addresses, counts and
//! register values. A rung whose need did not pass is *blocked*, not run: its verdict would say nothing. The same ladder
//! runs on the model and on silicon; nothing in here knows which.
//!
//! The ladder writes to registers, resets the device and forgets what was in its lists. It touches no buffer memory:
//! pools are laid over addresses that are never mapped, since a buffer manager only stores them. Only the rings of
//! its portals are real memory.

mod evidence;
mod interrupts;
mod lists;
mod pci;
mod portal;
mod registers;
mod reset;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hwpool_devices::bus::Transport;

pub use evidence::{Evidence, Failure, Item};

use crate::device::Session;

/// What a run of the ladder may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Objects in the pool that is cycled through the rings, 64 to 2^24; fewer where the device holds fewer.
    pub buffers: u32,
    /// How often each object goes through the rings.
    pub laps: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            buffers: 4096,
            laps: 4,
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
    /// The device does not have what the rung checks.
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
    /// What it proves, in a few words.
    pub title: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was seen.
    pub evidence: Evidence,
    /// Why it did not pass.
    pub message: Option<String>,
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
        self.checks
            .iter()
            .filter(|check| check.status == status)
            .count()
    }

    /// Tells whether the board is proved: nothing failed and nothing was blocked.
    pub fn is_good(&self) -> bool {
        self.count(Status::Fail) + self.count(Status::Blocked) == 0
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

/// What the rungs work on.
struct Board<T: Transport> {
    transport: Arc<T>,
    options: Options,
    /// The driver, from the reset rung on.
    session: Option<Session<T>>,
}

impl<T: Transport> Board<T> {
    fn session(&self) -> Result<&Session<T>, Failure> {
        self.session
            .as_ref()
            .ok_or_else(|| Failure::Fail("the device was not opened".into()))
    }
}

type Check<T> = fn(&mut Board<T>, &mut Evidence) -> Result<(), Failure>;

struct Rung<T: Transport> {
    number: u8,
    id: &'static str,
    needs: &'static [&'static str],
    title: &'static str,
    check: Check<T>,
}

impl<T: Transport> Rung<T> {
    /// Makes a verdict without evidence.
    fn outcome(&self, status: Status, message: Option<String>) -> Outcome {
        Outcome {
            id: self.id,
            rung: self.number,
            title: self.title,
            status,
            evidence: Evidence::default(),
            message,
            elapsed: Duration::ZERO,
        }
    }
}

/// The ladder, from the lowest rung up.
#[rustfmt::skip] // a table: one rung, one line
fn ladder<T: Transport>() -> Vec<Rung<T>> {
    let rung = |number, id, needs, title, check| Rung { number, id, needs, title, check };
    vec![
        rung(1, "pci.function", &[], "ids, BARs, link, error status", pci::function as Check<T>),
        rung(2, "regs.identity", &["pci.function"], "magic, version, liveness", registers::identity),
        rung(3, "regs.scratch", &["regs.identity"], "every data bit", registers::scratch),
        rung(4, "regs.access", &["regs.scratch"], "reset value and access of registers", registers::access),
        rung(5, "reset.verified", &["regs.identity"], "resets that leave nothing behind", reset::verified),
        rung(6, "lists.stale", &["reset.verified"], "no buffers of a former owner", lists::stale),
        rung(7, "lists.single", &["lists.stale"], "one buffer in, the same out", lists::single),
        rung(8, "lists.capacity", &["lists.single"], "full, empty, bad frees refused", lists::capacity),
        rung(9, "portal.unique", &["lists.single"], "each buffer exactly once", portal::unique),
        rung(10, "portal.dma", &["lists.single"], "ring sizes, page borders, guards", portal::dma),
        rung(12, "irq.vectors", &["reset.verified"], "each vector exactly once", interrupts::vectors),
        rung(13, "lists.exhaustion", &["portal.unique", "irq.vectors"], "run dry and recover", lists::exhaustion),
    ]
}

/// Climbs the ladder; `progress` hears of each rung before it is run and of its outcome after. What it breaks with
/// ends the climb: the rungs that are left are blocked, for that reason.
///
/// Blocks until the last rung is done: every wait within has a deadline. The device is left reset and without the
/// right to DMA.
pub fn run<T: Transport>(
    transport: Arc<T>,
    options: &Options,
    mut progress: impl FnMut(Progress<'_>) -> ControlFlow<String>,
) -> Report {
    let device = transport.name().to_string();
    let mut board = Board {
        transport,
        options: options.clone(),
        session: None,
    };
    let mut checks: Vec<Outcome> = Vec::new();
    let mut ended = None;
    for rung in ladder() {
        let Rung { id, title, .. } = rung;
        ended = ended.or_else(|| progress(Progress::Start { id, title }).break_value());
        let outcome = match &ended {
            Some(why) => rung.outcome(Status::Blocked, Some(why.clone())),
            None => climb(&rung, &mut board, &checks),
        };
        let told = progress(Progress::End(&outcome)).break_value();
        ended = ended.or(told);
        checks.push(outcome);
    }
    if let Some(session) = board.session {
        // Best effort: what stands in the way of an orderly close was reported by the rung that met it.
        let _ = session.bmu.close();
    }
    Report { device, checks }
}

fn climb<T: Transport>(rung: &Rung<T>, board: &mut Board<T>, below: &[Outcome]) -> Outcome {
    let started = Instant::now();
    let mut evidence = Evidence::default();
    let passed = |id: &str| below.iter().any(|c| c.id == id && c.status == Status::Pass);
    let (status, message) = match rung.needs.iter().find(|need| !passed(need)) {
        Some(need) => (
            Status::Blocked,
            Some(format!("needs {need}, which did not pass")),
        ),
        None => match (rung.check)(board, &mut evidence) {
            Ok(()) => (Status::Pass, None),
            Err(Failure::Skip(why)) => (Status::Skip, Some(why)),
            Err(Failure::Fail(why)) => (Status::Fail, Some(why)),
        },
    };
    Outcome {
        evidence,
        elapsed: started.elapsed(),
        ..rung.outcome(status, message)
    }
}
