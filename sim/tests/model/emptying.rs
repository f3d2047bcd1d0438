//! Lists that take time to be emptied (SPEC 5.3).

use std::time::Duration;

use hwpool_devices::bus::Transport;
use hwpool_sim::ViolationKind;

use crate::bench::{BASE, Bench, STRIDE, config, pool};

const DISABLED: u64 = 4;
const CONFIG: u64 = 5;
const BUSY: u32 = 0b1000;

/// A device whose pool 0 was disabled just now, with buffers in its list.
fn emptying(options: &[(&str, &str)]) -> Bench {
    let bench = Bench::new(config(&[&[("emptying-ms", "4")], options].concat()));
    bench.pool(0, 8);
    bench.fill(0, 8);
    bench.set(pool(0), 0);
    assert_eq!(bench.get(pool(0) + 4), BUSY);
    bench
}

fn is_busy(bench: &Bench) -> bool {
    bench.get(pool(0) + 4) == BUSY
}

#[test]
fn a_pool_is_disabled_at_once_and_busy_within_what_the_device_says() {
    let bench = emptying(&[]);
    assert_eq!(bench.get(0x3c), 4);
    assert_eq!(
        (bench.get(pool(0)), bench.available(0), bench.alloc(0)),
        (0, 0, 0)
    );
    bench.free(0, BASE);
    assert_eq!(bench.record(), (DISABLED, 0, 0, 0, BASE));
    assert!(is_busy(&bench));
    let since = bench.sim.now();
    bench.until("the end", || !is_busy(&bench));
    let took = bench.sim.now() - since;
    assert!(
        took > Duration::from_millis(1) && took < Duration::from_millis(4),
        "{took:?}"
    );
    bench.pool(0, 4);
    assert_eq!(bench.available(0), 0);
    bench.no_violations();
}

#[test]
fn while_busy_a_pool_can_be_configured_and_not_enabled() {
    let bench = emptying(&[]);
    bench.set64(pool(0) + 0x10, BASE + 4 * STRIDE);
    bench.set(pool(0) + 0x1c, 4);
    assert_eq!(bench.get(pool(0) + 0x1c), 4);
    bench.set(pool(0), 1);
    assert_eq!(bench.get(pool(0)), 0);
    assert_eq!(bench.record(), (CONFIG, 3, 0, 0, 1));
    bench.until("the end", || !is_busy(&bench));
    bench.set(pool(0), 1);
    assert_eq!(bench.get(pool(0)), 1);
    bench.violated(&[ViolationKind::ConfigInUse]);
}

#[test]
fn other_pools_are_not_busy() {
    let bench = emptying(&[]);
    bench.pool(1, 4);
    bench.fill(1, 4);
    assert!(is_busy(&bench));
    assert_eq!(bench.get(pool(1) + 4), 1);
}

#[test]
fn no_pool_is_busy_after_a_reset() {
    let bench = emptying(&[]);
    bench.set(0x48, 0x5445_5352);
    bench.until("READY", || bench.get(0x44) & 1 == 1);
    assert_eq!(bench.get(pool(0) + 4), 0);
    let bench = emptying(&[]);
    bench.sim.reset().unwrap();
    assert_eq!(bench.get(pool(0) + 4), 0);
}

#[test]
fn in_real_time_it_ends_as_well() {
    let bench = emptying(&[("mode", "threaded")]);
    bench.until("the end", || !is_busy(&bench));
    bench.pool(0, 4);
}

#[test]
fn without_the_feature_a_list_is_empty_at_once() {
    let bench = Bench::stepped();
    bench.pool(0, 4);
    bench.fill(0, 4);
    bench.set(pool(0), 0);
    assert_eq!(bench.get(pool(0) + 4), 0);
    bench.pool(0, 4);
    bench.no_violations();
}
