//! Resets: by writes in their order, and by the function's.

use hwpool_devices::bus::Transport;
use hwpool_devices::description::{Fill, Meaning, Passage, Write};
use hwpool_sim::ViolationKind::{InReset, WrongOrder};

use crate::build::*;

#[test]
fn a_reset_empties_the_list_and_puts_registers_back() {
    let bench = Bench::new(plain());
    bench.push(&[4, 5]);
    bench.set(SCRATCH, 7);
    bench.set(RESET, KEY + 1);
    assert_eq!((bench.get(LEVEL), bench.get(RESETS)), (2, 0), "a wrong key");
    bench.set(RESET, KEY);
    assert_eq!(bench.get(STATUS) & READY, 0);
    assert_eq!(bench.get(SCRATCH), 0);
    assert_eq!(bench.sim.violations()[0].kind, InReset);
    bench.until("READY", || bench.get(STATUS) & READY != 0);
    let after = [SCRATCH, CONTROL, LEVEL, RESETS].map(|register| bench.get(register));
    assert_eq!(after, [0x55, 0, 0, 1]);
    bench.no_violations();
    bench.set(CONTROL, 1);
    bench.push(&[6]);
    bench.sim.reset().unwrap();
    assert_eq!((bench.get(LEVEL), bench.get(RESETS)), (0, 2));
    bench.no_violations();
}

#[test]
fn all_writes_of_a_sequence_come_in_order() {
    let mut description = plain();
    let unlock = Write {
        register: SCRATCH,
        value: 0xa5,
    };
    description.reset.writes.insert(0, unlock);
    description.reset.until = None;
    description.scratch = None; // it does something then
    let bench = Bench::new(description);
    bench.set(RESET, KEY);
    assert_eq!(bench.get(RESETS), 0);
    bench.set(SCRATCH, 0xa5);
    bench.set(SCRATCH, 0);
    bench.set(RESET, KEY);
    assert_eq!(
        bench.get(RESETS),
        0,
        "another write of the sequence's came between"
    );
    bench.set(SCRATCH, 0xa5);
    bench.set(THRESHOLD, 1);
    bench.set(RESET, KEY);
    assert_eq!((bench.get(RESETS), bench.get(SCRATCH)), (1, 0x55));
    bench.no_violations();
}

#[test]
fn what_was_under_way_does_not_outlive_a_reset() {
    let bench = Bench::new(halves(plain(), Passage::LowFirst));
    bench.set(PUSH, 7);
    bench.set(RESET, KEY);
    bench.until("READY", || bench.get(STATUS) & READY != 0);
    bench.set(CONTROL, 1);
    bench.set(PUSH_HIGH, 1);
    let found = bench.violations();
    assert_eq!(found[0], (WrongOrder, "PUSH_HIGH".into()), "{found:?}");
}

#[test]
fn entries_outlive_a_reset_where_they_do_and_a_reset_fills_where_it_does() {
    let mut keeps = plain();
    keeps.reset.keeps_entries = true;
    keeps.reset.flr = false;
    let bench = Bench::new(keeps);
    bench.push(&[4, 5]);
    bench.set(RESET, KEY);
    bench.until("READY", || bench.get(STATUS) & READY != 0);
    bench.set(CONTROL, 1);
    assert_eq!(bench.get(POP), VALID | 4);
    bench.sim.reset().unwrap();
    let after = [LEVEL, RESETS, CONTROL].map(|register| bench.get(register));
    assert_eq!(
        after,
        [1, 1, 1],
        "a function level reset does nothing to it"
    );
    let mut fills = plain();
    fills.fill = Fill::Reset;
    fills.value.is = Meaning::Index { first: 1 };
    let bench = Bench::new(fills);
    let all: Vec<u64> = (1..=MANY).collect();
    assert_eq!(bench.drain(), all);
    bench.set(RESET, KEY);
    bench.until("READY", || bench.get(STATUS) & READY != 0);
    bench.set(CONTROL, 1);
    assert_eq!(bench.drain(), all);
    bench.no_violations();
}
