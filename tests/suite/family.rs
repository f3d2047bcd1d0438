//! What every kind of device must do, in the words of the family: no case knows which kind it is.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use hwpool::device::Session;
use hwpool::devices::bus::{Iova, Irq, Transport};
use hwpool::devices::family::{
    Choice, FreeList, ListConfig, Misuse, OpenReset, PathError, ResetError, SetupError, observe,
};
use hwpool::devices::reg::find_overlap;

use super::{BASE, STRIDE, all, assert_each_once, name_cases};

name_cases!(
    identity_is_the_same_each_time,
    the_table_claims_no_byte_twice,
    what_was_given_comes_back_once,
    a_take_is_all_or_nothing,
    misuse_is_refused_and_changes_nothing,
    a_drained_list_is_empty,
    a_dropped_list_leaves_nothing_to_the_next,
    lists_run_out_by_number,
    an_unknown_way_is_refused_with_the_known_ones,
    impossible_lists_are_refused,
    a_reset_is_refused_while_a_list_is_open,
    each_reset_is_counted,
    a_vector_fires_once,
    a_closed_device_opens_again,
    who_looks_on_changes_nothing,
);

const SOON: Duration = Duration::from_secs(2);

thread_local! {
    static CHOICE: RefCell<Choice> = const { RefCell::new(Choice::Recognised) };
}

/// Has the cases that this thread runs from now on name the driver.
#[allow(dead_code, reason = "each test binary uses a part of it")]
pub(crate) fn choose(choice: Choice) {
    CHOICE.set(choice);
}

fn open<T: Transport>(transport: Arc<T>) -> Session<T> {
    let opened = CHOICE.with_borrow(|choice| Session::open(transport, choice));
    opened.expect("the device is recognised and opens")
}

/// What a list of `wanted` objects is to be, or of as many as the device takes.
pub(crate) fn config<T: Transport>(session: &Session<T>, wanted: u32) -> ListConfig {
    let limits = &session.driver.identity().limits;
    let objects = limits.objects.clamp(1, wanted.into()) as u32;
    ListConfig {
        base: Iova(BASE),
        stride: STRIDE.clamp(*limits.stride.start(), *limits.stride.end()),
        objects,
        capacity: objects,
    }
}

pub(crate) fn list<T: Transport>(
    session: &Session<T>,
    way: &str,
    wanted: u32,
) -> Box<dyn FreeList> {
    let config = config(session, wanted);
    session.open_list(&config, way, None).expect("a list opens")
}

/// The device counts nothing in a list, where it counts.
fn counts_none(list: &dyn FreeList) {
    assert_eq!(list.available().unwrap().unwrap_or(0), 0);
}

/// Does something with a list on each way of the device, one after the other.
fn on_each_way<T: Transport>(
    transport: Arc<T>,
    wanted: u32,
    check: impl Fn(&Session<T>, Box<dyn FreeList>, u32),
) {
    let session = open(transport);
    for way in session.driver.identity().limits.ways.clone() {
        let objects = config(&session, wanted).objects;
        check(&session, list(&session, way, wanted), objects);
    }
}

fn identity_is_the_same_each_time<T: Transport>(transport: Arc<T>) {
    let session = open(transport.clone());
    let first = session.driver.identity().clone();
    assert!(!first.limits.ways.is_empty() && first.limits.lists >= 1);
    drop(session);
    assert_eq!(open(transport).driver.identity(), &first);
}

fn the_table_claims_no_byte_twice<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    assert_eq!(find_overlap(session.driver.about().registers), None);
}

fn what_was_given_comes_back_once<T: Transport>(transport: Arc<T>) {
    on_each_way(transport, 100, |_, mut list, objects| {
        list.give(&all(objects)).unwrap();
        list.flush().unwrap();
        for burst in [1, 2, 7] {
            let mut taken = Vec::new();
            let mut out = vec![0; burst.min(objects as usize)];
            while list.take(&mut out).unwrap() {
                taken.extend_from_slice(&out);
            }
            assert_eq!(
                list.ledger().held() as usize,
                objects as usize - taken.len()
            );
            list.give(&taken).unwrap();
        }
        assert_each_once(list.drain().unwrap(), objects);
    });
}

fn a_take_is_all_or_nothing<T: Transport>(transport: Arc<T>) {
    on_each_way(transport, 64, |_, mut list, objects| {
        let given = objects.min(9);
        list.give(&all(given)).unwrap();
        let mut out = vec![u32::MAX; given as usize + 1];
        assert!(!list.take(&mut out).unwrap());
        assert!(out.iter().all(|object| *object == u32::MAX), "untouched");
        assert_eq!(list.ledger().held(), given);
        assert!(list.take(&mut out[1..]).unwrap());
        assert_each_once(out[1..].to_vec(), given);
        assert!(list.take(&mut []).unwrap(), "nothing can always be had");
    });
}

fn misuse_is_refused_and_changes_nothing<T: Transport>(transport: Arc<T>) {
    on_each_way(transport, 10, |_, mut list, objects| {
        list.give(&[0]).unwrap();
        let double = PathError::Refused {
            index: 0,
            why: Misuse::DoubleFree,
        };
        let foreign = PathError::Refused {
            index: objects,
            why: Misuse::Foreign { objects },
        };
        assert_eq!(list.give(&[0]), Err(double));
        assert_eq!(list.give(&[objects]), Err(foreign));
        assert_eq!(list.poison(), None);
        assert_eq!(list.drain().unwrap(), [0]);
    });
}

fn a_drained_list_is_empty<T: Transport>(transport: Arc<T>) {
    on_each_way(transport, 50, |_, mut list, objects| {
        list.give(&all(objects)).unwrap();
        assert_each_once(list.drain().unwrap(), objects);
        counts_none(&*list);
        assert_eq!(list.ledger().held(), 0);
    });
}

fn a_dropped_list_leaves_nothing_to_the_next<T: Transport>(transport: Arc<T>) {
    on_each_way(transport, 20, |session, mut dropped, objects| {
        dropped.give(&all(objects)).unwrap();
        drop(dropped);
        let way = session.driver.identity().limits.ways[0];
        let mut next = list(session, way, 20);
        counts_none(&*next);
        assert!(!next.take(&mut [0]).unwrap());
    });
}

fn lists_run_out_by_number<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let limits = &session.driver.identity().limits;
    let way = limits.ways.last().unwrap();
    let lists: Vec<_> = (0..limits.lists).map(|_| list(&session, way, 8)).collect();
    let config = config(&session, 8);
    let refused = session.driver.clone().open_list(&config, way, None).err();
    let count = limits.lists;
    assert!(
        matches!(&refused, Some(SetupError::AllInUse { count: said, .. }) if *said == count),
        "{refused:?}"
    );
    drop(lists);
    list(&session, way, 8);
}

fn an_unknown_way_is_refused_with_the_known_ones<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let config = config(&session, 8);
    let refused = session.driver.clone().open_list(&config, "pigeon", None);
    let text = refused.err().expect("refused").to_string();
    for way in &session.driver.identity().limits.ways {
        assert!(text.contains("`pigeon`") && text.contains(way), "{text}");
    }
}

fn impossible_lists_are_refused<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let limits = session.driver.identity().limits.clone();
    let good = config(&session, 8);
    let mut bad = vec![
        ListConfig {
            objects: 0,
            capacity: 0,
            ..good
        },
        ListConfig {
            base: Iova(0),
            ..good
        },
        ListConfig {
            capacity: good.objects + 1,
            ..good
        },
    ];
    if let Ok(objects) = u32::try_from(limits.objects + 1) {
        bad.push(ListConfig {
            objects,
            capacity: objects,
            ..good
        });
    }
    let way = *limits.ways.last().unwrap();
    for config in bad {
        let refused = session.driver.clone().open_list(&config, way, None).err();
        assert!(
            matches!(refused, Some(SetupError::Invalid { .. })),
            "{config:?}: {refused:?}"
        );
    }
    session
        .driver
        .clone()
        .open_list(&good, way, None)
        .expect("the good one opens");
}

fn a_reset_is_refused_while_a_list_is_open<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let driver = &session.driver;
    let way = *driver.identity().limits.ways.last().unwrap();
    let mut open = list(&session, way, 8);
    open.give(&[0]).unwrap();
    for refused in [driver.reset(OpenReset::Best), driver.close()] {
        assert!(matches!(refused, Err(ResetError::InUse { .. })));
    }
    assert_eq!(open.drain().unwrap(), [0], "nothing was forgotten");
    drop(open);
    driver.reset(OpenReset::Best).expect("resets");
    driver.start().expect("starts");
    list(&session, way, 8).give(&[0]).expect("works on");
}

fn each_reset_is_counted<T: Transport>(transport: Arc<T>) {
    let session = open(transport.clone());
    let Some(register) = session.driver.about().reset_count else {
        return;
    };
    let count = || register.read_raw(&transport.bar(register.bar()).unwrap(), 0);
    for kind in [OpenReset::Soft, OpenReset::Best, OpenReset::Soft] {
        let before = count().unwrap();
        session.driver.reset(kind).expect("resets");
        assert_eq!(count().unwrap(), before + 1, "{kind:?}");
    }
}

fn a_vector_fires_once<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    if session.driver.identity().limits.vectors == 0 {
        return;
    }
    let irq = session.driver.interrupt(0).expect("there is a vector");
    if session.driver.trigger(0).expect("it can be raised") {
        assert_eq!(irq.wait(SOON), Ok(1));
        assert_eq!(irq.wait(Duration::ZERO), Ok(0));
    }
    let count = session.driver.vectors().expect("a count");
    assert!(session.driver.interrupt(count).is_err(), "beyond the last");
}

fn a_closed_device_opens_again<T: Transport>(transport: Arc<T>) {
    let session = open(transport.clone());
    session.driver.close().expect("closes");
    let command = transport.config_read32(4).unwrap();
    assert_eq!(command & 4, 0, "the right to DMA is gone");
    drop(session);
    on_each_way(transport, 8, |_, mut list, objects| {
        list.give(&all(objects)).unwrap();
        assert_each_once(list.drain().unwrap(), objects);
    });
}

/// A look sees the list, and the list does not see the look.
fn who_looks_on_changes_nothing<T: Transport>(transport: Arc<T>) {
    on_each_way(transport, 40, |session, mut list, objects| {
        let driver = &session.driver;
        let look = || observe(&**driver.transport(), driver.about(), driver.identity()).unwrap();
        list.give(&all(objects)).unwrap();
        list.flush().unwrap();
        let available = list.available().unwrap();
        let seen = look();
        assert_eq!(look(), seen, "two looks at a list at rest");
        let listed = seen.lists.first().expect("the list is in use");
        assert!(listed.capacity >= objects.into(), "{listed:?}");
        assert_eq!(listed.available, available.map(u64::from));
        assert_eq!(list.available().unwrap(), available);
        assert!(seen.error_counts.iter().all(|(_, count)| *count == 0));
        assert!(seen.error_flags.iter().all(|(_, is_set)| !is_set));
        assert_each_once(list.drain().unwrap(), objects);
    });
}
