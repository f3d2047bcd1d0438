//! Many threads at once. Iterations are bounded; nothing sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use super::{Witness, small};
use crate::pool::{Buffer, Pool};

const ROUNDS: usize = if cfg!(miri) { 30 } else { 5_000 };

/// Marks who is out, and fails where somebody is out twice.
struct Owners(Vec<AtomicBool>);

impl Owners {
    fn new(objects: u32) -> Owners {
        Owners((0..objects).map(|_| AtomicBool::new(false)).collect())
    }

    fn take(&self, index: u32) {
        assert!(
            !self.0[index as usize].swap(true, Ordering::Relaxed),
            "object {index} has two holders"
        );
    }

    fn give(&self, index: u32) {
        assert!(self.0[index as usize].swap(false, Ordering::Relaxed));
    }
}

#[test]
fn no_object_ever_has_two_holders() {
    for backend in ["ring", "stack"] {
        let pool = Pool::builder("stress")
            .objects(100)
            .size(64)
            .cache(16)
            .backend(backend)
            .build()
            .unwrap();
        let owners = Owners::new(100);
        thread::scope(|scope| spawn_users(scope, 4, &pool, &owners));
        assert_clean(pool);
    }
}

/// Closes the pool, of which nothing may be out.
fn assert_clean(pool: Pool) {
    let report = pool.close().unwrap();
    assert!(report.is_clean(), "{report}");
}

/// Starts threads that take and give.
fn spawn_users<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    threads: usize,
    pool: &'scope Pool,
    owners: &'scope Owners,
) {
    for thread in 0..threads {
        scope.spawn(move || take_and_give(pool, owners, thread));
    }
}

/// Takes and gives in sizes that hit the cache, refill it, flush it and go past it, with and without a worker.
fn take_and_give(pool: &Pool, owners: &Owners, thread: usize) {
    let mut worker = pool.worker("stress").unwrap();
    let mut slots = Vec::new();
    for round in 0..ROUNDS {
        let n = 1 + (round * 7 + thread * 3) % 24;
        let got = if round % 5 == 0 {
            pool.take_into(&mut slots, n)
        } else {
            worker.take_into(&mut slots, n)
        };
        if !got.unwrap() {
            continue;
        }
        slots.iter().for_each(|slot| owners.take(slot.index()));
        slots
            .iter_mut()
            .for_each(|slot| worker.bytes_mut(slot)[0] = thread as u8);
        slots
            .iter()
            .for_each(|slot| assert_eq!(worker.bytes(slot)[0], thread as u8));
        slots.iter().for_each(|slot| owners.give(slot.index()));
        if round % 3 == 0 {
            pool.give_from(&mut slots, n)
        } else {
            worker.give_from(&mut slots, n)
        }
        .unwrap();
    }
}

#[test]
fn a_pipeline_moves_buffers_from_thread_to_thread() {
    let pool = small(64);
    let (send, receive) = mpsc::sync_channel::<Buffer>(16);
    let producer = pool.clone();
    let first = thread::spawn(move || {
        let mut worker = producer.worker("rx").unwrap();
        let mut sent = 0;
        while sent < ROUNDS {
            let Some(mut buffer) = worker.take().unwrap() else {
                thread::yield_now();
                continue;
            };
            buffer.bytes_mut()[..8].copy_from_slice(&(sent as u64).to_le_bytes());
            send.send(buffer).unwrap();
            sent += 1;
        }
    });
    let mut worker = pool.worker("tx").unwrap();
    for expected in 0..ROUNDS as u64 {
        let buffer = receive.recv().unwrap();
        assert_eq!(buffer.bytes()[..8], expected.to_le_bytes());
        worker.give(buffer).unwrap();
    }
    first.join().unwrap();
    drop(worker);
    let report = pool.close().unwrap();
    assert!(report.is_clean(), "{report}");
    let balance = |name: &str| {
        report
            .holders
            .iter()
            .find(|holder| &*holder.name == name)
            .unwrap()
            .balance()
    };
    assert_eq!(
        (balance("rx"), balance("tx")),
        (ROUNDS as i64, -(ROUNDS as i64))
    );
}

#[test]
fn a_thread_that_dies_leaves_its_cache_to_the_others() {
    let pool = small(16);
    let theirs = pool.clone();
    let died = thread::spawn(move || {
        let mut worker = theirs.worker("doomed").unwrap();
        let _held = worker.take().unwrap().unwrap();
        assert!(worker.cached() > 0);
        panic!("dies on purpose");
    })
    .join();
    assert!(died.is_err());
    let mut all = Vec::new();
    assert!(pool.take_into(&mut all, 16).unwrap());
    pool.give_from(&mut all, 16).unwrap();
}

#[test]
fn checking_can_be_switched_while_threads_work() {
    switch_checking(small(64));
}

#[test]
fn checking_can_be_switched_while_threads_work_without_caches() {
    switch_checking(
        Pool::builder("bare")
            .objects(64)
            .size(64)
            .cache(0)
            .build()
            .unwrap(),
    );
}

fn switch_checking(pool: Pool) {
    let owners = Owners::new(64);
    thread::scope(|scope| {
        spawn_users(scope, 2, &pool, &owners);
        for round in 0..ROUNDS / 10 {
            pool.set_checked(round % 2 == 0);
            thread::yield_now();
        }
    });
    assert_clean(pool);
}

#[test]
fn buffers_dropped_while_the_pool_ends_free_it_exactly_once() {
    for round in 0..ROUNDS / 20 {
        let pool = small(8);
        let witness = Witness::of(&pool);
        let buffers: Vec<Buffer> = (0..2).map(|_| pool.take().unwrap().unwrap()).collect();
        let start = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&start);
        let thread = thread::spawn(move || {
            theirs.wait();
            drop(buffers);
        });
        start.wait();
        if round % 2 == 0 {
            pool.close().unwrap();
        }
        drop(pool);
        thread.join().unwrap();
        assert!(!witness.memory_exists(), "round {round}");
    }
}

#[test]
fn counts_stay_within_bounds_while_threads_work() {
    let pool = small(64);
    let owners = Owners::new(64);
    thread::scope(|scope| {
        let worker = scope.spawn(|| take_and_give(&pool, &owners, 0));
        while !worker.is_finished() {
            assert!(pool.count() <= 64);
            assert!(pool.stats().cached <= 8);
        }
    });
    assert_eq!(pool.count(), 64);
}
