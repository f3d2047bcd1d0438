//! Pools and the register path (SPEC 4.4, 4.6, 4.8, 5).

use std::collections::BTreeSet;
use std::time::Duration;

use hwpool_devices::bus::{Irq, Transport};
use hwpool_sim::ViolationKind::{ConfigInUse, ReservedBits};
use proptest::prelude::*;

use crate::bench::{BASE, Bench, STRIDE, config, pool};

const RANGE: u64 = 0;
const ALIGN: u64 = 1;
const DOUBLE_FREE: u64 = 2;
const OVERFLOW: u64 = 3;
const DISABLED: u64 = 4;
const CONFIG: u64 = 5;

#[test]
fn what_is_freed_comes_back_once() {
    let bench = Bench::stepped();
    bench.pool(3, 10);
    bench.fill(3, 10);
    let got: BTreeSet<u64> = (0..10).map(|_| bench.alloc(3)).collect();
    assert_eq!(got, (0..10).map(|n| BASE + n * STRIDE).collect());
    assert_eq!(bench.alloc(3), 0);
    assert_eq!(bench.get(pool(3) + 4), 0b011, "enabled and empty");
    bench.no_violations();
}

#[test]
fn each_refused_free_leaves_bit_count_record_and_address() {
    let cases = [
        (BASE - STRIDE, RANGE),
        (BASE + 10 * STRIDE, RANGE),
        (BASE | 1 << 50, RANGE),
        (BASE + 64, ALIGN),
        (BASE + 8, ALIGN),
        (BASE, DOUBLE_FREE),
        (BASE + 8 * STRIDE, OVERFLOW),
    ];
    for (address, kind) in cases {
        let bench = Bench::stepped();
        bench.configure_pool(2, 10);
        bench.set(pool(2) + 0x1c, 8);
        bench.set(pool(2), 1);
        bench.fill(2, 8);
        bench.free(2, address);
        bench.free(2, address);
        assert_eq!(bench.record(), (kind, 0, 2, 0, address));
        assert_eq!(bench.get(0x80), 1 << kind);
        assert_eq!(bench.get(0xc0 + 4 * kind), 2);
        assert_eq!(bench.get(pool(2) + 0x3c), 1 << kind);
        assert_eq!(bench.get64(pool(2) + 0x48), address);
        assert_eq!(bench.available(2), 8);
        bench.no_violations();
    }
}

#[test]
fn a_disabled_pool_or_device_gives_nothing_and_takes_nothing() {
    let bench = Bench::stepped();
    bench.free(1, BASE);
    assert_eq!(bench.record(), (DISABLED, 0, 1, 0, BASE));
    assert_eq!(bench.alloc(1), 0);
    bench.pool(1, 4);
    bench.fill(1, 4);
    bench.set(0x40, 0);
    assert_eq!(bench.alloc(1), 0);
    bench.free(1, BASE - 1);
    assert_eq!(
        bench.get(0xc0 + 4 * DISABLED),
        2,
        "DISABLED comes before RANGE"
    );
    bench.set(0x40, 1);
    assert_ne!(bench.alloc(1), 0, "the list is kept");
}

#[test]
fn records_and_addresses_keep_the_first_error_until_cleared() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    bench.free(0, 1 << 40);
    bench.free(0, BASE + 1);
    assert_eq!(bench.record(), (RANGE, 0, 0, 0, 1 << 40));
    assert_eq!((bench.get(0x80), bench.get(pool(0) + 0x3c)), (3, 3));
    bench.set(0xa0, 1);
    assert_eq!((bench.get64(0x90), bench.get64(0x98)), (0, 0));
    bench.set(pool(0) + 0x3c, 1);
    assert_eq!(bench.get64(pool(0) + 0x48), 1 << 40, "not 0 yet");
    bench.set(pool(0) + 0x3c, 2);
    assert_eq!(bench.get64(pool(0) + 0x48), 0);
    assert_eq!(bench.get(0x80), 3);
    bench.set(0x80, 1);
    assert_eq!(bench.get(0x80), 2);
    bench.free(0, BASE + 1);
    assert_eq!(bench.record(), (ALIGN, 0, 0, 0, BASE + 1));
}

#[test]
fn each_forbidden_transition_of_a_pool_is_a_config_error() {
    let bench = Bench::stepped();
    bench.set(pool(0), 1);
    assert_eq!(bench.get(pool(0)), 0);
    assert_eq!(bench.record(), (CONFIG, 3, 0, 0, 1));
    bench.pool(0, 4);
    bench.fill(0, 4);
    for (offset, value) in [(0x18, 64), (0x1c, 2), (0x00, 3)] {
        let old = bench.get(pool(0) + offset);
        bench.set(pool(0) + offset, value);
        assert_eq!(bench.get(pool(0) + offset), old);
    }
    for offset in [0x08, 0x10] {
        let old = bench.get64(pool(0) + offset);
        bench.set64(pool(0) + offset, old);
        bench.set64(pool(0) + offset, old + 64);
        assert_eq!(bench.get64(pool(0) + offset), old);
    }
    assert_eq!(bench.get(0xc0 + 4 * CONFIG), 6);
    assert_eq!(bench.available(0), 4);
    bench.violated(&[ConfigInUse; 6]);
    bench.set(pool(0), 0);
    bench.set(pool(0), 1);
    assert_eq!(bench.available(0), 0, "disabling has emptied the list");
}

#[test]
fn natural_alignment_rounds_a_freed_address_down() {
    let bench = Bench::stepped();
    bench.configure_pool(0, 4);
    bench.set(pool(0), 3);
    assert_eq!(bench.get(pool(0)), 3);
    bench.free(0, BASE + STRIDE + 100);
    assert_eq!(bench.alloc(0), BASE + STRIDE);
    bench.no_violations();
}

#[test]
fn thresholds_raise_their_vector_once_an_excursion() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(4).unwrap();
    bench.set(0x104, 1 << 4);
    bench.configure_pool(0, 16);
    bench.set(pool(0) + 0x24, 4);
    bench.set(pool(0) + 0x28, 8);
    bench.set(pool(0) + 0x34, 3);
    bench.set(pool(0) + 0x38, 4);
    bench.set(pool(0), 1);
    bench.fill(0, 16);
    let fired = || irq.wait(Duration::ZERO).unwrap();
    assert_eq!(
        (bench.get(pool(0) + 0x2c), fired()),
        (0, 0),
        "filling raises nothing"
    );
    let out: Vec<u64> = (0..13).map(|_| bench.alloc(0)).collect();
    assert_eq!((bench.get(pool(0) + 0x2c), fired()), (1, 1));
    assert_eq!(bench.get(pool(0) + 4), 0b101, "LOW");
    out[..4].iter().for_each(|a| bench.free(0, *a));
    (0..4).for_each(|_| assert_ne!(bench.alloc(0), 0));
    assert_eq!(
        (bench.get(pool(0) + 0x2c), fired()),
        (1, 0),
        "the same excursion"
    );
    bench.set(pool(0) + 0x2c, 1);
    out[4..9].iter().for_each(|a| bench.free(0, *a));
    assert_eq!((bench.get(pool(0) + 0x2c), fired()), (2, 1), "recovered");
    (0..5).for_each(|_| assert_ne!(bench.alloc(0), 0));
    assert_eq!(
        (bench.get(pool(0) + 0x2c), fired()),
        (3, 1),
        "a second excursion"
    );
    bench.no_violations();
}

#[test]
fn reserved_bits_are_dropped_and_reported() {
    let bench = Bench::stepped();
    bench.set(pool(0) + 0x38, 0xff);
    assert_eq!(bench.get(pool(0) + 0x38), 0x1f);
    bench.violated(&[ReservedBits]);
}

#[test]
fn a_narrow_address_width_bounds_pools() {
    let bench = Bench::new(config(&[("address-width", "32")]));
    bench.configure_pool(0, 4);
    bench.set64(pool(0) + 8, (1 << 32) - 3 * STRIDE);
    bench.set64(pool(0) + 0x10, (1 << 32) + STRIDE);
    bench.set(pool(0), 1);
    assert_eq!(bench.get(pool(0)), 0);
    bench.set64(pool(0) + 8, (1 << 32) - 4 * STRIDE);
    bench.set64(pool(0) + 0x10, 1 << 32);
    bench.set(pool(0), 1);
    assert_eq!(bench.get(pool(0)), 1);
}

/// What a host may do to one pool.
#[derive(Debug, Clone)]
enum Act {
    Free(u64),
    Alloc,
    Toggle,
    Reset,
}

fn act() -> impl Strategy<Value = Act> {
    let address = prop_oneof![
        8 => (0u64..12).prop_map(|n| BASE - STRIDE + n * STRIDE),
        1 => BASE..BASE + 12 * STRIDE,
        1 => any::<u64>(),
    ];
    prop_oneof![
        10 => address.prop_map(Act::Free),
        8 => Just(Act::Alloc),
        1 => Just(Act::Toggle),
        1 => Just(Act::Reset),
    ]
}

proptest! {
    /// Whatever the host does, the list holds each buffer of its range at most once and nothing else.
    #[test]
    fn the_list_is_a_set(acts in proptest::collection::vec(act(), 1..120), seed in any::<u64>()) {
        let mut parameters = config(&[]);
        parameters.seed = seed;
        let bench = Bench::new(parameters);
        let (mut list, mut enabled) = (BTreeSet::new(), false);
        let valid = |a: u64| (BASE..BASE + 10 * STRIDE).contains(&a) && (a - BASE).is_multiple_of(STRIDE);
        for act in acts {
            match act {
                Act::Free(address) => {
                    bench.free(0, address);
                    if enabled && valid(address) && list.len() < 8 {
                        list.insert(address);
                    }
                }
                Act::Alloc => {
                    let got = bench.alloc(0);
                    prop_assert_eq!(got == 0, list.is_empty());
                    prop_assert!(got == 0 || list.remove(&got));
                }
                Act::Toggle => {
                    bench.configure_pool(0, 10);
                    bench.set(pool(0) + 0x1c, 8);
                    enabled = !enabled;
                    bench.set(pool(0), enabled.into());
                    list.clear();
                }
                Act::Reset => {
                    bench.set(0x48, 0x5445_5352);
                    bench.until("READY", || bench.get(0x44) == 1);
                    bench.set(0x40, 1);
                    enabled = false;
                    list.clear();
                }
            }
            prop_assert_eq!(bench.available(0) as usize, list.len());
        }
    }
}
