//! The threshold and its interrupt (SPEC 5).

use std::time::Duration;

use hwpool_devices::bus::{Irq, Transport};
use hwpool_sim::SimIrq;

use crate::bench::{Bench, CONTROL, EVENT, EVENT_SET, POP, THRESHOLD};

/// A queue with four numbers and a threshold of 3.
fn low(control: u32) -> (Bench, SimIrq) {
    let bench = Bench::new(&[]);
    let irq = bench.sim.irq(0).unwrap();
    bench.set(CONTROL, control);
    bench.set(THRESHOLD, 3);
    bench.push(&[0, 1, 2, 3]);
    (bench, irq)
}

fn fired(irq: &SimIrq) -> u64 {
    irq.wait(Duration::from_micros(50)).unwrap()
}

#[test]
fn only_the_pop_that_crosses_the_threshold_is_an_event() {
    let (bench, irq) = low(3);
    bench.get(POP);
    assert_eq!((bench.get(EVENT), fired(&irq)), (0, 0), "4 to 3");
    bench.get(POP);
    assert_eq!((bench.get(EVENT), fired(&irq)), (1, 1), "3 to 2");
    bench.set(EVENT, 1);
    bench.get(POP);
    assert_eq!((bench.get(EVENT), fired(&irq)), (0, 0), "2 to 1");
    bench.push(&[5, 6]);
    bench.get(POP);
    assert_eq!((bench.get(EVENT), fired(&irq)), (1, 1), "again");
    bench.push(&[7]);
    bench.get(POP);
    assert_eq!(fired(&irq), 0, "EVENT.LOW is 1 already");
    bench.no_violations();
}

#[test]
fn without_a_threshold_nothing_is_an_event() {
    let (bench, irq) = low(3);
    bench.set(THRESHOLD, 0);
    bench.drain();
    assert_eq!((bench.get(EVENT), fired(&irq)), (0, 0));
}

#[test]
fn an_event_waits_for_its_interrupt_to_be_enabled() {
    let (bench, irq) = low(1);
    bench.drain();
    assert_eq!((bench.get(EVENT), fired(&irq)), (1, 0));
    bench.set(CONTROL, 3);
    assert_eq!(fired(&irq), 1);
    bench.set(CONTROL, 3);
    assert_eq!(fired(&irq), 0, "it was enabled already");
}

#[test]
fn an_event_is_raised_by_hand() {
    let (bench, irq) = low(3);
    bench.set(EVENT_SET, 1);
    assert_eq!((bench.get(EVENT), bench.get(EVENT_SET)), (1, 1));
    assert_eq!(fired(&irq), 1);
    bench.set(EVENT_SET, 1);
    assert_eq!(fired(&irq), 0);
}

#[test]
fn a_masked_interrupt_waits_in_the_pending_bits() {
    let (bench, irq) = low(3);
    bench.sim.mask_vector(0, true).unwrap();
    bench.set(EVENT_SET, 1);
    assert_eq!((bench.get(EVENT), fired(&irq)), (1, 0));
    bench.sim.mask_vector(0, false).unwrap();
    assert_eq!(fired(&irq), 1);
}
