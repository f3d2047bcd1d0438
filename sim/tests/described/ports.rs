//! How values pass: in halves, acknowledged, committed, measured first.

use hwpool_devices::description::{Empty, Meaning, Passage, Port, Value};
use hwpool_sim::ViolationKind::{self, NotEnabled, PopEmpty, WrongCommand, WrongOrder};

use crate::build::*;

fn broken(kind: ViolationKind, places: &[&str]) -> Vec<(ViolationKind, String)> {
    places
        .iter()
        .map(|place| (kind, place.to_string()))
        .collect()
}

#[test]
fn halves_pass_in_their_order() {
    let (one, other) = (0x2_1234_5678, 0x1_8765_4321);
    let orders = [
        (Passage::LowFirst, [PUSH, PUSH_HIGH, POP, POP_HIGH]),
        (Passage::HighFirst, [PUSH_HIGH, PUSH, POP_HIGH, POP]),
    ];
    for (passage, [push_first, push_last, pop_first, pop_last]) in orders {
        let split = |value: u64| match passage {
            Passage::HighFirst => (value >> 32, value & 0xffff_ffff),
            _ => (value & 0xffff_ffff, value >> 32),
        };
        let bench = Bench::new(halves(plain(), passage));
        for value in [one, other] {
            bench.set(push_first, split(value).0);
            assert_eq!(bench.get(LEVEL), u64::from(value == other));
            bench.set(push_last, split(value).1);
        }
        assert_eq!(bench.get(LEVEL), 2);
        assert_eq!(bench.get(pop_first), split(one).0);
        assert_eq!(bench.get(LEVEL), 1, "the first half takes");
        assert_eq!(bench.get(pop_last), split(one).1);
        bench.no_violations();
        assert_eq!(bench.get(pop_last), split(one).1, "an old half");
        let name = |register: usize| plain().registers[register].name.to_string();
        assert_eq!(bench.violations(), broken(WrongOrder, &[&name(pop_last)]));
        assert_eq!(bench.get(pop_first), split(other).0);
        assert_eq!((bench.get(pop_first), bench.get(pop_last)), (0, 0));
        let lost = bench.violations();
        assert_eq!(
            lost,
            broken(WrongOrder, &[&name(pop_first)]),
            "a half was not read"
        );
        bench.set(push_last, 5);
        let place = name(push_last);
        assert_eq!(bench.violations(), broken(WrongOrder, &[&place]));
        assert_eq!(bench.get(LEVEL), 1, "the other half was what it was");
    }
}

#[test]
fn a_value_is_looked_at_until_a_write_takes_it() {
    let bench = Bench::new(acknowledged(plain()));
    for value in [4, 5] {
        bench.set(PUSH, value);
        bench.set(GIVE, 4);
    }
    assert_eq!(bench.get(LEVEL), 2);
    let looked = [POP, POP, LEVEL].map(|register| bench.get(register));
    assert_eq!(looked, [VALID | 4, VALID | 4, 2]);
    bench.set(TAKE, 1);
    assert_eq!((bench.get(POP), bench.get(LEVEL)), (VALID | 5, 1));
    bench.no_violations();
    bench.set(TAKE, 2);
    assert_eq!(bench.violations(), broken(WrongCommand, &["TAKE"]));
    assert_eq!(bench.get(LEVEL), 1);
    bench.set(TAKE, 1);
    bench.set(TAKE, 1);
    assert_eq!(bench.violations(), broken(PopEmpty, &["TAKE"]));
    assert_eq!(bench.get(POP), 0);
    bench.set(CONTROL, 0);
    bench.set(PUSH, 1);
    bench.set(GIVE, 4);
    assert_eq!(bench.violations(), broken(NotEnabled, &["GIVE"]));
}

#[test]
fn a_value_waits_for_the_write_that_commits_it() {
    let bench = Bench::new(acknowledged(plain()));
    bench.set(PUSH, 4);
    assert_eq!(bench.get(LEVEL), 0);
    bench.set(GIVE, 3);
    assert_eq!(bench.violations(), broken(WrongCommand, &["GIVE"]));
    bench.set(PUSH, 5);
    assert_eq!(
        bench.violations(),
        broken(WrongOrder, &["PUSH"]),
        "4 is lost"
    );
    bench.set(GIVE, 4);
    bench.set(GIVE, 4);
    assert_eq!(bench.violations(), broken(WrongOrder, &["GIVE"]));
    assert_eq!((bench.get(POP), bench.get(LEVEL)), (VALID | 5, 1));
}

#[test]
fn the_length_comes_first() {
    let mut description = measured(plain());
    description.empty = Empty::Level;
    let bench = Bench::new(description);
    assert_eq!(bench.get(LENGTH), 0);
    bench.push(&[6, 7]);
    assert_eq!(
        (bench.get(LENGTH), bench.get(LENGTH), bench.get(POP)),
        (4, 4, 6)
    );
    bench.no_violations();
    assert_eq!(bench.get(POP), 7);
    assert_eq!(bench.violations(), broken(WrongOrder, &["POP"]));
    assert_eq!((bench.get(LENGTH), bench.get(POP)), (0, 7));
    let found = bench.violations();
    assert_eq!(
        found,
        [broken(WrongOrder, &["POP"]), broken(PopEmpty, &["POP"])].concat()
    );
}

#[test]
fn values_of_64_bits_pass_in_one_access_where_they_do() {
    let mut description = plain();
    for (place, at) in [(POP, 0x100), (PUSH, 0x108)] {
        let row = &mut description.registers[place];
        (row.within, row.width, row.bits) = (at, 8, u64::MAX);
    }
    description.pop = hwpool_devices::description::Pop::Read {
        from: Port::Whole(POP),
    };
    description.value = Value {
        low: 4,
        high: 63,
        is: Meaning::Address { shift: 4 },
    };
    description.empty = Empty::Value(u64::MAX);
    let bench = Bench::new(description);
    let address = 0xfedc_ba98_7654_3210;
    bench.set(PUSH, address);
    assert_eq!((bench.get(POP), bench.get(POP)), (address, u64::MAX));
    bench.no_violations();
}
