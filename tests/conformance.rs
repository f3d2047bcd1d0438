//! One suite, run over every transport: the model stepped, the model threaded, and whatever `HWPOOL_DEVICE` names.

mod suite;

use std::sync::Arc;

use hwpool::device::Link;
use hwpool::devices::bus::Transport;

/// Runs all cases, each on a transport of its own, and looks at it afterwards.
fn conforms<T: Transport>(open: impl Fn() -> Arc<T>, look: impl Fn(&T)) {
    for (name, case) in suite::cases() {
        eprintln!("{name}");
        let transport = open();
        case(transport.clone());
        look(&transport);
    }
}

fn conforms_at(address: &str) {
    match Link::open(address).expect("the address opens") {
        Link::Sim(_) => conforms(
            || match Link::open(address) {
                Ok(Link::Sim(model)) => model,
                other => panic!("no model: {:?}", other.err()),
            },
            |model| assert_eq!(model.violations(), [], "the driver broke a rule"),
        ),
        // A function belongs to one opener, and a case may leave its transport open for ever: they share one.
        Link::Vfio(function) => conforms(|| function.clone(), |_| {}),
    }
}

#[test]
fn stepped_model() {
    for seed in 0..8 {
        conforms_at(&format!("sim:bmu?seed={seed}"));
    }
}

#[test]
fn threaded_model() {
    conforms_at("sim:bmu?mode=threaded");
}

#[test]
fn smallest_model() {
    conforms_at("sim:bmu?pools=1&portals=1&vectors=1&address-width=32");
}

#[test]
fn device_of_the_environment() {
    match std::env::var("HWPOOL_DEVICE") {
        Ok(address) => conforms_at(&address),
        Err(_) => eprintln!("skipped: HWPOOL_DEVICE names no device"),
    }
}
