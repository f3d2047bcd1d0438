//! Portals (SPEC 6): rings, phases, doorbells, status lines, states.

use hwpool_devices::bus::{Iova, Irq, Transport};
use hwpool_sim::ViolationKind::{
    BadDoorbell, BusMasterOff, ConfigInUse, DmaRefused, DoorbellDisabled, StaleEntry,
};

use crate::bench::{ACQUIRE, BASE, Bench, LINE, Line, RELEASE, STRIDE, pool, portal};

/// Numbers of error kinds, SPEC 4.4.
const DISABLED: u64 = 4;
const CONFIG: u64 = 5;
const DMA_FAULT: u64 = 6;
const BAD_DOORBELL: u64 = 7;
const STALE_ENTRY: u64 = 8;

const RUNNING: u32 = 1;
const STOPPING: u32 = 2;
const HALTED: u32 = 3;

#[test]
fn the_acquire_ring_is_filled_to_the_credits_with_the_phase_of_the_lap() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.fill(0, 64);
    let mut client = bench.portal(0, 0, 3, 5, 1);
    bench.settle();
    for n in 0..8 {
        let word = bench.memory.load(ACQUIRE + 8 * n);
        assert_eq!(word & 1, u64::from(n < 5), "entry {n}");
    }
    for lap in 0..20 {
        let got = client.acquire_all();
        assert_eq!(got.len(), 5, "lap {lap}");
        got.into_iter().for_each(|address| client.release(address));
        client.ring();
        bench.settle();
    }
    assert_eq!(bench.get(portal(0) + 0x50), 100);
    assert_eq!(bench.get(portal(0) + 0x54), 105);
    assert_eq!(bench.available(0), 59);
    assert_eq!(bench.get(0x80), 0);
    bench.no_violations();
}

#[test]
fn the_status_line_is_written_by_rules_a_b_and_c_and_no_others() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 4, 4, 3);
    bench.settle();
    let line = bench.line();
    assert_eq!(
        (line.sequence, line.empty, line.acquire_tail),
        (1, true, 0),
        "rule (c), the start"
    );

    client.release(BASE);
    client.ring(); // one buffer, four credits: the list is empty again
    bench.settle();
    let expected = Line {
        release_head: 1,
        acquire_tail: 1,
        acquire_head: 0,
        empty: true,
        halted: false,
        stopped: false,
        available: 0,
        sequence: 2,
    };
    assert_eq!(bench.line(), expected, "rule (a)");
    client.ring();
    bench.settle();
    assert_eq!(bench.line(), expected, "the same doorbell again is no news");

    bench.free(0, BASE + STRIDE);
    bench.settle();
    assert_eq!(
        bench.line().sequence,
        2,
        "filling without a doorbell writes none"
    );
    assert_eq!(bench.get(portal(0) + 0x54), 2);

    for n in 2..10 {
        bench.free(0, BASE + n * STRIDE);
    }
    client.release(BASE + 10 * STRIDE);
    client.ring();
    bench.settle();
    assert_eq!(bench.line().sequence, 2, "one of three entries moved");
    client.release(BASE + 11 * STRIDE);
    client.release(BASE + 12 * STRIDE);
    client.ring();
    bench.settle();
    let line = bench.line();
    assert_eq!(
        (line.sequence, line.release_head, line.empty),
        (3, 4, false),
        "rule (b)"
    );
    assert_eq!(line.available, u64::from(bench.available(0)));

    assert_eq!(client.acquire_all().len(), 4);
    client.ring();
    bench.settle();
    let line = bench.line();
    assert_eq!(
        (line.sequence, line.acquire_head),
        (4, 4),
        "rule (b) by acquire_head"
    );

    bench.set(portal(0), 0);
    bench.settle();
    let line = bench.line();
    assert_eq!(
        (line.sequence, line.stopped, line.halted),
        (5, true, false),
        "rule (c), the stop"
    );
    assert_eq!(bench.sim.counters().status_lines, 5);
    bench.no_violations();
}

#[test]
fn stopping_consumes_what_was_announced_and_writes_no_more_entries() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 5, 4, 1);
    bench.settle();
    for n in 0..20 {
        client.release(BASE + n * STRIDE);
    }
    client.ring();
    bench.set(portal(0), 0);
    bench.set(portal(0), 1);
    assert_eq!(bench.state(0), STOPPING);
    assert_eq!(bench.get(portal(0)), 0);
    bench.until("the stop", || bench.state(0) == 0);
    assert_eq!(bench.record().0, CONFIG, "enabling while stopping");
    let line = bench.line();
    assert_eq!(
        (line.release_head, line.acquire_tail, line.stopped),
        (20, 0, true)
    );
    assert_eq!(bench.available(0), 20);
    bench.violated(&[ConfigInUse]);
    bench.set(pool(0), 0);
    assert_eq!(bench.get(pool(0)), 0, "no portal uses the pool any more");
}

#[test]
fn a_doorbell_must_be_in_bounds() {
    type Ring = fn(&mut crate::bench::Client<'_>);
    let cases: [(Ring, u64); 3] = [
        (|c| c.tail = 9, 1),
        (|c| c.tail = u32::MAX, 1),
        (|c| c.head = 5, 2),
    ];
    for (change, source) in cases {
        let bench = Bench::stepped();
        bench.pool(3, 64);
        bench.fill(3, 16);
        let mut client = bench.portal(2, 3, 3, 4, 1);
        bench.settle();
        change(&mut client);
        client.ring();
        bench.settle();
        let value = u64::from(client.tail) | u64::from(client.head) << 32;
        assert_eq!(bench.record(), (BAD_DOORBELL, source, 3, 2, value));
        assert_eq!(bench.state(2), HALTED);
        assert_eq!(bench.get(portal(2) + 0x40), 1 << 7);
        assert_eq!(bench.get64(portal(2) + 0x48), value);
        let line = bench.line();
        assert!(line.halted && !line.stopped && line.release_head == 0);
        bench.violated(&[BadDoorbell]);
        bench.set(portal(2), 0);
        assert_eq!(bench.state(2), 0);
    }
}

#[test]
fn the_full_ring_and_every_written_entry_are_in_bounds() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.fill(0, 16);
    let mut client = bench.portal(0, 0, 3, 8, 1);
    bench.settle();
    assert_eq!(client.acquire_all().len(), 8);
    (20..28).for_each(|n| client.release(BASE + n * STRIDE));
    client.ring();
    bench.settle();
    assert_eq!(bench.state(0), RUNNING);
    assert_eq!(bench.available(0), 16 - 8 + 8 - 8);
    bench.no_violations();
}

#[test]
fn a_doorbell_of_a_disabled_portal_is_an_error_and_of_a_halted_one_is_nothing() {
    let bench = Bench::stepped();
    bench.ring_raw(0x4_0000 + 0x5000, 1);
    assert_eq!(bench.record(), (DISABLED, 1, 0, 5, 1));
    assert_eq!(bench.get(portal(5) + 0x40), 1 << 4);
    bench.violated(&[DoorbellDisabled]);
}

#[test]
fn an_announced_entry_of_the_wrong_lap_or_with_low_bits_is_stale() {
    for (word, head) in [(BASE, 0), (BASE | 3, 0), (BASE | 0x20 | 1, 0)] {
        let bench = Bench::stepped();
        bench.pool(0, 64);
        let mut client = bench.portal(0, 0, 3, 4, 1);
        bench.settle();
        client.release(BASE + STRIDE);
        bench.memory.store(RELEASE + 8, word);
        client.tail += 1;
        client.ring();
        bench.settle();
        assert_eq!(bench.record(), (STALE_ENTRY, 1, 0, 0, word));
        assert_eq!(bench.state(0), HALTED);
        let line = bench.line();
        assert_eq!(
            (line.release_head, line.halted),
            (head + 1, true),
            "those before count"
        );
        bench.violated(&[StaleEntry]);
    }
}

#[test]
fn frees_by_the_ring_go_through_the_checks() {
    let bench = Bench::stepped();
    bench.pool(1, 4);
    let mut client = bench.portal(7, 1, 3, 1, 1);
    bench.settle();
    client.release(BASE + STRIDE);
    client.release(BASE + 2 * STRIDE);
    client.release(BASE + 2 * STRIDE);
    client.release(BASE + 64);
    client.release(BASE - 64);
    client.release(BASE + 4 * STRIDE);
    client.ring();
    bench.settle();
    assert_eq!(bench.get(0xc0), 2, "below the range and above it");
    assert_eq!(bench.record(), (2, 1, 1, 7, BASE + 2 * STRIDE));
    assert_eq!(
        bench.get(pool(1) + 0x3c),
        0b111,
        "errors of a free are the pool's"
    );
    assert_eq!(bench.get(portal(7) + 0x40), 0);
    assert_eq!(bench.state(7), RUNNING);
    assert_eq!(bench.available(1), 1);
}

#[test]
fn an_invalid_configuration_stays_disabled() {
    type Change = fn(&Bench);
    let changes: [Change; 12] = [
        |b| b.set(portal(0) + 0x08, 1), // a disabled pool
        |b| b.set(portal(0) + 0x0c, 2 | 3 << 8),
        |b| b.set(portal(0) + 0x0c, 3 | 17 << 8),
        |b| b.set64(portal(0) + 0x10, 0),
        |b| b.set64(portal(0) + 0x18, ACQUIRE + 32),
        |b| b.set64(portal(0) + 0x20, 1 << 48),
        |b| b.set64(portal(0) + 0x10, (1 << 48) - 64 + 64),
        |b| b.set(portal(0) + 0x28, 0),
        |b| b.set(portal(0) + 0x28, 9),
        |b| b.set(portal(0) + 0x2c, 0),
        |b| b.set(portal(0) + 0x2c, 5),
        |b| b.set64(portal(0) + 0x18, (1 << 48) - 8),
    ];
    for (i, change) in changes.iter().enumerate() {
        let bench = Bench::stepped();
        bench.pool(0, 64);
        bench.configure_portal(0, 0, 3, 8, 4);
        change(&bench);
        bench.set(portal(0), 1);
        assert_eq!((bench.get(portal(0)), bench.state(0)), (0, 0), "change {i}");
        assert_eq!(
            bench.record(),
            (CONFIG, 3, bench.get(portal(0) + 8).into(), 0, 1)
        );
        bench.violated(&[ConfigInUse]);
    }
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.portal(0, 0, 3, 8, 4);
    bench.no_violations();
}

#[test]
fn configuration_in_use_is_locked_but_not_against_the_same_value() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.portal(0, 0, 3, 8, 4);
    let value = bench.get(portal(0) + 0x28);
    bench.set(portal(0) + 0x28, value);
    bench.no_violations();
    for offset in [0x08, 0x0c, 0x28, 0x2c] {
        let old = bench.get(portal(0) + offset);
        bench.set(portal(0) + offset, old ^ 1);
        assert_eq!(bench.get(portal(0) + offset), old, "{offset:#x}");
    }
    for offset in [0x10, 0x18, 0x20] {
        let old = bench.get64(portal(0) + offset);
        bench.set64(portal(0) + offset, old + 64);
        assert_eq!(bench.get64(portal(0) + offset), old, "{offset:#x}");
    }
    assert_eq!(bench.get(0xc0 + 4 * 5), 7);
    assert_eq!(bench.get(portal(0) + 0x40), 1 << 5);
    bench.violated(&[ConfigInUse; 7]);
}

#[test]
fn a_pool_in_use_by_a_portal_can_not_be_disabled() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.portal(0, 0, 3, 8, 4);
    bench.set(pool(0), 0);
    assert_eq!(bench.get(pool(0)), 1);
    assert_eq!(bench.record(), (CONFIG, 3, 0, 0, 0));
    bench.violated(&[ConfigInUse]);
}

#[test]
fn buffers_into_an_empty_ring_raise_available_once() {
    let bench = Bench::stepped();
    let irq = bench.sim.irq(9).unwrap();
    bench.set(0x104, 1 << 9);
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    bench.set(portal(0) + 0x3c, 9);
    bench.set(portal(0) + 0x38, 1);
    bench.settle();
    bench.free(0, BASE);
    assert_eq!(irq.wait(std::time::Duration::from_millis(1)).unwrap(), 1);
    assert_eq!(
        client.acquire(),
        Some(BASE),
        "the entry is there before the message"
    );
    assert_eq!(bench.get(portal(0) + 0x30), 1);
    bench.set(portal(0) + 0x30, 1);
    bench.free(0, BASE + STRIDE);
    bench.settle();
    assert_eq!(bench.get(portal(0) + 0x30), 0);
    assert_eq!(
        irq.wait(std::time::Duration::ZERO).unwrap(),
        0,
        "not empty: no event"
    );
    client.acquire_all();
    client.ring();
    bench.settle();
    bench.free(0, BASE + 2 * STRIDE);
    assert_eq!(irq.wait(std::time::Duration::from_millis(1)).unwrap(), 1);
    bench.no_violations();
}

#[test]
fn several_portals_serve_one_pool_and_each_that_waits_is_fed() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.portal(0, 0, 3, 2, 1);
    bench.configure_portal(1, 0, 3, 2, 1);
    bench.set64(portal(1) + 0x18, ACQUIRE + 0x8000);
    bench.set(portal(1), 1);
    bench.settle();
    (0..5).for_each(|n| bench.free(0, BASE + n * STRIDE));
    bench.settle();
    assert_eq!(bench.get(portal(0) + 0x54), 2);
    assert_eq!(bench.get(portal(1) + 0x54), 2);
    assert_eq!(bench.available(0), 1);
    bench.no_violations();
}

#[test]
fn memory_that_is_not_mapped_halts_the_portal() {
    for (offset, source) in [(0x10, 1), (0x18, 2), (0x20, 2)] {
        let bench = Bench::stepped();
        bench.pool(0, 64);
        bench.fill(0, 2);
        bench.configure_portal(0, 0, 3, 1, 1);
        bench.set64(portal(0) + offset, 0x80_0000);
        bench.memory.store(RELEASE, (BASE + 8 * STRIDE) | 1);
        bench.set(portal(0), 1);
        bench.settle();
        if offset != 0x18 {
            bench.ring_raw(0x4_0000, 1);
            bench.settle();
        }
        assert_eq!(bench.record(), (DMA_FAULT, source, 0, 0, 0x80_0000));
        assert_eq!(bench.state(0), HALTED);
        assert_eq!(bench.line().halted, offset != 0x20);
        let out = bench.get(portal(0) + 0x54);
        let consumed = bench.get(portal(0) + 0x50);
        assert_eq!(bench.available(0), 2 + consumed - out, "offset {offset:#x}");
        bench.violated(&[DmaRefused]);
    }
}

#[test]
fn memory_taken_away_under_way_is_not_written_and_its_buffers_go_back() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.fill(0, 8);
    bench.portal(0, 0, 3, 4, 1);
    bench.settle();
    bench.memory.clear(crate::bench::DMA_LEN);
    bench
        .sim
        .dma_unmap(Iova(crate::bench::DMA), crate::bench::DMA_LEN)
        .unwrap();
    bench.ring_raw(0x4_0000, 4 << 32);
    bench.settle();
    assert_eq!(bench.state(0), HALTED);
    assert_eq!(bench.record().0, DMA_FAULT);
    assert_eq!(bench.memory.load(ACQUIRE), 0);
    assert_eq!(bench.memory.load(LINE), 0);
    assert_eq!(bench.available(0), 4);
    assert_eq!(bench.get(portal(0) + 0x54), 4);
}

#[test]
fn entries_under_way_to_memory_that_is_taken_away_go_back_into_the_list() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.portal(0, 0, 3, 4, 1);
    bench.settle();
    let sent = bench.sim.counters().dma_writes;
    bench.free(0, BASE);
    bench.until("the entry to leave", || {
        bench.sim.counters().dma_writes > sent
    });
    bench
        .sim
        .dma_unmap(Iova(crate::bench::DMA), crate::bench::DMA_LEN)
        .unwrap();
    bench.settle();
    assert_eq!((bench.state(0), bench.record().0), (HALTED, DMA_FAULT));
    assert_eq!((bench.get(portal(0) + 0x54), bench.available(0)), (0, 1));
    assert_eq!(bench.alloc(0), BASE);
    assert_eq!(bench.memory.load(ACQUIRE), 0);
    bench.violated(&[DmaRefused]);
}

#[test]
fn a_hole_that_is_mapped_before_it_is_touched_is_no_fault() {
    let bench = Bench::stepped();
    bench
        .sim
        .dma_unmap(Iova(crate::bench::DMA), crate::bench::DMA_LEN)
        .unwrap();
    let map = |from: u64, to: u64| {
        let source = bench.memory.source(from, to - from);
        bench
            .sim
            .dma_map(Iova(crate::bench::DMA + from), source)
            .unwrap();
    };
    map(0, 0x1_1000);
    map(0x2_0000, crate::bench::DMA_LEN);
    bench.pool(0, 2048);
    bench.fill(0, 1024);
    let mut client = bench.portal(0, 0, 10, 512, 64);
    bench.settle();
    assert_eq!(client.acquire_all().len(), 512);
    map(0x1_1000, 0x1_2000);
    client.ring();
    bench.settle();
    assert_eq!(client.acquire_all().len(), 512);
    bench.no_violations();
}

#[test]
fn rings_may_be_scattered_over_small_mappings() {
    let bench = Bench::stepped();
    bench
        .sim
        .dma_unmap(Iova(crate::bench::DMA), crate::bench::DMA_LEN)
        .unwrap();
    for page in 0..crate::bench::DMA_LEN / 4096 {
        let at = page * 4096;
        let source = bench.memory.source(at, 4096);
        bench
            .sim
            .dma_map(Iova(crate::bench::DMA + at), source)
            .unwrap();
    }
    bench.pool(0, 8192);
    let mut client = bench.portal(0, 0, 12, 4096, 64);
    for lap in 0..3 {
        for n in 0..4096 {
            client.release(BASE + (n + lap % 2 * 4096) * STRIDE);
        }
        client.ring();
        bench.settle();
        let got = client.acquire_all();
        assert_eq!(got.len(), 4096, "lap {lap}");
        client.ring();
        bench.settle();
    }
    assert_eq!(bench.get(0x80), 0);
    bench.no_violations();
}

#[test]
fn without_bus_mastering_a_portal_halts_and_nothing_is_sent() {
    let bench = Bench::stepped();
    bench.pool(0, 64);
    bench.fill(0, 8);
    bench.sim.config_write16(4, 2).unwrap();
    bench.sim.reset_counters();
    bench.configure_portal(0, 0, 3, 4, 1);
    bench.set(portal(0), 1);
    bench.settle();
    assert_eq!(bench.state(0), HALTED);
    assert_eq!(bench.record().0, DMA_FAULT);
    let counters = bench.sim.counters();
    assert_eq!((counters.dma_writes, counters.dma_reads), (0, 0));
    assert_eq!(bench.available(0), 8);
    bench.violated(&[BusMasterOff, DmaRefused]);
}

#[test]
fn a_device_that_is_off_or_quiesced_serves_no_portal_and_goes_on_after() {
    for control in [0, 3] {
        let bench = Bench::stepped();
        bench.pool(0, 64);
        bench.fill(0, 8);
        let mut client = bench.portal(0, 0, 3, 4, 1);
        bench.settle();
        bench.set(0x40, control);
        bench.settle();
        assert_eq!(bench.get(0x44), if control == 3 { 3 } else { 1 });
        bench.sim.reset_counters();
        assert_eq!(client.acquire_all().len(), 4);
        client.ring();
        bench.settle();
        let counters = bench.sim.counters();
        assert_eq!((counters.dma_writes, counters.dma_reads), (0, 0));
        bench.set(0x40, 1);
        bench.settle();
        assert_eq!(client.acquire_all().len(), 4, "control {control}");
        assert_eq!(bench.line().acquire_head, 4);
        bench.no_violations();
    }
}
