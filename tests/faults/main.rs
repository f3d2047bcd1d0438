//! What the driver, the ladder of checks and a hostile device make of each other: every kind of fault that the model
//! knows, on every path that it can strike.

mod bringup;
mod hostile;
mod leaves;
mod lists;
mod open;
mod portals;
mod refused;
#[path = "../rig/mod.rs"]
mod rig;
mod served;
mod within;

use std::time::Duration;

use hwpool::devices::family::{Breach, FreeList, PathError};
use hwpool::sim::FaultKind;

use rig::{Bench, UNTOUCHED};

/// One thing that goes wrong: its kind, its name, and what must come of it on a model with given options.
type Case = (FaultKind, &'static str, fn(&str));

/// Names functions of a module as cases.
macro_rules! cases {
    ($($kind:ident: $($name:ident)+;)+) => {
        pub(crate) const CASES: &[crate::Case] = &[$($((
            hwpool::sim::FaultKind::$kind,
            concat!(module_path!(), "::", stringify!($name)),
            $name,
        )),+),+];
    };
}
pub(crate) use cases;

fn all_cases() -> impl Iterator<Item = &'static Case> {
    [open::CASES, lists::CASES, portals::CASES]
        .into_iter()
        .flatten()
}

/// The kinds of fault that a BMU can have; those that only described devices have are in `tests/described/faults.rs`.
fn of_bmu() -> impl Iterator<Item = (&'static str, FaultKind)> {
    let bmu = hwpool::sim::MODELS.iter().find(|model| model.name == "bmu");
    let offers = bmu.expect("the model").faults;
    let has = |kind: FaultKind| kind.is_general() || offers.iter().any(|offer| offer.kind == kind);
    FaultKind::ALL
        .iter()
        .copied()
        .filter(move |(_, kind)| has(*kind))
}

#[test]
fn every_kind_of_fault_has_a_case() {
    for (name, kind) in of_bmu() {
        assert!(
            all_cases().any(|(covered, ..)| *covered == kind),
            "no case for {name}"
        );
        assert!(
            bringup::LADDER.iter().any(|row| row.fault.kind() == kind),
            "no row of the ladder for {name}"
        );
    }
}

#[test]
fn stepped() {
    for (_, name, case) in all_cases() {
        for seed in 0..4 {
            eprintln!("{name} seed {seed}");
            case(&format!("seed={seed}"));
        }
    }
}

#[test]
fn threaded() {
    for (_, name, case) in all_cases() {
        eprintln!("{name}");
        // Time is real: the model's thread may be off its core for a while.
        case("mode=threaded&timeout-ms=500");
    }
}

/// Fails unless `error` poisoned the list and every later call on it fails with the same words, whatever it is; returns
/// the cause. `telling` are words that a reader of the message needs.
fn poisoned<R: std::fmt::Debug>(
    bench: &mut Bench,
    result: Result<R, PathError>,
    telling: &[&str],
) -> Breach {
    let error = result.expect_err("the fault shows");
    let PathError::Poisoned { list, breach } = error.clone() else {
        panic!("{error:?} does not poison");
    };
    assert_eq!(list, bench.list.name());
    let text = error.to_string();
    for word in telling.iter().chain(&["pool 0 is out of use"]) {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
    stays_poisoned(bench, &error);
    breach
}

fn stays_poisoned(bench: &mut Bench, error: &PathError) {
    let list = &mut bench.list;
    let mut out = [UNTOUCHED; 2];
    let mut later = vec![
        list.alloc().err(),
        list.free(63).err(),
        list.free_all(&[62, 63]).err(),
        list.alloc_all(&mut out).err(),
        list.expect_empty().err(),
        list.give(&[63]).err(),
        list.take(&mut out).err(),
        list.flush().err(),
    ];
    if let Some(mut portal) = list.first_portal() {
        later.extend([
            portal.enqueue(&[63]).err(),
            portal.dequeue(&mut out).err(),
            portal.flush().err(),
            portal.drain().err(),
        ]);
    }
    assert!(
        later.iter().all(|again| again.as_ref() == Some(error)),
        "{error:?}, and later {later:?}"
    );
    assert_eq!(out, [UNTOUCHED; 2]);
}

/// Calls `act` and fails unless the device's clock went on by no more than a wait may take, and another one to clean up.
fn in_time<R>(bench: &mut Bench, act: impl FnOnce(&mut Bench) -> R) -> R {
    let limit = 2 * bench.session.bmu.capabilities().timeout + Duration::from_millis(1);
    let before = bench.now();
    let result = act(bench);
    let took = bench.now() - before;
    // Real time has other claimants.
    let limit = match bench.is_threaded {
        true => limit + Duration::from_secs(10),
        false => limit,
    };
    assert!(took <= limit, "took {took:?} of the device's time");
    result
}
