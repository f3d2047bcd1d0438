//! What is pushed and popped, and how a device says that it has nothing and takes nothing.

use hwpool_devices::description::{Description, Empty, Order, Room};
use hwpool_sim::ViolationKind::{BadValue, GivenTwice, NotEnabled, PopEmpty, PushFull};

use crate::build::*;

fn with(change: impl Fn(&mut Description)) -> Bench {
    let mut description = plain();
    change(&mut description);
    Bench::new(description)
}

fn is_broken(bench: &Bench, kind: hwpool_sim::ViolationKind, place: &str) {
    assert_eq!(bench.violations(), [(kind, place.to_string())]);
}

#[test]
fn values_leave_in_their_order_and_levels_follow() {
    let bench = with(|_| {});
    bench.push(&[4, 5, 6]);
    assert_eq!((bench.get(LEVEL), bench.get(STATUS)), (3, READY));
    assert_eq!(bench.drain(), [4, 5, 6]);
    assert_eq!((bench.get(LEVEL), bench.get(POP)), (0, 0));
    bench.no_violations();
    let bench = with(|d| d.order = Order::Lifo);
    bench.push(&[4, 5, 6]);
    assert_eq!(bench.drain(), [6, 5, 4]);
    bench.no_violations();
}

#[test]
fn each_way_to_say_that_there_is_nothing() {
    let bench = with(|d| d.empty = Empty::Value(0xffff_ffff));
    bench.push(&[3]);
    assert_eq!((bench.get(POP), bench.get(POP)), (3, 0xffff_ffff));
    let bench = with(|d| d.empty = Empty::BusError);
    bench.push(&[3]);
    assert_eq!((bench.get(POP), bench.get(POP)), (3, 0xffff_ffff));
    bench.no_violations();
    let flagged = with(|d| d.empty = Empty::Flag(flag(STATUS, 1, 1)));
    assert_eq!(flagged.get(STATUS), READY | IS_EMPTY);
    let counted = with(|d| d.empty = Empty::Level);
    for bench in [flagged, counted] {
        bench.push(&[3]);
        assert_eq!((bench.get(STATUS) & IS_EMPTY, bench.get(LEVEL)), (0, 1));
        assert_eq!(bench.get(POP), 3);
        bench.no_violations();
        assert_eq!(bench.get(POP), 3, "an old value");
        is_broken(&bench, PopEmpty, "POP");
    }
}

#[test]
fn each_way_to_say_that_it_is_full() {
    let all: Vec<u64> = (0..MANY).collect();
    let bench = with(|_| {});
    bench.push(&all);
    assert_eq!((bench.get(STATUS), bench.get(ERROR)), (READY | IS_FULL, 0));
    bench.push(&[0]);
    assert_eq!((bench.get(LEVEL), bench.get(ERROR)), (MANY, 1));
    bench.set(ERROR, 1);
    assert_eq!(bench.get(ERROR), 0);
    bench.no_violations();
    assert_eq!(bench.drain(), all);
    let bench = with(|d| d.full.shown = Room::Vacancy(bits(ERROR, 8, 15)));
    bench.push(&[1]);
    assert_eq!(bench.get(ERROR), (MANY - 1) << 8);
    let bench = with(|d| (d.full.look, d.full.sticky) = (true, None));
    bench.push(&all);
    bench.push(&[0]);
    is_broken(&bench, PushFull, "PUSH");
    assert_eq!(bench.drain(), [1, 2, 3, 4, 5, 6, 7, 0]);
}

#[test]
fn what_no_host_may_give() {
    let bench = with(|_| {});
    bench.push(&[3, 3]);
    is_broken(&bench, GivenTwice, "PUSH");
    bench.push(&[MANY]);
    is_broken(&bench, BadValue, "PUSH");
    bench.push(&[VALID | 4]);
    is_broken(&bench, BadValue, "PUSH");
    assert_eq!(bench.drain(), [3, 3, MANY, 4]);
    bench.set(CONTROL, 0);
    bench.push(&[5]);
    is_broken(&bench, NotEnabled, "PUSH");
    bench.set(CONTROL, 1);
    assert_eq!(bench.drain(), [0; 0]);
    bench.push(&[5]);
    bench.set(CONTROL, 0);
    assert_eq!(bench.get(POP), 0);
    bench.no_violations();
}
