//! A device that leaves at any access of a climb is told as gone, in the rung where it left, and as nothing else.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use hwpool::bringup::{self, Check, Progress, Report, Status};

use crate::rig;
use crate::rig::edge::{Edged, Trouble};

/// What a climb came to.
struct Climb {
    report: Report,
    /// The number of the last access of each rung.
    ends: Vec<u64>,
    has_left: bool,
}

/// Climbs a device that leaves at its `nth` access.
fn climb(kind: &str, options: &str, nth: u64) -> Climb {
    let model = rig::model_of(kind, options);
    let edged = Arc::new(Edged::new(model, Trouble::Leaves(nth)));
    let options = rig::brief();
    let mut ends = Vec::new();
    let report = bringup::run(edged.clone(), &options, None, |progress| {
        if let Progress::End(_) = progress {
            ends.push(edged.accesses());
        }
        ControlFlow::Continue(())
    });
    let has_left = edged.has_struck();
    Climb {
        report,
        ends,
        has_left,
    }
}

/// Says how the report of a device that left at its `nth` access differs from what it should be.
fn wrong(climb: &Climb, nth: u64) -> Option<String> {
    let Climb { report, ends, .. } = climb;
    // What is read between rungs and by none belongs to the next one.
    let left_in = ends.iter().position(|end| nth <= *end)?;
    let may_tell = report.checks[left_in..]
        .iter()
        .filter(|check| check.status != Status::Skip)
        .take(2);
    let Some(check) = may_tell.clone().find(|check| check.status == Status::Fail) else {
        let ids: Vec<_> = may_tell.map(|check| &check.id).collect();
        return Some(format!("at access {nth}: none of {ids:?} failed"));
    };
    let says = check.message.as_deref().unwrap_or_default();
    let is_told = says.contains("gone") || says.contains("all ones");
    let is_blamed = check
        .causes
        .first()
        .is_some_and(|cause| cause.contains("left the bus"));
    let mut others = report.checks.iter().filter(|other| other.id != check.id);
    let is_right = |other: &Check| match other.rung < check.rung {
        true => matches!(other.status, Status::Pass | Status::Skip),
        false => matches!(other.status, Status::Blocked | Status::Skip),
    };
    let is_right = is_told && is_blamed && others.all(is_right);
    (!is_right).then(|| format!("at access {nth}: {}: {says}: {:?}", check.id, check.causes))
}

/// Cuts a climb at each access, up to the first that no climb comes to; returns how many there were.
fn cut_at_each(kind: &str, options: &str) -> u64 {
    let (next, last) = (AtomicU64::new(1), AtomicU64::new(u64::MAX));
    let all_wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::SeqCst);
                    if nth > last.load(Ordering::SeqCst) {
                        break;
                    }
                    let climb = climb(kind, options, nth);
                    if !climb.has_left {
                        println!("{kind}: {:?}", climb.ends);
                        last.fetch_min(nth, Ordering::SeqCst);
                        break;
                    }
                    all_wrong.lock().unwrap().extend(wrong(&climb, nth));
                }
            });
        }
    });
    let all_wrong = all_wrong.into_inner().unwrap();
    assert!(
        all_wrong.is_empty(),
        "{}:\n{}",
        all_wrong.len(),
        all_wrong.join("\n")
    );
    last.into_inner()
}

#[test]
fn a_bmu_that_leaves_at_any_access_is_gone_and_nothing_else() {
    let accesses = cut_at_each(
        "bmu",
        "seed=2&timeout-ms=5&pools=2&portals=1&vectors=2&ring-max=32",
    );
    println!("bmu: {accesses}");
    assert!(accesses > 3000, "a climb of {accesses} accesses");
}

#[test]
fn a_fifo_that_leaves_at_any_access_is_gone_and_nothing_else() {
    let accesses = cut_at_each("fifo", "depth=8");
    println!("fifo: {accesses}");
    assert!(accesses > 300, "a climb of {accesses} accesses");
}
