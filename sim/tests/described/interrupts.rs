//! When the interrupt is sent, and how it is cleared.

use std::time::Duration;

use hwpool_devices::bus::{Irq, Transport};
use hwpool_devices::description::{Clear, Description, Interrupt, When};
use hwpool_devices::reg::Access;

use crate::build::*;

fn with(change: impl Fn(&mut Interrupt, &mut Description)) -> Bench {
    let mut description = plain();
    let mut irq = description.interrupt.take().unwrap();
    change(&mut irq, &mut description);
    description.interrupt = Some(irq);
    Bench::new(description)
}

/// Returns how many messages came.
fn fired(bench: &Bench) -> u64 {
    bench.get(STATUS); // behind what was written, and what that sent
    let irq = bench.sim.irq(0).unwrap();
    irq.wait(Duration::from_micros(50)).unwrap()
}

#[test]
fn a_level_that_falls_below_the_threshold_is_told_once() {
    let bench = with(|_, _| {});
    fired(&bench);
    bench.set(THRESHOLD, 2);
    bench.set(CONTROL, 3);
    bench.push(&[1, 2, 3]);
    bench.get(POP);
    assert_eq!((bench.get(EVENT), fired(&bench)), (0, 0));
    bench.get(POP);
    assert_eq!((bench.get(EVENT), fired(&bench)), (1, 1));
    bench.push(&[1]);
    bench.get(POP);
    assert_eq!(fired(&bench), 0, "it is pending");
    bench.set(EVENT, 1);
    bench.push(&[2]);
    bench.get(POP);
    assert_eq!(fired(&bench), 1);
    bench.no_violations();
}

#[test]
fn it_is_raised_by_a_write_and_waits_for_its_enable() {
    let bench = with(|_, _| {});
    fired(&bench);
    bench.set(EVENT_SET, 1);
    assert_eq!(
        (bench.get(EVENT), bench.get(EVENT_SET), fired(&bench)),
        (1, 1, 0)
    );
    bench.set(CONTROL, 3);
    assert_eq!(fired(&bench), 1);
    bench.set(CONTROL, 3);
    assert_eq!(fired(&bench), 0);
    bench.no_violations();
}

#[test]
fn each_way_to_clear_it() {
    let bench = with(|irq, d| {
        irq.clear = Clear::WriteZero;
        d.registers[EVENT].access = Access::ReadWrite;
    });
    bench.set(EVENT_SET, 1);
    bench.set(EVENT, 1);
    assert_eq!(bench.get(EVENT), 1);
    bench.set(EVENT, 0);
    assert_eq!(bench.get(EVENT), 0);
    let bench = with(|irq, d| {
        irq.clear = Clear::Read;
        d.registers[EVENT].access = Access::ReadEffect;
    });
    bench.set(EVENT_SET, 1);
    assert_eq!((bench.get(EVENT), bench.get(EVENT)), (1, 0));
    let bench = with(|irq, d| {
        (irq.clear, irq.when, irq.threshold) = (Clear::Itself, When::Filled, None);
        d.registers[EVENT].access = Access::ReadOnly;
    });
    bench.push(&[1, 2]);
    bench.get(POP);
    assert_eq!(bench.get(EVENT), 1);
    bench.get(POP);
    assert_eq!(bench.get(EVENT), 0);
    bench.no_violations();
}

#[test]
fn each_occasion() {
    let cases = [
        (When::Above, Some(1), [0, 1, 0, 0]),
        (When::Filled, None, [1, 0, 0, 0]),
        (When::Emptied, None, [0, 0, 0, 1]),
        (When::Below, Some(2), [0, 0, 1, 0]),
    ];
    for (when, threshold, expected) in cases {
        let bench = with(|irq, _| {
            (irq.when, irq.pending, irq.raise) = (when, None, None);
            irq.threshold = threshold.map(|_| bits(THRESHOLD, 0, 24));
        });
        fired(&bench);
        bench.set(THRESHOLD, threshold.unwrap_or(0));
        bench.set(CONTROL, 3);
        let push = |value| bench.push(&[value]);
        let pop = || assert_ne!(bench.get(POP), 0);
        let acts: [&dyn Fn(); 4] = [&|| push(1), &|| push(2), &pop, &pop];
        let sent = acts.map(|act| {
            act();
            fired(&bench)
        });
        assert_eq!(sent, expected, "{when:?}");
        bench.no_violations();
    }
}
