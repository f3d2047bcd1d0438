//! The end of a pool: the report, and how long memory lives.

use std::sync::mpsc;
use std::thread;

use super::{Witness, small};
use crate::pool::{CloseError, Pool, Slot, WorkerError};

#[test]
fn a_pool_with_everything_in_closes_clean() {
    let pool = small(16);
    let mut worker = pool.worker("rx").unwrap();
    drop(worker.take().unwrap());
    let report = pool.close().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.returned, report.objects), (16, 16));
    assert_eq!(report.to_string(), "pool small: 16 of 16 objects returned");
    assert!(pool.is_closed());
}

#[test]
fn the_report_lists_what_is_out_and_who_owes() {
    let pool = small(64);
    let mut worker = pool.worker("rx").unwrap();
    let slots: [Slot; 3] = worker.take_slots().unwrap().unwrap();
    let report = pool.close().unwrap();
    assert!(!report.is_clean());
    let mut missing: Vec<u32> = slots.iter().map(Slot::index).collect();
    missing.sort_unstable();
    assert_eq!(
        report.out.iter().map(|out| out.index).collect::<Vec<_>>(),
        missing
    );
    assert_eq!(report.returned, 61);
    let rx = report
        .holders
        .iter()
        .find(|holder| &*holder.name == "rx")
        .unwrap();
    assert_eq!(
        (rx.taken, rx.given, rx.balance(), rx.workers, rx.cached),
        (3, 0, 3, 1, 0)
    );
    let text = report.to_string();
    assert!(
        text.contains("61 of 64") && text.contains("balances: rx +3"),
        "{text}"
    );
}

#[test]
fn a_long_list_is_cut() {
    let pool = small(64);
    let mut slots = Vec::new();
    assert!(pool.take_into(&mut slots, 20).unwrap());
    let text = pool.close().unwrap().to_string();
    assert!(text.contains("14, 15 and 4 more"), "{text}");
    pool.give_from(&mut slots, 20).unwrap();
}

#[test]
fn checked_mode_names_the_holder_of_each_object() {
    let pool = small(16);
    pool.set_checked(true);
    let mut worker = pool.worker("rx").unwrap();
    let mine = worker.take().unwrap().unwrap();
    let direct = pool.take().unwrap().unwrap();
    let report = pool.close().unwrap();
    let holder = |index| {
        report
            .out
            .iter()
            .find(|out| out.index == index)
            .unwrap()
            .holder
            .clone()
    };
    assert_eq!(holder(mine.index()).as_deref(), Some("rx"));
    assert_eq!(holder(direct.index()).as_deref(), Some("(no worker)"));
    assert_eq!(report.out.len(), 2);
}

#[test]
fn a_pool_closes_once() {
    let pool = small(16);
    pool.close().unwrap();
    assert!(matches!(
        pool.close(),
        Err(CloseError::AlreadyClosed { .. })
    ));
    assert!(matches!(
        pool.worker("late"),
        Err(WorkerError::Closed { .. })
    ));
}

#[test]
fn another_threads_cache_is_reported() {
    let pool = small(16);
    let (ready, is_ready) = mpsc::channel();
    let (finish, is_finished) = mpsc::channel::<()>();
    let theirs = pool.clone();
    let thread = thread::spawn(move || {
        let mut worker = theirs.worker("tx").unwrap();
        drop(worker.take().unwrap());
        ready.send(worker.cached()).unwrap();
        is_finished.recv().unwrap();
        assert!(worker.take().is_err(), "closed, although the cache is full");
    });
    let cached = is_ready.recv().unwrap();
    let report = pool.close().unwrap();
    let tx = &report.holders[0];
    assert_eq!((&*tx.name, tx.workers, tx.cached), ("tx", 1, cached as u64));
    assert_eq!(report.out.len(), cached);
    assert!(report.to_string().contains("4 in caches"), "{report}");
    finish.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(pool.stats().late, cached as u64);
    let witness = Witness::of(&pool);
    drop(pool);
    assert!(!witness.memory_exists());
}

#[test]
fn memory_stays_until_the_last_buffer_is_back() {
    let pool = small(16);
    let witness = Witness::of(&pool);
    let mut first = pool.take().unwrap().unwrap();
    let second = pool.take().unwrap().unwrap();
    drop(pool);
    first.bytes_mut().fill(5);
    assert_eq!(first.bytes(), [5; 64]);
    drop(first);
    assert!(witness.memory_exists());
    drop(second);
    assert!(!witness.memory_exists());
}

#[test]
fn buffers_come_late_in_any_order_with_the_handles() {
    let pool = small(16);
    let witness = Witness::of(&pool);
    let mut worker = pool.worker("rx").unwrap();
    let buffers: Vec<_> = (0..9).map(|_| worker.take().unwrap().unwrap()).collect();
    let mut buffers = buffers.into_iter();
    drop(buffers.next());
    let report = pool.close().unwrap();
    assert_eq!(report.out.len(), 8);
    drop(buffers.next());
    worker.give(buffers.next().unwrap()).unwrap();
    let slot = buffers.next().unwrap().into_slot();
    worker.give_slots([slot]).unwrap();
    pool.give(buffers.next().unwrap()).unwrap();
    drop(worker);
    drop(buffers.next());
    assert_eq!(pool.stats().late, 5);
    drop(pool);
    assert!(witness.memory_exists());
    drop(buffers);
    assert!(!witness.memory_exists());
}

#[test]
#[cfg_attr(miri, ignore = "leaks on purpose")]
fn memory_of_a_forgotten_slot_is_never_freed() {
    let pool = small(16);
    let witness = Witness::of(&pool);
    let slot = pool.take().unwrap().unwrap().into_slot();
    let bytes = pool.bytes(&slot);
    drop(pool);
    assert!(witness.memory_exists());
    assert_eq!(bytes, [0; 64]);
}

#[test]
fn a_pool_frees_its_backend_and_memory_at_once_when_nothing_is_out() {
    let pool = Pool::builder("gone")
        .objects(4)
        .size(64)
        .backend("stack")
        .build()
        .unwrap();
    let witness = Witness::of(&pool);
    let worker = pool.worker("rx").unwrap();
    drop(pool);
    assert!(witness.memory_exists());
    drop(worker);
    assert!(!witness.memory_exists());
}
