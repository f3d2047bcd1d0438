//! One suite, run over every kind of device, those that a file describes too, and every transport: the model stepped, the
//! model threaded, the model behind a vfio-user socket, and whatever `HWPOOL_DEVICE` names.

#[path = "rig/adopted.rs"]
mod adopted;
#[cfg(feature = "describe")]
#[path = "rig/descriptions.rs"]
mod descriptions;
mod suite;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use hwpool::device::{AnyTransport, Attached, recognition};
use hwpool::devices::bus::Transport;
use hwpool::devices::family::{Choice, Recognition};
use hwpool::devices::modules;
use hwpool::kinds;
use hwpool::user::{Client, ClientError, PATIENCE, SimDevice, SimMonitor, server};
use hwpool::vfio::Backend;

/// Runs all cases, each on a transport of its own, with the driver that is chosen, and looks at it afterwards.
fn conforms<T: Transport>(choice: Choice, open: impl Fn() -> Arc<T>, look: impl Fn(&T)) {
    let kind = match recognition(&*open(), &choice).expect("it answers") {
        Recognition::Known(module) => module.about().name,
        Recognition::Unknown(rejected) => panic!("no module knows it: {rejected:?}"),
    };
    suite::family::choose(choice);
    for (name, case) in suite::cases(kind) {
        eprintln!("{kind} {name}");
        let transport = open();
        case(transport.clone());
        look(&transport);
    }
}

fn conforms_at(address: &str) {
    let attached = Attached::open(address).expect("the address opens");
    let choice = attached.choice;
    match attached.transport {
        AnyTransport::Sim(_) => conforms(
            choice,
            || match AnyTransport::open(address) {
                Ok(AnyTransport::Sim(model)) => model,
                other => panic!("{address} opened as a model: {:?}", other.err()),
            },
            |model| assert_eq!(model.violations(), [], "the driver broke a rule"),
        ),
        // A function belongs to one opener, and a case may leave its transport open for ever: they share one.
        AnyTransport::Vfio(function) => conforms(choice, || function.clone(), |_| {}),
        // So does the one client that a server has at a time.
        AnyTransport::User(client) => conforms(choice, || client.clone(), |_| {}),
    }
}

/// Runs the suite over a socket: each case has a server of its own, in a thread, with its own model, by name or by file.
fn conforms_over_a_socket(model: &str, options: &[(&str, &str)]) {
    conforms_over(model, options, Ok);
}

fn conforms_over(
    model: &str,
    options: &[(&str, &str)],
    adapt: impl Fn(Client) -> Result<Client, ClientError>,
) {
    let monitor: Mutex<Option<SimMonitor>> = Mutex::default();
    let (_, choice) = kinds::model(model).expect("a model");
    let open = || {
        let (mut config, _) = kinds::model(model).expect("a model");
        for (key, value) in options {
            config.set(key, value).expect("an option");
        }
        let name = config.name().to_owned();
        let mut device = SimDevice::new(&name, config).expect("a model");
        *monitor.lock().unwrap() = Some(device.monitor());
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        thread::spawn(move || server::serve_stream(theirs, &mut device));
        let client = Client::from_stream(ours, "user:pair", PATIENCE).and_then(&adapt);
        Arc::new(client.expect("the client opens"))
    };
    conforms(choice.unwrap_or_default(), open, |_| {
        let violations = monitor
            .lock()
            .unwrap()
            .take()
            .expect("a monitor")
            .violations();
        assert_eq!(violations, [], "the driver broke a rule");
    });
}

/// Names of all kinds of device. Each has a model of the same name.
fn names() -> impl Iterator<Item = &'static str> {
    modules::kinds().into_iter().map(|kind| kind.name)
}

/// Patience for machines that are busy with other tests: some models have a time for an operation, and say it.
fn patient(kind: &str) -> Vec<(&'static str, &'static str)> {
    match kind {
        "bmu" => vec![("timeout-ms", "5000")],
        _ => Vec::new(),
    }
}

#[test]
fn stepped_models() {
    for kind in names() {
        for seed in 0..8 {
            conforms_at(&format!("sim:{kind}?seed={seed}"));
        }
    }
}

#[test]
fn threaded_models() {
    for kind in names() {
        let options = patient(kind)
            .into_iter()
            .map(|(key, value)| format!("&{key}={value}"));
        let options: String = options.collect();
        conforms_at(&format!("sim:{kind}?mode=threaded{options}"));
    }
}

#[test]
fn models_behind_a_socket() {
    for kind in names() {
        let threaded = [patient(kind), vec![("mode", "threaded")]].concat();
        conforms_over_a_socket(kind, &threaded);
        let stepped = [patient(kind), vec![("mode", "stepped"), ("seed", "5")]].concat();
        conforms_over_a_socket(kind, &stepped);
    }
}

/// As a client that shares no memory sees them: every word of theirs is asked for.
#[test]
fn models_behind_a_socket_that_reach_memory_by_messages() {
    for kind in names() {
        for mode in [("mode", "threaded"), ("mode", "stepped")] {
            let options = [patient(kind), vec![mode]].concat();
            conforms_over(kind, &options, Client::without_files);
        }
    }
}

#[test]
fn the_smallest_bmu_behind_a_socket() {
    let smallest = [
        ("mode", "threaded"),
        ("pools", "1"),
        ("portals", "1"),
        ("vectors", "1"),
        ("address-width", "32"),
    ];
    conforms_over_a_socket("bmu", &[patient("bmu"), smallest.to_vec()].concat());
}

/// Devices of 1.0, and those that lack or have what 1.1 adds.
const VERSIONS: &[&str] = &[
    "minor=0",
    "halves=on",
    "halves=only",
    "power-of-two=on",
    "emptying-ms=40",
    "write-faults=off",
    "halves=only&power-of-two=on&emptying-ms=40&write-faults=off",
];

#[test]
fn bmus_of_each_version_and_feature() {
    for options in VERSIONS {
        conforms_at(&format!("sim:bmu?seed=3&{options}"));
        conforms_at(&format!("sim:bmu?mode=threaded&timeout-ms=5000&{options}"));
        let own = options
            .split('&')
            .filter_map(|option| option.split_once('='));
        let threaded = [patient("bmu"), vec![("mode", "threaded")]].concat();
        conforms_over_a_socket("bmu", &threaded.into_iter().chain(own).collect::<Vec<_>>());
    }
}

#[cfg(feature = "describe")]
#[test]
fn models_of_described_devices() {
    for file in descriptions::files() {
        for options in ["seed=1", "mode=threaded"] {
            conforms_at(&format!("sim:{}?{options}", file.display()));
        }
    }
}

#[cfg(feature = "describe")]
#[test]
fn models_of_described_devices_behind_a_socket() {
    for file in descriptions::files() {
        let file = file.display().to_string();
        conforms_over_a_socket(&file, &[("mode", "threaded")]);
        conforms_over_a_socket(&file, &[("mode", "stepped"), ("seed", "5")]);
    }
}

#[test]
fn smallest_models() {
    conforms_at("sim:bmu?pools=1&portals=1&vectors=1&address-width=32");
    conforms_at("sim:fifo?depth=1");
}

/// A function that the rust-vmm family's library has opened, by the way in that the address names, and that is taken over.
#[test]
fn opened_by_another_library() {
    match std::env::var("HWPOOL_DEVICE") {
        Ok(address) => {
            let function = Arc::new(adopted::function(&address));
            conforms(Choice::default(), || function.clone(), |_| {});
            if function.backend() == Backend::Group {
                let refused = function
                    .hot_reset()
                    .expect_err("the group's descriptor is not here");
                assert!(refused.to_string().contains("lent"), "{refused}");
            }
        }
        Err(_) => eprintln!("skipped: HWPOOL_DEVICE names no device"),
    }
}

#[test]
fn device_of_the_environment() {
    match std::env::var("HWPOOL_DEVICE") {
        Ok(address) => conforms_at(&address),
        Err(_) => eprintln!("skipped: HWPOOL_DEVICE names no device"),
    }
}
