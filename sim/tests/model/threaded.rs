//! The model's own thread: the same rules in real time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::bench::{BASE, Bench, STRIDE, pool, portal};
use hwpool_devices::bus::{Irq, Transport};
use hwpool_sim::ViolationKind;

/// PORTAL_STATUS.STATE.
const STOPPING: u32 = 2;
/// The kind of error, SPEC 4.4.
const DISABLED: u64 = 4;

#[test]
fn buffers_go_round_and_none_is_lost_or_doubled() {
    let bench = Bench::threaded();
    bench.pool(0, 64);
    bench.fill(0, 64);
    let mut client = bench.portal(0, 0, 5, 16, 8);
    let mut held = BTreeSet::new();
    for _ in 0..5000 {
        bench.until("an entry", || {
            bench.memory.load(client_slot(&client)) & 1 == phase(&client)
        });
        for address in client.acquire_all() {
            assert!(held.insert(address), "{address:#x} was handed out twice");
        }
        while let Some(address) = held.pop_first() {
            client.release(address);
        }
        client.ring();
        let (tail, head) = (client.tail, client.head);
        bench.until("the status line", || {
            let line = bench.line();
            tail.wrapping_sub(line.release_head) < 8 && head.wrapping_sub(line.acquire_head) < 8
        });
    }
    bench.set(portal(0), 0);
    bench.until("the stop", || bench.state(0) == 0);
    let line = bench.line();
    assert!(line.stopped);
    assert_eq!(line.release_head, client.tail);
    let left = client.acquire_all().len() as u32;
    assert_eq!(left + bench.available(0), 64);
    bench.no_violations();
}

fn client_slot(client: &crate::bench::Client<'_>) -> u64 {
    crate::bench::ACQUIRE + 8 * u64::from(client.head & 31)
}

fn phase(client: &crate::bench::Client<'_>) -> u64 {
    u64::from(client.head >> 5 & 1 == 0)
}

#[test]
fn a_sleeping_model_is_woken_and_interrupts_arrive_in_real_time() {
    let bench = Bench::threaded();
    let irq = bench.sim.irq(3).unwrap();
    bench.set(0x104, 1 << 3);
    bench.set(0x10c, 3);
    assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1);
    assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
    bench.pool(0, 16);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    bench.set(portal(0) + 0x38, 1);
    bench.set(portal(0) + 0x3c, 3);
    client.release(BASE);
    client.ring();
    assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1);
    assert_eq!(client.acquire(), Some(BASE));
    assert_eq!(bench.available(0), 0);
    bench.no_violations();
}

#[test]
fn doorbells_are_counted_and_seen_before_a_register_read() {
    let bench = Bench::threaded();
    bench.pool(0, 16);
    let mut client = bench.portal(0, 0, 3, 1, 1);
    for n in 0..4 {
        client.release(BASE + n * STRIDE);
        client.ring();
    }
    assert_eq!(bench.get(portal(0) + 0x50), 4);
    assert_eq!(bench.available(0), 3);
    assert_eq!(bench.get(pool(0) + 0x3c), 0);
    assert_eq!(bench.sim.counters().doorbells, 4);
    bench.sim.reset_counters();
    client.ring();
    assert_eq!(bench.sim.counters().doorbells, 1);
}

#[test]
fn one_doorbell_announces_a_whole_ring() {
    let bench = Bench::threaded();
    bench.pool(0, 512);
    let mut client = bench.portal(0, 0, 9, 512, 64);
    for lap in 1..=3 {
        (0..512).for_each(|n| client.release(BASE + n * STRIDE));
        client.ring();
        let mut all = BTreeSet::new();
        bench.until("all buffers", || {
            all.extend(client.acquire_all());
            client.head == 512 * lap
        });
        assert_eq!(all.len(), 512);
        client.ring();
        bench.until("a status line of them all", || {
            let line = bench.line();
            client.tail - line.release_head < 64 && client.head - line.acquire_head < 64
        });
    }
    bench.no_violations();
}

#[test]
fn a_portal_that_stops_consumes_all_that_was_announced() {
    let bench = Bench::threaded();
    bench.pool(0, 512);
    let mut client = bench.portal(0, 0, 9, 1, 64);
    bench.set(0x40, 3); // quiesced: the doorbell is taken, and not served
    (0..500).for_each(|n| client.release(BASE + n * STRIDE));
    client.ring();
    bench.set(portal(0), 0);
    assert_eq!((bench.state(0), bench.available(0)), (STOPPING, 0));
    let before = bench.line().sequence;
    bench.set(0x40, 1);
    bench.until("the stop", || bench.state(0) == 0);
    let line = bench.line();
    assert!(line.stopped);
    assert_eq!((line.release_head, line.available), (500, 500));
    assert_eq!(line.sequence, before + 1);
    bench.no_violations();
}

#[test]
fn each_doorbell_of_a_disabled_portal_is_an_error_and_the_same_value_is_another() {
    let bench = Bench::threaded();
    bench.pool(0, 16);
    let client = bench.portal(0, 0, 3, 1, 1);
    bench.set(portal(0), 0);
    bench.until("the stop", || bench.state(0) == 0);
    for rung in 1..=3 {
        client.ring();
        assert_eq!(bench.get(0xc0 + 4 * DISABLED), rung);
    }
    bench.violated(&[ViolationKind::DoorbellDisabled; 3]);
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let bench = Bench::threaded();
    let weak_work = bench.sim.clone();
    drop(bench);
    let bar = weak_work.irq_count().unwrap();
    assert_eq!(bar, 32);
    drop(weak_work); // joins: a thread that does not stop hangs the test
}
