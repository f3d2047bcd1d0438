//! Faults as data: each kind does what it says, where it says, and nothing before.

use std::time::Duration;

use hwpool_devices::bus::{Bar, BusError, Irq, Transport};
use hwpool_sim::{Fault, FaultKind, Mode, SimConfig};

use crate::bench::{BASE, Bench, STRIDE, pool, portal};

fn with(fault: Fault) -> Bench {
    let mut config = SimConfig::default();
    config.faults.push(fault);
    Bench::new(config)
}

/// A pool of 64 buffers with 16 in its list, and a portal with 4 credits.
fn running(fault: Fault) -> Bench {
    let bench = with(fault);
    bench.pool(0, 64);
    bench.fill(0, 16);
    bench.portal(0, 0, 3, 4, 1);
    bench.settle();
    bench
}

fn entry(bench: &Bench, n: u64) -> u64 {
    bench.memory.load(crate::bench::ACQUIRE + 8 * n)
}

#[test]
fn a_read_fails_or_reads_all_ones_at_the_nth_access() {
    let bench = with(Fault::new(FaultKind::ReadFails).on("SCRATCH").from(2));
    assert_eq!((bench.get64(0x10), bench.get(0)), (0, 0x3155_4d42));
    let failed = bench.control.read64(0x10);
    assert!(matches!(
        failed,
        Err(BusError::Failed {
            offset: 0x10,
            width: 8,
            ..
        })
    ));
    assert_eq!(bench.get64(0x10), 0);

    let bench = with(
        Fault::new(FaultKind::ReadAllOnes)
            .on("POOL_STATUS")
            .at(3)
            .times(2),
    );
    assert_eq!(bench.get(pool(2) + 4), 0);
    let reads = [(); 3].map(|()| bench.get(pool(3) + 4));
    assert_eq!(reads, [u32::MAX, u32::MAX, 0]);
}

#[test]
fn a_stuck_register_keeps_its_value_for_ever() {
    let bench = with(Fault::new(FaultKind::Stuck).on("STATUS").with(0));
    bench.set(0x48, 0x5445_5352);
    bench.settle();
    assert_eq!([(); 3].map(|()| bench.get(0x44)), [0; 3]);
}

#[test]
fn a_device_with_fewer_address_bits_than_it_claims_shows_on_reading_back() {
    let bench = with(Fault::new(FaultKind::NarrowAddress).with(32));
    bench.set64(pool(0) + 8, 0x12_3456_7000);
    assert_eq!(bench.get64(pool(0) + 8), 0x3456_7000);
}

#[test]
fn a_doorbell_comes_late_or_is_lost_until_the_next() {
    let late = Fault::new(FaultKind::DelayedDoorbell).at(0).with(50_000);
    let bench = with(late);
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    client.release(BASE);
    let rung = bench.sim.now();
    client.ring();
    bench.until("the doorbell", || bench.line().release_head == 1);
    assert!(bench.sim.now() - rung > Duration::from_micros(50));

    let bench = with(Fault::new(FaultKind::DelayedDoorbell));
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    client.release(BASE);
    client.ring();
    bench.settle();
    assert_eq!(bench.get(portal(0) + 0x50), 0);
    client.ring();
    bench.settle();
    assert_eq!(bench.get(portal(0) + 0x50), 1);
}

#[test]
fn interrupts_are_lost_or_come_from_nowhere() {
    let bench = with(Fault::new(FaultKind::LostInterrupt).at(3));
    let irq = bench.sim.irq(3).unwrap();
    bench.set(0x104, 8);
    bench.set(0x10c, 3);
    assert_eq!(irq.wait(Duration::from_micros(50)), Ok(0));
    bench.set(0x10c, 3);
    assert_eq!(irq.wait(Duration::from_micros(50)), Ok(1));

    let bench = with(
        Fault::new(FaultKind::SpuriousInterrupt)
            .on("SCRATCH")
            .with(3),
    );
    let irq = bench.sim.irq(3).unwrap();
    bench.get(0);
    assert_eq!(irq.wait(Duration::from_micros(50)), Ok(0));
    bench.get64(0x10);
    assert_eq!(irq.wait(Duration::from_micros(50)), Ok(1));
}

#[test]
fn wrong_buffers_come_by_the_register_path() {
    let alloc = |kind, value| {
        let bench = with(Fault::new(kind).on("POOL_ALLOC").from(2).with(value));
        bench.pool(0, 64);
        bench.fill(0, 16);
        let got = [(); 3].map(|()| bench.alloc(0));
        assert_eq!(got[0] % STRIDE, 0);
        assert!(
            got[2] != got[0] && got[2] % STRIDE == 0,
            "the third is sound again"
        );
        (got[0], got[1])
    };
    let (first, second) = alloc(FaultKind::DuplicateBuffer, 0);
    assert_eq!(first, second);
    assert_eq!(alloc(FaultKind::OutOfRangeBuffer, 0).1, BASE + 64 * STRIDE);
    assert_eq!(alloc(FaultKind::OutOfRangeBuffer, 192).1, 192);
    assert_eq!(alloc(FaultKind::MisalignedBuffer, 0).1 % STRIDE, 64);
}

#[test]
fn wrong_buffers_come_by_the_acquire_ring() {
    let on = |kind| running(Fault::new(kind).on("PORTAL_DOORBELL").at(0).from(3));
    let bench = on(FaultKind::DuplicateBuffer);
    assert_eq!(entry(&bench, 2), entry(&bench, 1));
    assert_ne!(entry(&bench, 1), entry(&bench, 0));
    assert_eq!(bench.available(0), 13, "the true buffer stays in the list");
    assert_eq!(
        entry(&on(FaultKind::OutOfRangeBuffer), 2),
        BASE + 64 * STRIDE + 1
    );
    let bench = on(FaultKind::MisalignedBuffer);
    assert_eq!([1, 2, 3].map(|n| entry(&bench, n) % STRIDE), [1, 65, 1]);
}

#[test]
fn an_entry_has_the_wrong_phase_or_is_never_written() {
    let bench = running(Fault::new(FaultKind::StaleEntry).from(2));
    assert_eq!([0, 1, 2].map(|n| entry(&bench, n) & 1), [1, 0, 1]);
    assert_ne!(entry(&bench, 1), 0);
    let bench = running(Fault::new(FaultKind::LostEntry).from(2));
    assert_eq!([0, 1, 2].map(|n| entry(&bench, n) & 1), [1, 0, 1]);
    assert_eq!(entry(&bench, 1), 0);
    assert_eq!(bench.get(portal(0) + 0x54), 4);
}

#[test]
fn counts_are_wrong_in_registers_and_in_status_lines() {
    let fault = |name: &str| {
        Fault::new(FaultKind::WrongCount)
            .on(name)
            .times(0)
            .with(100)
    };
    let bench = with(fault("POOL_AVAILABLE").from(2));
    assert_eq!([bench.available(0), bench.available(0)], [0, 100]);
    for name in [
        "PORTAL_RELEASE_HEAD",
        "PORTAL_ACQUIRE_TAIL",
        "POOL_AVAILABLE",
    ] {
        let bench = with(fault(name));
        bench.pool(0, 64);
        let mut client = bench.portal(0, 0, 3, 4, 1);
        client.release(BASE);
        client.ring();
        bench.settle();
        let line = bench.line();
        let sums = (line.release_head, line.acquire_tail, line.available);
        match name {
            "PORTAL_RELEASE_HEAD" => {
                assert_eq!((sums, bench.get(portal(0) + 0x50)), ((101, 1, 0), 101))
            }
            "PORTAL_ACQUIRE_TAIL" => {
                assert_eq!((sums, bench.get(portal(0) + 0x54)), ((1, 101, 0), 101))
            }
            _ => assert_eq!(sums, (1, 1, 100)),
        }
    }
}

#[test]
fn the_nth_dma_access_of_a_portal_is_refused() {
    let bench = running(Fault::new(FaultKind::DmaFault).at(0).from(3));
    assert_eq!(bench.state(0), 1);
    bench.ring_raw(0x4_0000, 4 << 32);
    bench.settle();
    assert_eq!(bench.state(0), 3);
    assert_eq!(bench.record().0, 6);
}

#[test]
fn no_halted_line_is_tried_when_the_line_itself_was_refused() {
    for (nth, written) in [(3, true), (4, false)] {
        let bench = running(Fault::new(FaultKind::DmaFault).at(0).from(nth));
        bench.ring_raw(0x4_0000, 4 << 32);
        bench.settle();
        assert_eq!(bench.state(0), 3);
        assert_eq!(bench.line().halted, written, "access {nth}");
    }
}

#[test]
fn a_reset_does_nothing() {
    let bench = with(Fault::new(FaultKind::ResetDoesNothing).times(2));
    bench.set64(0x10, 5);
    bench.set(0x48, 0x5445_5352);
    bench.sim.reset().unwrap();
    assert_eq!(
        (bench.get(0x44), bench.get(0x4c), bench.get64(0x10)),
        (1, 0, 5)
    );
    bench.sim.reset().unwrap();
    assert_eq!((bench.get(0x4c), bench.get64(0x10)), (1, 0));
}

#[test]
fn a_device_that_is_gone_answers_all_ones_and_does_nothing() {
    for mode in [Mode::Stepped, Mode::Threaded] {
        let mut config = SimConfig::default();
        config.mode = mode;
        let bench = Bench::new(config);
        bench.pool(0, 64);
        bench.portal(0, 0, 3, 4, 1);
        bench.sim.inject(Fault::new(FaultKind::Gone)).unwrap();
        assert_eq!((bench.get(0), bench.alloc(0)), (u32::MAX, u64::MAX));
        assert_eq!(bench.sim.config_read32(0), Ok(u32::MAX));
        bench.sim.reset_counters();
        bench.free(0, BASE);
        bench.ring_raw(0x4_0000, 1);
        bench.until("nothing", || bench.sim.counters().doorbells == 1);
        assert_eq!(bench.sim.counters().tlp_bytes_up, 0);
        bench.no_violations();
    }
}

#[test]
fn faults_work_on_the_models_thread() {
    let mut config = SimConfig::default();
    config.mode = Mode::Threaded;
    config.faults = vec![
        Fault::new(FaultKind::DuplicateBuffer)
            .on("PORTAL_DOORBELL")
            .from(2),
    ];
    let bench = Bench::new(config);
    bench.pool(0, 64);
    let mut client = bench.portal(0, 0, 3, 4, 1);
    (0..4).for_each(|n| client.release(BASE + n * STRIDE));
    client.ring();
    bench.until("entries", || entry(&bench, 3) != 0);
    assert_eq!(entry(&bench, 0), entry(&bench, 1));
}

#[test]
fn a_fault_that_can_not_happen_is_refused_at_run_time_too() {
    let bench = Bench::stepped();
    assert!(bench.sim.inject(Fault::new(FaultKind::Stuck)).is_err());
    assert!(
        bench
            .sim
            .inject(Fault::new(FaultKind::Gone).on("NOTHING"))
            .is_err()
    );
    assert!(
        bench
            .sim
            .inject(Fault::new(FaultKind::Gone).on("MAGIC").at(1))
            .is_err()
    );
}

#[test]
fn every_kind_can_be_named_in_a_file() {
    // Those of lists that are described, which are tried there.
    let others = [
        FaultKind::WrongEmpty,
        FaultKind::SwappedHalves,
        FaultKind::ResetKeepsEntries,
        FaultKind::StuckInterrupt,
    ];
    for (name, kind) in FaultKind::ALL {
        assert_eq!(kind.name(), *name);
        if others.contains(kind) {
            continue;
        }
        let text = format!("[[fault]]\nkind = \"{name}\"\nregister = \"POOL_ALLOC\"\n");
        assert_eq!(
            SimConfig::default().parse_faults(&text),
            Ok(vec![Fault::new(*kind).on("POOL_ALLOC")])
        );
    }
}
