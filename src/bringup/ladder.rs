//! How the rungs are climbed, and how a failure is judged.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use hwpool_devices::bus::{BusError, Transport};

use super::choice::Named;
use super::deltas::Snapshot;
use super::general::{self, Kill, device};
use super::rung::{Board, Rung};
use super::symptom::{Blame, Symptom, message};
use super::{Choice, Class, Evidence, Failure, NoRung, Options, Progress, bmu};
use crate::report::{Check, Report, Status};

/// Returns the ladder from the lowest rung up: the general rungs, and those of the module that drives the device.
fn ladder<T: Transport>() -> Vec<Rung<T>> {
    let mut rungs = general::rungs();
    rungs.extend(bmu::rungs());
    rungs.sort_by_key(|rung| rung.named.number);
    rungs
}

/// Returns the names of all rungs, from the lowest up.
fn names() -> Vec<Named> {
    // Of whatever transport: the table is the same.
    let rungs = ladder::<crate::sim::InProcess>();
    rungs.iter().map(|rung| rung.named).collect()
}

/// Returns the ids of all rungs, from the lowest up.
pub fn ids() -> Vec<&'static str> {
    names().iter().map(|named| named.id).collect()
}

/// Returns number, id, class and title of all rungs, from the lowest up.
pub fn rungs() -> Vec<(u8, &'static str, Class, &'static str)> {
    let row = |Rung { named, title, .. }: Rung<_>| (named.number, named.id, named.class, title);
    let rungs = ladder::<crate::sim::InProcess>().into_iter();
    rungs.map(row).collect()
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

/// Climbs the ladder; `progress` hears of each rung before it is run and of its verdict after. What it breaks with
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
    let rungs = ladder();
    let mut climb = Climb::new(transport, options.clone(), kill, &rungs);
    for rung in &rungs {
        if let Some(why) = options.choice.excludes(&rung.named, &climb.names) {
            let check = verdict(rung, Status::Skip, Some(why));
            climb.checks.push(Check {
                left_out: true,
                ..check
            });
            continue;
        }
        let (id, title) = (rung.named.id, rung.title);
        climb.end(progress(Progress::Start { id, title }));
        let check = climb.check(rung);
        climb.end(progress(Progress::End(&check)));
        climb.checks.push(check);
    }
    if let Some(session) = climb.board.session {
        // Best effort: what stands in the way of an orderly close was reported by the rung that met it.
        let _ = session.bmu.close();
    }
    Report::new(&device, climb.checks)
}

/// A climb under way.
struct Climb<'a, T: Transport> {
    board: Board<'a, T>,
    names: Vec<Named>,
    /// The verdicts on the rungs below.
    checks: Vec<Check>,
    /// Why no rung is run any more.
    ended: Option<String>,
}

impl<'a, T: Transport> Climb<'a, T> {
    fn new(
        transport: Arc<T>,
        options: Options,
        kill: Option<Kill<'a, T>>,
        rungs: &[Rung<T>],
    ) -> Climb<'a, T> {
        let again = rungs.iter().filter(|rung| rung.again);
        let again = again.map(|rung| (rung.named.id, rung.check)).collect();
        Climb {
            board: Board {
                options,
                transport: Some(transport),
                session: None,
                kill,
                again,
            },
            names: rungs.iter().map(|rung| rung.named).collect(),
            checks: Vec::new(),
            ended: None,
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
            Err(Failure::Fail(symptom)) => self.judge(rung, &*symptom),
        };
        let (registers, aer) = before.changes(&self.snapshot());
        Check {
            evidence: evidence.items,
            series: evidence.series,
            seconds: elapsed.as_secs_f64(),
            registers,
            aer,
            ..check
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
        let causes = blame.causes().iter().map(|cause| (*cause).into());
        Check {
            causes: causes.collect(),
            ..verdict(rung, Status::Fail, Some(text))
        }
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
        match device::witness(transport) {
            Ok((register, u32::MAX)) => Some(format!("{register} reads all ones")),
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
        let known = self.is_identified();
        transport.map_or_else(Snapshot::default, |transport| {
            Snapshot::take(transport, known)
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

    /// Tells whether a rung passed, or found that the device does not have what it checks: then those above it do
    /// without.
    fn is_met(&self, id: &str) -> bool {
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
