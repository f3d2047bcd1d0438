//! Taking and giving on one thread.

use super::{indices, small, unique};
use crate::pool::{
    Backend, BackendError, GiveFault, ObjectState, Pool, PoolError, Slot, Worker, WorkerError,
    register,
};
use hwpool_devices::bus::Iova;
use std::collections::BTreeSet;

#[test]
fn every_object_is_given_once_and_then_none() {
    for backend in ["ring", "stack"] {
        let pool = Pool::builder("all")
            .objects(100)
            .size(100)
            .align(128)
            .cache(16)
            .backend(backend)
            .build()
            .unwrap();
        let mut worker = pool.worker("test").unwrap();
        let mut buffers = Vec::new();
        while let Some(buffer) = worker.take().unwrap() {
            assert_eq!(buffer.as_ptr().addr().get() % 128, 0);
            assert_eq!(buffer.len(), 100);
            buffers.push(buffer);
        }
        let distinct: BTreeSet<u32> = buffers.iter().map(|buffer| buffer.index()).collect();
        assert_eq!(distinct, (0..100).collect());
        assert_eq!((pool.count(), pool.in_use()), (0, 100));
        drop(buffers);
        assert_eq!((pool.count(), pool.in_use()), (100, 0));
    }
}

#[test]
fn what_is_written_to_one_buffer_stays_there() {
    let pool = small(4);
    let mut buffers: Vec<_> = (0..4).map(|_| pool.take().unwrap().unwrap()).collect();
    for (value, buffer) in buffers.iter_mut().enumerate() {
        buffer.bytes_mut().fill(value as u8 + 1);
    }
    for (value, buffer) in buffers.iter().enumerate() {
        assert!(buffer.bytes().iter().all(|&byte| byte == value as u8 + 1));
    }
}

#[test]
fn the_last_one_given_is_the_first_one_taken() {
    let pool = small(32);
    let mut worker = pool.worker("test").unwrap();
    let [a, b] = worker.take_slots().unwrap().unwrap();
    let (first, second) = (a.index(), b.index());
    worker.give_slots([a]).unwrap();
    worker.give_slots([b]).unwrap();
    let [again] = worker.take_slots().unwrap().unwrap();
    assert_eq!(again.index(), second);
    let [again_too] = worker.take_slots().unwrap().unwrap();
    assert_eq!(again_too.index(), first);
    worker.give_slots([again, again_too]).unwrap();
}

#[test]
fn a_cache_never_holds_more_than_its_size() {
    let pool = small(64);
    let mut worker = pool.worker("test").unwrap();
    let mut slots = Vec::new();
    assert!(worker.take_into(&mut slots, 64).unwrap());
    while !slots.is_empty() {
        worker.give_from(&mut slots, 1).unwrap();
        assert!(worker.cached() <= 8, "{} cached", worker.cached());
    }
    // 8 fill it; then each 4 make it flush 4.
    assert_eq!(pool.stats().flushes, 14);
}

#[test]
fn a_flush_sends_the_coldest_half() {
    let pool = small(64);
    let mut worker = pool.worker("test").unwrap();
    let mut slots = Vec::new();
    assert!(worker.take_into(&mut slots, 9).unwrap());
    let order = indices(&slots);
    slots.reverse();
    (0..9).for_each(|_| worker.give_from(&mut slots, 1).unwrap());
    assert_eq!(worker.cached(), 5);
    assert!(worker.take_into(&mut slots, 5).unwrap());
    assert_eq!(
        indices(&slots),
        order[4..],
        "the hottest five stayed, in order"
    );
    worker.give_from(&mut slots, 5).unwrap();
}

#[test]
fn a_request_larger_than_half_a_cache_goes_past_it() {
    let pool = small(64);
    let mut worker = pool.worker("test").unwrap();
    let before = pool.stats();
    let slots: [Slot; 5] = worker.take_slots().unwrap().unwrap();
    assert_eq!(worker.cached(), 0);
    assert_eq!(pool.stats().refills, before.refills);
    worker.give_slots(slots).unwrap();
    assert_eq!(worker.cached(), 5, "what fits is cached whatever its size");
    let [one] = worker.take_slots().unwrap().unwrap();
    worker.give_slots([one]).unwrap();
    let more: [Slot; 6] = pool.take_slots().unwrap().unwrap();
    worker.give_slots(more).unwrap();
    assert_eq!(worker.cached(), 5);
}

#[test]
fn a_take_succeeds_on_cache_and_backend_together() {
    let pool = small(10);
    let mut worker = pool.worker("test").unwrap();
    let slots: [Slot; 8] = worker.take_slots().unwrap().unwrap();
    worker.give_slots(slots).unwrap();
    assert_eq!(worker.cached(), 8);
    let mut all = Vec::new();
    assert!(
        worker.take_into(&mut all, 10).unwrap(),
        "8 cached and 2 in the backend, too few for a refill of 4"
    );
    assert_eq!(indices(&all).into_iter().collect::<BTreeSet<_>>().len(), 10);
    worker.give_from(&mut all, 10).unwrap();
}

#[test]
fn a_shortage_changes_nothing() {
    let pool = small(10);
    let mut worker = pool.worker("test").unwrap();
    let kept: [Slot; 3] = worker.take_slots().unwrap().unwrap();
    let cached = worker.cached();
    let mut slots = Vec::new();
    assert!(worker.take_into(&mut slots, 1).unwrap());
    assert!(!worker.take_into(&mut slots, 7).unwrap());
    assert!(!worker.take_into(&mut slots, usize::MAX).unwrap());
    assert_eq!(slots.len(), 1);
    assert_eq!(worker.cached(), cached - 1);
    assert!(worker.take_slots::<7>().unwrap().is_none());
    assert_eq!(pool.count(), 6);
    assert_eq!(
        pool.stats().shortages,
        2,
        "a request for more than the pool has is not even tried"
    );
    worker.give_from(&mut slots, 1).unwrap();
    worker.give_slots(kept).unwrap();
}

#[test]
fn takes_and_gives_of_nothing_succeed() {
    let pool = small(10);
    let mut worker = pool.worker("test").unwrap();
    for _ in 0..2 {
        let none: [Slot; 0] = worker.take_slots().unwrap().unwrap();
        worker.give_slots(none).unwrap();
        let mut slots = Vec::new();
        assert!(worker.take_into(&mut slots, 0).unwrap());
        assert!(pool.take_into(&mut slots, 0).unwrap());
        worker.give_from(&mut slots, 0).unwrap();
        pool.give_from(&mut slots, 0).unwrap();
        drop(worker.take().unwrap().unwrap());
    }
    assert_eq!(pool.count(), 10);
}

#[test]
fn a_pool_without_cache_works_through_workers_too() {
    let pool = Pool::builder("bare")
        .objects(3)
        .size(64)
        .cache(0)
        .build()
        .unwrap();
    let mut worker = pool.worker("test").unwrap();
    let buffer = worker.take().unwrap().unwrap();
    assert_eq!(worker.cached(), 0);
    drop(buffer);
    assert_eq!((worker.cached(), pool.count()), (0, 3));
    let [slot] = worker.take_slots().unwrap().unwrap();
    worker.give_slots([slot]).unwrap();
    let mut all = Vec::new();
    assert!(worker.take_into(&mut all, 3).unwrap());
    worker.give_from(&mut all, 3).unwrap();
    assert_eq!((worker.cached(), pool.count()), (0, 3));
}

#[test]
fn a_cache_of_one_works() {
    let pool = Pool::builder("one")
        .objects(3)
        .size(64)
        .cache(1)
        .build()
        .unwrap();
    let mut worker = pool.worker("test").unwrap();
    let slots: [Slot; 3] = worker.take_slots().unwrap().unwrap();
    let mut slots = Vec::from(slots);
    while !slots.is_empty() {
        worker.give_from(&mut slots, 1).unwrap();
        assert!(worker.cached() <= 1);
    }
    let buffers: Vec<_> = (0..3).map(|_| worker.take().unwrap().unwrap()).collect();
    drop(buffers);
    assert_eq!(pool.count(), 3);
}

#[test]
fn a_slot_of_another_pool_is_handed_back() {
    let (ours, theirs) = (small(16), small(16));
    let mut worker = ours.worker("test").unwrap();
    let foreign: [Slot; 3] = theirs.take_slots().unwrap().unwrap();
    let [own] = worker.take_slots().unwrap().unwrap();
    let [a, b, c] = foreign;
    let cached = worker.cached();
    let error = worker.give_slots([own, a]).unwrap_err();
    assert!(
        matches!(error.fault, GiveFault::Foreign { index: 0, .. }),
        "{error:?}"
    );
    let [own, a] = error.returned.unwrap();
    assert_eq!(worker.cached(), cached);
    let error = ours.give_slots([b]).unwrap_err();
    let [b] = error.returned.unwrap();
    let error = ours.buffer(c).unwrap_err();
    let c = error.returned.unwrap();
    let mut slots = vec![a, b, c];
    assert!(matches!(
        worker.give_from(&mut slots, 3),
        Err(GiveFault::Foreign { .. })
    ));
    assert_eq!(slots.len(), 3);
    theirs.give_from(&mut slots, 3).unwrap();
    worker.give_slots([own]).unwrap();
    assert_eq!((ours.count(), theirs.count()), (16, 16));
}

#[test]
fn a_foreign_buffer_still_finds_its_own_pool() {
    let (ours, theirs) = (small(16), small(16));
    let mut worker = ours.worker("test").unwrap();
    let foreign = theirs.take().unwrap().unwrap();
    let error = worker.give(foreign).unwrap_err();
    assert_eq!(theirs.in_use(), 1);
    drop(error.returned.unwrap());
    assert_eq!(theirs.in_use(), 0);
}

#[test]
fn bytes_of_a_foreign_slot_panic() {
    let (ours, theirs) = (small(16), small(16));
    let [slot] = theirs.take_slots().unwrap().unwrap();
    let panic = std::panic::catch_unwind(|| ours.bytes(&slot).len()).unwrap_err();
    assert!(
        panic
            .downcast_ref::<String>()
            .unwrap()
            .contains("is not of pool small")
    );
    theirs.give_slots([slot]).unwrap();
}

#[test]
fn a_slot_becomes_a_buffer_and_back() {
    let pool = small(16);
    let worker = pool.worker("test").unwrap();
    let [mut slot] = pool.take_slots().unwrap().unwrap();
    worker.bytes_mut(&mut slot).fill(9);
    let index = slot.index();
    let buffer = worker.buffer(slot).unwrap();
    assert_eq!((buffer.index(), buffer.bytes()), (index, &[9; 64][..]));
    let slot = buffer.into_slot();
    assert_eq!(pool.bytes(&slot), [9; 64]);
    assert_eq!(pool.in_use(), 1);
    pool.give_slots([slot]).unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_thread_has_one_worker_of_a_pool() {
    let (pool, other) = (small(16), small(16));
    let worker = pool.worker("first").unwrap();
    let _other = other.worker("first").unwrap();
    assert!(matches!(
        pool.worker("second"),
        Err(WorkerError::AlreadyOnThread { .. })
    ));
    drop(worker);
    let _again = pool.worker("second").unwrap();
}

#[test]
fn a_worker_that_is_flushed_or_dropped_keeps_nothing() {
    let pool = small(16);
    let mut worker = pool.worker("test").unwrap();
    drop(worker.take().unwrap());
    assert_eq!(worker.cached(), 4);
    worker.flush().unwrap();
    assert_eq!(worker.cached(), 0);
    drop(worker.take().unwrap());
    drop(worker);
    let all: [Slot; 16] = pool.take_slots().unwrap().unwrap();
    pool.give_slots(all).unwrap();
}

#[test]
fn statistics_count_objects_and_calls() {
    let pool = small(64);
    let mut worker = pool.worker("test").unwrap();
    let slots: [Slot; 3] = worker.take_slots().unwrap().unwrap();
    worker.give_slots(slots).unwrap();
    let buffer = pool.take().unwrap().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.taken, stats.given), (4, 3));
    assert_eq!((stats.refills, stats.flushes, stats.shortages), (1, 0, 0));
    assert_eq!((stats.backend_dequeues, stats.backend_enqueues), (2, 0));
    assert_eq!((stats.cached, stats.free, stats.objects), (4, 63, 64));
    drop(buffer);
    assert_eq!(pool.stats().given, 4);
    drop(worker);
    let stats = pool.stats();
    assert_eq!(
        (stats.taken, stats.given, stats.cached, stats.free),
        (4, 4, 0, 64)
    );
}

#[test]
fn checked_mode_knows_who_has_what() {
    let pool = Pool::builder("checked")
        .objects(8)
        .size(64)
        .cache(4)
        .checked(true)
        .build()
        .unwrap();
    assert!(pool.checked());
    pool.walk(|object| assert_eq!(object.state, ObjectState::Free));
    let mut worker = pool.worker("rx").unwrap();
    let mine = worker.take().unwrap().unwrap();
    let direct = pool.take().unwrap().unwrap();
    let state = |index: u32| {
        let mut found = ObjectState::Unknown;
        pool.walk(|object| {
            if object.index == index {
                found = object.state.clone()
            }
        });
        found
    };
    assert_eq!(
        state(mine.index()),
        ObjectState::Out {
            holder: "rx".into()
        }
    );
    assert_eq!(
        state(direct.index()),
        ObjectState::Out {
            holder: "(no worker)".into()
        }
    );
    let index = mine.index();
    worker.give(mine).unwrap();
    assert_eq!(
        state(index),
        ObjectState::Cached {
            holder: "rx".into()
        }
    );
    worker.flush().unwrap();
    assert_eq!(state(index), ObjectState::Free);
    drop(direct);
    pool.set_checked(false);
    assert_eq!(state(index), ObjectState::Unknown);
}

#[test]
fn checked_mode_refuses_what_is_not_out() {
    let pool = small(16);
    pool.set_checked(true);
    let mut worker = pool.worker("test").unwrap();
    let [slot] = worker.take_slots().unwrap().unwrap();
    let index = slot.index();
    let word = slot.into_word();
    // SAFETY: this breaks the promise on purpose: the second of these must not get in.
    let [slot, forged] = unsafe { [Slot::from_word(word), Slot::from_word(word)] };
    worker.give_slots([slot]).unwrap();
    let error = worker.give_slots([forged]).unwrap_err();
    assert!(
        matches!(error.fault, GiveFault::NotOut { index: at } if at == index),
        "{error:?}"
    );
    let [forged] = error.returned.unwrap();
    let error = pool.give_slots([forged]).unwrap_err();
    assert!(matches!(error.fault, GiveFault::NotOut { .. }));
    assert_eq!(pool.count(), 16);
}

#[test]
fn checked_mode_can_be_switched_with_objects_out() {
    let pool = small(16);
    let mut worker = pool.worker("test").unwrap();
    let before = worker.take().unwrap().unwrap();
    pool.set_checked(true);
    let during = worker.take().unwrap().unwrap();
    worker.give(before).unwrap();
    pool.set_checked(false);
    let after = worker.take().unwrap().unwrap();
    pool.set_checked(true);
    worker.give(during).unwrap();
    worker.give(after).unwrap();
    assert_eq!(pool.count(), 16);
}

/// A stack that says where a device would find it.
struct Placed(crate::pool::stack::Stack);

impl Backend for Placed {
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        self.0.enqueue(objects)
    }
    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        self.0.dequeue(objects)
    }
    fn count(&self) -> u32 {
        self.0.count()
    }
    fn iova(&self) -> Option<Iova> {
        Some(Iova(0x10_0000))
    }
    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        self.0.drain()
    }
}

#[test]
fn iova_and_address_are_arithmetic() {
    let name = unique("placed");
    register(&name, |request| {
        Ok(Box::new(Placed(crate::pool::stack::Stack::new(
            request.objects,
        ))))
    })
    .unwrap();
    let pool = Pool::builder("placed")
        .objects(8)
        .size(100)
        .backend(&name)
        .build()
        .unwrap();
    assert_eq!(pool.stride(), 128);
    let mut seen = 0;
    pool.walk(|object| {
        assert_eq!(object.index, seen);
        assert_eq!(object.iova, Some(Iova(0x10_0000 + 128 * u64::from(seen))));
        assert_eq!(
            object.address.addr().get() - pool.memory().as_ptr().addr().get(),
            128 * seen as usize
        );
        seen += 1;
    });
    assert_eq!(seen, 8);
    let buffer = pool.take().unwrap().unwrap();
    assert_eq!(buffer.iova(), pool.iova(buffer.index()));
    assert_eq!(pool.iova(8), None);
}

#[test]
fn handles_are_the_same_pool() {
    let pool = small(4);
    let clone = pool.clone();
    let buffer = pool.take().unwrap().unwrap();
    assert_eq!(clone.in_use(), 1);
    drop(pool);
    drop(buffer);
    assert_eq!(clone.in_use(), 0);
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    is_send_and_sync(&clone);
}

#[test]
fn a_closed_pool_gives_nothing_even_from_a_cache() {
    let pool = small(16);
    let mut worker: Worker = pool.worker("test").unwrap();
    drop(worker.take().unwrap());
    assert!(worker.cached() > 0);
    pool.close().unwrap();
    assert!(matches!(worker.take(), Err(PoolError::Closed)));
    assert!(matches!(pool.take(), Err(PoolError::Closed)));
}

#[test]
fn objects_that_are_spread_begin_an_odd_number_of_alignments_apart() {
    let stride = |size, align, spread| {
        let pool = Pool::builder("p").objects(8).size(size).align(align);
        pool.spread(spread).build().unwrap().stride()
    };
    for (size, align, apart, spread) in [
        (2048, 64, 2048, 2112),
        (2112, 64, 2112, 2112),
        (2049, 64, 2112, 2112),
        (64, 64, 64, 64),
        (1, 128, 128, 128),
        (4096, 4096, 4096, 4096),
        (8192, 4096, 8192, 12288),
    ] {
        assert_eq!(stride(size, align, false), apart);
        assert_eq!(stride(size, align, true), spread);
    }
}

#[test]
fn words_travel_between_a_cache_and_another_language() {
    let pool = small(16);
    let mut worker = pool.worker("c").unwrap();
    assert!(worker.hottest(1).is_none(), "nothing is cached yet");
    let mut slots = Vec::new();
    assert!(worker.take_into(&mut slots, 4).unwrap());
    let given: Vec<u32> = slots.iter().map(Slot::word).collect();
    worker.give_all(&mut slots).unwrap();

    let cached = worker.cached();
    let hottest = worker.hottest(3).unwrap();
    let words = hottest.words().to_vec();
    assert_eq!(words, given[1..], "the last ones, the very last at the end");
    let index = words[0] - pool.first_word();
    assert!(index < pool.objects());
    assert_eq!(worker.cached(), cached, "looking takes nothing");
    worker.hottest(3).unwrap().take();
    assert_eq!(worker.cached(), cached - 3);
    assert_eq!(pool.stats().taken, 7);

    assert!(worker.room(9).is_none(), "the cache holds 8");
    for absurd in [usize::MAX, usize::MAX / 4 + 1, isize::MAX as usize] {
        assert!(worker.hottest(absurd).is_none() && worker.room(absurd).is_none());
    }
    let mut room = worker.room(3).unwrap();
    room.words().copy_from_slice(&words);
    assert_eq!(worker.cached(), cached - 3, "writing gives nothing");
    let mut room = worker.room(3).unwrap();
    room.words().copy_from_slice(&words);
    // SAFETY: the slots that were taken.
    unsafe { room.keep() };
    assert_eq!(worker.cached(), cached);
    assert_eq!(pool.stats().given, 7);

    pool.set_checked(true);
    assert!(worker.hottest(1).is_none() && worker.room(1).is_none());
    drop(worker);
    assert!(pool.close().unwrap().is_clean());
}

#[test]
fn a_checked_pool_refuses_what_was_never_taken() {
    let pool = Pool::builder("checked")
        .objects(8)
        .size(64)
        .checked(true)
        .build()
        .unwrap();
    let word = std::num::NonZeroU32::new(pool.first_word() | 5).unwrap();
    // SAFETY: the pool refuses it, which is tested here, so that nobody else's slot is doubled.
    let slot = unsafe { Slot::from_word(word) };
    let error = pool.give_slot(slot).unwrap_err();
    assert!(matches!(error.fault, GiveFault::NotOut { index: 5 }));
}
