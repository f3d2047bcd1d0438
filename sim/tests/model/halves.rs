//! 64-bit registers by halves (SPEC 2.1).

use hwpool_devices::bus::Bar;
use hwpool_sim::ViolationKind;

use crate::bench::{BASE, Bench, STRIDE, config, pool, portal};

const HIGH: u64 = 4;
const RANGE: u64 = 0;
const DISABLED: u64 = 4;
const CONFIG: u64 = 5;
const BAD_DOORBELL: u64 = 7;

fn bench(halves: &str) -> Bench {
    Bench::new(config(&[("halves", halves)]))
}

/// Configures a pool of 4 buffers from `base` on, by halves.
fn high_pool(bench: &Bench, p: u64, base: u64) {
    let half = |at, value: u64| {
        bench.set(pool(p) + at, value as u32);
        bench.set(pool(p) + at + HIGH, (value >> 32) as u32);
    };
    half(0x08, base);
    half(0x10, base + 4 * STRIDE);
    bench.set(pool(p) + 0x18, STRIDE as u32);
    bench.set(pool(p) + 0x1c, 4);
    bench.set(pool(p), 1);
    assert_eq!(bench.get(pool(p)), 1);
}

fn alloc(bench: &Bench, p: u64, half: u64) -> u32 {
    bench.operation.read32(p * 0x1000 + half).unwrap()
}

fn free(bench: &Bench, p: u64, half: u64, value: u64) {
    let at = p * 0x1000 + 8 + half;
    bench.operation.write32(at, value as u32).unwrap();
}

#[test]
fn an_allocation_takes_with_the_low_half_and_a_free_gives_with_the_high_one() {
    for halves in ["on", "only"] {
        let bench = bench(halves);
        let base = 5 << 32;
        high_pool(&bench, 0, base);
        free(&bench, 0, 0, base);
        assert_eq!(bench.available(0), 0, "kept");
        free(&bench, 0, HIGH, base >> 32);
        assert_eq!(bench.available(0), 1);
        assert_eq!(alloc(&bench, 0, 0), 0);
        assert_eq!(bench.available(0), 0, "taken");
        assert_eq!(alloc(&bench, 0, HIGH), 5);
        assert_eq!(alloc(&bench, 0, HIGH), 5, "kept until the next low half");
        assert_eq!(
            (alloc(&bench, 0, 0), alloc(&bench, 0, HIGH)),
            (0, 0),
            "empty"
        );
        bench.no_violations();
    }
}

#[test]
fn pages_and_directions_keep_their_own_halves() {
    let bench = bench("only");
    high_pool(&bench, 0, 5 << 32);
    high_pool(&bench, 1, (6 << 32) + STRIDE);
    free(&bench, 0, 0, 0);
    free(&bench, 1, 0, STRIDE);
    free(&bench, 0, HIGH, 5);
    free(&bench, 1, HIGH, 6);
    free(&bench, 0, 0, STRIDE);
    assert_eq!(
        (alloc(&bench, 0, 0), alloc(&bench, 1, 0)),
        (0, STRIDE as u32)
    );
    assert_eq!((alloc(&bench, 1, HIGH), alloc(&bench, 0, HIGH)), (6, 5));
    free(&bench, 0, HIGH, 5);
    assert_eq!((bench.available(0), bench.available(1)), (1, 0));
    bench.no_violations();
}

#[test]
fn a_high_half_alone_acts_on_what_is_kept_and_a_reset_forgets_it() {
    let bench = bench("only");
    high_pool(&bench, 0, 5 << 32);
    free(&bench, 0, 0, STRIDE);
    free(&bench, 0, HIGH, 5);
    alloc(&bench, 0, 0);
    free(&bench, 0, HIGH, 5);
    assert_eq!(bench.available(0), 1, "the same buffer");
    free(&bench, 0, 0, 2 * STRIDE);
    bench.set(0x48, 0x5445_5352);
    bench.until("READY", || bench.get(0x44) & 1 == 1);
    assert_eq!(alloc(&bench, 0, HIGH), 0);
    bench.set(0x40, 1);
    high_pool(&bench, 0, (5 << 32) + STRIDE);
    free(&bench, 0, HIGH, 5);
    assert_eq!(bench.available(0), 0);
    let address = u64::from(bench.get(0x98)) | u64::from(bench.get(0x9c)) << 32;
    assert_eq!(bench.get(0x90) & 0xf1, 1 | (RANGE as u32) << 4);
    assert_eq!(address, 5 << 32, "the low half is 0");
}

#[test]
fn a_whole_access_is_both_halves_at_once() {
    let bench = bench("on");
    high_pool(&bench, 0, 5 << 32);
    bench.free(0, (5 << 32) + STRIDE);
    assert_eq!(bench.alloc(0), (5 << 32) + STRIDE);
    assert_eq!(alloc(&bench, 0, HIGH), 5);
    free(&bench, 0, HIGH, 5);
    assert_eq!(bench.alloc(0), (5 << 32) + STRIDE);
    bench.no_violations();
}

#[test]
fn the_halves_of_a_doorbell_are_counts_of_their_own() {
    let bench = bench("on");
    bench.pool(0, 4);
    let mut client = bench.portal(0, 0, 3, 2, 1);
    bench.until("a first line", || bench.line().sequence == 1);
    let ring = |half: u64, value: u32| {
        let at = 0x4_0000 + half;
        bench.operation.write32(at, value).unwrap();
    };
    (0..3).for_each(|n| client.release(BASE + n * STRIDE));
    ring(0, 3);
    bench.until("the entries", || bench.line().release_head == 3);
    assert_eq!(
        (bench.line().acquire_tail, bench.line().acquire_head),
        (2, 0)
    );
    ring(HIGH, 1);
    bench.until("the head", || bench.line().acquire_head == 1);
    assert_eq!(
        (bench.line().release_head, bench.line().acquire_tail),
        (3, 3)
    );
    bench.no_violations();
    ring(HIGH, 9);
    bench.until("the halt", || bench.state(0) == 3);
    assert_eq!(bench.record(), (BAD_DOORBELL, 2, 0, 0, 9 << 32 | 3));
    bench.set(portal(0), 0);
    bench.set(portal(0), 1);
    ring(HIGH, 0);
    bench.settle();
    assert_eq!(bench.state(0), 1, "the other half was 0 again");
}

#[test]
fn each_half_of_a_doorbell_of_a_disabled_portal_is_an_error() {
    let bench = bench("on");
    bench.operation.write32(0x4_0000, 1).unwrap();
    bench.operation.write32(0x4_0004, 2).unwrap();
    assert_eq!(bench.get(0xc0 + 4 * DISABLED), 2);
    bench.violated(&[ViolationKind::DoorbellDisabled; 2]);
}

#[test]
fn a_half_of_a_locked_register_is_judged_as_a_whole_write() {
    let bench = bench("on");
    high_pool(&bench, 0, 5 << 32);
    bench.set(pool(0) + 0x0c, 5);
    assert_eq!(bench.get(0xc0 + 4 * CONFIG), 0, "the same");
    bench.set(pool(0) + 0x0c, 6);
    assert_eq!(bench.record(), (CONFIG, 3, 0, 0, 6 << 32));
    assert_eq!(bench.get64(pool(0) + 0x08), 5 << 32);
}

#[test]
fn what_is_whole_gets_lost_where_there_are_halves_only() {
    let bench = bench("only");
    bench.set64(0x10, 7);
    assert_eq!((bench.get(0x10), bench.get(0x14)), (0, 0));
    assert_eq!(bench.get64(0x10), u64::MAX);
    assert_eq!(bench.alloc(0), u64::MAX);
    bench.violated(&[ViolationKind::WrongWidth; 3]);
}

#[test]
fn without_the_feature_half_an_access_is_none() {
    let bench = Bench::stepped();
    bench.set(0x10, 7);
    assert_eq!(bench.get(0x14), 0);
    assert_eq!(bench.get64(0x10), 0);
    bench.violated(&[ViolationKind::WrongWidth; 2]);
}
