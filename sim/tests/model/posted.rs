//! Refused DMA that the device can see, and that it can't (SPEC 6.7).

use hwpool_devices::bus::{Iova, Transport};
use hwpool_sim::ViolationKind;

use crate::bench::{ACQUIRE, BASE, Bench, DMA_LEN, LINE, RELEASE, STRIDE, config, portal};

const DMA_FAULT: u64 = 6;

/// A portal that has started, of a pool with as many buffers in its list.
fn blind(buffers: u64) -> Bench {
    let bench = Bench::new(config(&[("write-faults", "off")]));
    bench.pool(0, 8);
    bench.fill(0, buffers);
    bench
}

fn unmap(bench: &Bench) {
    bench.sim.dma_unmap(Iova(RELEASE), DMA_LEN).unwrap();
}

#[test]
fn a_lost_entry_is_counted_and_the_portal_goes_on() {
    let bench = blind(0);
    let client = bench.portal(0, 0, 3, 4, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    unmap(&bench);
    bench.free(0, BASE);
    bench.settle();
    assert_eq!((bench.state(0), bench.get(portal(0) + 0x54)), (1, 1));
    assert_eq!(bench.available(0), 0, "not back in the list");
    assert_eq!(bench.get(0xc0 + 4 * DMA_FAULT), 0);
    let memory = bench.memory.source(0, DMA_LEN);
    bench.sim.dma_map(Iova(RELEASE), memory).unwrap();
    bench.free(0, BASE + STRIDE);
    bench.settle();
    let entries = [0, 8].map(|at| bench.memory.load(ACQUIRE + at));
    assert_eq!(
        entries,
        [0, (BASE + STRIDE) | 1],
        "the next one comes behind it"
    );
    drop(client);
    bench.violated(&[ViolationKind::DmaRefused]);
}

#[test]
fn entries_that_are_lost_under_way_are_counted_too() {
    let bench = blind(4);
    let client = bench.portal(0, 0, 3, 4, 1);
    unmap(&bench);
    bench.settle();
    assert_eq!((bench.state(0), bench.get(portal(0) + 0x54)), (1, 4));
    assert_eq!(bench.available(0), 0);
    drop(client);
}

#[test]
fn a_lost_line_is_no_error_and_a_portal_stops_without_it() {
    let bench = blind(0);
    let client = bench.portal(0, 0, 3, 4, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    unmap(&bench);
    bench.set(portal(0), 0);
    bench.until("the stop", || bench.state(0) == 0);
    assert_eq!(bench.get(0x80), 0);
    assert_eq!(bench.memory.load(LINE + 24), 1, "the first line");
    drop(client);
}

#[test]
fn a_refused_read_halts_the_portal_and_its_last_line_is_lost() {
    let bench = blind(0);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    client.release(BASE);
    client.release(BASE + STRIDE);
    unmap(&bench);
    client.ring();
    bench.until("the halt", || bench.state(0) == 3);
    assert_eq!(bench.record(), (DMA_FAULT, 1, 0, 0, RELEASE));
    assert_eq!(bench.get(portal(0) + 0x50), 0, "none is consumed");
    assert_eq!(bench.get(0xc0 + 4 * DMA_FAULT), 1);
}

#[test]
fn without_bus_mastering_the_device_knows() {
    let bench = blind(0);
    let client = bench.portal(0, 0, 3, 4, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    bench.sim.config_write16(4, 2).unwrap();
    bench.free(0, BASE);
    bench.until("the halt", || bench.state(0) == 3);
    assert_eq!(bench.record(), (DMA_FAULT, 2, 0, 0, ACQUIRE));
    assert_eq!(bench.available(0), 1, "back in the list");
    drop(client);
}

#[test]
fn a_device_of_1_0_does_not_say_whether_it_sees_writes() {
    for on in ["on", "off"] {
        let bench = Bench::new(config(&[("minor", "0"), ("write-faults", on)]));
        assert_eq!(bench.get(0x2c), 0x1f);
    }
}
