//! Which rung of the ladder names which fault.

use std::ops::ControlFlow;
use std::time::Duration;

use hwpool::bringup::{self, Check, Options, Progress, Report, Status};
use hwpool::devices::bmu::regs;
use hwpool::sim::{Fault, FaultKind};

use crate::rig;

/// What is wrong with a board, in constants.
#[derive(Clone, Copy)]
pub(crate) struct Wrong {
    kind: FaultKind,
    register: Option<&'static str>,
    index: Option<u16>,
    nth: u64,
    times: u64,
    value: u64,
}

impl Wrong {
    pub(crate) fn kind(&self) -> FaultKind {
        self.kind
    }

    fn fault(&self) -> Fault {
        Fault {
            kind: self.kind,
            register: self.register.map(Into::into),
            index: self.index,
            nth: self.nth,
            times: self.times,
            value: self.value,
        }
    }
}

const fn always(kind: FaultKind, register: Option<&'static str>, value: u64) -> Wrong {
    Wrong {
        kind,
        register,
        index: None,
        nth: 1,
        times: 0,
        value,
    }
}

/// A fault, the rungs that fail (all others pass, or are blocked by one of these), and words of the first one's message.
pub(crate) struct Row {
    pub(crate) fault: Wrong,
    fails: &'static [&'static str],
    says: &'static str,
    /// Words of a probable cause of the first one: a true one.
    cause: &'static str,
}

#[rustfmt::skip] // a table: one fault, one line
pub(crate) const LADDER: &[Row] = &[
    row(always(FaultKind::ReadFails, Some("MAGIC"), 0), &["regs.identity"], "bus error on access of 4 bytes at 0x0", "does not complete it"),
    row(always(FaultKind::ReadFails, Some("POOL_ALLOC"), 0), &["lists.stale"], "bus error on access of 8 bytes at 0x0", "does not complete it"),
    row(always(FaultKind::ReadAllOnes, None, 0), &["regs.identity"], "MAGIC reads all ones", "left the bus"),
    row(always(FaultKind::ReadAllOnes, Some("SCRATCH"), 0), &["regs.scratch"], "SCRATCH reads 0xffffffffffffffff", "decoder behind the BAR has a hole"),
    row(always(FaultKind::ReadAllOnes, Some("POOL_ALLOC"), 0), &["lists.stale"], "outside of", "never given"),
    row(always(FaultKind::Stuck, Some("MAGIC"), 0), &["regs.identity"], "MAGIC reads 0x00000000 instead of", "not loaded"),
    row(always(FaultKind::Stuck, Some("LIVENESS"), 0), &["regs.scratch"], "LIVENESS reads", "is a constant"),
    row(always(FaultKind::Stuck, Some("VERSION"), 0), &["regs.identity"], "specification 0.0 is not known", "not filled in"),
    row(always(FaultKind::Stuck, Some("CAP_COUNTS"), 0), &["regs.identity"], "CAP_COUNTS reads 0x0, which SPEC 4.2 does not allow", "parameters outside of the specification"),
    row(always(FaultKind::Stuck, Some("CONTROL"), 0), &["regs.access"], "CONTROL reads 0x0 after 0x2 was written", "is a constant"),
    row(always(FaultKind::Stuck, Some("STATUS"), 0), &["regs.access", "reset.verified"], "STATUS.READY after a soft reset did not happen", "hangs in its reset"),
    row(always(FaultKind::Stuck, Some("POOL_CONTROL"), 0), &["lists.stale"], "refused to enable pool 0", "bit that enables the list"),
    row(always(FaultKind::Stuck, Some("PORTAL_CONTROL"), 0), &["portal.unique", "portal.dma"], "refused to enable portal 0", "bit that enables the list or the portal"),
    row(always(FaultKind::Stuck, Some("ERR_RECORD"), 0), &["lists.capacity"], "left no error record", "is a constant"),
    row(always(FaultKind::Stuck, Some("POOL_ALLOC"), 0), &["lists.single"], "gave object 0, took None", "register that takes it is not decoded"),
    row(always(FaultKind::DuplicateBuffer, Some("POOL_ALLOC"), 0), &["lists.single"], "POOL_AVAILABLE is 1 after the only buffer was taken", "hands a buffer out and keeps it"),
    row(always(FaultKind::Stuck, Some("POOL_HIGH"), 0), &["regs.access"], "POOL_HIGH[0] reads 0x0 after", "is a constant"),
    row(always(FaultKind::Stuck, Some("RESET_COUNT"), 3), &["regs.access", "reset.verified"], "RESET_COUNT stays 3", "count of resets is a constant"),
    row(always(FaultKind::LowHalfTwice, None, 0), &["regs.scratch"], "the low half came twice", "does not count the address up"),
    row(always(FaultKind::LowHalfTwice, Some("POOL_BASE"), 0), &["regs.access", "lists.stale"], "POOL_BASE[0] reads", "does not count the address up"),
    row(always(FaultKind::NarrowAddress, None, 40), &["regs.access", "lists.single"], "POOL_BASE[0] reads", "narrower inside than the device says"),
    row(always(FaultKind::DelayedDoorbell, None, 0), &["portal.unique", "portal.dma"], "entries in the acquire ring did not happen within 5ms", "doorbell did not reach"),
    row(always(FaultKind::DelayedDoorbell, None, 1_000_000_000), &["portal.unique", "portal.dma"], "entries in the acquire ring did not happen within 5ms", "doorbell did not reach"),
    row(always(FaultKind::LostInterrupt, None, 0), &["irq.vectors"], "vector 0 fired 0 times after it was raised once", "message was lost"),
    row(always(FaultKind::SpuriousInterrupt, Some("IRQ_TRIGGER"), 5), &["irq.vectors"], "vector 5 fired when 0 was raised", "nobody asked for"),
    row(always(FaultKind::DuplicateBuffer, Some("PORTAL_DOORBELL"), 0), &["portal.unique", "portal.dma"], "which is out already", "grants a buffer twice"),
    row(always(FaultKind::OutOfRangeBuffer, Some("POOL_ALLOC"), 0), &["lists.single"], "outside of", "cut off or mixed up"),
    row(always(FaultKind::OutOfRangeBuffer, Some("PORTAL_DOORBELL"), 0), &["portal.unique", "portal.dma"], "outside of", "cut off or mixed up"),
    row(always(FaultKind::MisalignedBuffer, Some("POOL_ALLOC"), 0), &["lists.single"], "64 bytes past the start of object 0", "low address bits"),
    row(always(FaultKind::StaleEntry, None, 0), &["portal.unique", "portal.dma"], "entry 0 is not in the acquire ring", "phase bit is that of another lap"),
    row(always(FaultKind::LostEntry, None, 0), &["portal.unique", "portal.dma"], "entry 0 is not in the acquire ring", "never written"),
    row(always(FaultKind::WrongCount, Some("POOL_AVAILABLE"), 1), &["regs.access", "lists.stale"], "POOL_AVAILABLE[0] reads 0x1 after reset", "register or counter"),
    row(always(FaultKind::WrongCount, Some("PORTAL_RELEASE_HEAD"), 100), &["regs.access", "portal.unique", "portal.dma"], "PORTAL_RELEASE_HEAD[0] reads 0x64 after reset", "register or counter"),
    row(always(FaultKind::WrongCount, Some("PORTAL_ACQUIRE_TAIL"), 5000), &["regs.access", "portal.unique", "portal.dma"], "PORTAL_ACQUIRE_TAIL[0] reads 0x1388 after reset", "register or counter"),
    row(always(FaultKind::DmaFault, None, 0), &["portal.unique", "portal.dma"], "DMA_FAULT", "IOMMU refused"),
    row(always(FaultKind::ResetDoesNothing, None, 0), &["regs.access", "reset.verified"], "did nothing", "not wired to the logic"),
    row(always(FaultKind::Gone, None, 0), &["regs.identity"], "all ones", "left the bus"),
    row(always(FaultKind::Gone, Some("POOL_ALLOC"), 0), &["lists.stale"], "gone", "left the bus"),
];

const fn row(
    fault: Wrong,
    fails: &'static [&'static str],
    says: &'static str,
    cause: &'static str,
) -> Row {
    Row {
        fault,
        fails,
        says,
        cause,
    }
}

fn climb(options: &str, fault: Option<Fault>) -> Report {
    let model = rig::model(options);
    if let Some(fault) = fault {
        model.inject(fault).expect("the fault can happen");
    }
    let options = Options {
        buffers: 1024,
        laps: 1,
        soak: Duration::from_millis(20),
        ..Options::default()
    };
    bringup::run(model, &options, None, |_| ControlFlow::Continue(()))
}

fn failed(report: &Report) -> Vec<&Check> {
    let checks = report.checks.iter();
    checks
        .filter(|check| check.status == Status::Fail)
        .collect()
}

#[test]
fn a_sound_board_passes() {
    for options in ["seed=1", "mode=threaded&timeout-ms=5000"] {
        let report = climb(options, None);
        assert!(report.is_good(), "{options}: {:#?}", failed(&report));
    }
}

#[test]
fn every_fault_fails_the_rung_that_it_concerns() {
    let mut wrong = Vec::new();
    for row in LADDER {
        let fault = row.fault.fault();
        let report = climb("seed=2&timeout-ms=5", Some(fault.clone()));
        let failed = failed(&report);
        let ids: Vec<&str> = failed.iter().map(|check| &*check.id).collect();
        let message = failed.first().and_then(|check| check.message.clone());
        let says = message.as_ref().is_some_and(|text| text.contains(row.says));
        let causes = failed.first().map_or(&[][..], |check| &check.causes);
        let blamed = causes.iter().any(|cause| cause.contains(row.cause));
        if ids != row.fails || !says || !blamed {
            wrong.push(format!(
                "{} on {:?}: {ids:?} instead of {:?}, saying {message:?}, not `{}`, because of {causes:?}, not `{}`",
                fault.kind.name(),
                fault.register,
                row.fails,
                row.says,
                row.cause
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Whatever a register is stuck at, and whatever an access of it leads to.
#[test]
fn every_failure_has_a_cause_and_nothing_panics() {
    let (mut wrong, mut failures) = (Vec::new(), 0);
    for register in regs::TABLE {
        for value in [0, 1, 0x55, u64::MAX] {
            let fault = Fault {
                kind: FaultKind::Stuck,
                register: Some(register.name.to_string()),
                index: None,
                nth: 1,
                times: 0,
                value,
            };
            let report = climb("seed=2&timeout-ms=5", Some(fault));
            for check in failed(&report) {
                failures += 1;
                if check.causes.is_empty() {
                    let (name, says) = (&*register.name, &check.message);
                    wrong.push(format!(
                        "{name} stuck at {value:#x}: {}: {says:?}",
                        check.id
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(failures > 100, "{failures}");
}

#[test]
fn what_the_machine_refused_is_not_the_devices_fault() {
    // One mapping is enough for all but traffic, whose threads may come one after the other.
    for (entries, least) in [("iommu-entries=0", 2), ("iommu-entries=1", 0)] {
        let report = climb(&format!("seed=2&{entries}"), None);
        let failed = failed(&report);
        assert!(failed.len() >= least, "{entries}: {failed:#?}");
        for check in failed {
            let says = check.message.as_deref().unwrap_or_default();
            let mut causes = check.causes.iter();
            assert!(
                causes.all(|cause| cause.contains("too few DMA mappings")),
                "{entries}: {}: {says}: {:?}",
                check.id,
                check.causes
            );
        }
    }
}

#[test]
fn what_a_failed_rung_leaves_does_not_fail_others() {
    let fault = Fault::new(FaultKind::DmaFault).times(1);
    let report = climb("seed=2&timeout-ms=5", Some(fault));
    let failed = failed(&report);
    let ids: Vec<&str> = failed.iter().map(|check| &*check.id).collect();
    assert_eq!(
        ids,
        ["portal.unique"],
        "the portal of the next rung is sound"
    );
}

#[test]
fn a_climb_that_is_ended_blocks_the_rungs_that_are_left() {
    let options = Options {
        buffers: 64,
        laps: 1,
        ..Options::default()
    };
    let report = bringup::run(
        rig::model("seed=1"),
        &options,
        None,
        |progress| match progress {
            Progress::End(outcome) if outcome.id == "regs.scratch" => {
                ControlFlow::Break("enough".into())
            }
            _ => ControlFlow::Continue(()),
        },
    );
    let chosen = report
        .checks
        .iter()
        .filter(|check| check.rung > 0 && check.rung != 11);
    let (run, left): (Vec<_>, Vec<_>) = chosen.partition(|check| check.rung <= 3);
    assert!(run.iter().all(|check| check.status == Status::Pass));
    let says = |check: &&Check| check.message.as_deref() == Some("enough");
    assert!(left.len() > 5 && left.iter().all(|check| check.status == Status::Blocked));
    assert!(left.iter().all(says), "{left:?}");
    assert!(!report.is_good());
}
