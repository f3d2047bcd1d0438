//! A climb that takes too long is ended in time, as blocked, and says what was slow.

use std::ops::ControlFlow;
use std::time::Duration;

use hwpool::bringup::{self, Options, Report, Status};
use hwpool::devices::bus::Transport;
use hwpool::sim::{Fault, FaultKind};

use crate::rig;
use crate::served::{Served, slow};

fn climb(fault: Option<Fault>, options: &str, within: Duration) -> (Report, Duration) {
    let model = rig::model(options);
    if let Some(fault) = fault {
        model.inject(fault).expect("the fault can happen");
    }
    let options = Options {
        within: Some(within),
        ..rig::brief()
    };
    let report = bringup::run(model.clone(), &options, None, |_| ControlFlow::Continue(()));
    (report, model.now())
}

/// Returns the check that the climb was ended in.
fn ended_in(report: &Report) -> &bringup::Check {
    let ended = report
        .checks
        .iter()
        .find(|check| check.status == Status::Blocked);
    ended.expect("it is ended")
}

#[test]
fn a_wait_that_is_longer_than_the_climb_is_told() {
    // A doorbell that never arrives costs the device's timeout, in each rung of portals again.
    let lost = Fault::new(FaultKind::DelayedDoorbell).times(0);
    let (report, _) = climb(Some(lost), "timeout-ms=65535", Duration::from_secs(10));
    let check = ended_in(&report);
    let says = check.message.as_deref().unwrap_or_default();
    assert_eq!(check.id, "portal.unique", "{says}");
    for word in [
        "time was over",
        "--within 10",
        "65.535s",
        "entries in the acquire ring",
    ] {
        assert!(says.contains(word), "{word}: {says}");
    }
    assert_eq!(report.count(Status::Fail), 0);
    let above = report.checks.iter().filter(|above| above.rung > check.rung);
    for above in above.filter(|above| above.status != Status::Skip) {
        assert_eq!(above.status, Status::Blocked);
        let says = above.message.as_deref().unwrap_or_default();
        assert!(says.contains("time was over in portal.unique"), "{says}");
    }
    assert!(!report.is_good());
}

/// Wherever the time is over, nothing is blamed.
#[test]
fn a_sound_device_is_never_blamed_for_the_time() {
    let (whole, _) = climb(None, "seed=3", Duration::from_secs(3600));
    assert!(whole.is_good(), "{whole:#?}");
    let mut ended = Vec::new();
    for step in 0..60 {
        let within = Duration::from_micros(100) * (1 << (step / 5)) * (5 + step % 5);
        let (report, _) = climb(None, "seed=3", within);
        let failed: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.status == Status::Fail)
            .collect();
        assert!(failed.is_empty(), "{within:?}: {failed:#?}");
        if !report.is_good() {
            ended.push(ended_in(&report).id.to_string());
        }
    }
    ended.dedup();
    assert!(ended.len() > 3, "in several rungs: {ended:?}");
}

#[test]
fn a_slow_server_is_told_as_slow() {
    let served = Served::new("bmu", slow(Duration::from_millis(5)));
    let options = Options {
        within: Some(Duration::from_millis(300)),
        ..Options::default()
    };
    let report = bringup::run(served.client(), &options, None, |_| {
        ControlFlow::Continue(())
    });
    let failed: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let check = ended_in(&report);
    let says = check.message.as_deref().unwrap_or_default();
    assert!(
        says.contains("--within 0.3") && says.contains("the slowest of"),
        "{says}"
    );
}
