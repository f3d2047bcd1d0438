//! The ladder on the model of the FIFO: which rung names which fault, and from what it comes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use hwpool::bringup::{self, Check, Options, Report, Status};
use hwpool::device::AnyTransport;
use hwpool::sim::{Fault, FaultKind, InProcess};

fn model(options: &str) -> Arc<InProcess> {
    match AnyTransport::open(&format!("sim:fifo{options}")).expect("the model opens") {
        AnyTransport::Sim(model) => model,
        other => panic!("sim: opens a model, not {other:?}"),
    }
}

fn climb(model: &Arc<InProcess>) -> Report {
    let options = Options {
        soak: Duration::from_millis(20),
        ..Options::default()
    };
    bringup::run(model.clone(), &options, None, |_| ControlFlow::Continue(()))
}

fn failed(report: &Report) -> Vec<&Check> {
    let is_failed = |check: &&Check| check.status == Status::Fail;
    report.checks.iter().filter(is_failed).collect()
}

#[test]
fn every_depth_passes() {
    for depth in [1, 2, 4, 63, 64, 1024, 5000, 1 << 24] {
        let report = climb(&model(&format!("?depth={depth}")));
        assert!(failed(&report).is_empty(), "{depth}: {report:#?}");
        assert!(report.is_good(), "{depth}");
        let ids: Vec<&str> = report.checks.iter().map(|check| &*check.id).collect();
        assert!(!ids.contains(&"portal.unique"), "no rung of another kind");
    }
}

/// A fault, the rungs that fail, and words of the first one's message and of a true cause.
type Row = (
    FaultKind,
    Option<&'static str>,
    u64,
    &'static [&'static str],
    &'static str,
    &'static str,
);

#[rustfmt::skip] // a table: one fault, one line
const FAULTS: &[Row] = &[
    (FaultKind::Stuck, Some("IDENTITY"), 0, &["regs.identity"], "IDENTITY reads 0x00000000 instead of 0x4f464946", "not loaded"),
    (FaultKind::Stuck, Some("VERSION"), 0, &["regs.identity"], "specification 0.0 is not known", "not filled in"),
    (FaultKind::Stuck, Some("SCRATCH"), 0, &["regs.scratch"], "SCRATCH reads 0x00000000 after 0x00000001 was written", "data line is stuck"),
    (FaultKind::Stuck, Some("DEPTH"), 0, &["regs.identity"], "DEPTH reads 0x0, which SPEC 3 does not allow", "not filled in"),
    (FaultKind::Stuck, Some("RESET_COUNT"), 7, &["regs.access", "reset.verified"], "RESET_COUNT reads 7 before and after", "count of resets is a constant"),
    (FaultKind::Stuck, Some("STATUS"), 0, &["regs.access", "reset.verified"], "STATUS.READY after a reset did not happen", "hangs in its reset"),
    (FaultKind::ResetDoesNothing, None, 0, &["regs.access", "reset.verified"], "did nothing", "not wired to the logic"),
    (FaultKind::ReadAllOnes, Some("POP"), 0, &["lists.stale"], "handed out number", "never given"),
    (FaultKind::OutOfRangeBuffer, Some("POP"), 0, &["lists.single"], "handed out number", "never given"),
    (FaultKind::DuplicateBuffer, Some("POP"), 0, &["lists.single"], "which is out already", "grants a buffer twice"),
    (FaultKind::LostEntry, Some("PUSH"), 0, &["lists.single"], "LEVEL is 0 after one free into an empty list", "count of buffers is not kept"),
    (FaultKind::WrongCount, Some("LEVEL"), 1, &["regs.access", "reset.verified"], "LEVEL reads 0x1 after a reset instead of 0x0", "reset does not reach this register"),
    (FaultKind::Stuck, Some("ERROR"), 0, &["lists.capacity"], "set ERROR to 0x0 instead of", "does not check what is pushed"),
    (FaultKind::ReadAllOnes, Some("POP"), 0, &["lists.stale"], "is empty and hands something out", "a take from an empty list is not refused"),
    (FaultKind::LostInterrupt, None, 0, &["irq.vectors"], "fired 0 times", "message was lost"),
    (FaultKind::Gone, Some("LEVEL"), 0, &["regs.scratch"], "device is gone", "left the bus"),
];

#[test]
fn each_fault_is_named_by_a_rung_with_its_cause() {
    let mut wrong = Vec::new();
    for &(kind, register, value, fails, says, cause) in FAULTS {
        let model = model("?depth=64");
        let fault = Fault {
            register: register.map(Into::into),
            value,
            ..Fault::new(kind).times(0)
        };
        let told = format!("{fault:?}");
        model.inject(fault).expect("the fault can happen");
        let report = climb(&model);
        let failed = failed(&report);
        let ids: Vec<&str> = failed.iter().map(|check| &*check.id).collect();
        let first = failed
            .first()
            .unwrap_or_else(|| panic!("{told}: nothing failed"));
        let message = first.message.as_deref().unwrap_or_default();
        let causes = first.causes.join("; ");
        if !(ids == fails && message.contains(says) && causes.contains(cause)) {
            wrong.push(format!(
                "{told}: {ids:?} says `{message}`, causes `{causes}`"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_interrupt_that_comes_once_and_never_again_is_told_from_one_that_never_comes() {
    let model = model("?depth=64");
    let fault = Fault::new(FaultKind::LostInterrupt).times(0).from(2);
    model.inject(fault).expect("a fault that can happen");
    let report = climb(&model);
    let failed = failed(&report);
    let message = failed[0].message.as_deref().unwrap_or_default();
    assert!(
        message.contains("fired once, and 0 times when its event was cleared"),
        "{message}"
    );
    assert!(failed[0].causes[0].contains("the line stays at 1"));
}

#[test]
fn an_event_whose_message_is_lost_is_no_late_comparison() {
    let mut seen = 0;
    for nth in 2..8 {
        let model = model("?depth=64");
        let fault = Fault {
            times: 1,
            ..Fault::new(FaultKind::LostInterrupt).from(nth)
        };
        model.inject(fault).expect("a fault that can happen");
        let report = climb(&model);
        for check in failed(&report) {
            let message = check.message.as_deref().unwrap_or_default();
            if check.id == "lists.exhaustion" {
                seen += 1;
                assert!(message.contains("raised 0 interrupts"), "{nth}: {message}");
            }
        }
    }
    assert!(seen > 0, "the rung of the threshold lost no message");
}
