//! What 1.1 of the specification settles of what 1.0 left open (SPEC 11), in the order of its sections.

use std::time::Duration;

use hwpool_devices::bus::{Bar, Iova, Irq, Transport};
use hwpool_sim::ViolationKind;

use crate::bench::{ACQUIRE, BASE, Bench, DMA_LEN, LINE, RELEASE, STRIDE, config, pool, portal};

const DOUBLE_FREE: u64 = 2;
const OVERFLOW: u64 = 3;
const CONFIG: u64 = 5;
const DMA_FAULT: u64 = 6;
const BAD_DOORBELL: u64 = 7;
const STALE_ENTRY: u64 = 8;

/// SPEC 2: what is dropped is not judged.
#[test]
fn reserved_bits_are_dropped_before_a_locked_register_is_compared() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    bench.configure_portal(0, 0, 4, 8, 2);
    bench.set(portal(0), 1);
    bench.set(portal(0) + 0x0c, 4 | 4 << 8 | 1 << 31);
    assert_eq!(bench.get(0xc0 + 4 * CONFIG), 0, "the value is the same");
    bench.violated(&[ViolationKind::ReservedBits]);
}

/// SPEC 4.3.
#[test]
fn while_portals_are_not_served_the_last_doorbell_is_kept_and_judged_after() {
    for off in [0, 0b11] {
        let bench = Bench::stepped();
        bench.pool(0, 4);
        let mut client = bench.portal(0, 0, 3, 8, 1);
        bench.until("a first line", || bench.line().sequence == 1);
        bench.set(0x40, off);
        bench.ring_raw(0x4_0000, 9);
        bench.settle();
        assert_eq!(bench.state(0), 1, "not looked at");
        client.release(BASE);
        client.ring();
        bench.set(0x40, 1);
        bench.until("service", || bench.line().release_head == 1);
        bench.set(0x40, off);
        bench.ring_raw(0x4_0000, 10);
        bench.settle();
        assert_eq!((bench.state(0), bench.line().halted), (1, false));
        bench.set(0x40, 1);
        bench.until("the halt", || bench.line().halted);
        assert_eq!(bench.record(), (BAD_DOORBELL, 1, 0, 0, 10));
        bench.violated(&[ViolationKind::BadDoorbell]);
    }
}

/// SPEC 4.3, 6.1: what was announced counts for a portal that was stopped in between.
#[test]
fn a_portal_that_is_stopped_while_not_served_consumes_what_its_last_doorbell_announced() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    let mut client = bench.portal(0, 0, 3, 1, 1);
    bench.settle();
    bench.set(0x40, 0);
    client.release(BASE);
    client.release(BASE + STRIDE);
    client.ring();
    bench.set(portal(0), 0);
    assert_eq!(bench.state(0), 2);
    bench.set(0x40, 1);
    bench.until("the stop", || bench.state(0) == 0);
    let line = bench.line();
    assert_eq!((line.release_head, line.stopped), (2, true));
    bench.no_violations();
}

/// SPEC 4.3.
#[test]
fn a_portal_that_is_enabled_while_not_served_starts_after() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    bench.fill(0, 4);
    bench.set(0x40, 0b11);
    let client = bench.portal(0, 0, 3, 2, 1);
    bench.settle();
    assert_eq!((bench.state(0), bench.line().sequence), (1, 0));
    bench.set(0x40, 1);
    bench.until("the first line", || bench.line().sequence == 1);
    assert_eq!(bench.line().acquire_tail, 2);
    drop(client);
    bench.no_violations();
}

/// SPEC 4.4.
#[test]
fn natural_alignment_is_by_the_stride_whatever_that_is() {
    let bench = Bench::stepped();
    let base = 192 * 1024;
    bench.set64(pool(0) + 0x08, base);
    bench.set64(pool(0) + 0x10, base + 4 * 192);
    bench.set(pool(0) + 0x18, 192);
    bench.set(pool(0) + 0x1c, 4);
    bench.set(pool(0), 3);
    bench.free(0, base + 2 * 192 - 1);
    bench.free(0, base + 192);
    let inside = base + 192 + 64;
    assert_eq!(bench.record(), (DOUBLE_FREE, 0, 0, 0, base + 192));
    bench.set(0xa0, 1);
    bench.free(0, inside);
    assert_eq!(bench.record(), (DOUBLE_FREE, 0, 0, 0, inside), "as written");
    assert_eq!(bench.alloc(0), base + 192);
    assert_eq!(bench.alloc(0), 0);
}

/// SPEC 4.4.
#[test]
fn err_address_has_all_of_what_was_refused() {
    let bench = Bench::stepped();
    bench.set(pool(1), 3);
    assert_eq!(bench.record(), (CONFIG, 3, 1, 0, 3), "the whole word");
    bench.set(0xa0, 1);
    bench.pool(0, 4);
    let client = bench.portal(0, 0, 3, 1, 1);
    bench.settle();
    bench.memory.store(RELEASE, BASE | 0b10_0001);
    bench.ring_raw(0x4_0000, 1);
    bench.until("the halt", || bench.state(0) == 3);
    assert_eq!(bench.record(), (STALE_ENTRY, 1, 0, 0, BASE | 0b10_0001));
    drop(client);
    bench.set(0xa0, 1);
    bench.set(0x84, 0b1_0001_0010);
    assert_eq!(
        bench.record(),
        (1, 4, 0, 0, 0),
        "the lowest, without an address"
    );
}

/// SPEC 4.6.
#[test]
fn empty_is_said_of_a_pool_that_is_enabled_alone() {
    let bench = Bench::stepped();
    assert_eq!(bench.get(pool(0) + 4), 0);
    bench.pool(0, 4);
    assert_eq!(bench.get(pool(0) + 4), 0b011);
    bench.set(pool(0) + 0x24, 1);
    bench.set(pool(0), 0);
    assert_eq!(bench.get(pool(0) + 4), 0b100, "LOW, enabled or not");
}

/// SPEC 4.6.
#[test]
fn a_refused_write_of_pool_control_changes_natural_align_in_a_disabled_pool_alone() {
    let bench = Bench::stepped();
    bench.set(pool(0), 3);
    assert_eq!(bench.get(pool(0)), 2, "a refused enable");
    bench.configure_pool(0, 4);
    bench.set(pool(0), 1);
    bench.set(pool(0), 3);
    assert_eq!(bench.get(pool(0)), 1, "locked");
    let client = bench.portal(0, 0, 3, 1, 1);
    bench.set(pool(0), 2);
    assert_eq!(bench.get(pool(0)), 1, "a refused disable");
    drop(client);
    assert_eq!(bench.get(0xc0 + 4 * CONFIG), 3);
}

/// SPEC 4.6.
#[test]
fn a_pool_may_end_where_the_addresses_do_but_for_64_bits() {
    let last = |width: &'static str, end: u64| {
        let bench = Bench::new(config(&[("address-width", width)]));
        bench.set64(pool(0) + 0x08, end.wrapping_sub(STRIDE));
        bench.set64(pool(0) + 0x10, end);
        bench.set(pool(0) + 0x18, STRIDE as u32);
        bench.set(pool(0) + 0x1c, 1);
        bench.set(pool(0), 1);
        (bench.get64(pool(0) + 0x10), bench.get(pool(0)))
    };
    assert_eq!(last("32", 1 << 32), (1 << 32, 1));
    assert_eq!(last("63", 1 << 63), (1 << 63, 1));
    assert_eq!(last("64", 0), (0, 0), "POOL_END can't say it");
    assert_eq!(last("64", 0u64.wrapping_sub(STRIDE)).1, 1);
}

/// SPEC 4.7.
#[test]
fn an_address_of_a_portal_is_refused_and_not_moved() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    bench.configure_portal(0, 0, 3, 1, 1);
    bench.set64(portal(0) + 0x20, LINE + 32);
    assert_eq!(bench.get64(portal(0) + 0x20), LINE + 32);
    bench.set(portal(0), 1);
    assert_eq!(bench.get(portal(0)), 0);
}

/// SPEC 4.7.
#[test]
fn counts_stay_until_the_portal_is_enabled_again() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    let mut client = bench.portal(0, 0, 3, 2, 1);
    (0..3).for_each(|n| client.release(BASE + n * STRIDE));
    client.ring();
    bench.settle();
    let counts = || (bench.get(portal(0) + 0x50), bench.get(portal(0) + 0x54));
    bench.set(portal(0), 0);
    bench.until("the stop", || bench.state(0) == 0);
    assert_eq!(counts(), (3, 2));
    drop(client);
    bench.memory.clear(0x3_0000);
    bench.set(0x40, 0);
    bench.set(portal(0), 1);
    assert_eq!(counts(), (0, 0));
    bench.no_violations();
}

/// SPEC 5.2.
#[test]
fn a_pool_is_armed_whatever_its_threshold_and_emptying_it_is_no_event() {
    let bench = Bench::stepped();
    bench.pool(0, 8);
    bench.fill(0, 8);
    bench.set(pool(0) + 0x24, 4);
    (0..5).for_each(|_| assert_ne!(bench.alloc(0), 0));
    assert_eq!(
        bench.get(pool(0) + 0x2c),
        1,
        "DEPLETED, with POOL_LOW set late"
    );
    bench.set(pool(0), 0);
    bench.set(pool(0) + 0x2c, 3);
    bench.set(pool(0), 1);
    bench.fill(0, 8);
    bench.set(pool(0), 0);
    assert_eq!(bench.get(pool(0) + 0x2c), 0, "emptied");
}

/// SPEC 6.1.
#[test]
fn a_last_line_that_is_refused_is_no_second_error() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    let mut client = bench.portal(0, 0, 3, 1, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    client.release(BASE);
    let all = (hwpool_devices::bus::Iova(0x10_0000), 0x3_0000);
    bench.sim.dma_unmap(all.0, all.1).unwrap();
    client.ring();
    bench.until("the halt", || bench.state(0) == 3);
    bench.settle();
    assert_eq!(bench.get(0xc0 + 4 * DMA_FAULT), 1);
    assert_eq!(bench.record(), (DMA_FAULT, 1, 0, 0, RELEASE));
}

/// SPEC 6.7.
#[test]
fn a_list_at_its_capacity_takes_what_a_refused_write_had() {
    let bench = Bench::stepped();
    bench.configure_pool(0, 8);
    bench.set(pool(0) + 0x1c, 4);
    bench.set(pool(0), 1);
    let client = bench.portal(0, 0, 3, 4, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    (0..4).for_each(|n| bench.free(0, BASE + n * STRIDE));
    bench.sim.relax(); // the first of them arrives
    (4..8).for_each(|n| bench.free(0, BASE + n * STRIDE)); // they arrive between the entries' start and end
    (1..4).for_each(|_| bench.sim.relax());
    bench.sim.dma_unmap(Iova(RELEASE), DMA_LEN).unwrap();
    bench.until("the halt", || bench.state(0) == 3);
    assert_eq!(bench.record(), (DMA_FAULT, 2, 0, 0, ACQUIRE));
    assert_eq!(bench.get(0xc0 + 4 * OVERFLOW), 0);
    assert_eq!(
        bench.available(0),
        8,
        "four were freed meanwhile, four come back"
    );
    drop(client);
}

/// SPEC 6.4, 6.5.
#[test]
fn a_doorbell_out_of_bounds_is_in_no_line() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    bench.fill(0, 2);
    let client = bench.portal(0, 0, 3, 2, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    bench.ring_raw(0x4_0000, 1 << 32);
    bench.until("a second", || bench.line().acquire_head == 1);
    bench.ring_raw(0x4_0000, 7 << 32);
    bench.until("the halt", || bench.line().halted);
    assert_eq!(bench.line().acquire_head, 1);
    drop(client);
}

/// SPEC 8.
#[test]
fn one_write_that_enables_several_bits_raises_once_and_other_vectors_nothing() {
    let bench = Bench::stepped();
    let irqs = [bench.sim.irq(0).unwrap(), bench.sim.irq(1).unwrap()];
    let fired = || -> [u64; 2] {
        bench.settle();
        irqs.each_ref().map(|irq| irq.wait(Duration::ZERO).unwrap())
    };
    bench.set(0x104, 0b11);
    bench.set(0x84, 0b111);
    bench.set(pool(0) + 0x30, 0b11);
    assert_eq!(fired(), [0, 0]);
    bench.set(0x88, 0b111);
    assert_eq!(fired(), [1, 0]);
    bench.set(0x88, 0b111);
    bench.set(0xa4, 1);
    assert_eq!(fired(), [0, 0], "enabled already; another vector");
    bench.set(pool(0) + 0x38, 1);
    bench.set(pool(0) + 0x34, 0b11);
    assert_eq!(fired(), [0, 1]);
    bench.no_violations();
}

/// SPEC 8.
#[test]
fn a_vector_that_is_not_there_pends_nowhere() {
    let bench = Bench::new(config(&[("vectors", "4")]));
    bench.set(0xa4, 4);
    bench.set(0x88, 1);
    bench.set(0x84, 1);
    assert_eq!(bench.get(0x100), 0);
    bench.no_violations();
}

/// SPEC 9.2.
#[test]
fn a_soft_reset_keeps_the_pending_bit_array() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(3).unwrap();
    bench.set(0x104, 1 << 3);
    bench.sim.mask_vector(3, true).unwrap();
    bench.set(0x10c, 3);
    bench.set(0x48, 0x5445_5352);
    bench.until("READY", || bench.get(0x44) & 1 == 1);
    assert_eq!(bench.sim.bar(4).unwrap().read64(0x1000), Ok(1 << 3));
    bench.sim.mask_vector(3, false).unwrap();
    bench.settle();
    assert_eq!(irq.wait(Duration::ZERO), Ok(1));
}

/// SPEC 9.2.
#[test]
fn a_key_during_a_reset_is_not_counted() {
    let bench = Bench::stepped();
    bench.set(0x48, 0x5445_5352);
    bench.set(0x48, 0x5445_5352);
    bench.until("READY", || bench.get(0x44) & 1 == 1);
    assert_eq!(bench.get(0x4c), 1);
    bench.violated(&[ViolationKind::InReset]);
}
