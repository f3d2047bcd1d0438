//! One suite, run over every kind of device and every transport: the model stepped, the model threaded, the model behind a
//! vfio-user socket, and whatever `HWPOOL_DEVICE` names.

mod suite;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use hwpool::device::{AnyTransport, recognition};
use hwpool::devices::bus::Transport;
use hwpool::devices::family::{Choice, Recognition};
use hwpool::devices::modules;
use hwpool::sim::SimConfig;
use hwpool::user::{Client, ClientError, PATIENCE, SimDevice, SimMonitor, server};

/// Runs all cases, each on a transport of its own, and looks at it afterwards.
fn conforms<T: Transport>(open: impl Fn() -> Arc<T>, look: impl Fn(&T)) {
    let kind = match recognition(&*open(), &Choice::Recognised).expect("it answers") {
        Recognition::Known(module) => module.about().name,
        Recognition::Unknown(rejected) => panic!("no module knows it: {rejected:?}"),
    };
    for (name, case) in suite::cases(kind) {
        eprintln!("{kind} {name}");
        let transport = open();
        case(transport.clone());
        look(&transport);
    }
}

fn conforms_at(address: &str) {
    match AnyTransport::open(address).expect("the address opens") {
        AnyTransport::Sim(_) => conforms(
            || match AnyTransport::open(address) {
                Ok(AnyTransport::Sim(model)) => model,
                other => panic!("{address} opened as a model: {:?}", other.err()),
            },
            |model| assert_eq!(model.violations(), [], "the driver broke a rule"),
        ),
        // A function belongs to one opener, and a case may leave its transport open for ever: they share one.
        AnyTransport::Vfio(function) => conforms(|| function.clone(), |_| {}),
        AnyTransport::User(client) => {
            drop(client);
            let open = || match AnyTransport::open(address) {
                Ok(AnyTransport::User(client)) => client,
                other => panic!("{address} opened as a client: {:?}", other.err()),
            };
            conforms(open, |_| ());
        }
    }
}

/// Runs the suite over a socket: each case has a server of its own, in a thread, with its own model.
fn conforms_over_a_socket(model: &'static str, options: &[(&str, &str)]) {
    conforms_over(model, options, Ok);
}

fn conforms_over(
    model: &'static str,
    options: &[(&str, &str)],
    adapt: impl Fn(Client) -> Result<Client, ClientError>,
) {
    let monitor: Mutex<Option<SimMonitor>> = Mutex::default();
    let open = || {
        let mut config = SimConfig::new(model).expect("a model");
        for (key, value) in options {
            config.set(key, value).expect("an option");
        }
        let mut device = SimDevice::new(model, config).expect("a model");
        *monitor.lock().unwrap() = Some(device.monitor());
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        thread::spawn(move || server::serve_stream(theirs, &mut device));
        let client = Client::from_stream(ours, "user:pair", PATIENCE).and_then(&adapt);
        Arc::new(client.expect("the client opens"))
    };
    conforms(open, |_| {
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
fn kinds() -> impl Iterator<Item = &'static str> {
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
    for kind in kinds() {
        for seed in 0..8 {
            conforms_at(&format!("sim:{kind}?seed={seed}"));
        }
    }
}

#[test]
fn threaded_models() {
    for kind in kinds() {
        let options = patient(kind)
            .into_iter()
            .map(|(key, value)| format!("&{key}={value}"));
        let options: String = options.collect();
        conforms_at(&format!("sim:{kind}?mode=threaded{options}"));
    }
}

#[test]
fn models_behind_a_socket() {
    for kind in kinds() {
        let threaded = [patient(kind), vec![("mode", "threaded")]].concat();
        conforms_over_a_socket(kind, &threaded);
        let stepped = [patient(kind), vec![("mode", "stepped"), ("seed", "5")]].concat();
        conforms_over_a_socket(kind, &stepped);
    }
}

/// As a client that shares no memory sees them: every word of theirs is asked for.
#[test]
fn models_behind_a_socket_that_reach_memory_by_messages() {
    for kind in kinds() {
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
const VERSIONS: &[&str] = &["minor=0", "halves=on", "halves=only", "power-of-two=on"];

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

#[test]
fn smallest_models() {
    conforms_at("sim:bmu?pools=1&portals=1&vectors=1&address-width=32");
    conforms_at("sim:fifo?depth=1");
}

#[test]
fn device_of_the_environment() {
    match std::env::var("HWPOOL_DEVICE") {
        Ok(address) => conforms_at(&address),
        Err(_) => eprintln!("skipped: HWPOOL_DEVICE names no device"),
    }
}
