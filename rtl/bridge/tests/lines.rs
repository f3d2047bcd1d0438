//! Interrupt requests by pulse and by handshake, and an FLR with an input of its own.

mod common;

use std::time::Duration;

use common::{can_build, design, serve};
use hwpool::devices::bus::{Bar, Irq, Transport};

#[test]
fn each_cycle_of_a_pulse_and_each_handshake_is_a_message() {
    if !can_build() {
        return;
    }
    for seed in [None, Some(3)] {
        let served = serve(&design("tests/designs/lines.toml"), seed);
        served.client.config_write16(4, common::MASTER).unwrap();
        for (vector, offset) in [(0, 0), (1, 4), (2, 12)] {
            let irq = served.client.irq(vector).unwrap();
            for count in [1u32, 3, 10] {
                served.bar().write32(offset, count).unwrap();
                served.monitor.settled();
                assert_eq!(
                    irq.wait(Duration::ZERO).unwrap(),
                    u64::from(count),
                    "vector {vector} seed {seed:?}"
                );
            }
        }
    }
}

#[test]
fn a_handshake_waits_for_who_listens_and_pulses_are_one_then() {
    if !can_build() {
        return;
    }
    let served = serve(&design("tests/designs/lines.toml"), None);
    served.client.config_write16(4, common::MASTER).unwrap();
    served.bar().write32(0, 5).unwrap();
    served.bar().write32(4, 5).unwrap();
    served.monitor.settled();
    assert_eq!(served.client.bar(1).unwrap().read32(0x1000).unwrap(), 3);
    let irqs = [0, 1].map(|vector| served.client.irq(vector).unwrap());
    served.monitor.settled();
    let counts = irqs.map(|irq| irq.wait(Duration::ZERO).unwrap());
    assert_eq!(
        counts,
        [1, 5],
        "a pending bit is one; a handshake loses none"
    );
}

#[test]
fn an_flr_has_its_own_input_and_what_survives_it() {
    if !can_build() {
        return;
    }
    let served = serve(&design("tests/designs/lines.toml"), None);
    for count in 1..4 {
        served.bar().write32(4, 7).unwrap();
        served.client.reset().unwrap();
        served.client.config_write16(4, common::MASTER).unwrap();
        assert_eq!(served.bar().read32(8).unwrap(), count);
        assert_eq!(served.bar().read32(4).unwrap(), 0);
    }
}

#[test]
fn a_line_that_asks_without_end_ends_the_design_and_is_named() {
    if !can_build() {
        return;
    }
    for (vector, offset, seed) in [(0, 0, None), (1, 4, None), (1, 4, Some(3))] {
        let served = serve(&design("tests/designs/lines.toml"), seed);
        served.client.config_write16(4, common::MASTER).unwrap();
        let _irq = served.client.irq(vector).unwrap();
        // As many as `limit` in a row are a design's own affair.
        served.bar().write32(offset, 10_000).unwrap();
        served.monitor.settled();
        assert_eq!(served.monitor.fault(), None);
        served.bar().write32(offset, u32::MAX).unwrap();
        served.monitor.settled();
        let fault = served.monitor.fault().expect("it has ended").to_string();
        for part in [
            "asks for interrupts without end: irqs was never 0 over 10001 messages",
            "at cycle ",
        ] {
            assert!(fault.contains(part), "{fault}");
        }
    }
}
