//! Virtual time, determinism and exact counts of the stepped model.

use std::time::Duration;

use hwpool_devices::bus::{Bar, Irq, Transport};
use hwpool_sim::{Counters, SimConfig};

use crate::bench::{BASE, Bench, STRIDE, config};

fn calm() -> SimConfig {
    config(&[("jitter-ns", "0"), ("preemption", "0")])
}

#[test]
fn a_read_takes_the_round_trip_and_a_posted_write_the_link() {
    let bench = Bench::closed(calm());
    let took = |act: &dyn Fn()| {
        let start = bench.sim.now();
        act();
        (bench.sim.now() - start).as_nanos()
    };
    let read = took(&|| assert_ne!(bench.get(0), 0));
    assert!((900..910).contains(&read), "{read}");
    let write = took(&|| bench.set(0x0c, 1));
    assert!((1..10).contains(&write), "{write}");
    let both = took(&|| {
        bench.set(0x0c, 0);
        assert_eq!(bench.get(0x0c), u32::MAX, "the read comes behind the write");
    });
    assert!((900..920).contains(&both), "{both}");
}

#[test]
fn waiting_takes_virtual_time_and_no_other() {
    let bench = Bench::closed(calm());
    let irq = bench.sim.irq(0).unwrap();
    let start = bench.sim.now();
    assert_eq!(irq.wait(Duration::from_secs(3600)), Ok(0));
    assert_eq!(bench.sim.now() - start, Duration::from_secs(3600));
    let start = bench.sim.now();
    bench.sim.relax();
    let step = bench.sim.now() - start;
    assert!(
        !step.is_zero() && step <= Duration::from_nanos(20),
        "{step:?}"
    );
}

#[test]
fn every_access_is_counted() {
    let bench = Bench::new(calm());
    bench.pool(0, 64);
    bench.fill(0, 8);
    let mut client = bench.portal(0, 0, 3, 4, 4);
    bench.settle();
    bench.sim.reset_counters();
    let before = bench.sim.counters();
    bench.get(0);
    bench.set(0x0c, 0);
    bench.sim.config_read32(0).unwrap();
    bench.sim.config_write16(4, 6).unwrap();
    client
        .acquire_all()
        .into_iter()
        .for_each(|a| client.release(a));
    client.ring();
    bench.settle();
    let counters = bench.sim.counters();
    let expected = (1, 1, 1, 1, 1);
    let c = &counters;
    assert_eq!(
        (
            c.mmio_reads,
            c.mmio_writes,
            c.doorbells,
            c.config_reads,
            c.config_writes
        ),
        expected
    );
    assert_eq!((c.dma_reads, c.dma_read_bytes), (1, 32));
    assert_eq!(
        (c.dma_writes, c.dma_write_bytes, c.status_lines),
        (2, 64, 1)
    );
    // Down: requests of two reads and a configuration write, two posted writes, 32 bytes of completion.
    assert_eq!(c.tlp_bytes_up, 24 + 4 + 24 + 4 + 24 + 24 + 56 + 56);
    assert_eq!(c.tlp_bytes_down, 3 * 24 + 4 + 28 + 32 + 56);
    assert_eq!(c.since(&before), counters);
    assert_eq!(counters.since(&counters), before, "nothing since itself");
}

/// A run with enough chance in it, told by everything that can be seen of it.
fn trace(seed: u64) -> (Vec<u64>, Counters, Duration) {
    let bench = Bench::new(config(&[("seed", &seed.to_string())]));
    bench.pool(0, 64);
    bench.fill(0, 8);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    let mut seen = Vec::new();
    for n in 0..200 {
        bench.sim.relax();
        let got = client.acquire_all();
        seen.push(bench.sim.now().as_nanos() as u64);
        seen.extend(&got);
        got.into_iter().for_each(|a| client.release(a));
        client.ring();
        if n % 16 == 0 {
            seen.push(bench.available(0).into());
        }
    }
    bench.no_violations();
    (seen, bench.sim.counters(), bench.sim.now())
}

#[test]
fn a_seed_replays_a_run_and_another_differs() {
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7).0, trace(8).0);
}

#[test]
fn bandwidth_is_that_of_the_link() {
    let bench = Bench::new(calm());
    bench.pool(0, 8192);
    let mut client = bench.portal(0, 0, 12, 1, 2048);
    bench.settle();
    (0..4096).for_each(|n| client.release(BASE + n * STRIDE));
    let start = bench.sim.now();
    client.ring();
    bench.until("the status line", || bench.line().release_head == 4096);
    let took = (bench.sim.now() - start).as_nanos();
    // 32 KiB in 128 completions of 280 bytes at 7.877 GB/s are 4551 ns; half a trip there, a round trip, half back.
    assert!((6300..6600).contains(&took), "{took}");
}

#[test]
fn a_doorbell_before_its_entry_is_caught() {
    let mut caught = 0;
    for seed in 0..40u64 {
        let bench = Bench::new(config(&[("seed", &seed.to_string()), ("preemption", "2")]));
        bench.pool(0, 64);
        let client = bench.portal(0, 0, 3, 4, 1);
        bench.settle();
        bench.operation.write64(0x4_0000, 1).unwrap();
        bench.memory.store(crate::bench::RELEASE, BASE | 1); // too late
        bench.settle();
        caught += usize::from(bench.get(0x80) == 1 << 8);
        assert_eq!(client.tail, 0);
    }
    assert!((5..35).contains(&caught), "{caught} of 40");
}
