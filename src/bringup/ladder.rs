//! How the rungs are climbed, and how a failure is judged.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hwpool_devices::bus::{BusError, Transport};
use hwpool_devices::family::{Choice as DriverChoice, Recognition, Rejected};
use hwpool_devices::{modules, pci};

use super::choice::Named;
use super::deltas::Snapshot;
use super::general;
use super::rung::{Board, Kill, Rung};
use super::symptom::{Blame, SERVER_ENDED, Symptom, message};
use super::within::{Budget, Timed};
use super::{Choice, Class, Evidence, Failure, NoRung, Options, Progress, described, own};
use crate::device::{AnyModule, recognition};
use crate::report::{Check, Report, Status};

/// The time of a climb that is told none, beside its traffic.
const WITHIN: Duration = Duration::from_secs(1800);

/// Returns the ladder from the lowest rung up: the general rungs, where `own` has none of the same id, and those.
fn ladder<T: Transport>(own: Vec<Rung<T>>) -> Vec<Rung<T>> {
    let mut rungs = own;
    for rung in general::rungs() {
        if rungs.iter().all(|own| own.named.id != rung.named.id) {
            rungs.push(rung);
        }
    }
    rungs.sort_by_key(|rung| rung.named.number);
    rungs
}

/// Returns every rung that some kind of device has, each once, from the lowest up.
fn every_rung() -> Vec<Rung<crate::sim::InProcess>> {
    // Of whatever transport: the tables are the same.
    let mut rungs = ladder(own::all_rungs());
    rungs.dedup_by_key(|rung| rung.named.id);
    rungs
}

/// Returns the names of all rungs, from the lowest up.
fn names() -> Vec<Named> {
    every_rung().iter().map(|rung| rung.named).collect()
}

/// Returns the ids of all rungs, from the lowest up.
pub fn ids() -> Vec<&'static str> {
    names().iter().map(|named| named.id).collect()
}

/// Returns number, id, class and title of all rungs, from the lowest up.
pub fn rungs() -> Vec<(u8, &'static str, Class, &'static str)> {
    every_rung().into_iter().map(row).collect()
}

/// Returns the same of the rungs that a device is climbed by which a module drives: `bmu`, `fifo` or `described`.
pub fn rungs_of(module: &str) -> Vec<(u8, &'static str, Class, &'static str)> {
    let rungs: Vec<Rung<crate::sim::InProcess>> = ladder(own::rungs(module));
    rungs.into_iter().map(row).collect()
}

fn row<T: Transport>(rung: Rung<T>) -> (u8, &'static str, Class, &'static str) {
    (
        rung.named.number,
        rung.named.id,
        rung.named.class,
        rung.title,
    )
}

impl Choice {
    /// Finds out whether all its names are names of rungs.
    ///
    /// # Errors
    ///
    /// [`NoRung`], with the names that there are.
    pub fn validate(&self) -> Result<(), NoRung> {
        self.check(&names())
    }
}

/// Climbs the ladder; `progress` hears of each rung before it is run, of what is to blame where it fails, and of its verdict after. What it breaks with
/// ends the climb: the rungs that are left are blocked, for that reason. Of a rung that was not chosen it hears the verdict
/// alone, which is that it was skipped, and why. `kill` is what rung 14 needs; without it that rung is skipped.
///
/// Blocks until the last rung is done: every wait within has a deadline, and after [`Options::within`] what is left is
/// blocked. The device is left reset and without the
/// right to DMA, unless no rung was chosen that writes to it: then it is left as it was.
pub fn run<'a, T: Transport>(
    transport: Arc<T>,
    options: &Options,
    kill: Option<Kill<'a, T>>,
    mut progress: impl FnMut(Progress<'_>) -> ControlFlow<String>,
) -> Report {
    let device = transport.name().to_string();
    let within = options.within.unwrap_or(WITHIN);
    let budget = Budget::new(within, transport.now());
    let transport = Timed::new(transport, budget.clone());
    let kill = kill.map(|kill| timed(kill, budget.clone()));
    let module = module(&*transport, &options.driver);
    let own = module
        .as_ref()
        .map(|module| own::rungs(module.about().module));
    let rungs = ladder(own.unwrap_or_default());
    let board = Board {
        options: options.clone(),
        transport: Some(transport),
        module,
        session: None,
        kill,
        again: Vec::new(),
        budget,
    };
    let mut climb = Climb::new(board, &rungs);
    for rung in &rungs {
        if let Some(why) = options.choice.excludes(&rung.named, &climb.names) {
            let check = Check {
                left_out: true,
                ..verdict(rung, Status::Skip, Some(why))
            };
            climb.end(progress(Progress::End(&check)));
            climb.checks.push(check);
            continue;
        }
        let (id, title) = (rung.named.id, rung.title);
        climb.end(progress(Progress::Start { id, title }));
        let check = climb.check(rung);
        if let Some(blame) = climb.blame.take() {
            climb.end(progress(Progress::Failed(blame)));
        }
        climb.end(progress(Progress::End(&check)));
        climb.checks.push(check);
    }
    climb.board.budget.lift();
    if let Some(session) = climb.board.session {
        // Best effort: what stands in the way of an orderly close was reported by the rung that met it.
        let _ = session.driver.close();
    }
    Report::new(&device, climb.checks)
}

/// Hands a killer of owners the transport that it knows.
fn timed<'a, T: Transport>(mut kill: Kill<'a, T>, budget: Arc<Budget>) -> Kill<'a, Timed<T>> {
    Box::new(move |transport, evidence| {
        let left = transport.left();
        let (opened, result) = kill(transport.into_inner(), evidence);
        let opened = opened.map(|opened| Timed::reopened(&budget, left, opened));
        (opened, result)
    })
}

/// What is known of the kind of device, or why no module knows it.
type Known<T> = Result<Arc<AnyModule<T>>, Vec<Rejected>>;

/// Finds the module whose ladder is climbed: the one that is named, else the one that uses the device's ids, which a rung
/// then holds against what the device says, else the one that the device itself tells.
fn module<T: Transport>(transport: &T, choice: &DriverChoice) -> Known<T> {
    let by_ids = || {
        let ids = pci::identity(transport).ok()?;
        Some(modules::by_ids(ids.vendor, ids.device)?.name)
    };
    let choice = match (choice, by_ids()) {
        (DriverChoice::Recognised, Some(name)) => DriverChoice::Named(name.into()),
        (choice, _) => choice.clone(),
    };
    match recognition(transport, &choice) {
        Ok(Recognition::Known(module)) => Ok(module),
        Ok(Recognition::Unknown(rejected)) => Err(rejected),
        // Nobody answers: the first rung says so.
        Err(_) => Err(Vec::new()),
    }
}

/// A climb under way.
struct Climb<'a, T: Transport> {
    board: Board<'a, T>,
    names: Vec<Named>,
    /// The verdicts on the rungs below.
    checks: Vec<Check>,
    /// Why no rung is run any more.
    ended: Option<String>,
    /// What is to blame for a failure that nobody was told of yet.
    blame: Option<Blame>,
}

impl<'a, T: Transport> Climb<'a, T> {
    fn new(mut board: Board<'a, T>, rungs: &[Rung<T>]) -> Climb<'a, T> {
        let again = rungs.iter().filter(|rung| rung.again);
        board.again = again.map(|rung| (rung.named.id, rung.check)).collect();
        Climb {
            board,
            names: rungs.iter().map(|rung| rung.named).collect(),
            checks: Vec::new(),
            ended: None,
            blame: None,
        }
    }

    /// Runs no rung any more where somebody breaks. The first reason stays.
    fn end(&mut self, flow: ControlFlow<String>) {
        self.ended = self.ended.take().or(flow.break_value());
    }

    /// Runs a rung, unless something keeps it from being run.
    fn check(&mut self, rung: &Rung<T>) -> Check {
        if let Some(why) = self.ended.clone().or_else(|| self.missing(rung)) {
            return verdict(rung, Status::Blocked, Some(why));
        }
        let before = self.snapshot();
        self.board.budget.take_reads();
        let started = Instant::now();
        let mut evidence = Evidence::default();
        let result = (rung.check)(&mut self.board, &mut evidence);
        let elapsed = started.elapsed();
        let limits = &self.board.options.limits;
        let result = result.and_then(|()| limits.judge(rung.named.id, &evidence, elapsed));
        let check = match result {
            Ok(()) => verdict(rung, Status::Pass, None),
            Err(Failure::Skip(why)) => verdict(rung, Status::Skip, Some(why)),
            Err(Failure::Ended(why)) => verdict(rung, Status::Blocked, Some(why)),
            Err(Failure::Fail(symptom)) if self.board.budget.is_over() => {
                self.too_slow(rung, &*symptom, elapsed)
            }
            Err(Failure::Fail(symptom)) => self.judge(rung, &*symptom),
        };
        let (registers, aer) = before.changes(&self.snapshot());
        let check = match self.board.budget.is_over() {
            true => check,
            false => self.unless_gone(rung, check),
        };
        Check {
            evidence: evidence.items,
            series: evidence.series,
            seconds: elapsed.as_secs_f64(),
            registers,
            aer,
            ..check
        }
    }

    /// Ends the climb in a rung that was not done when its time was over: says what is slow.
    fn too_slow(&mut self, rung: &Rung<T>, symptom: &dyn Symptom, elapsed: Duration) -> Check {
        let (id, within) = (rung.named.id, self.board.budget.within());
        let ended = format!(
            "the climb's time was over in {id}: --within {}",
            within.as_secs_f64()
        );
        self.end(ControlFlow::Break(ended.clone()));
        let reads = self.board.budget.take_reads();
        let mut text = format!(
            "{ended}: {id} ran for {elapsed:.1?}, with {} reads, the slowest of {:?}",
            reads.count, reads.slowest
        );
        if let Some(session) = &self.board.session {
            let timeout = session.driver.identity().limits.timeout;
            text += &format!("; the device says that it may take {timeout:?} for what it does");
        }
        if let Some(slowest) = (self.checks.iter()).max_by(|a, b| a.seconds.total_cmp(&b.seconds)) {
            text += &format!("; {} took {:.1} s before", slowest.id, slowest.seconds);
        }
        text += &format!("; under way was: {}", message(symptom));
        verdict(rung, Status::Blocked, Some(text))
    }

    /// Takes a good verdict back where the device left meanwhile and no access told. The rungs that need none look for
    /// themselves.
    fn unless_gone(&mut self, rung: &Rung<T>, check: Check) -> Check {
        let is_good = matches!(check.status, Status::Pass | Status::Skip);
        if !is_good || rung.named.needs.is_empty() {
            return check;
        }
        match self.silence() {
            None => check,
            Some(evidence) => self.judge(rung, &BusError::Gone { evidence }),
        }
    }

    /// Judges a failure, of any rung: a device that is gone has no other fault, and what the machine refused is not the
    /// device's.
    fn judge(&mut self, rung: &Rung<T>, symptom: &dyn Symptom) -> Check {
        let mut text = message(symptom);
        let mut blame = symptom.blame();
        if blame != Blame::Gone
            && let Some(evidence) = self.silence()
        {
            blame = Blame::Gone;
            text = format!("device is gone: {evidence}; before that: {text}");
        }
        if blame == Blame::Gone {
            let id = rung.named.id;
            let gone = format!("the device is gone, as {id} found");
            self.end(ControlFlow::Break(gone));
        }
        self.blame = Some(blame);
        let keys = match (blame, self.board.described()) {
            (Blame::Device(_), Some(_)) => described::keys(rung.named.id, symptom),
            _ => &[],
        };
        let told = match blame == Blame::Gone && self.has_lost_its_server() {
            true => SERVER_ENDED,
            false => blame.causes(),
        };
        let causes = keys.iter().chain(told);
        let causes = causes.map(|cause| (*cause).into());
        Check {
            causes: causes.collect(),
            ..verdict(rung, Status::Fail, Some(text))
        }
    }

    /// Tells whether the device was behind a socket, and what served it has ended.
    fn has_lost_its_server(&self) -> bool {
        self.board.transport.as_deref().is_some_and(|transport| {
            let is_served = transport.name().starts_with("user:");
            is_served && matches!(transport.config_read32(0), Err(BusError::Gone { .. }))
        })
    }

    /// Looks whether the device answers still, where that can be told: returns what shows that it does not.
    fn silence(&self) -> Option<String> {
        let transport = self.board.transport.as_deref()?;
        let gone = |error| match error {
            BusError::Gone { evidence } => Some(evidence),
            _ => None,
        };
        match transport.config_read32(0) {
            Ok(u32::MAX) => return Some("its vendor id reads all ones".into()),
            Ok(_) => {}
            Err(error) => return gone(error),
        }
        if !self.is_identified() {
            return None;
        }
        let register = self.board.module.as_ref().ok()?.about().alive;
        let read = |bar| register.read_raw(&bar, 0);
        match transport.bar(register.bar()).and_then(read) {
            Ok(value) if value == register.all_ones() => {
                Some(format!("{} reads all ones", register.name))
            }
            Ok(_) => None,
            Err(error) => gone(error),
        }
    }

    /// Tells whether the device was found to be what the module drives, so that its registers mean something.
    fn is_identified(&self) -> bool {
        let identified = |check: &Check| check.id == general::IDENTITY;
        let check = self.checks.iter().find(|check| identified(check));
        check.is_some_and(|check| check.status == Status::Pass)
    }

    fn snapshot(&self) -> Snapshot {
        let transport = self.board.transport.as_deref();
        let watched = match (&self.board.module, self.is_identified()) {
            (Ok(module), true) => module.about().watched,
            _ => &[],
        };
        transport.map_or_else(Snapshot::default, |transport| {
            Snapshot::take(transport, watched)
        })
    }

    /// Returns what keeps a rung from being run.
    fn missing(&self, rung: &Rung<T>) -> Option<String> {
        if self.board.transport.is_none() {
            return Some("the device could not be opened again".into());
        }
        let need = rung.named.needs.iter().find(|need| !self.is_met(need))?;
        Some(format!("needs {need}, which did not pass"))
    }

    /// Tells whether a rung passed, or found that the device does not have what it checks, or is none of this device's
    /// ladder: then those above it do without.
    fn is_met(&self, id: &str) -> bool {
        if self.names.iter().all(|named| named.id != id) {
            return true;
        }
        let check = self.checks.iter().find(|check| check.id == id);
        check.is_some_and(|check| match check.status {
            Status::Pass => true,
            Status::Skip => !check.left_out,
            Status::Fail | Status::Blocked | Status::Unknown => false,
        })
    }
}

/// Makes a verdict without evidence.
fn verdict<T: Transport>(rung: &Rung<T>, status: Status, message: Option<String>) -> Check {
    Check {
        id: rung.named.id.into(),
        rung: rung.named.number,
        class: rung.named.class.word().into(),
        title: rung.title.into(),
        status,
        message,
        ..Check::default()
    }
}
