//! Batches, through workers.

use super::{indices, small};
use crate::pool::{Batch, GiveFault};

#[test]
fn slots_go_through_a_worker_from_the_end_of_a_batch() {
    let pool = small(32);
    let mut worker = pool.worker("test").unwrap();
    let mut batch = Batch::<12>::new();
    assert!(worker.take_into(&mut batch, 3).unwrap());
    let first = indices(&*batch);
    // More than the cache of 8 has.
    assert!(worker.take_into(&mut batch, 9).unwrap());
    assert_eq!(indices(&batch[..3]), first);
    assert_eq!((batch.len(), pool.in_use()), (12, 12));
    worker.give_from(&mut batch, 9).unwrap();
    assert_eq!(indices(&*batch), first);
    worker.give_from(&mut batch, 3).unwrap();
    assert_eq!((batch.len(), pool.in_use()), (0, 0));
}

#[test]
fn a_take_of_too_many_leaves_a_batch_as_it_was() {
    let pool = small(4);
    let mut worker = pool.worker("test").unwrap();
    let mut batch = Batch::<8>::new();
    assert!(worker.take_into(&mut batch, 2).unwrap());
    let before = indices(&*batch);
    assert!(!worker.take_into(&mut batch, 3).unwrap());
    assert_eq!(indices(&*batch), before);
    assert_eq!(pool.in_use(), 2);
    worker.give_from(&mut batch, 2).unwrap();
}

#[test]
#[should_panic(expected = "3 slots don't fit into the batch")]
fn a_batch_without_room_is_a_mistake_of_the_program() {
    let pool = small(8);
    let mut worker = pool.worker("test").unwrap();
    let mut batch = Batch::<4>::new();
    assert!(worker.take_into(&mut batch, 2).unwrap());
    let _ = worker.take_into(&mut batch, 3);
}

/// Neither the cache nor the backend may see part of a batch that has a foreign slot anywhere.
#[test]
fn a_foreign_slot_in_a_batch_stops_all_of_it() {
    let (ours, theirs) = (small(64), small(4));
    let mut worker = ours.worker("test").unwrap();
    for n in [2, 8, 11, 24] {
        for place in 0..n {
            let mut batch = Batch::<24>::new();
            assert!(worker.take_into(&mut batch, n).unwrap());
            let [foreign] = theirs.take_slots().unwrap().unwrap();
            let mine = std::mem::replace(&mut batch[place], foreign);
            let before = indices(&*batch);
            let fault = worker.give_from(&mut batch, n).unwrap_err();
            assert!(matches!(fault, GiveFault::Foreign { .. }), "{fault}");
            assert_eq!(indices(&*batch), before);
            assert_eq!(ours.in_use() as usize, n);
            let foreign = std::mem::replace(&mut batch[place], mine);
            theirs.give_slots([foreign]).unwrap();
            worker.give_from(&mut batch, n).unwrap();
            assert_eq!(ours.in_use(), 0);
        }
    }
}

#[test]
fn a_batch_that_is_dropped_is_missed_at_close() {
    let pool = small(16);
    let mut worker = pool.worker("rx").unwrap();
    let mut batch = Batch::<8>::new();
    assert!(worker.take_into(&mut batch, 5).unwrap());
    let mut lost = indices(&*batch);
    lost.sort_unstable();
    drop(batch);
    drop(worker);
    let report = pool.close().unwrap();
    let out: Vec<u32> = report.out.iter().map(|object| object.index).collect();
    assert_eq!(out, lost);
    let text = report.to_string();
    assert!(
        text.contains("11 of 16") && text.contains("rx +5"),
        "{text}"
    );
}
