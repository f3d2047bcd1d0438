//! What the machine refuses is the machine's: no rung blames the device for it, whichever request it is.

use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hwpool::DeviceError;
use hwpool::bringup::{self, Blame, OwnerSymptom, Progress, Report, Status, Symptom as _};
use hwpool::devices::bus::BusError;
use serde_json::Value;

use crate::rig;
use crate::rig::edge::{Edged, Trouble};

/// What every cause of the machine's says, in one of these words.
const MACHINE: [&str; 3] = ["machine", "this process", "another process"];

/// Climbs; returns the report, what was blamed, and whether the trouble came.
fn climb(trouble: Trouble) -> (Report, Vec<Blame>, bool) {
    let options = "seed=2&timeout-ms=5&pools=2&portals=2&vectors=2&ring-max=32";
    let edged = Arc::new(Edged::new(rig::model(options), trouble));
    let options = rig::brief();
    let mut blamed = Vec::new();
    let report = bringup::run(edged.clone(), &options, None, |progress| {
        if let Progress::Failed(blame) = progress {
            blamed.push(blame);
        }
        ControlFlow::Continue(())
    });
    let has_struck = edged.has_struck();
    (report, blamed, has_struck)
}

/// Refuses each request of a kind in turn; returns how many a climb makes.
fn refuse_each(trouble: fn(u64) -> Trouble) -> u64 {
    let mut wrong = Vec::new();
    for nth in 1.. {
        let (report, blamed, has_struck) = climb(trouble(nth));
        let failed: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.status == Status::Fail)
            .collect();
        let is_told = |blame: &Blame| matches!(blame, Blame::Machine(_));
        if blamed.len() != failed.len() || !blamed.iter().all(is_told) {
            wrong.push(format!("{nth}: {blamed:?}"));
        }
        for check in &failed {
            let is_the_machines = |cause: &str| MACHINE.iter().any(|word| cause.contains(word));
            if check.causes.is_empty() || !check.causes.iter().all(|cause| is_the_machines(cause)) {
                wrong.push(format!(
                    "{nth}: {}: {:?}: {:?}",
                    check.id, check.message, check.causes
                ));
            }
        }
        if !has_struck {
            assert!(failed.is_empty(), "{failed:#?}");
            assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
            return nth - 1;
        }
        if failed.is_empty() {
            wrong.push(format!("{nth}: nothing failed"));
        }
    }
    unreachable!("a climb makes a finite number of requests");
}

#[test]
fn a_mapping_that_is_refused_is_the_machines() {
    let mappings = refuse_each(Trouble::NoMapping);
    assert!(mappings > 5, "{mappings} mappings");
}

#[test]
fn an_interrupt_that_is_refused_is_the_machines() {
    let interrupts = refuse_each(Trouble::NoInterrupt);
    assert!(interrupts > 2, "{interrupts} interrupts");
}

/// Climbs in a process whose limit is set by `limit`, a command of the shell; returns what was wrong with its report.
fn limited(limit: &str) -> Option<String> {
    let climb = "bringup sim:bmu?ring-max=32 --buffers 64 --laps 1 --soak 0.01 --skip owner.killed --report json";
    let hwpool = env!("CARGO_BIN_EXE_hwpool");
    let output = Command::new("sh")
        .args(["-c", &format!("{limit} && exec {hwpool} {climb}")])
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("panicked") || output.status.code().is_none() {
        return Some(format!("{limit}: {}: {said}", output.status));
    }
    // Too little for the program or the model itself: it said so.
    let report: Value = serde_json::from_slice(&output.stdout).ok()?;
    let checks = report["checks"].as_array().expect("checks");
    let failed = checks.iter().filter(|check| check["status"] == "fail");
    let wrong = failed.filter(|check| {
        let causes = check["causes"].as_array().cloned().unwrap_or_default();
        let is_the_machines = |cause: &Value| {
            let cause = cause.as_str().unwrap_or_default();
            MACHINE.iter().any(|word| cause.contains(word))
        };
        causes.is_empty() || !causes.iter().all(is_the_machines)
    });
    let wrong: Vec<String> = wrong.map(Value::to_string).collect();
    (!wrong.is_empty()).then(|| format!("{limit}: {}", wrong.join("\n")))
}

#[test]
fn descriptors_and_memory_that_are_refused_are_the_machines() {
    let descriptors = (4..40).map(|n| format!("ulimit -n {n}"));
    // In blocks of 512 bytes or of 1 KiB, as the shell has it.
    let files = (0..12).map(|n| format!("trap '' XFSZ; ulimit -f {}", n * n * 8));
    let wrong: Vec<String> = descriptors
        .chain(files)
        .filter_map(|limit| limited(&limit))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A rung that fails on the model that another process serves, after its owner was killed.
#[test]
fn what_is_refused_after_an_owner_died_is_the_machines() {
    let after = |blame| {
        let (id, message) = ("lists.stale".into(), "refused".into());
        OwnerSymptom::NotInOrder { id, message, blame }.blame()
    };
    let evidence = "the server has closed the connection".into();
    let opening = |source: BusError| DeviceError::Open {
        device: "user:model.sock".into(),
        source: source.into(),
    };
    let gone = opening(BusError::Gone { evidence });
    assert_eq!(gone.blame(), Blame::Gone, "of the climb's own device");
    let served = OwnerSymptom::OpenServed(gone).blame();
    assert_eq!(served, after(Blame::Gone), "of the other process's model");
    let refused = Blame::Machine(&["the machine is full"]);
    assert_eq!(after(refused), refused);
    let Blame::Machine(causes) = after(Blame::Gone) else {
        panic!("the model of this climb is not gone");
    };
    assert!(causes[0].contains("the other process"), "{causes:?}");
    for cause in [Blame::UNKNOWN, Blame::Device(&["a stuck line"])] {
        let Blame::Device(causes) = after(cause) else {
            panic!("{cause:?} is the device's");
        };
        assert!(causes[0].contains("an owner that died"), "{causes:?}");
    }
}
