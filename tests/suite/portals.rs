//! Portals: bulk calls through rings in host memory.

use std::sync::Arc;
use std::time::Duration;

use hwpool::devices::bmu::{Layout, PortalConfig};
use hwpool::devices::bus::{Irq, Transport};
use hwpool::devices::family::{FreeList, Misuse, PathError, SetupError};

use super::{all, assert_each_once, list, name_cases, open, portal, rings};

name_cases!(
    everything_comes_back_once_over_many_laps,
    a_short_dequeue_leaves_all_as_it_was,
    a_dequeue_larger_than_the_ring_is_all_or_nothing,
    an_enqueue_larger_than_the_ring_goes_through,
    refused_objects_change_nothing,
    withheld_doorbells_never_withhold_buffers,
    two_pools_on_two_portals,
    two_portals_on_one_pool,
    close_returns_what_was_parked,
    available_is_raised_once_after_starvation,
    configurations_are_checked,
    a_portal_is_opened_again_and_again,
);

const SOON: Duration = Duration::from_secs(2);

fn everything_comes_back_once_over_many_laps<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 100);
    portal(&session, &mut list, 4);
    list.give(&all(100)).unwrap();
    for burst in 1..40 {
        let mut taken = Vec::new();
        let mut out = vec![0; burst];
        while list.take(&mut out).unwrap() {
            taken.extend_from_slice(&out);
        }
        assert_eq!(taken.len(), 100 / burst * burst);
        assert_eq!(list.ledger().held() as usize, 100 - taken.len());
        list.give(&taken).unwrap();
    }
    assert_each_once(list.first_portal().unwrap().drain().unwrap(), 100);
}

fn a_short_dequeue_leaves_all_as_it_was<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 64);
    portal(&session, &mut list, 6);
    assert!(!list.take(&mut [7]).unwrap(), "an empty pool");
    list.give(&all(9)).unwrap();
    let mut out = [u32::MAX; 10];
    assert!(!list.take(&mut out).unwrap());
    assert_eq!(out, [u32::MAX; 10], "untouched");
    assert_eq!(list.ledger().held(), 9);
    assert!(list.take(&mut out[..9]).unwrap());
    assert_each_once(out[..9].to_vec(), 9);
    assert!(list.take(&mut []).unwrap(), "nothing can always be had");
}

fn a_dequeue_larger_than_the_ring_is_all_or_nothing<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 100);
    portal(&session, &mut list, 3);
    list.give(&all(50)).unwrap();
    let mut out = vec![u32::MAX; 51];
    for _ in 0..3 {
        assert!(!list.take(&mut out).unwrap());
        assert_eq!(out, [u32::MAX; 51], "untouched");
        assert_eq!(
            list.ledger().held(),
            50,
            "what was taken before it ran short is back"
        );
    }
    assert!(list.take(&mut out[..50]).unwrap());
    assert_each_once(out[..50].to_vec(), 50);
    assert_eq!(list.ledger().held(), 0);
}

fn an_enqueue_larger_than_the_ring_goes_through<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 1000);
    portal(&session, &mut list, 3);
    list.give(&all(1000)).unwrap();
    assert_each_once(list.first_portal().unwrap().drain().unwrap(), 1000);
}

fn refused_objects_change_nothing<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 10);
    portal(&session, &mut list, 3);
    list.give(&[1, 2]).unwrap();
    let double = PathError::Refused {
        index: 2,
        why: Misuse::DoubleFree,
    };
    assert_eq!(list.give(&[3, 2]), Err(double));
    let foreign = PathError::Refused {
        index: 10,
        why: Misuse::Foreign { objects: 10 },
    };
    assert_eq!(list.give(&[3, 10]), Err(foreign));
    let mut taken = list.first_portal().unwrap().drain().unwrap();
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
    assert!(session.bmu.errors().unwrap().is_empty());
}

fn withheld_doorbells_never_withhold_buffers<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 32);
    let layout = Layout::new(5, 5);
    let config = PortalConfig {
        layout,
        credits: 32,
        hysteresis: 8,
        batch: 32,
    };
    list.open_portal(rings(&session, layout), &config).unwrap();
    list.give(&all(31)).unwrap();
    assert_eq!(
        list.first_portal().unwrap().doorbells(),
        0,
        "31 of 32 wait for company"
    );
    let mut out = [0; 31];
    assert!(list.take(&mut out).unwrap(), "a shortage rings");
    list.give(&[31]).unwrap();
    let before = list.first_portal().unwrap().doorbells();
    list.flush().unwrap();
    list.flush().unwrap();
    assert_eq!(list.first_portal().unwrap().doorbells(), before + 1);
    assert!(list.take(&mut out[..1]).unwrap());
    assert_eq!(out[0], 31);
}

fn two_pools_on_two_portals<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    if session.bmu.capabilities().pools < 2 || session.bmu.capabilities().portals < 2 {
        return;
    }
    let (mut one, mut two) = (list(&session, 16), list(&session, 16));
    portal(&session, &mut one, 4);
    portal(&session, &mut two, 4);
    one.give(&all(8)).unwrap();
    two.give(&[8, 9]).unwrap();
    assert_each_once(one.first_portal().unwrap().drain().unwrap(), 8);
    let mut taken = two.first_portal().unwrap().drain().unwrap();
    taken.sort_unstable();
    assert_eq!(taken, [8, 9]);
}

fn two_portals_on_one_pool<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    if session.bmu.capabilities().portals < 2 {
        return;
    }
    let mut list = list(&session, 64);
    let first = portal(&session, &mut list, 3);
    let second = portal(&session, &mut list, 3);
    list.portal(first).unwrap().enqueue(&all(64)).unwrap();
    let mut taken = Vec::new();
    let mut out = [0; 4];
    for portal in [first, second] {
        while list.portal(portal).unwrap().dequeue(&mut out).unwrap() {
            taken.extend_from_slice(&out);
        }
    }
    assert_each_once(taken, 64);
}

fn close_returns_what_was_parked<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 100);
    portal(&session, &mut list, 4);
    list.give(&all(100)).unwrap();
    let mut out = [0; 5];
    assert!(list.take(&mut out).unwrap());
    let mut found = list.close_portals().unwrap();
    assert!(found.len() <= 16, "no more than the ring holds");
    let inside = list.available().unwrap();
    assert_eq!(inside as usize + found.len() + out.len(), 100);
    found.extend(out);
    found.extend(std::iter::from_fn(|| list.alloc().unwrap()));
    assert_each_once(found, 100);
    list.expect_empty().unwrap();
}

fn available_is_raised_once_after_starvation<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 8);
    portal(&session, &mut list, 3);
    assert!(!list.take(&mut [0]).unwrap());
    let portal = list.first_portal().unwrap();
    portal.take_event().unwrap();
    let irq = portal.event_interrupt(0).unwrap();
    list.give(&all(8)).unwrap();
    assert_eq!(irq.wait(SOON).unwrap(), 1);
    assert!(list.first_portal().unwrap().take_event().unwrap());
    assert_each_once(list.first_portal().unwrap().drain().unwrap(), 8);
    assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
}

fn configurations_are_checked<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 8);
    let layout = Layout::new(4, 5);
    let good = PortalConfig {
        layout,
        credits: 32,
        hysteresis: 8,
        batch: 1,
    };
    let bad = [
        ("credits", PortalConfig { credits: 0, ..good }),
        (
            "credits",
            PortalConfig {
                credits: 33,
                ..good
            },
        ),
        (
            "status hysteresis",
            PortalConfig {
                hysteresis: 0,
                ..good
            },
        ),
        (
            "status hysteresis",
            PortalConfig {
                hysteresis: 9,
                ..good
            },
        ),
    ];
    for (expected, config) in bad {
        match list.open_portal(rings(&session, layout), &config).err() {
            Some(SetupError::Invalid { what, .. }) => assert_eq!(what, expected, "{config:?}"),
            other => panic!("{config:?}: {other:?}"),
        }
    }
    list.open_portal(rings(&session, layout), &good)
        .expect("the good one opens");
}

fn a_portal_is_opened_again_and_again<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 20);
    let mut outside = all(20);
    for _ in 0..5 {
        let portal = portal(&session, &mut list, 3);
        assert_eq!(portal.number(), 0);
        list.give(&outside).unwrap();
        outside = list.first_portal().unwrap().drain().unwrap();
        assert!(list.close_portals().unwrap().is_empty());
        assert_each_once(outside.clone(), 20);
    }
}
