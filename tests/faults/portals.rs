//! Faults of rings, doorbells, status lines and their DMA.

use std::time::{Duration, Instant};

use hwpool::devices::bmu::{ErrorBits, regs};
use hwpool::devices::bus::{BusError, Irq, Transport};
use hwpool::devices::family::{Breach, PathError, ResetError, SetupError};
use hwpool::sim::{Fault, FaultKind};

use crate::rig::{self, BASE, Bench, GIVEN, OBJECTS, STRIDE};
use crate::{in_time, poisoned};

crate::cases! {
    ReadFails: a_status_that_fails_spoils_the_close;
    ReadAllOnes: a_control_of_all_ones_spoils_nothing;
    Stuck: a_portal_that_is_not_enabled_is_stopped_all_the_same a_portal_that_never_stops_ends_the_close;
    DelayedDoorbell: a_late_doorbell_is_waited_for a_lost_doorbell_ends_the_wait;
    LostInterrupt: a_lost_event_leaves_its_bit;
    DuplicateBuffer: an_entry_that_is_out_already_poisons;
    OutOfRangeBuffer: an_entry_outside_of_the_pool_poisons;
    MisalignedBuffer: an_entry_inside_of_a_buffer_poisons;
    StaleEntry: an_entry_of_another_lap_is_missed an_entry_of_another_lap_is_missed_by_a_close;
    LostEntry: an_entry_that_was_lost_is_missed an_entry_that_was_lost_is_missed_by_a_close;
    WrongCount: counts_of_the_status_line_are_checked a_tail_that_counts_too_far_is_a_missing_entry;
    DmaFault: a_refused_dma_halts_the_portal a_refused_dma_on_every_access_is_found a_halt_while_stopping_is_told
        a_halt_while_dropping_leaves_it_disabled;
    ResetDoesNothing: a_poisoned_list_outlives_a_reset_that_does_nothing;
    Gone: rings_of_a_device_that_is_gone_end_their_waits a_close_of_a_device_that_is_gone_ends;
}

/// Closes the bench's portal, as a case of its own.
fn close(bench: &mut Bench) -> Result<Vec<u32>, PathError> {
    bench.list.close_portals()
}

fn ring_fault(kind: FaultKind) -> Fault {
    Fault::new(kind).on("PORTAL_DOORBELL").at(0)
}

fn a_status_that_fails_spoils_the_close(options: &str) {
    let mut bench = Bench::rings(options);
    bench.inject(Fault::new(FaultKind::ReadFails).on("PORTAL_STATUS").at(0));
    let result = in_time(&mut bench, close);
    let cause = poisoned(&mut bench, result, &["access of 4 bytes at 0x8004"]);
    assert!(matches!(cause, Breach::Bus(BusError::Failed { .. })));
    bench.recovers();
}

fn a_control_of_all_ones_spoils_nothing(options: &str) {
    let mut bench = Bench::registers(options);
    let fault = Fault::new(FaultKind::ReadAllOnes).on("PORTAL_CONTROL");
    bench.inject(fault);
    let config = rig::portal_config(4);
    rig::portal(&bench.session, &mut bench.list, &config);
    assert_eq!(bench.take(16), Ok(true));
    bench.recovers();
}

fn a_portal_that_is_not_enabled_is_stopped_all_the_same(options: &str) {
    let mut bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::Stuck).on("PORTAL_CONTROL").times(1));
    let config = rig::portal_config(4);
    let rings = rig::rings(&bench.session, config.layout);
    let refused = bench.list.open_portal(rings, &config).err();
    assert!(
        matches!(&refused, Some(SetupError::Refused { of, .. }) if of == "portal 0"),
        "{refused:?}"
    );
    // It said that it is disabled and runs: it must not run on in memory that is somebody else's by now.
    let state = bench.session.bmu.read_at(regs::PORTAL_STATUS, 0);
    assert_eq!(state, Ok(0), "disabled");
    rig::portal(&bench.session, &mut bench.list, &config);
    assert_eq!(bench.take(1), Ok(true));
    bench.recovers();
}

fn a_portal_that_never_stops_ends_the_close(options: &str) {
    let mut bench = Bench::rings(options);
    bench.inject(
        Fault::new(FaultKind::Stuck)
            .on("PORTAL_STATUS")
            .at(0)
            .with(2),
    );
    let result = in_time(&mut bench, |bench| {
        let result = close(bench);
        // Closing waits, and dropping what did not close waits once more.
        result.map(|_| ())
    });
    let telling = ["stop of the portal did not happen within"];
    let cause = poisoned(&mut bench, result, &telling);
    assert!(matches!(cause, Breach::TimedOut(_)));
    let next = rig::portal_config(4);
    let rings = rig::rings(&bench.session, next.layout);
    match bench.list.open_portal(rings, &next) {
        Ok(portal) => assert_eq!(portal.number(), 1, "number 0 is not used again"),
        Err(error) => panic!("{error}"),
    }
}

/// Its rings' memory goes after that, and their number is another portal's.
#[test]
fn a_portal_that_stops_without_a_word_keeps_its_number() {
    for (mode, is_closed) in [("seed=1", true), ("seed=2", false), ("mode=threaded", true)] {
        let mut bench = Bench::rings(&format!("{mode}&lies=stops-silently"));
        if is_closed {
            let result = in_time(&mut bench, close);
            let telling = ["last status line of the portal did not happen within"];
            let cause = poisoned(&mut bench, result, &telling);
            assert!(matches!(cause, Breach::TimedOut(_)));
        } else {
            bench.list.abandon_portals();
        }
        let next = rig::portal_config(4);
        let rings = rig::rings(&bench.session, next.layout);
        let portal = bench.list.open_portal(rings, &next);
        assert_eq!(portal.map(|portal| portal.number()), Ok(1), "{mode}");
    }
}

fn a_late_doorbell_is_waited_for(options: &str) {
    // On a machine that is busy the model's thread may be late by far more than the doorbell.
    let mut bench = Bench::rings(&options.replace("timeout-ms=500", "timeout-ms=10000"));
    assert_eq!(bench.take(GIVEN - 1), Ok(true), "the device is empty");
    bench.settle();
    let late = Duration::from_millis(2);
    bench.inject(ring_fault(FaultKind::DelayedDoorbell).with(late.as_nanos() as u64));
    // A threaded model is late by real time, of which its clock counts a part.
    let (before, real) = (bench.now(), Instant::now());
    bench.give(4).unwrap();
    assert_eq!(in_time(&mut bench, |bench| bench.take(4)), Ok(true));
    let passed = match bench.is_threaded {
        true => real.elapsed(),
        false => bench.now() - before,
    };
    assert!(passed >= late);
    bench.recovers();
}

fn a_lost_doorbell_ends_the_wait(options: &str) {
    let mut bench = Bench::rings(options);
    assert_eq!(bench.take(GIVEN - 1), Ok(true), "the device is empty");
    bench.settle();
    bench.inject(ring_fault(FaultKind::DelayedDoorbell));
    bench.give(4).unwrap();
    let before = bench.now();
    let result = in_time(&mut bench, |bench| bench.take(4));
    assert!(bench.now() - before >= Duration::from_millis(100));
    let telling = ["entries in the acquire ring did not happen within"];
    let cause = poisoned(&mut bench, result, &telling);
    assert!(matches!(cause, Breach::TimedOut(_)));
    bench.recovers();
}

fn a_lost_event_leaves_its_bit(options: &str) {
    let mut bench = Bench::rings(options);
    assert_eq!(bench.take(GIVEN - 1), Ok(true));
    assert_eq!(bench.take(1), Ok(false));
    let portal = bench.portal();
    portal.take_event().unwrap();
    let irq = portal.event_interrupt(1).unwrap();
    bench.inject(Fault::new(FaultKind::LostInterrupt).at(1));
    bench.give(4).unwrap();
    assert_eq!(irq.wait(Duration::from_millis(5)), Ok(0));
    assert_eq!(
        bench.portal().take_event(),
        Ok(true),
        "the event is there to read"
    );
    assert_eq!(bench.take(4), Ok(true));
    bench.recovers();
}

/// Spoils the third entry from now on and takes until it comes.
fn spoiled(options: &str, fault: Fault) -> (Bench, Result<bool, PathError>) {
    let mut bench = Bench::rings(options);
    // The 16 entries in the ring are sound, as is what refills it up to the third.
    bench.inject(fault.from(3));
    for _ in 0..8 {
        let result = in_time(&mut bench, |bench| bench.take(5));
        if result != Ok(true) {
            return (bench, result);
        }
        bench.give(5).unwrap();
    }
    panic!("forty entries without the spoiled one");
}

fn an_entry_that_is_out_already_poisons(options: &str) {
    let (mut bench, result) = spoiled(options, ring_fault(FaultKind::DuplicateBuffer));
    let cause = poisoned(&mut bench, result, &["which is out already"]);
    let Breach::Duplicate { address, index } = cause else {
        panic!("{cause:?}");
    };
    assert_eq!(address, BASE + u64::from(index) * STRIDE);
    bench.recovers();
}

fn an_entry_outside_of_the_pool_poisons(options: &str) {
    let end = BASE + STRIDE * u64::from(OBJECTS);
    let (mut bench, result) = spoiled(options, ring_fault(FaultKind::OutOfRangeBuffer));
    let telling = format!("{end:#x}, outside of {BASE:#x}..{end:#x}");
    let cause = poisoned(&mut bench, result, &[&telling]);
    assert!(matches!(cause, Breach::OutOfRange { .. }));
    bench.recovers();
}

fn an_entry_inside_of_a_buffer_poisons(options: &str) {
    let (mut bench, result) = spoiled(options, ring_fault(FaultKind::MisalignedBuffer));
    let cause = poisoned(&mut bench, result, &["64 bytes past the start of object"]);
    assert!(matches!(cause, Breach::Misaligned { excess: 64, .. }));
    bench.recovers();
}

fn an_entry_of_another_lap_is_missed(options: &str) {
    missing(options, FaultKind::StaleEntry);
}

fn an_entry_that_was_lost_is_missed(options: &str) {
    missing(options, FaultKind::LostEntry);
}

fn missing(options: &str, kind: FaultKind) {
    let (mut bench, result) = spoiled(options, ring_fault(kind));
    let telling = ["is not in the acquire ring", "the device counts"];
    let cause = poisoned(&mut bench, result, &telling);
    let Breach::MissingEntry { entry, tail } = cause else {
        panic!("{cause:?}");
    };
    assert!(entry < tail && tail - entry <= 16, "{entry} of {tail}");
    bench.recovers();
}

fn an_entry_of_another_lap_is_missed_by_a_close(options: &str) {
    missing_at_close(options, FaultKind::StaleEntry);
}

fn an_entry_that_was_lost_is_missed_by_a_close(options: &str) {
    missing_at_close(options, FaultKind::LostEntry);
}

fn missing_at_close(options: &str, kind: FaultKind) {
    let mut bench = Bench::registers(options);
    bench.inject(ring_fault(kind).from(3));
    let config = rig::portal_config(4);
    rig::portal(&bench.session, &mut bench.list, &config);
    assert_eq!(bench.take(2), Ok(true));
    let result = in_time(&mut bench, close);
    let cause = poisoned(&mut bench, result, &["entry 2 is not in the acquire ring"]);
    assert!(matches!(cause, Breach::MissingEntry { entry: 2, .. }));
    bench.recovers();
}

fn counts_of_the_status_line_are_checked(options: &str) {
    for (register, what, add) in [
        ("PORTAL_RELEASE_HEAD", "release_head", 1),
        ("PORTAL_RELEASE_HEAD", "release_head", 1 << 31),
        ("PORTAL_ACQUIRE_TAIL", "acquire_tail", 1000),
        ("PORTAL_ACQUIRE_TAIL", "acquire_tail", 1 << 31),
        ("POOL_AVAILABLE", "available", 1000),
    ] {
        let mut bench = Bench::rings(options);
        bench.inject(
            Fault::new(FaultKind::WrongCount)
                .on(register)
                .at(0)
                .with(add)
                .times(0),
        );
        // Running dry makes the driver look at the status line.
        let result = in_time(&mut bench, |bench| {
            bench.take(GIVEN - 1).and_then(|_| bench.take(1))
        });
        let telling = format!("the device wrote {what} ");
        let cause = poisoned(&mut bench, result, &[&telling, "possible is"]);
        let Breach::BadCount {
            what: found_in,
            found,
            low,
            high,
        } = cause
        else {
            panic!("{register} + {add}: {cause:?}");
        };
        assert_eq!(found_in, what);
        assert!(!(low..=high).contains(&found), "{low}..={high} has {found}");
        bench.resets();
    }
}

fn a_tail_that_counts_too_far_is_a_missing_entry(options: &str) {
    let mut bench = Bench::rings(options);
    let fault = Fault::new(FaultKind::WrongCount).on("PORTAL_ACQUIRE_TAIL");
    bench.inject(fault.times(0));
    let result = in_time(&mut bench, |bench| {
        bench.take(GIVEN - 1).and_then(|_| bench.take(1))
    });
    let telling = ["entry 32 is not in the acquire ring", "33 entries"];
    poisoned(&mut bench, result, &telling);
}

fn a_refused_dma_halts_the_portal(options: &str) {
    let mut bench = Bench::rings(options);
    bench.inject(ring_fault(FaultKind::DmaFault));
    let result = in_time(&mut bench, |bench| {
        bench.give(4).and_then(|()| bench.take(GIVEN))
    });
    let cause = poisoned(
        &mut bench,
        result,
        &["portal 0 halted: DMA_FAULT, offending value 0x"],
    );
    let Breach::Halted { errors, value, .. } = cause else {
        panic!("{cause:?}");
    };
    let expected = ErrorBits(regs::error::DMA_FAULT.mask() as u32);
    assert_eq!(errors, expected.into());
    assert_ne!(value, 0, "the IOVA that was refused");
    assert_eq!(bench.session.bmu.error_counts().unwrap()[6], 1);
    bench.recovers();
}

/// Whichever access it is that the bus refuses first, the end is the same; with `times` 0 not even the status line can
/// be written, and only the registers tell.
fn a_refused_dma_on_every_access_is_found(options: &str) {
    for nth in [1, 2, 3, 5, 8] {
        for times in [1, 0] {
            let mut bench = Bench::registers(options);
            bench.inject(ring_fault(FaultKind::DmaFault).from(nth).times(times));
            let config = rig::portal_config(4);
            rig::portal(&bench.session, &mut bench.list, &config);
            let mut result = Ok(true);
            for _ in 0..20 {
                result = in_time(&mut bench, |bench| bench.take(9));
                if result != Ok(true) {
                    break;
                }
                result = bench.give(9).map(|()| true);
            }
            let cause = poisoned(&mut bench, result, &["DMA_FAULT"]);
            assert!(matches!(cause, Breach::Halted { .. }));
            if times == 1 {
                bench.recovers();
            }
        }
    }
}

/// A bench whose portal halts when it stops: what the bus refuses next is the status line of the stop.
fn halts_at_its_stop(options: &str) -> Bench {
    let mut bench = Bench::rings(options);
    bench.portal().flush().expect("flushes");
    bench.settle();
    (0..100).for_each(|_| bench.model.relax());
    bench.inject(ring_fault(FaultKind::DmaFault));
    bench
}

fn a_halt_while_stopping_is_told(options: &str) {
    let mut bench = halts_at_its_stop(options);
    let result = in_time(&mut bench, close);
    let cause = poisoned(&mut bench, result, &["portal 0 halted: DMA_FAULT"]);
    assert!(matches!(cause, Breach::Halted { .. }));
    let state = bench.session.bmu.read_at(regs::PORTAL_STATUS, 0);
    assert_eq!(state, Ok(0), "disabled once it is dropped");
    bench.recovers();
}

fn a_halt_while_dropping_leaves_it_disabled(options: &str) {
    let mut bench = halts_at_its_stop(options);
    in_time(&mut bench, |bench| bench.list.abandon_portals());
    let state = bench.session.bmu.read_at(regs::PORTAL_STATUS, 0);
    assert_eq!(state, Ok(0), "disabled, and its number free");
    let config = rig::portal_config(4);
    let next = rig::portal(&bench.session, &mut bench.list, &config);
    assert_eq!(next.number(), 0);
    bench.list.abandon_portals();
    bench.recovers();
}

fn a_poisoned_list_outlives_a_reset_that_does_nothing(options: &str) {
    let (mut bench, result) = spoiled(options, ring_fault(FaultKind::OutOfRangeBuffer));
    let error = result.unwrap_err();
    bench.inject(Fault::new(FaultKind::ResetDoesNothing));
    let bmu = bench.session.bmu.clone();
    let in_use = bmu.reset(Default::default()).unwrap_err().to_string();
    assert!(in_use.contains("1 pools and 1 portals"), "{in_use}");
    assert_eq!(bench.take(1), Err(error));
    let refused = {
        let Bench { list, session, .. } = bench;
        drop(list);
        let refused = session.bmu.reset(Default::default());
        session
            .bmu
            .reset(Default::default())
            .expect("the next works");
        refused
    };
    assert!(matches!(refused, Err(ResetError::NoEffect { .. })));
}

fn rings_of_a_device_that_is_gone_end_their_waits(options: &str) {
    let mut bench = Bench::rings(options);
    bench.inject(Fault::new(FaultKind::Gone));
    assert!(bench.list.available().is_err());
    // What is in the ring was handed out before; the wait for more ends.
    let result = in_time(&mut bench, |bench| bench.take(GIVEN - 1));
    let telling = ["device is gone: PORTAL_STATUS and MAGIC read all ones"];
    let cause = poisoned(&mut bench, result, &telling);
    assert!(matches!(cause, Breach::Bus(BusError::Gone { .. })));
}

fn a_close_of_a_device_that_is_gone_ends(options: &str) {
    let mut bench = Bench::rings(options);
    bench.inject(Fault::new(FaultKind::Gone));
    assert!(bench.list.available().is_err());
    let result = in_time(&mut bench, close);
    let cause = poisoned(&mut bench, result, &["device is gone"]);
    assert!(matches!(cause, Breach::Bus(BusError::Gone { .. })));
    let closed = bench.session.bmu.close();
    assert!(closed.is_err(), "nobody says that it closed");
}
