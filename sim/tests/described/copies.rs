//! Several lists, and several windows onto one.

use hwpool_devices::description::{Passage, Sharing};
use hwpool_devices::reg::{Bank, Scope};

use crate::build::*;

#[test]
fn each_list_is_its_own() {
    let bench = Bench::new(copied(plain(), Sharing::Lists(3)));
    bench.set_at(PUSH, 0, 4);
    bench.set_at(PUSH, 2, 4);
    bench.set_at(PUSH, 2, 5);
    let levels = [0, 1, 2].map(|list| bench.get_at(LEVEL, list));
    assert_eq!(levels, [1, 0, 2]);
    assert_eq!((bench.get_at(POP, 1), bench.get_at(POP, 2)), (0, VALID | 4));
    bench.set(RESET, KEY);
    bench.until("READY", || {
        (0..3).all(|list| bench.get_at(STATUS, list) & READY != 0)
    });
    let after = [0, 1, 2].map(|list| (bench.get_at(LEVEL, list), bench.get_at(RESETS, list)));
    assert_eq!(after, [(0, 1); 3], "one register resets all");
    bench.no_violations();
}

#[test]
fn a_list_that_has_a_reset_is_reset_alone() {
    let mut description = copied(plain(), Sharing::Lists(2));
    description.registers[RESET].bank = Bank {
        base: 0x100,
        ..description.registers[PUSH].bank
    };
    let bench = Bench::new(description);
    for list in [0, 1] {
        bench.set_at(THRESHOLD, list, 3);
        bench.set_at(PUSH, list, 4);
    }
    bench.set_at(RESET, 1, KEY);
    let ready = [0, 1].map(|list| bench.get_at(STATUS, list) & READY);
    assert_eq!(ready, [1, 0]);
    bench.until("READY", || bench.get_at(STATUS, 1) & READY != 0);
    let after = |list| [LEVEL, RESETS, THRESHOLD].map(|register| bench.get_at(register, list));
    assert_eq!((after(0), after(1)), ([1, 0, 3], [0, 1, 0]));
    assert_eq!(bench.get(CONTROL), 1, "shared registers stay");
    bench.no_violations();
}

#[test]
fn windows_show_one_list_and_keep_their_halves_apart() {
    let description = copied(halves(plain(), Passage::LowFirst), Sharing::Windows(2));
    let bench = Bench::new(description);
    bench.set_at(PUSH, 0, 0x1111);
    bench.set_at(PUSH, 1, 0x2222);
    bench.set_at(PUSH_HIGH, 0, 1);
    bench.set_at(PUSH_HIGH, 1, 2);
    assert_eq!((bench.get_at(LEVEL, 0), bench.get_at(LEVEL, 1)), (2, 2));
    let first = [bench.get_at(POP, 1), bench.get_at(POP, 0)];
    let second = [bench.get_at(POP_HIGH, 0), bench.get_at(POP_HIGH, 1)];
    assert_eq!((first, second), ([0x1111, 0x2222], [2, 1]));
    bench.no_violations();
}

#[test]
fn lists_share_what_is_the_devices() {
    let mut description = copied(plain(), Sharing::Lists(2));
    for shared in [ERROR, EVENT, EVENT_SET, RESETS] {
        let row = &mut description.registers[shared];
        row.bank = Bank {
            scope: Scope::Device,
            base: 0,
            count: 1,
            stride: 0,
            ..row.bank
        };
    }
    let bench = Bench::new(description);
    for list in [0, 1] {
        bench.set_at(THRESHOLD, list, 1);
        (0..MANY).for_each(|value| bench.set_at(PUSH, list, value));
    }
    assert_eq!(bench.get(ERROR), 0);
    bench.set_at(PUSH, 1, 0);
    assert_eq!(bench.get(ERROR), 1);
    bench.set(ERROR, 1);
    assert_eq!(bench.get(ERROR), 0);
    assert_eq!(bench.get(EVENT), 0);
    (0..MANY).for_each(|_| assert_ne!(bench.get_at(POP, 1), 0));
    assert_eq!(bench.get(EVENT), 1);
    bench.set(EVENT, 1);
    assert_eq!(bench.get(EVENT), 0);
    bench.set(RESET, KEY);
    bench.until("READY", || bench.get_at(STATUS, 0) & READY != 0);
    assert_eq!(bench.get(RESETS), 1);
    bench.no_violations();
}
