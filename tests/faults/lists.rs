//! Faults on the register path.

use hwpool::devices::bus::{BusError, Iova};
use hwpool::devices::family::{Breach, FreeList, SetupError};
use hwpool::sim::{Fault, FaultKind};

use crate::rig::{self, BASE, Bench, GIVEN, OBJECTS, STRIDE, SimList};
use crate::{in_time, poisoned};

crate::cases! {
    ReadFails: an_allocation_that_fails_poisons a_count_that_fails_does_not;
    ReadAllOnes: an_allocation_of_all_ones_is_a_lie_while_the_magic_stands;
    Stuck: a_range_that_does_not_read_back_is_refused a_pool_that_is_not_enabled_is_refused;
    NarrowAddress: address_bits_that_are_dropped_show_before_the_first_free;
    DuplicateBuffer: a_buffer_that_is_out_already_poisons;
    LowHalfTwice: an_address_of_two_low_halves_poisons;
    OutOfRangeBuffer: a_buffer_outside_of_the_pool_poisons;
    MisalignedBuffer: an_address_inside_of_a_buffer_poisons;
    WrongCount: a_wrong_count_is_only_reported;
    Gone: a_device_that_is_gone_is_told_from_data;
}

fn an_allocation_that_fails_poisons(options: &str) {
    let mut bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::ReadFails).on("POOL_ALLOC").from(3));
    let result = in_time(&mut bench, |bench| bench.take(5));
    let telling = ["8 bytes at 0x0", "told to fail"];
    let cause = poisoned(&mut bench, result, &telling);
    assert!(matches!(
        cause,
        Breach::Bus(BusError::Failed { width: 8, .. })
    ));
    bench.recovers();
}

fn a_count_that_fails_does_not(options: &str) {
    let mut bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::ReadFails).on("POOL_AVAILABLE"));
    assert!(matches!(
        bench.list.available(),
        Err(BusError::Failed { .. })
    ));
    assert_eq!(bench.list.poison(), None);
    assert_eq!(bench.list.available(), Ok(GIVEN));
    assert_eq!(bench.take(GIVEN), Ok(true));
    bench.recovers();
}

fn an_allocation_of_all_ones_is_a_lie_while_the_magic_stands(options: &str) {
    let mut bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::ReadAllOnes).on("POOL_ALLOC"));
    let result = in_time(&mut bench, |bench| bench.take(1));
    let cause = poisoned(&mut bench, result, &["0xffffffffffffffff, outside of"]);
    assert!(matches!(
        cause,
        Breach::OutOfRange {
            address: u64::MAX,
            ..
        }
    ));
    bench.recovers();
}

fn a_range_that_does_not_read_back_is_refused(options: &str) {
    let bench = Bench::registers(options);
    for (name, written) in [
        ("POOL_BASE", BASE),
        ("POOL_END", BASE + STRIDE * u64::from(OBJECTS)),
    ] {
        bench.inject(Fault::new(FaultKind::Stuck).on(name).times(1).with(0x40));
        let refused = SimList::open(&bench.session.bmu, &rig::list_config(OBJECTS));
        let expected = SetupError::ReadBack {
            register: name,
            of: "pool 1".into(),
            written,
            found: 0x40,
        };
        assert_eq!(refused.err(), Some(expected));
    }
    let list = rig::list(&bench.session, OBJECTS);
    assert_eq!(list.id().number(), 1, "the pool was given back");
    drop(list);
    bench.recovers();
}

fn a_pool_that_is_not_enabled_is_refused(options: &str) {
    let bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::Stuck).on("POOL_CONTROL").times(1));
    let refused = SimList::open(&bench.session.bmu, &rig::list_config(OBJECTS));
    assert!(
        matches!(refused.as_ref().err(), Some(SetupError::Refused { of, .. }) if of == "pool 1")
    );
    drop(refused);
    assert_eq!(rig::list(&bench.session, OBJECTS).id().number(), 1);
    bench.recovers();
}

fn address_bits_that_are_dropped_show_before_the_first_free(options: &str) {
    let bench = Bench::registers(options);
    let fault = Fault::new(FaultKind::NarrowAddress).with(32).times(2);
    bench.inject(fault);
    let mut config = rig::list_config(OBJECTS);
    config.base = Iova(BASE | 0x4000_0000);
    let refused = SimList::open(&bench.session.bmu, &config).err();
    let expected = SetupError::ReadBack {
        register: "POOL_BASE",
        of: "pool 1".into(),
        written: config.base.0,
        found: 0x4000_0000,
    };
    assert_eq!(refused, Some(expected));
    bench.recovers();
}

fn a_buffer_that_is_out_already_poisons(options: &str) {
    let mut bench = Bench::registers(options);
    let fault = Fault::new(FaultKind::DuplicateBuffer).on("POOL_ALLOC");
    bench.inject(fault.from(2));
    assert_eq!(bench.take(1), Ok(true));
    let first = *bench.held.iter().find(|o| **o < GIVEN).unwrap();
    let result = in_time(&mut bench, |bench| bench.take(1));
    let telling = format!("object {first}, which is out already");
    let cause = poisoned(&mut bench, result, &[&telling]);
    let address = BASE + u64::from(first) * STRIDE;
    let index = first;
    assert_eq!(cause, Breach::Duplicate { address, index });
    bench.recovers();
}

fn a_buffer_outside_of_the_pool_poisons(options: &str) {
    let end = BASE + STRIDE * u64::from(OBJECTS);
    for (value, address) in [(0, end), (BASE - 64, BASE - 64), (1 << 63, 1 << 63)] {
        let mut bench = Bench::registers(options);
        let fault = Fault::new(FaultKind::OutOfRangeBuffer).on("POOL_ALLOC");
        bench.inject(fault.with(value).from(2));
        let result = in_time(&mut bench, |bench| bench.take(3));
        let telling = format!("{address:#x}, outside of {BASE:#x}..{end:#x}");
        let cause = poisoned(&mut bench, result, &[&telling]);
        assert!(matches!(cause, Breach::OutOfRange { address: a, .. } if a == address));
        bench.recovers();
    }
}

fn an_address_of_two_low_halves_poisons(options: &str) {
    let mut bench = Bench::registers(options);
    let split = Fault::new(FaultKind::LowHalfTwice).on("POOL_ALLOC");
    bench.inject(split.from(2));
    let result = in_time(&mut bench, |bench| bench.take(3));
    let cause = poisoned(&mut bench, result, &["outside of"]);
    assert!(matches!(cause, Breach::OutOfRange { .. }));
    bench.recovers();
}

fn an_address_inside_of_a_buffer_poisons(options: &str) {
    let mut bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::MisalignedBuffer).on("POOL_ALLOC"));
    let result = in_time(&mut bench, |bench| bench.take(1));
    let cause = poisoned(&mut bench, result, &["64 bytes past the start of object"]);
    assert!(matches!(cause, Breach::Misaligned { excess: 64, .. }));
    bench.recovers();
}

fn a_wrong_count_is_only_reported(options: &str) {
    let mut bench = Bench::registers(options);
    let fault = Fault::new(FaultKind::WrongCount).on("POOL_AVAILABLE");
    bench.inject(fault.with(5));
    assert_eq!(bench.list.available(), Ok(GIVEN + 5));
    assert_eq!(bench.list.available(), Ok(GIVEN));
    assert_eq!(bench.list.poison(), None);
    assert_eq!(bench.take(GIVEN), Ok(true));
    assert_eq!(bench.take(1), Ok(false));
    bench.recovers();
}

fn a_device_that_is_gone_is_told_from_data(options: &str) {
    let mut bench = Bench::registers(options);
    bench.inject(Fault::new(FaultKind::Gone).on("POOL_ALLOC").from(2));
    let result = in_time(&mut bench, |bench| bench.take(2));
    let telling = ["the device is gone", "POOL_ALLOC"];
    let cause = poisoned(&mut bench, result, &telling);
    assert_eq!(
        cause,
        Breach::Gone {
            register: "POOL_ALLOC",
            witness: "MAGIC"
        }
    );
    assert!(matches!(bench.list.available(), Err(BusError::Gone { .. })));
    let refused = SimList::open(&bench.session.bmu, &rig::list_config(8)).err();
    assert!(matches!(
        refused,
        Some(SetupError::Bus(BusError::Gone { .. }))
    ));
}
