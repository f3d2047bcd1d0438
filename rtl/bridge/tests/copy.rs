//! The copy engine of the examples: DMA under back-pressure, what is not mapped, interrupts.

mod common;

use std::time::Duration;

use common::{Memory, Served, can_build, design, serve};
use hwpool::devices::bus::{Bar, Irq, Transport};

const SOURCE: u64 = 0x10_0000;
const TARGET: u64 = SOURCE + 0x8000;
const SIZE: u64 = 0x1_0000;
const STATUS: u64 = 0x18;
/// Bits of the status.
const BUSY: u32 = 1;
const DONE: u32 = 2;
const READ_FAILED: u32 = 4;
const WRITE_FAILED: u32 = 8;

fn start(served: &Served, source: u64, target: u64, len: u32) {
    let bar = served.bar();
    bar.write64(0, source).unwrap();
    bar.write64(8, target).unwrap();
    bar.write32(0x10, len).unwrap();
    bar.write32(0x14, 1).unwrap();
}

/// Waits until the design is idle: no time is waited for, for it stands still then.
fn finish(served: &Served) -> u32 {
    served.monitor.settled();
    let status = served.bar().read32(STATUS).unwrap();
    assert_eq!(status & BUSY, 0, "idle and yet busy");
    status
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| rng.u8(..)).collect()
}

/// Copies once under a seed; returns the clock cycles.
fn copied(seed: u64, memory: fn(&Served) -> Memory) -> u64 {
    let served = serve(&design("examples/copy.toml"), Some(seed));
    let memory = memory(&served);
    let len = 8 * (1 + seed % 300) as usize;
    let (source, target) = (SOURCE + 8 * (seed % 7), TARGET + 8 * (seed % 11));
    let bytes = pattern(len, seed);
    memory.write(source, &bytes);
    start(&served, source, target, len as u32);
    assert_eq!(finish(&served), DONE, "seed {seed}");
    assert_eq!(memory.read(target, len), bytes, "seed {seed}");
    let beyond = memory.read(target + len as u64, 64);
    assert_eq!(
        beyond, [0; 64],
        "seed {seed}: more was written than was asked for"
    );
    assert_eq!(served.monitor.fault(), None, "seed {seed}");
    served.monitor.settled()
}

#[test]
fn data_arrive_whole_under_back_pressure_and_a_seed_replays_its_cycles() {
    if !can_build() {
        return;
    }
    let map = |served: &Served| served.map(SOURCE, SIZE);
    let first: Vec<u64> = (0..20).map(|seed| copied(seed, map)).collect();
    let again: Vec<u64> = (0..20).map(|seed| copied(seed, map)).collect();
    assert_eq!(first, again);
    let mut different = first;
    different.sort_unstable();
    different.dedup();
    assert!(
        different.len() > 15,
        "the seeds hardly matter: {different:?}"
    );
}

#[test]
fn memory_in_pages_of_their_own_is_one_range() {
    if !can_build() {
        return;
    }
    // Two files side by side: the burst before their border and the one after it are in different ones.
    let served = serve(&design("examples/copy.toml"), Some(4));
    let (low, high) = (
        served.map(SOURCE, 0x1000),
        served.map(SOURCE + 0x1000, 0x1000),
    );
    let bytes = pattern(0x800, 9);
    low.write(SOURCE + 0x400, &bytes);
    start(&served, SOURCE + 0x400, SOURCE + 0xc00, 0x800);
    assert_eq!(finish(&served), DONE);
    assert_eq!(low.read(SOURCE + 0xc00, 0x400), bytes[..0x400]);
    assert_eq!(high.read(SOURCE + 0x1000, 0x400), bytes[0x400..]);
}

#[test]
fn memory_without_a_file_is_asked_for() {
    if !can_build() {
        return;
    }
    let mut served = serve(&design("examples/copy.toml"), Some(5));
    served.client = served.client.without_files().unwrap();
    let memory = served.map(SOURCE, SIZE);
    let bytes = pattern(256, 5);
    memory.write(SOURCE, &bytes);
    start(&served, SOURCE, TARGET, 256);
    assert_eq!(finish(&served), DONE);
    assert_eq!(memory.read(TARGET, 256), bytes);
}

#[test]
fn what_is_not_mapped_is_an_error_and_nothing_is_touched() {
    if !can_build() {
        return;
    }
    for seed in [None, Some(1), Some(2)] {
        let served = serve(&design("examples/copy.toml"), seed);
        let memory = served.map(SOURCE, SIZE);
        memory.write(SOURCE, &[0x55; 0x1000]);
        let clear = || served.bar().write32(STATUS, DONE).unwrap();
        start(&served, SOURCE + SIZE - 64, TARGET, 128);
        assert_eq!(
            finish(&served),
            DONE | READ_FAILED,
            "the second half of the burst is not mapped"
        );
        assert_eq!(memory.read(TARGET, 128), [0; 128]);
        clear();
        start(&served, SOURCE, SOURCE + SIZE - 64, 128);
        assert_eq!(finish(&served), DONE | WRITE_FAILED);
        clear();
        served
            .client
            .dma_unmap(hwpool::devices::bus::Iova(SOURCE), SIZE)
            .unwrap();
        start(&served, SOURCE, TARGET, 64);
        assert_eq!(finish(&served), DONE | READ_FAILED, "unmapped");
        assert_eq!(memory.read(TARGET, 64), [0; 64]);
    }
}

#[test]
fn a_function_that_is_no_bus_master_reaches_nothing() {
    if !can_build() {
        return;
    }
    let served = serve(&design("examples/copy.toml"), None);
    served.map(SOURCE, SIZE);
    served.client.config_write16(4, 2).unwrap();
    start(&served, SOURCE, TARGET, 64);
    assert_eq!(finish(&served), DONE | READ_FAILED);
}

#[test]
fn an_interrupt_comes_once_a_rise_and_waits_for_who_listens() {
    if !can_build() {
        return;
    }
    let served = serve(&design("examples/copy.toml"), None);
    served.map(SOURCE, SIZE);
    // Nobody listens yet: the pending bit is set.
    start(&served, SOURCE, TARGET, 64);
    finish(&served);
    let table = served.client.bar(1).unwrap();
    assert_eq!(table.read32(0x1000).unwrap(), 1);
    let irq = served.client.irq(0).unwrap();
    assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1);
    assert_eq!(table.read32(0x1000).unwrap(), 0);
    assert_eq!(
        irq.wait(Duration::ZERO).unwrap(),
        0,
        "the line is still 1, which is no rise"
    );
    for _ in 0..3 {
        served.bar().write32(STATUS, DONE).unwrap();
        start(&served, SOURCE, TARGET, 64);
        assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1);
    }
    // Masked at the table, it waits; what falls meanwhile asks for nothing any more.
    table.write32(12, 1).unwrap();
    served.bar().write32(STATUS, DONE).unwrap();
    start(&served, SOURCE, TARGET, 64);
    finish(&served);
    assert_eq!(
        (
            table.read32(0x1000).unwrap(),
            irq.wait(Duration::ZERO).unwrap()
        ),
        (1, 0)
    );
    table.write32(12, 0).unwrap();
    assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1);
    table.write32(12, 1).unwrap();
    served.bar().write32(STATUS, DONE).unwrap();
    start(&served, SOURCE, TARGET, 64);
    finish(&served);
    served.bar().write32(STATUS, DONE).unwrap();
    served.monitor.settled();
    table.write32(12, 0).unwrap();
    assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
}

#[test]
fn a_reset_ends_a_copy_that_is_under_way() {
    if !can_build() {
        return;
    }
    for seed in 0..10 {
        let served = serve(
            &design("examples/copy.toml"),
            if seed == 0 { None } else { Some(seed) },
        );
        let memory = served.map(SOURCE, SIZE);
        let irq = served.client.irq(0).unwrap();
        start(&served, SOURCE, TARGET, 0x4000);
        served.client.reset().unwrap();
        served.client.config_write16(4, common::MASTER).unwrap();
        let status = served.bar().read32(STATUS).unwrap();
        assert_eq!(status, 0, "seed {seed}");
        irq.wait(Duration::ZERO).unwrap(); // of before the reset, perhaps
        memory.write(SOURCE, &[7; 64]);
        start(&served, SOURCE, TARGET, 64);
        assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1, "seed {seed}");
        assert_eq!(memory.read(TARGET, 64), [7; 64]);
        assert_eq!(served.monitor.fault(), None);
    }
}
