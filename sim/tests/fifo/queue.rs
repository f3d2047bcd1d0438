//! The queue (SPEC 4).

use std::collections::VecDeque;

use hwpool_sim::ViolationKind::GivenTwice;
use proptest::prelude::*;

use crate::bench::{Bench, CONTROL, DEPTH, ERROR, LEVEL, POP, PUSH, STATUS, VALID};

#[test]
fn numbers_leave_in_the_order_in_which_they_came() {
    for mode in ["stepped", "threaded"] {
        let bench = Bench::new(&[("mode", mode)]);
        assert_eq!((bench.get(STATUS), bench.get(POP)), (3, 0));
        bench.push(&[5, 0, 7]);
        assert_eq!((bench.get(LEVEL), bench.get(STATUS)), (3, 1));
        assert_eq!(bench.get(POP), VALID | 5);
        bench.push(&[5]);
        assert_eq!(bench.drain(), [0, 7, 5], "{mode}");
        assert_eq!((bench.get(LEVEL), bench.get(ERROR)), (0, 0));
        bench.no_violations();
    }
}

#[test]
fn refused_pushes_say_why_and_change_nothing_else() {
    let bench = Bench::closed(&[]);
    bench.push(&[8]);
    assert_eq!(bench.get(ERROR), 4, "DISABLED comes before RANGE");
    bench.set(ERROR, 4);
    bench.set(CONTROL, 1);
    bench.push(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((bench.get(STATUS), bench.get(ERROR)), (5, 0), "full");
    bench.push(&[8]);
    assert_eq!(bench.get(ERROR), 2, "RANGE comes before OVERFLOW");
    bench.set(ERROR, 2);
    bench.push(&[1]);
    assert_eq!((bench.get(ERROR), bench.get(LEVEL)), (1, 8));
    assert_eq!(bench.drain(), [0, 1, 2, 3, 4, 5, 6, 7]);
    bench.no_violations();
}

#[test]
fn enable_0_keeps_the_queue() {
    let bench = Bench::new(&[]);
    bench.push(&[4, 6]);
    bench.set(CONTROL, 0);
    assert_eq!((bench.get(POP), bench.get(LEVEL)), (0, 2));
    bench.set(CONTROL, 1);
    assert_eq!(bench.drain(), [4, 6]);
}

#[test]
fn a_number_that_is_pushed_twice_is_in_the_queue_twice_and_reported() {
    let bench = Bench::new(&[]);
    bench.push(&[2, 2]);
    assert_eq!(bench.get(LEVEL), 2);
    assert_eq!(bench.violations(), [(GivenTwice, "PUSH".into())]);
    assert_eq!(bench.drain(), [2, 2]);
    bench.push(&[2]);
    bench.no_violations();
}

#[test]
fn the_largest_queue_takes_the_largest_number() {
    let bench = Bench::new(&[("depth", "16777216")]);
    assert_eq!(bench.get(DEPTH), 1 << 24);
    bench.push(&[0x00ff_ffff]);
    assert_eq!(bench.get(POP), VALID | 0x00ff_ffff);
    assert_eq!(bench.get(ERROR), 0);
}

#[derive(Debug, Clone)]
enum Operation {
    Push(u32),
    Pop,
    Enable(bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0..12u32).prop_map(Operation::Push),
        5 => Just(Operation::Pop),
        1 => any::<bool>().prop_map(Operation::Enable),
    ]
}

proptest! {
    /// Against a plain queue: what comes out, LEVEL, STATUS and ERROR, after each operation.
    #[test]
    fn any_operations_do_what_a_plain_queue_does(operations in prop::collection::vec(operation(), 1..120)) {
        let bench = Bench::new(&[]);
        let (mut queue, mut enabled, mut error) = (VecDeque::new(), true, 0);
        for operation in operations {
            match operation {
                Operation::Push(number) => {
                    bench.set(PUSH, number);
                    match (enabled, number < 8, queue.len() < 8) {
                        (false, _, _) => error |= 4,
                        (_, false, _) => error |= 2,
                        (_, _, false) => error |= 1,
                        _ => queue.push_back(number),
                    }
                }
                Operation::Pop => {
                    let expected = if enabled { queue.pop_front() } else { None };
                    prop_assert_eq!(bench.get(POP), expected.map_or(0, |number| VALID | number));
                }
                Operation::Enable(on) => {
                    bench.set(CONTROL, on.into());
                    enabled = on;
                }
            }
            let status = 1 | u32::from(queue.is_empty()) << 1 | u32::from(queue.len() == 8) << 2;
            prop_assert_eq!(bench.get(LEVEL), queue.len() as u32);
            prop_assert_eq!((bench.get(STATUS), bench.get(ERROR)), (status, error));
        }
    }
}
