//! Resets (SPEC 6).

use std::time::Duration;

use hwpool_devices::bus::Transport;
use hwpool_sim::ViolationKind::InReset;

use crate::bench::{
    Bench, CONTROL, ERROR, EVENT, LEVEL, POP, RESET, RESET_COUNT, STATUS, THRESHOLD,
};

const KEY: u32 = 0x5445_5352;

fn busy() -> Bench {
    let bench = Bench::new(&[]);
    bench.set(THRESHOLD, 2);
    bench.push(&[1, 2, 3, 9]);
    bench.get(POP);
    bench.get(POP);
    bench.set(0x0c, 77);
    assert_eq!((bench.get(ERROR), bench.get(EVENT)), (2, 1));
    bench
}

fn is_fresh(bench: &Bench) {
    for offset in [0x0c, CONTROL, LEVEL, ERROR, POP, THRESHOLD, EVENT] {
        assert_eq!(bench.get(offset), 0, "{offset:#x}");
    }
    assert_eq!(bench.get(STATUS), 3);
    bench.set(CONTROL, 1);
    assert_eq!(bench.get(POP), 0, "no number of a former owner");
}

#[test]
fn a_reset_by_its_key_empties_everything_and_keeps_configuration_space() {
    let bench = busy();
    bench.set(RESET, KEY + 1);
    assert_eq!(
        (bench.get(RESET_COUNT), bench.get(LEVEL)),
        (0, 1),
        "another key"
    );
    bench.set(RESET, KEY);
    let begun = bench.sim.now();
    assert_eq!(bench.get(STATUS) & 1, 0);
    bench.until("READY", || bench.get(STATUS) & 1 != 0);
    assert!(bench.sim.now() - begun <= Duration::from_millis(10));
    assert_eq!(bench.get(RESET_COUNT), 1);
    assert_eq!(bench.sim.config_read32(4).unwrap() & 7, 6);
    is_fresh(&bench);
    bench.no_violations();
}

#[test]
fn while_not_ready_only_status_works() {
    let bench = busy();
    bench.set(RESET, KEY);
    bench.set(CONTROL, 1);
    assert_eq!((bench.get(0), bench.get(POP), bench.get(STATUS)), (0, 0, 2));
    let found: Vec<_> = bench
        .violations()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(found, [InReset, InReset, InReset]);
    bench.until("READY", || bench.get(STATUS) & 1 != 0);
    assert_eq!(bench.get(CONTROL), 0);
}

#[test]
fn a_function_level_reset_does_the_same_and_clears_configuration_space() {
    let bench = busy();
    bench.sim.config_write16(0x48, 1 << 15).unwrap();
    assert_eq!(bench.sim.config_read32(4).unwrap() & 7, 0);
    bench.sim.config_write16(4, 6).unwrap();
    assert_eq!(bench.get(STATUS), u32::MAX, "within 100 ms");
    assert_eq!(bench.violations()[0].0, InReset);
    let over = bench.sim.now() + Duration::from_millis(100);
    bench.until("the end of 100 ms", || bench.sim.now() >= over);
    bench.sim.violations();
    assert_eq!(bench.get(RESET_COUNT), 1);
    is_fresh(&bench);
    bench.no_violations();
}

#[test]
fn a_reset_as_a_kernel_does_it_leaves_a_device_that_can_be_used() {
    for mode in ["stepped", "threaded"] {
        let bench = Bench::new(&[("mode", mode)]);
        bench.push(&[1]);
        bench.sim.reset().unwrap();
        assert_eq!(bench.get(RESET_COUNT), 1);
        is_fresh(&bench);
        bench.push(&[3]);
        assert_eq!(bench.drain(), [3]);
        bench.no_violations();
    }
}
