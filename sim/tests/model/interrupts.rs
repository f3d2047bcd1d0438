//! Interrupts (SPEC 4.5, 8) and the MSI-X capability.

use std::time::Duration;

use hwpool_devices::bus::{Bar, BusError, Irq, Transport};
use hwpool_sim::SimIrq;

use crate::bench::{Bench, config, pool, portal};

fn fired(irq: &SimIrq) -> u64 {
    irq.wait(Duration::from_micros(20)).unwrap()
}

#[test]
fn raises_while_disabled_are_one_message_when_enabled() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(7).unwrap();
    bench.set(0x10c, 7);
    bench.set(0x10c, 7);
    assert_eq!((fired(&irq), bench.get(0x100)), (0, 1 << 7));
    bench.set(0x104, 1 << 7);
    assert_eq!((fired(&irq), bench.get(0x100)), (1, 0));
    bench.set(0x10c, 7);
    bench.set(0x10c, 7);
    assert_eq!(fired(&irq) + fired(&irq), 2, "enabled: a message a raise");
    bench.set(0x108, 1 << 7);
    assert_eq!((bench.get(0x104), bench.get(0x108)), (0, 0));
    assert_eq!(bench.sim.counters().interrupts[7], 3);
    bench.no_violations();
}

#[test]
fn a_vector_that_does_not_exist_is_ignored() {
    let bench = Bench::new(config(&[("vectors", "4")]));
    bench.set(0x10c, 4);
    assert_eq!(bench.get(0x100), 0);
    let refused = BusError::NoVector {
        vector: 4,
        count: 4,
    };
    assert_eq!(bench.sim.irq(4).err(), Some(refused));
    assert_eq!(bench.sim.irq_count(), Ok(4));
}

#[test]
fn an_error_raises_when_its_bit_rises_or_when_it_is_enabled() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(2).unwrap();
    bench.set(0x104, 1 << 2);
    bench.set(0xa4, 2);
    bench.free(0, 64);
    assert_eq!(fired(&irq), 0, "not enabled");
    bench.set(0x88, 1 << 4);
    assert_eq!(fired(&irq), 1, "enabled while its bit is 1");
    bench.free(0, 64);
    assert_eq!(fired(&irq), 0, "the bit is 1 already");
    bench.set(0x80, 1 << 4);
    bench.free(0, 64);
    assert_eq!(fired(&irq), 1);
    assert_eq!((bench.get(0x88), bench.get(0x8c)), (1 << 4, 1 << 4));
    bench.set(0x8c, 1 << 4);
    assert_eq!(bench.get(0x88), 0);
}

#[test]
fn the_w1s_twins_do_as_if_it_had_happened() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(1).unwrap();
    bench.set(0x104, 2);
    bench.set(0xa4, 1);
    bench.set(0x88, 0x1ff);
    bench.set(0x84, 1 << 6);
    assert_eq!(fired(&irq), 1);
    assert_eq!((bench.get(0x80), bench.get(0xc0 + 24)), (1 << 6, 1));
    assert_eq!(bench.record(), (6, 4, 0, 0, 0));
    bench.set(0xa0, 1);
    bench.set(pool(3) + 0x40, 0b11);
    assert_eq!(bench.get(pool(3) + 0x3c), 0b11);
    assert_eq!(bench.record(), (0, 4, 3, 0, 0));
    bench.set(portal(5) + 0x44, 1 << 8);
    assert_eq!((bench.get(portal(5) + 0x40), bench.state(5)), (1 << 8, 0));
    assert_eq!(bench.get(0x80), 1 << 8 | 1 << 6 | 3);
    for (set, enable, vector) in [(0x30, 0x34, 0x38), (0x34, 0x38, 0x3c)] {
        let at = if set == 0x30 { pool(0) } else { portal(0) };
        fired(&irq);
        bench.set(at + vector, 1);
        bench.set(at + enable, 1);
        bench.set(at + set, 1);
        assert_eq!(fired(&irq), 1);
        bench.set(at + set, 1);
        bench.set(at + enable, 0);
        assert_eq!(fired(&irq), 0);
        bench.set(at + enable, 1);
        assert_eq!(fired(&irq), 1, "enabled while its bit is 1");
    }
    bench.no_violations();
}

#[test]
fn masked_messages_wait_in_the_pending_bit_array() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(3).unwrap();
    let msix = bench.sim.bar(4).unwrap();
    bench.set(0x104, 1 << 3);
    bench.sim.mask_vector(3, true).unwrap();
    bench.set(0x10c, 3);
    bench.set(0x10c, 3);
    assert_eq!(fired(&irq), 0);
    assert_eq!(msix.read64(0x1000), Ok(1 << 3));
    bench.sim.mask_vector(3, false).unwrap();
    assert_eq!(fired(&irq), 1);
    assert_eq!(msix.read64(0x1000), Ok(0));
    bench.no_violations();
}

#[test]
fn without_bus_mastering_a_message_waits() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(0).unwrap();
    bench.set(0x104, 1);
    bench.sim.config_write16(4, 2).unwrap();
    bench.set(0x10c, 0);
    assert_eq!(fired(&irq), 0);
    bench.sim.config_write16(4, 6).unwrap();
    assert_eq!(fired(&irq), 1);
}
