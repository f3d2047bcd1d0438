//! Free lists by the register path.

use std::sync::Arc;
use std::time::Duration;

use hwpool::devices::bmu::regs;
use hwpool::devices::bus::{Iova, Irq, Transport};
use hwpool::devices::family::{FreeList, ListConfig, Misuse, PathError, SetupError};

use super::{BASE, List, STRIDE, all, assert_each_once, list, name_cases, open};

name_cases!(
    what_was_freed_is_allocated_once,
    bulk_is_all_or_nothing,
    the_driver_refuses_what_is_not_the_hosts,
    the_device_refuses_bad_frees,
    lists_do_not_mix,
    configurations_are_checked,
    thresholds_fire_once_an_excursion,
    a_list_has_nothing_of_the_one_before_it,
    a_closed_list_frees_its_pool,
);

const SOON: Duration = Duration::from_secs(2);

fn what_was_freed_is_allocated_once<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 100);
    for index in 0..100 {
        list.free(index).unwrap();
    }
    assert_eq!(list.available().unwrap(), 100);
    let taken: Vec<u32> = std::iter::from_fn(|| list.alloc().unwrap()).collect();
    assert_each_once(taken, 100);
    assert_eq!(list.available().unwrap(), 0);
    assert_eq!(list.ledger().held(), 0);
}

fn bulk_is_all_or_nothing<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 100);
    list.free_all(&all(10)).unwrap();
    let mut out = [u32::MAX; 11];
    assert!(!list.alloc_all(&mut out).unwrap());
    assert_eq!(out, [u32::MAX; 11], "untouched");
    assert_eq!(list.available().unwrap(), 10, "rolled back");
    assert!(list.alloc_all(&mut out[..10]).unwrap());
    assert_each_once(out[..10].to_vec(), 10);
}

fn the_driver_refuses_what_is_not_the_hosts<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 100);
    list.free(5).unwrap();
    let double = PathError::Refused {
        index: 5,
        why: Misuse::DoubleFree,
    };
    assert_eq!(list.free(5), Err(double.clone()));
    assert_eq!(list.free_all(&[6, 7, 5]), Err(double));
    let twice = PathError::Refused {
        index: 6,
        why: Misuse::DoubleFree,
    };
    assert_eq!(list.free_all(&[6, 6]), Err(twice));
    let foreign = PathError::Refused {
        index: 100,
        why: Misuse::Foreign { objects: 100 },
    };
    assert_eq!(list.free(100), Err(foreign));
    assert_eq!(list.available().unwrap(), 1, "nothing was changed");
    assert!(list.poison().is_none());
    assert!(
        session.bmu.errors().unwrap().is_empty(),
        "the device saw none of it"
    );
}

fn the_device_refuses_bad_frees<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let bmu = &session.bmu;
    let config = ListConfig {
        base: Iova(BASE),
        stride: STRIDE,
        objects: 4,
        capacity: 2,
    };
    let list = List::open(bmu, &config).unwrap();
    let free = |address| regs::POOL_FREE.write_at(bmu.operation(), list.id().number(), address);
    free(BASE).unwrap();
    let cases = [
        (BASE - 64, regs::error::RANGE),
        (BASE + 4 * STRIDE, regs::error::RANGE),
        (u64::MAX, regs::error::RANGE),
        (0, regs::error::RANGE),
        (BASE + 1, regs::error::ALIGN),
        (BASE + STRIDE - 64, regs::error::ALIGN),
        (BASE, regs::error::DOUBLE_FREE),
    ];
    for (address, kind) in cases {
        free(address).unwrap();
        let (errors, at) = list.take_errors().unwrap();
        assert_eq!(
            (u64::from(errors.0), at),
            (kind.mask(), address),
            "{address:#x}"
        );
        assert_eq!(list.available().unwrap(), 1);
    }
    free(BASE + STRIDE).unwrap();
    free(BASE + 2 * STRIDE).unwrap();
    let (errors, at) = list.take_errors().unwrap();
    assert_eq!(
        (u64::from(errors.0), at),
        (regs::error::OVERFLOW.mask(), BASE + 2 * STRIDE)
    );
    assert_eq!(list.available().unwrap(), 2);
    assert_eq!(bmu.error_counts().unwrap()[..4], [4, 2, 1, 1]);
}

fn lists_do_not_mix<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    if session.bmu.capabilities().pools < 2 {
        return;
    }
    let (mut one, mut two) = (list(&session, 8), list(&session, 8));
    one.free(1).unwrap();
    two.free(2).unwrap();
    assert_eq!(
        (one.alloc().unwrap(), one.alloc().unwrap()),
        (Some(1), None)
    );
    assert_eq!(
        (two.alloc().unwrap(), two.alloc().unwrap()),
        (Some(2), None)
    );
}

fn configurations_are_checked<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let can = *session.bmu.capabilities();
    let good = ListConfig {
        base: Iova(BASE),
        stride: STRIDE,
        objects: 8,
        capacity: 8,
    };
    let bad = [
        ("stride", ListConfig { stride: 0, ..good }),
        (
            "stride",
            ListConfig {
                stride: STRIDE + 1,
                ..good
            },
        ),
        (
            "stride",
            ListConfig {
                stride: can.stride.1 * 2,
                ..good
            },
        ),
        (
            "number of objects",
            ListConfig {
                objects: 0,
                capacity: 0,
                ..good
            },
        ),
        (
            "capacity",
            ListConfig {
                capacity: 0,
                ..good
            },
        ),
        (
            "capacity",
            ListConfig {
                capacity: 9,
                ..good
            },
        ),
        (
            "base address",
            ListConfig {
                base: Iova(0),
                ..good
            },
        ),
        (
            "base address",
            ListConfig {
                base: Iova(BASE + 32),
                ..good
            },
        ),
        (
            "base address",
            ListConfig {
                base: Iova(u64::MAX - 63),
                ..good
            },
        ),
    ];
    for (expected, config) in bad {
        match List::open(&session.bmu, &config).err() {
            Some(SetupError::Invalid { what, .. }) => assert_eq!(what, expected, "{config:?}"),
            other => panic!("{config:?}: {other:?}"),
        }
    }
    assert_eq!(List::open(&session.bmu, &good).unwrap().id().number(), 0);
}

fn thresholds_fire_once_an_excursion<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    if !session.bmu.capabilities().thresholds {
        return;
    }
    let mut list = list(&session, 16);
    list.free_all(&all(16)).unwrap();
    list.set_thresholds(4, 8).unwrap();
    let irq = list.event_interrupt(0).unwrap();
    for _ in 0..3 {
        let mut out = [0; 16];
        assert!(list.alloc_all(&mut out[..12]).unwrap());
        assert_eq!(
            irq.wait(Duration::ZERO).unwrap(),
            0,
            "4 are left: not below 4"
        );
        assert!(list.alloc_all(&mut out[12..]).unwrap());
        assert_eq!(irq.wait(SOON).unwrap(), 1);
        assert_eq!(list.take_events().unwrap(), (true, false));
        list.free_all(&out[..7]).unwrap();
        list.available().unwrap();
        assert_eq!(list.take_events().unwrap(), (false, false), "7 of 8");
        list.free_all(&out[7..]).unwrap();
        assert_eq!(irq.wait(SOON).unwrap(), 1);
        assert_eq!(list.take_events().unwrap(), (false, true));
        assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
    }
    assert!(matches!(
        list.set_thresholds(9, 8),
        Err(SetupError::Invalid { .. })
    ));
}

fn a_list_has_nothing_of_the_one_before_it<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    if !session.bmu.capabilities().thresholds {
        return;
    }
    let irq = {
        let mut before = list(&session, 16);
        before.free_all(&all(16)).unwrap();
        before.set_thresholds(4, 8).unwrap();
        let irq = before.event_interrupt(0).unwrap();
        before.alloc_all(&mut [0; 16]).unwrap();
        assert_eq!(irq.wait(SOON).unwrap(), 1);
        irq
    };
    let mut list = list(&session, 16);
    assert_eq!(list.id().number(), 0, "of the same number");
    assert_eq!(list.take_events().unwrap(), (false, false));
    list.free_all(&all(16)).unwrap();
    list.alloc_all(&mut [0; 16]).unwrap();
    assert_eq!(list.take_events().unwrap(), (false, false));
    assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
}

fn a_closed_list_frees_its_pool<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    for _ in 0..3 {
        let mut list = list(&session, 8);
        assert_eq!(
            (list.id().number(), list.available().unwrap()),
            (0, 0),
            "empty when opened"
        );
        list.free_all(&all(8)).unwrap();
    }
}
