//! Two BMUs in step: random accesses go to both, and wherever SPEC.md says what comes of one, the same must come of it.
//!
//! The model is one of them. The other is the model too, with a time of its own behind a socket, or the device that
//! `HWPOOL_DEVICE` names, such as RTL: `HWPOOL_STEPS` says how many steps (20000), `HWPOOL_SEED` which (1).
//!
//! What SPEC.md leaves open is not compared, and the steps keep away from what follows of it:
//! - which buffer of a list is given, so a step names a buffer by its rank among those that are in or out;
//! - IMPLEMENTATION, CAP_TIMEOUT and CAP_EMPTYING, and the beginning of RESET_COUNT;
//! - what is so while a list is emptied, a reset runs or a portal has something to do: the steps wait for the end of it;
//! - how consuming and filling interleave: a pool that a portal serves has no threshold and room for all of its buffers,
//!   and one portal; a doorbell gives or takes, not both;
//! - the bits of POOL_BASE and POOL_END above the address width: they are written as 0;
//! - what ERR_ADDRESS has of the half that was not written, where a doorbell of a disabled portal comes by halves (2.1 does
//!   not say whether one that is dropped counts as written);
//! - how many status lines there are (6.5 b): the last one of a portal is compared, but for its number.

mod board;
mod held;
mod portal;
mod steps;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hwpool::device::AnyTransport;
use hwpool::devices::bmu::Capabilities;
use hwpool::devices::bus::Transport;
use hwpool::kinds;
use hwpool::sim::{InProcess, SimConfig};
use hwpool::user::{Client, PATIENCE, SimDevice, server};

use board::Opened;
use steps::Lockstep;

/// Of the machine's time, which may be busy; and of a model's own.
const PATIENT: Duration = Duration::from_secs(20);
const VIRTUAL: Duration = Duration::from_millis(500);

type Options<'a> = &'a [(&'a str, &'a str)];

fn config(options: Options<'_>) -> SimConfig {
    let (mut config, _) = kinds::model("bmu").expect("a model");
    for (key, value) in options {
        config.set(key, value).expect("an option");
    }
    config
}

fn model(options: Options<'_>) -> Opened<InProcess> {
    let model = InProcess::open("bmu", "sim:bmu", config(options)).expect("a model");
    Opened::new(Arc::new(model), VIRTUAL)
}

/// The model behind a socket, in a thread of its own.
fn served(options: Options<'_>) -> Opened<Client> {
    let mut device = SimDevice::new("bmu", config(options)).expect("a model");
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    thread::spawn(move || server::serve_stream(theirs, &mut device));
    let client = Client::from_stream(ours, "user:pair", PATIENCE).expect("the client opens");
    Opened::new(Arc::new(client), PATIENT)
}

/// Returns the options of a model that has what a device has.
fn like(device: &Capabilities) -> Vec<(&'static str, String)> {
    let switch = |is: bool| if is { "on" } else { "off" }.to_owned();
    let halves = match (device.halves, device.halves_only) {
        (_, true) => "only".to_owned(),
        (is, false) => switch(is),
    };
    vec![
        ("pools", device.pools.to_string()),
        ("portals", device.portals.to_string()),
        ("vectors", device.vectors.to_string()),
        ("buffers", device.buffers.to_string()),
        ("address-width", device.address_width.to_string()),
        ("stride-min", device.stride.0.to_string()),
        ("stride-max", device.stride.1.to_string()),
        ("ring-min", (1u64 << device.ring_log2.0).to_string()),
        ("ring-max", (1u64 << device.ring_log2.1).to_string()),
        ("minor", device.minor.to_string()),
        ("register-path", switch(device.register_path)),
        ("thresholds", switch(device.thresholds)),
        ("natural-align", switch(device.natural_align)),
        ("injection", switch(device.injection)),
        ("halves", halves),
        ("power-of-two", switch(device.power_of_two)),
        ("write-faults", switch(device.write_faults)),
        (
            "emptying-ms",
            if device.emptying.is_some() { "2" } else { "0" }.into(),
        ),
    ]
}

/// Runs both in step; `Err` tells of the first difference.
fn differ<T: Transport>(
    device: Opened<T>,
    has_memory_pages: bool,
    seed: u64,
    steps: u64,
) -> Result<(), String> {
    let has = *device.capabilities();
    let options = like(&has);
    let options: Vec<(&str, &str)> = options
        .iter()
        .map(|(key, value)| (*key, &**value))
        .collect();
    let model = Box::new(model(&options));
    Lockstep::new([model, Box::new(device)], has, has_memory_pages, seed).run(steps)
}

fn over_a_socket(options: Options<'_>, seed: u64, steps: u64) -> Result<(), String> {
    differ(served(options), true, seed, steps)
}

const SMALL: [(&str, &str); 5] = [
    ("pools", "3"),
    ("portals", "3"),
    ("vectors", "4"),
    ("ring-max", "64"),
    ("timeout-ms", "5000"),
];

#[test]
fn the_model_is_in_step_with_itself() {
    for (seed, options) in [
        [("mode", "threaded"), ("halves", "off")],
        [("mode", "stepped"), ("halves", "on")],
        [("mode", "stepped"), ("power-of-two", "on")],
        [("mode", "threaded"), ("emptying-ms", "2")],
        [("mode", "stepped"), ("halves", "only")],
        [("mode", "stepped"), ("natural-align", "off")],
    ]
    .into_iter()
    .enumerate()
    {
        let options = [&SMALL[..], &options].concat();
        over_a_socket(&options, seed as u64, 1500).unwrap_or_else(|told| panic!("{told}"));
    }
}

/// Lies of the model that show in what is compared; the ladder finds these and others.
const LIES: [&str; 35] = [
    "hides-range",
    "hides-align",
    "hides-double-free",
    "hides-overflow",
    "hides-disabled",
    "hides-config",
    "hides-bad-doorbell",
    "hides-stale-entry",
    "reset-keeps-list",
    "reset-keeps-irq-enable",
    "reset-keeps-portals",
    "reset-keeps-ranges",
    "reset-counts-5",
    "disable-keeps-list",
    "unlocked-pool",
    "unlocked-portal",
    "invalid-pool",
    "invalid-portal",
    "pool-leaves-portal",
    "counts-go",
    "halt-takes-head",
    "injects-backwards",
    "armed-at-low",
    "emptying-depletes",
    "undoes-natural",
    "keeps-unaligned",
    "raises-each",
    "drops-low-bits",
    "drops-ring-bits",
    "alloc-forgets-high",
    "frees-by-half",
    "one-latch",
    "high-reads-low",
    "half-clears",
    "drops-releases",
];

#[test]
fn a_device_that_lies_is_out_of_step() {
    let unseen: Vec<&str> = LIES
        .into_iter()
        .filter(|lie| {
            let own = [("mode", "stepped"), ("halves", "on"), ("lies", *lie)];
            let options = [&SMALL[..], &own].concat();
            (0..8).all(|seed| differ(model(&options), false, seed, 1500).is_ok())
        })
        .collect();
    assert_eq!(unseen, [""; 0], "lies that show nowhere");
}

#[test]
fn the_device_of_the_environment_is_in_step_with_the_model() {
    let Ok(address) = std::env::var("HWPOOL_DEVICE") else {
        return eprintln!("skipped: HWPOOL_DEVICE names no device");
    };
    let number = |name, otherwise| match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    };
    let (steps, seed) = (number("HWPOOL_STEPS", 20_000), number("HWPOOL_SEED", 1));
    let done = match AnyTransport::open(&address).expect("it opens") {
        AnyTransport::Sim(transport) => differ(Opened::new(transport, PATIENT), false, seed, steps),
        AnyTransport::Vfio(transport) => {
            differ(Opened::new(transport, PATIENT), false, seed, steps)
        }
        AnyTransport::User(transport) => {
            differ(Opened::new(transport, PATIENT), false, seed, steps)
        }
    };
    done.unwrap_or_else(|told| panic!("{told}"));
}
