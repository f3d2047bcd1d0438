//! Every verb on every legal device: each capability at both ends, each feature off. The models record what no host may
//! do, and no verb may do any of it.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use hwpool::bringup::{self, Status};
use hwpool::device::AnyTransport;
use hwpool::sim::{SimConfig, Violation, ViolationKind};
use hwpool::user::SimDevice;
use hwpool::user::server::Server;
use tempfile::TempDir;

/// Legal devices, as differences from the default one.
#[rustfmt::skip] // a table: one device, one line
const GRID: &[&str] = &[
    "pools=1", "pools=2", "pools=3", "pools=4", "pools=64",
    "portals=0", "portals=1", "portals=2",
    "vectors=1", "vectors=2",
    "buffers=1", "buffers=2", "buffers=7", "buffers=33", "buffers=4294967295",
    "address-width=32", "address-width=64",
    "stride-max=64", "stride-min=1073741824", "stride-min=4096",
    "ring-max=8", "ring-min=1048576&ring-max=1048576",
    "timeout-ms=65535",
    "minor=0", "minor=7", "minor=65535",
    "register-path=off", "thresholds=off", "natural-align=off", "injection=off",
    "halves=on", "halves=only", "halves=only&address-width=64", "halves=only&pools=1&portals=1", "halves=only&portals=0",
    "halves=only&register-path=off&minor=9",
    "emptying-ms=100", "emptying-ms=100&pools=1", "emptying-ms=100&pools=1&halves=only&power-of-two=on",
    "write-faults=off", "write-faults=off&minor=0", "write-faults=off&halves=only&emptying-ms=100&power-of-two=on",
    "power-of-two=on", "power-of-two=on&stride-max=64", "power-of-two=on&halves=only&natural-align=off",
    "memory-space=off",
    "pools=1&portals=0", "pools=1&register-path=off", "pools=1&portals=1&vectors=1&buffers=1",
    "pools=5&portals=3&register-path=off&thresholds=off&natural-align=off&injection=off&minor=1",
    "portals=0&thresholds=off&injection=off&buffers=3&memory-space=off",
    "register-path=off&buffers=1", "register-path=off&ring-max=8",
    "portals=0&register-path=off",
];

/// Tells whether a violation is one that no host may make. The rung of registers writes to read-only ones, and rungs make
/// bad frees, on purpose.
fn is_forbidden(violation: &Violation) -> bool {
    matches!(
        violation.kind,
        ViolationKind::AbsentPart
            | ViolationKind::NoRegister
            | ViolationKind::WrongWidth
            | ViolationKind::Misaligned
            | ViolationKind::MemorySpaceOff
            | ViolationKind::InReset
            | ViolationKind::BusMasterOff
            | ViolationKind::ReservedBits
    )
}

fn forbidden(violations: Vec<Violation>) -> Vec<Violation> {
    violations.into_iter().filter(is_forbidden).collect()
}

/// Looks at devices, some at a time, and fails with what is wrong with any.
fn on_each(devices: &[&'static str], look: impl Fn(&str) -> Vec<String> + Sync) {
    const AT_ONCE: usize = 6;
    let of = |device: &'static str| {
        let name = move |wrong| format!("{device}: {wrong}");
        look(device).into_iter().map(name)
    };
    let part = |n| -> Vec<String> {
        let mine = devices.iter().skip(n).step_by(AT_ONCE);
        mine.flat_map(|device| of(device)).collect()
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let part = &part;
        let start = |n| scope.spawn(move || part(n));
        let parts: Vec<_> = (0..AT_ONCE).map(start).collect();
        let joined = parts.into_iter().map(|part| part.join().expect("a part"));
        joined.flatten().collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_legal_device_climbs_and_no_rule_is_broken() {
    on_each(GRID, climbs);
}

/// Climbs a device; returns what failed, and what rules were broken.
fn climbs(device: &str) -> Vec<String> {
    let address = format!("sim:bmu?seed=3&{device}");
    let Ok(AnyTransport::Sim(model)) = AnyTransport::open(&address) else {
        return vec!["does not open".into()];
    };
    let options = crate::brief();
    let report = bringup::run(model.clone(), &options, None, |_| ControlFlow::Continue(()));
    let is_bad = |status| !matches!(status, Status::Pass | Status::Skip);
    let bad = report.checks.iter().filter(|check| is_bad(check.status));
    let failed = bad.map(|check| format!("{}: {:?}", check.id, check.message));
    let broken = forbidden(model.violations());
    let broken = broken.iter().map(|violation| violation.to_string());
    failed.chain(broken).collect()
}

/// What a device of 1.0 may do, as its text can be read, and one of 1.1 may not (SPEC 11).
#[rustfmt::skip] // a table: one device, one line
const READINGS: &[&str] = &[
    "minor=0&lies=judges-when-quiesced", "minor=0&lies=counts-go", "minor=0&lies=halt-takes-head",
    "minor=0&lies=injects-backwards", "minor=0&lies=armed-at-low", "minor=0&lies=emptying-depletes",
    "minor=0&lies=undoes-natural", "minor=0&lies=keeps-unaligned", "minor=0&lies=raises-each",
    "minor=0&lies=drops-low-bits", "minor=0&lies=drops-ring-bits",
];

#[test]
fn every_reading_of_1_0_climbs() {
    on_each(READINGS, climbs);
}

/// The verbs that move no objects; of `bringup` the library's run is looked at on every device.
const LOOKS: [&[&str]; 3] = [
    &["info", "DEVICE"],
    &["regs", "dump", "DEVICE"],
    &["reset", "DEVICE"],
];
const CLIMB: &[&str] = &[
    "bringup",
    "DEVICE",
    "--soak=0.01",
    "--buffers=64",
    "--laps=1",
    "--skip=owner.killed",
];

/// Devices whose pools are made otherwise, for the verbs that move objects, which take longer.
#[rustfmt::skip] // a table: one device, one line
const POOLS: &[&str] = &[
    "pools=1&register-path=off",
    "portals=1&thresholds=off&injection=off",
    "portals=2&stride-max=64&memory-space=off", "halves=only&portals=2", "power-of-two=on&portals=2", "emptying-ms=100&portals=2&pools=3",
    "portals=0&stride-min=2097152",
    "buffers=1",
    "buffers=33&register-path=off&vectors=1&natural-align=off&minor=7",
];
const SOAK: &[&str] = &["soak", "DEVICE", "--seconds=1", "--threads=1"];
/// On the smallest of them: it has few cases there.
const BENCH: &[&str] = &["bench", "DEVICE", "--time=1"];

fn movers(device: &str) -> Vec<&'static [&'static str]> {
    match device {
        "buffers=1" => vec![SOAK, BENCH],
        _ => vec![SOAK],
    }
}

/// What the device takes at the most: real time has other claimants.
fn patient(device: &str) -> String {
    match device.contains("timeout-ms") {
        true => device.to_string(),
        false => format!("timeout-ms=20000&{device}"),
    }
}

/// Runs a verb on a device, which it must do well; returns what it said where it did not.
fn verb(verb: &[&str], device: &str) -> Option<String> {
    let words = verb.iter().map(|word| match *word {
        "DEVICE" => device,
        word => word,
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    let output = command.args(words).stdin(Stdio::null()).output();
    let output = output.expect("hwpool starts");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let is_good = output.status.success();
    (!is_good).then(|| format!("{verb:?}: {}: {}", output.status, said.concat()))
}

#[test]
fn every_verb_runs_on_every_legal_device() {
    let run = |device: &str, words: &[&[&str]]| {
        let address = format!("sim:bmu?{}", patient(device));
        words
            .iter()
            .filter_map(|words| verb(words, &address))
            .collect()
    };
    on_each(GRID, |device| run(device, &LOOKS));
    on_each(POOLS, |device| run(device, &movers(device)));
}

#[test]
fn every_verb_runs_on_every_legal_device_over_a_socket() {
    let place = TempDir::new().expect("a directory");
    let run = |device: &str, words: &[&[&str]]| {
        let name: String = device.chars().filter(char::is_ascii_alphanumeric).collect();
        // A socket's path has little room.
        let name = &name[..name.len().min(40)];
        served(device, &place.path().join(name), "", words)
    };
    on_each(GRID, |device| run(device, &LOOKS));
    on_each(POOLS, |device| {
        run(device, &[&[CLIMB], &movers(device)[..]].concat())
    });
}

/// The whole ladder and a soak where the server has to ask for every word of memory.
#[test]
fn the_ladder_is_climbed_over_a_socket_whose_client_shares_no_memory() {
    let place = TempDir::new().expect("a directory");
    let socket = place.path().join("s");
    let wrong = served("portals=4", &socket, "?dma=messages", &[CLIMB, SOAK]);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Serves a device, runs verbs on it by an address with the options `client`, and returns what was wrong, with the rules that were broken.
fn served(device: &str, socket: &Path, client: &str, words: &[&[&str]]) -> Vec<String> {
    let mut config = SimConfig::default();
    let options = format!("mode=threaded&{}", patient(device));
    let options = options
        .split('&')
        .filter_map(|option| option.split_once('='));
    for (key, value) in options {
        config.set(key, value).expect("an option");
    }
    let mut model = SimDevice::new("bmu", config).expect("a model");
    let monitor = model.monitor();
    let server = Server::bind(socket).expect("a server");
    let stop = server.stop_handle();
    let address = format!("user:{}{client}", socket.display());
    thread::scope(|scope| {
        scope.spawn(|| server.run(&mut model).expect("it serves"));
        let mut wrong = Vec::new();
        for words in words {
            wrong.extend(verb(words, &address));
            let broken = forbidden(monitor.violations());
            wrong.extend(broken.iter().map(|rule| format!("{words:?}: {rule}")));
        }
        stop.stop();
        wrong
    })
}

/// A register that the device does not have is refused, and nobody touches it.
#[test]
fn a_register_that_the_device_lacks_is_not_touched() {
    let place = TempDir::new().expect("a directory");
    let device = "pools=4&portals=0&thresholds=off";
    let refused: [&[&str]; 3] = [
        &["regs", "get", "DEVICE", "POOL_BASE[40]"],
        &["regs", "get", "DEVICE", "POOL_LOW[0]"],
        &["regs", "set", "DEVICE", "PORTAL_VECTOR[0]", "1"],
    ];
    let wrong = served(device, &place.path().join("s"), "", &refused);
    assert_eq!(wrong.len(), 3, "{wrong:#?}");
    for (said, reason) in wrong
        .iter()
        .zip(["it has 4 of them", "optional part", "optional part"])
    {
        assert!(
            said.contains("exit status: 2") && said.contains(reason),
            "{said}"
        );
    }
}
