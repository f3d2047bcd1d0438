//! Resets, quiesce and configuration space (SPEC 3, 9).

use std::time::Duration;

use hwpool_devices::bus::{Irq, Transport};
use hwpool_sim::ViolationKind::InReset;

use crate::bench::{BASE, Bench, STRIDE, config, pool, portal};

/// Uses everything that a reset must undo.
fn busy() -> Bench {
    // One that has every register.
    let bench = Bench::new(config(&[("emptying-ms", "5")]));
    bench.sim.irq(1).unwrap();
    bench.set(0x104, 2);
    bench.set(0x10c, 5);
    bench.set64(0x10, 77);
    bench.pool(0, 64);
    bench.fill(0, 16);
    bench.free(0, 1);
    bench.portal(0, 0, 3, 4, 1);
    bench.settle();
    bench
}

fn is_fresh(bench: &Bench) {
    for row in hwpool_devices::bmu::regs::TABLE {
        for index in 0..row.count() {
            let value = row.peek(&bench.control, index).filter(|_| row.bar() == 0);
            if let (Some(value), Some(reset)) = (value, row.reset) {
                assert_eq!(value, Ok(reset), "{}[{index}]", row.name);
            }
        }
    }
}

#[test]
fn a_soft_reset_empties_everything_and_keeps_configuration_space() {
    let bench = busy();
    bench.set(0x48, 0x5445_5353);
    assert_eq!(bench.get(0x4c), 0, "another key");
    bench.set(0x48, 0x5445_5352);
    assert_eq!(bench.get(0x44), 0);
    bench.until("READY", || bench.get(0x44) == 1);
    assert_eq!(bench.get(0x4c), 1);
    is_fresh(&bench);
    assert_eq!(bench.sim.config_read32(4).unwrap() & 7, 6);
    assert_eq!(
        bench.sim.config_read32(0x80).unwrap() >> 31,
        1,
        "MSI-X stays on"
    );
    bench.no_violations();
    bench.pool(0, 64);
    bench.set(0x40, 1);
    assert_eq!(bench.alloc(0), 0, "no address of a former owner");
}

#[test]
fn while_not_ready_registers_read_0_and_ignore_writes() {
    let bench = busy();
    bench.set(0x48, 0x5445_5352);
    assert_eq!(bench.get(0x00), 0);
    bench.set64(0x10, 5);
    bench.until("READY", || bench.get(0x44) == 1);
    assert_eq!(bench.get64(0x10), 0);
    bench.violated(&[InReset; 2]);
}

#[test]
fn no_host_memory_is_touched_after_a_reset() {
    let bench = busy();
    (0..8).for_each(|n| bench.free(0, BASE + (20 + n) * STRIDE));
    bench.ring_raw(0x4_0000, 4 << 32);
    bench.set(0x48, 0x5445_5352);
    bench.until("READY", || bench.get(0x44) == 1);
    bench.memory.clear(crate::bench::DMA_LEN);
    bench.settle();
    for at in (0..crate::bench::DMA_LEN).step_by(8) {
        assert_eq!(bench.memory.load(crate::bench::DMA + at), 0);
    }
}

#[test]
fn a_function_level_reset_takes_100_ms_and_is_counted() {
    let bench = busy();
    let before = bench.sim.now();
    bench.sim.reset().unwrap();
    assert!(bench.sim.now() - before >= Duration::from_millis(100));
    assert_eq!(bench.get(0x4c), 1);
    is_fresh(&bench);
    assert_eq!(
        bench.sim.config_read32(4).unwrap() & 7,
        6,
        "the kernel restores"
    );
    bench.no_violations();
    let irq = bench.sim.irq(1).unwrap();
    bench.set(0x104, 2);
    bench.set(0x10c, 1);
    assert_eq!(irq.wait(Duration::from_micros(20)).unwrap(), 1);
}

#[test]
fn a_reset_initiated_by_hand_loses_configuration_and_answers_late() {
    let bench = busy();
    bench.sim.config_write16(0x48, 1 << 15).unwrap();
    assert_eq!(bench.sim.config_read32(4).unwrap() & 7, 0);
    assert_eq!(bench.sim.config_read32(0x10), Ok(4), "BARs lost");
    assert_eq!(bench.get(0), u32::MAX);
    bench.violated(&[InReset]);
    while bench.sim.now() < Duration::from_millis(101) {
        bench.sim.relax();
    }
    bench.sim.config_write16(4, 2).unwrap();
    assert_eq!(bench.get(0), 0x3155_4d42);
}

#[test]
fn quiesce_is_reported_once_no_dma_is_under_way() {
    let bench = busy();
    bench.set(0x40, 3);
    bench.until("QUIESCED", || bench.get(0x44) == 3);
    assert_eq!(
        bench.sim.config_read32(0x48).unwrap() >> 21 & 1,
        0,
        "Transactions Pending"
    );
    assert_ne!(bench.alloc(0), 0, "the register path goes on");
    bench.set(0x40, 1);
    assert_eq!(bench.get(0x44), 1);
    bench.no_violations();
}

#[test]
fn transactions_are_pending_while_release_entries_are_on_their_way() {
    let bench = Bench::new(config(&[("jitter-ns", "0"), ("preemption", "0")]));
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    bench.settle();
    client.release(BASE);
    client.ring();
    bench.sim.relax(); // the doorbell arrives, the read leaves
    assert_eq!(bench.sim.config_read32(0x48).unwrap() >> 21 & 1, 1);
    bench.settle();
    assert_eq!(bench.sim.config_read32(0x48).unwrap() >> 21 & 1, 0);
    assert_eq!(bench.get(portal(0) + 0x50), 1);
    assert_eq!(bench.get(pool(0) + 4), 3);
}

#[test]
fn the_identity_is_that_of_the_reference_device() {
    let bench = Bench::closed(config(&[]));
    assert_eq!(bench.sim.config_read32(0), Ok(0xb0f5_1234));
    assert_eq!(bench.sim.config_read32(8), Ok(0x0880_0001));
    assert_eq!(bench.sim.config_read32(0x2c), Ok(0x0001_1234));
    assert_eq!(
        bench.sim.config_read32(4).unwrap() & 7,
        2,
        "bus mastering is the driver's to turn on"
    );
    assert!(bench.sim.config_read32(4096).is_err() && bench.sim.config_read32(2).is_err());
    assert!(bench.sim.config_write16(1, 0).is_err());
}
