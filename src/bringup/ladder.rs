//! The rungs, and how they are climbed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hwpool_devices::bmu::Bmu;
use hwpool_devices::bus::Transport;
use hwpool_devices::family::Choice as DriverChoice;

use super::causes::causes;
use super::choice::Named;
use super::deltas::Snapshot;
use super::owner::{self, Kill};
use super::{Choice, Class, Evidence, Failure, NoRung, Options, Outcome, Progress, Report, Status};
use super::{host, interrupts, lists, pci, portal, registers, reset, soak, unmapped};
use crate::device;
use crate::dma::Domain;

/// A BMU that was opened.
pub(super) struct Session<T: Transport> {
    pub(super) bmu: Arc<Bmu<T>>,
    pub(super) domain: Arc<Domain<T>>,
}

impl<T: Transport> Session<T> {
    pub(super) fn open(transport: Arc<T>) -> Result<Session<T>, Failure> {
        let session = device::Session::open(transport, &DriverChoice::Named("bmu".into()))?;
        let not_ours = || Failure::Fail("the device is no BMU".into());
        Ok(Session {
            bmu: session.driver_as().ok_or_else(not_ours)?,
            domain: session.domain,
        })
    }
}

/// What the rungs work on.
pub(super) struct Board<'a, T: Transport> {
    pub(super) options: Options,
    /// Gone only while another process has the device, and for good when it could not be opened after.
    pub(super) transport: Option<Arc<T>>,
    /// The driver, from the reset rung on.
    pub(super) session: Option<Session<T>>,
    pub(super) kill: Option<Kill<'a, T>>,
}

impl<T: Transport> Board<'_, T> {
    pub(super) fn session(&self) -> Result<&Session<T>, Failure> {
        let session = self.session.as_ref();
        session.ok_or_else(|| Failure::Fail("the device was not opened".into()))
    }

    pub(super) fn transport(&self) -> Result<&Arc<T>, Failure> {
        let transport = self.transport.as_ref();
        transport.ok_or_else(|| Failure::Fail("the device was not opened again".into()))
    }

    /// Fails where somebody ends the climb; `done` says how far the rung got.
    pub(super) fn go_on(&self, done: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.options.stop.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Failure::Ended(format!(
                "ended {}; nothing was wrong until then",
                done()
            ))),
        }
    }

    fn snapshot(&self, known: bool) -> Snapshot {
        let transport = self.transport.as_deref();
        transport.map_or_else(Snapshot::default, |t| Snapshot::take(t, known))
    }
}

type Check<T> = for<'a, 'b> fn(&'a mut Board<'b, T>, &'a mut Evidence) -> Result<(), Failure>;

struct Rung<T: Transport> {
    named: Named,
    title: &'static str,
    check: Check<T>,
}

/// The ladder, from the lowest rung up.
#[rustfmt::skip] // a table: one rung, one line
fn ladder<T: Transport>() -> Vec<Rung<T>> {
    use Class::{Disruptive, OptIn, ReadOnly, SafeWrite};
    let rung = |number, id, class, needs, title, check| Rung { named: Named { number, id, class, needs }, title, check };
    vec![
        rung(0, "host.ready", ReadOnly, &[], "nothing in the machine is in the way", host::ready as Check<T>),
        rung(1, "pci.function", ReadOnly, &[], "ids, BARs, link, error status", pci::function),
        rung(2, "regs.identity", ReadOnly, &["pci.function"], "magic and version", registers::identity),
        rung(3, "regs.scratch", SafeWrite, &["regs.identity"], "liveness, every data bit", registers::scratch),
        rung(4, "regs.access", Disruptive, &["regs.scratch"], "reset value and access of registers", registers::access),
        rung(5, "reset.verified", Disruptive, &["regs.scratch"], "resets that leave nothing behind", reset::verified),
        rung(6, "lists.stale", Disruptive, &["reset.verified"], "no buffers of a former owner", lists::stale),
        rung(7, "lists.single", Disruptive, &["lists.stale"], "one buffer in, the same out", lists::single),
        rung(8, "lists.capacity", Disruptive, &["lists.single"], "full, empty, bad frees refused", lists::capacity),
        rung(9, "portal.unique", Disruptive, &["lists.single"], "each buffer exactly once", portal::unique),
        rung(10, "portal.dma", Disruptive, &["lists.single"], "ring sizes, page borders, guards", portal::dma),
        rung(11, "dma.unmapped", OptIn, &["portal.dma"], "DMA to nowhere is reported", unmapped::reported),
        rung(12, "irq.vectors", Disruptive, &["reset.verified"], "each vector exactly once", interrupts::vectors),
        rung(13, "lists.exhaustion", Disruptive, &["portal.unique", "irq.vectors"], "run dry and recover", lists::exhaustion),
        rung(14, "owner.killed", Disruptive, &["lists.capacity", "portal.unique"], "in order after its owner was killed", owner::killed),
        rung(15, "soak.traffic", Disruptive, &["portal.unique"], "traffic, latency, throughput", soak::traffic),
    ]
}

/// Returns the ids of all rungs, from the lowest up.
pub fn ids() -> Vec<&'static str> {
    // Of whatever transport: the table is the same.
    let rungs = ladder::<crate::sim::InProcess>();
    rungs.iter().map(|rung| rung.named.id).collect()
}

/// Returns number, id, class and title of all rungs, from the lowest up.
pub fn rungs() -> Vec<(u8, &'static str, Class, &'static str)> {
    let rungs = ladder::<crate::sim::InProcess>().into_iter();
    let row = |rung: Rung<_>| {
        (
            rung.named.number,
            rung.named.id,
            rung.named.class,
            rung.title,
        )
    };
    rungs.map(row).collect()
}

impl Choice {
    /// Finds out whether all its names are names of rungs.
    ///
    /// # Errors
    ///
    /// [`NoRung`], with the names that there are.
    pub fn validate(&self) -> Result<(), NoRung> {
        let rungs = ladder::<crate::sim::InProcess>();
        self.check(&rungs.iter().map(|rung| rung.named).collect::<Vec<_>>())
    }
}

/// Climbs the ladder; `progress` hears of each rung before it is run and of its outcome after. What it breaks with
/// ends the climb: the rungs that are left are blocked, for that reason. Rungs that were not chosen are skipped, and
/// nobody hears of them. `kill` is what rung 14 needs; without it that rung is skipped.
///
/// Blocks until the last rung is done: every wait within has a deadline. The device is left reset and without the
/// right to DMA, unless no rung was chosen that writes to it: then it is left as it was.
pub fn run<'a, T: Transport>(
    transport: Arc<T>,
    options: &Options,
    kill: Option<Kill<'a, T>>,
    mut progress: impl FnMut(Progress<'_>) -> ControlFlow<String>,
) -> Report {
    let device = transport.name().to_string();
    let mut board = Board {
        options: options.clone(),
        transport: Some(transport),
        session: None,
        kill,
    };
    let rungs = ladder();
    let names: Vec<Named> = rungs.iter().map(|rung| rung.named).collect();
    let mut checks: Vec<Outcome> = Vec::new();
    let mut ended = None;
    for rung in rungs {
        if let Some(why) = options.choice.excludes(&rung.named, &names) {
            checks.push(Outcome {
                is_left_out: true,
                ..rung.outcome(Status::Skip, Some(why))
            });
            continue;
        }
        let (id, title) = (rung.named.id, rung.title);
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

impl<T: Transport> Rung<T> {
    /// Makes a verdict without evidence.
    fn outcome(&self, status: Status, message: Option<String>) -> Outcome {
        Outcome {
            id: self.named.id,
            rung: self.named.number,
            class: self.named.class,
            title: self.title,
            status,
            is_left_out: false,
            evidence: Evidence::default(),
            message,
            causes: Vec::new(),
            registers: Vec::new(),
            aer: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }
}

fn climb<T: Transport>(rung: &Rung<T>, board: &mut Board<'_, T>, below: &[Outcome]) -> Outcome {
    if let Some(why) = missing(rung, board, below) {
        return rung.outcome(Status::Blocked, Some(why));
    }
    let known = |below: &[Outcome]| passed(below, "regs.identity");
    let before = board.snapshot(known(below));
    let started = Instant::now();
    let mut evidence = Evidence::default();
    let result = (rung.check)(board, &mut evidence);
    let elapsed = started.elapsed();
    let limits = &board.options.limits;
    let result = result.and_then(|()| limits.judge(rung.named.id, &evidence, elapsed));
    let (status, message) = match result {
        Ok(()) => (Status::Pass, None),
        Err(Failure::Skip(why)) => (Status::Skip, Some(why)),
        Err(Failure::Fail(why)) => (Status::Fail, Some(why)),
        Err(Failure::Ended(why)) => (Status::Blocked, Some(why)),
    };
    let (registers, aer) = before.changes(&board.snapshot(known(below)));
    let failed = message.as_deref().filter(|_| status == Status::Fail);
    Outcome {
        evidence,
        elapsed,
        registers,
        aer,
        causes: failed.map_or_else(Vec::new, |message| causes(rung.named.id, message)),
        ..rung.outcome(status, message)
    }
}

/// Returns what keeps a rung from being run.
fn missing<T: Transport>(
    rung: &Rung<T>,
    board: &Board<'_, T>,
    below: &[Outcome],
) -> Option<String> {
    if board.transport.is_none() {
        return Some("the device could not be opened again".into());
    }
    let need = rung.named.needs.iter().find(|need| !is_met(below, need))?;
    Some(format!("needs {need}, which did not pass"))
}

/// Tells whether a rung passed, or found that the device does not have what it checks: then those above it do without.
fn is_met(below: &[Outcome], id: &str) -> bool {
    let check = below.iter().find(|check| check.id == id);
    check.is_some_and(|check| match check.status {
        Status::Pass => true,
        Status::Skip => !check.is_left_out,
        Status::Fail | Status::Blocked => false,
    })
}

fn passed(below: &[Outcome], id: &str) -> bool {
    below
        .iter()
        .any(|check| check.id == id && check.status == Status::Pass)
}
