//! Backends that lie, fail and call back: nobody ever holds an object that somebody else has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::{Witness, unique};
use crate::pool::stack::Stack;
use crate::pool::{
    Backend, BackendError, Buffer, CloseError, CreateError, GiveFault, Poison, Pool, PoolError,
    Slot, register, register_trusted,
};

/// What the backend does wrong, from now on.
enum Trick {
    None,
    /// Puts this index first in what it hands out.
    Invent(u32),
    /// Writes into the caller's array, then has too few.
    ScribbleThenShort,
    /// Writes into the caller's array, then fails.
    ScribbleThenFail,
    RefuseTake,
    RefuseGive,
    FailGive,
    PanicOnGive,
    /// Says `Closed` though it is not.
    ClaimClosed,
    /// Hands what it is given to somebody else, then refuses it.
    GiveAway(Pool, Arc<Mutex<Vec<Buffer>>>),
    /// Drops a buffer of its own pool while it takes others in.
    DropBuffer(Option<Buffer>),
    DrainLies(Vec<u32>),
    DrainFails,
}

struct Trickster {
    honest: Stack,
    trick: Arc<Mutex<Trick>>,
}

fn cause() -> crate::pool::BoxError {
    "tricked".into()
}

impl Backend for Trickster {
    fn enqueue(&self, objects: &[u32]) -> Result<(), BackendError> {
        let trick = std::mem::replace(&mut *self.trick.lock().unwrap(), Trick::None);
        match trick {
            Trick::RefuseGive => {
                *self.trick.lock().unwrap() = Trick::RefuseGive;
                return Err(BackendError::Refused { cause: cause() });
            }
            Trick::FailGive => return Err(BackendError::Failed { cause: cause() }),
            Trick::ClaimClosed => return Err(BackendError::Closed),
            Trick::PanicOnGive => panic!("tricked"),
            Trick::GiveAway(pool, taken) => {
                self.honest.enqueue(objects)?;
                taken.lock().unwrap().push(pool.take().unwrap().unwrap());
                return Err(BackendError::Refused { cause: cause() });
            }
            Trick::DropBuffer(buffer) => drop(buffer),
            other => *self.trick.lock().unwrap() = other,
        }
        self.honest.enqueue(objects)
    }

    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        let trick = std::mem::replace(&mut *self.trick.lock().unwrap(), Trick::None);
        match trick {
            Trick::Invent(index) => {
                self.honest.dequeue(objects)?;
                objects[0] = index;
                return Ok(());
            }
            Trick::ScribbleThenShort => {
                *self.trick.lock().unwrap() = Trick::ScribbleThenShort;
                objects.fill(1);
                return Err(BackendError::Short);
            }
            Trick::ScribbleThenFail => {
                objects.fill(1);
                return Err(BackendError::Failed { cause: cause() });
            }
            Trick::RefuseTake => return Err(BackendError::Refused { cause: cause() }),
            Trick::ClaimClosed => return Err(BackendError::Closed),
            other => *self.trick.lock().unwrap() = other,
        }
        self.honest.dequeue(objects)
    }

    fn count(&self) -> u32 {
        self.honest.count()
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        let mut objects = self.honest.drain()?;
        match &*self.trick.lock().unwrap() {
            Trick::DrainLies(more) => objects.extend(more),
            Trick::DrainFails => return Err(BackendError::Failed { cause: cause() }),
            _ => {}
        }
        Ok(objects)
    }
}

/// A pool of 16 with a cache of 8, over a backend whose behaviour the test sets.
fn tricky() -> (Pool, Arc<Mutex<Trick>>) {
    let (name, trick) = (unique("trickster"), Arc::new(Mutex::new(Trick::None)));
    let shared = Arc::clone(&trick);
    register(&name, move |request| {
        Ok(Box::new(Trickster {
            honest: Stack::new(request.objects),
            trick: Arc::clone(&shared),
        }))
    })
    .unwrap();
    (
        Pool::builder("tricky")
            .objects(16)
            .size(64)
            .cache(8)
            .backend(&name)
            .build()
            .unwrap(),
        trick,
    )
}

fn set(trick: &Mutex<Trick>, to: Trick) {
    *trick.lock().unwrap() = to;
}

#[test]
fn an_object_handed_out_twice_poisons_and_reaches_nobody() {
    let (pool, trick) = tricky();
    let held = pool.take().unwrap().unwrap();
    set(&trick, Trick::Invent(held.index()));
    let Err(PoolError::Poisoned { cause }) = pool.take_slots::<3>() else {
        panic!("not poisoned")
    };
    assert!(
        matches!(*cause, Poison::HandedOutTwice { index, .. } if index == held.index()),
        "{cause}"
    );
    assert!(matches!(pool.take(), Err(PoolError::Poisoned { .. })));
    // The two sound ones of the three are parked; the one that the lie replaced is lost.
    let replaced = pool.close().unwrap();
    assert_eq!(replaced.out.len(), 2, "{replaced}");
    assert!(replaced.out.iter().any(|out| out.index == held.index()));
}

#[test]
fn an_index_out_of_range_poisons() {
    let (pool, trick) = tricky();
    for index in [16, u32::MAX] {
        set(&trick, Trick::Invent(index));
        let Err(PoolError::Poisoned { cause }) = pool.take() else {
            panic!("not poisoned")
        };
        assert!(
            matches!(
                *cause,
                Poison::OutOfRange {
                    index: 16,
                    objects: 16,
                    ..
                }
            ),
            "the first cause wins: {cause}"
        );
    }
}

#[test]
fn the_same_index_twice_in_one_answer_poisons() {
    let (pool, trick) = tricky();
    // The honest stack gives 13, 14, 15 to three.
    set(&trick, Trick::Invent(14));
    assert!(matches!(
        pool.take_slots::<3>(),
        Err(PoolError::Poisoned { .. })
    ));
}

#[test]
fn scribbling_before_a_shortage_touches_nothing() {
    let (pool, trick) = tricky();
    let mut worker = pool.worker("rx").unwrap();
    drop(worker.take().unwrap());
    let cached = worker.cached();
    let mut slots = Vec::with_capacity(32);
    set(&trick, Trick::ScribbleThenShort);
    assert!(!worker.take_into(&mut slots, cached + 1).unwrap());
    assert!(!worker.take_into(&mut slots, 12).unwrap());
    assert!(worker.take_slots::<6>().unwrap().is_none());
    assert_eq!((slots.len(), worker.cached()), (0, cached));
    set(&trick, Trick::None);
    assert!(worker.take_into(&mut slots, 16).unwrap());
    assert_eq!(
        slots.iter().map(Slot::index).collect::<BTreeSet<_>>().len(),
        16
    );
    worker.give_from(&mut slots, 16).unwrap();
}

#[test]
fn a_failure_in_a_refill_poisons_and_leaves_the_cache_whole() {
    let (pool, trick) = tricky();
    let mut worker = pool.worker("rx").unwrap();
    drop(worker.take().unwrap());
    let cached = worker.cached();
    set(&trick, Trick::ScribbleThenFail);
    let mut slots = Vec::new();
    let Err(PoolError::Poisoned { cause }) = worker.take_into(&mut slots, cached + 2) else {
        panic!("not poisoned")
    };
    assert!(matches!(
        *cause,
        Poison::Failed {
            call: "dequeue",
            ..
        }
    ));
    assert_eq!((slots.len(), worker.cached()), (0, cached));
    assert!(
        worker.take_into(&mut slots, cached).unwrap(),
        "what is cached can still be taken"
    );
    assert_eq!(
        slots.iter().map(Slot::index).collect::<BTreeSet<_>>().len(),
        cached
    );
    assert!(matches!(worker.take(), Err(PoolError::Poisoned { .. })));
    worker.give_from(&mut slots, cached).unwrap();
    drop(worker);
    let report = pool.close().unwrap();
    assert!(
        report.is_clean(),
        "what the poisoned backend would not take was parked: {report}"
    );
}

#[test]
fn a_refusal_is_an_error_and_no_poison() {
    let (pool, trick) = tricky();
    set(&trick, Trick::RefuseTake);
    assert!(matches!(pool.take(), Err(PoolError::Refused { .. })));
    let [slot] = pool.take_slots().unwrap().unwrap();
    set(&trick, Trick::RefuseGive);
    let error = pool.give_slots([slot]).unwrap_err();
    assert!(matches!(error.fault, GiveFault::Refused { .. }));
    set(&trick, Trick::None);
    pool.give_slots(error.returned.unwrap()).unwrap();
    set(&trick, Trick::ClaimClosed);
    assert!(
        matches!(pool.take(), Err(PoolError::Refused { .. })),
        "the pool is not closed"
    );
    assert!(pool.close().unwrap().is_clean());
}

#[test]
fn a_refused_flush_hands_the_slots_back_and_keeps_the_cache() {
    let (pool, trick) = tricky();
    let mut worker = pool.worker("rx").unwrap();
    let mut slots = Vec::new();
    assert!(worker.take_into(&mut slots, 10).unwrap());
    worker.give_from(&mut slots, 8).unwrap();
    set(&trick, Trick::RefuseGive);
    assert!(matches!(
        worker.give_from(&mut slots, 2),
        Err(GiveFault::Refused { .. })
    ));
    assert!(matches!(worker.flush(), Err(GiveFault::Refused { .. })));
    assert_eq!((slots.len(), worker.cached()), (2, 8));
    let buffer = worker.buffer(slots.pop().unwrap()).unwrap();
    drop(buffer);
    assert_eq!(
        pool.in_use(),
        1,
        "a drop has nobody to hand it to: the pool parks what the backend refuses"
    );
    set(&trick, Trick::None);
    worker.give_from(&mut slots, 1).unwrap();
    drop(worker);
    let report = pool.close().unwrap();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_failed_give_to_a_verified_backend_comes_back() {
    let (pool, trick) = tricky();
    let [slot] = pool.take_slots().unwrap().unwrap();
    set(&trick, Trick::FailGive);
    let error = pool.give_slots([slot]).unwrap_err();
    assert!(
        matches!(&error.fault, GiveFault::Poisoned { cause } if matches!(**cause, Poison::Failed { call: "enqueue", .. }))
    );
    let [slot] = error.returned.unwrap();
    let error = pool.give_slots([slot]).unwrap_err();
    assert_eq!(pool.close().unwrap().out.len(), 1);
    pool.give_slots(error.returned.unwrap()).unwrap();
}

#[test]
fn a_failed_give_to_a_trusted_backend_is_in_limbo() {
    let (name, trick) = (unique("trusted"), Arc::new(Mutex::new(Trick::None)));
    let shared = Arc::clone(&trick);
    let make = move |request: &crate::pool::BackendRequest<'_>| {
        let backend = Trickster {
            honest: Stack::new(request.objects),
            trick: Arc::clone(&shared),
        };
        Ok(Box::new(backend) as Box<dyn Backend>)
    };
    // SAFETY: the tricks below make it fail, not lie.
    unsafe { register_trusted(&name, make) }.unwrap();
    let pool = Pool::builder("limbo")
        .objects(16)
        .size(64)
        .cache(0)
        .backend(&name)
        .build()
        .unwrap();
    let mut slots = Vec::new();
    assert!(pool.take_into(&mut slots, 2).unwrap());
    set(&trick, Trick::FailGive);
    assert!(matches!(
        pool.give_from(&mut slots, 1),
        Err(GiveFault::Poisoned { .. })
    ));
    assert_eq!(slots.len(), 1, "nobody knows whether the backend has it");
    assert!(pool.give_from(&mut slots, 1).is_err());
    assert_eq!(slots.len(), 1);
    assert_eq!(pool.close().unwrap().out.len(), 2);
}

#[test]
fn an_object_given_away_while_it_is_refused_has_one_holder() {
    let (pool, trick) = tricky();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let [slot] = pool.take_slots().unwrap().unwrap();
    let index = slot.index();
    set(&trick, Trick::GiveAway(pool.clone(), Arc::clone(&taken)));
    let error = pool.give_slots([slot]).unwrap_err();
    assert!(error.returned.is_none());
    let theirs = taken.lock().unwrap().pop().unwrap();
    assert_eq!(theirs.index(), index);
}

#[test]
fn a_backend_may_drop_a_buffer_of_its_own_pool() {
    for through_worker in [true, false] {
        let (pool, trick) = tricky();
        let mut worker = pool.worker("rx").unwrap();
        let mut slots = Vec::new();
        let extra = worker.take().unwrap().unwrap();
        assert!(worker.take_into(&mut slots, 10).unwrap());
        worker.give_from(&mut slots, 8).unwrap();
        set(&trick, Trick::DropBuffer(Some(extra)));
        if through_worker {
            worker.give_from(&mut slots, 1).unwrap();
        } else {
            drop(worker.buffer(slots.pop().unwrap()).unwrap());
        }
        worker.give_from(&mut slots, 1).unwrap();
        drop(worker);
        let report = pool.close().unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

#[test]
fn a_backend_that_panics_leaves_the_cache_whole() {
    let (pool, trick) = tricky();
    let mut worker = pool.worker("rx").unwrap();
    let mut slots = Vec::new();
    assert!(worker.take_into(&mut slots, 10).unwrap());
    worker.give_from(&mut slots, 8).unwrap();
    set(&trick, Trick::PanicOnGive);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        worker.give_from(&mut slots, 2)
    }));
    assert!(panicked.is_err());
    assert_eq!((slots.len(), worker.cached()), (2, 8));
    slots.clear();
    assert!(worker.take_into(&mut slots, 8).unwrap());
    assert_eq!(
        slots.iter().map(Slot::index).collect::<BTreeSet<_>>().len(),
        8
    );
    drop(worker.buffer(slots.pop().unwrap()).unwrap());
    assert_eq!(worker.cached(), 1, "the thread's worker is visible again");
}

#[test]
fn a_drain_that_lies_is_seen_through() {
    let (pool, trick) = tricky();
    let witness = Witness::of(&pool);
    let held = pool.take().unwrap().unwrap();
    set(&trick, Trick::DrainLies(vec![3, 16, held.index()]));
    let report = pool.close().unwrap();
    assert_eq!(report.invented, [3, 16, held.index()]);
    assert_eq!(report.out.len(), 1);
    assert!(
        report
            .to_string()
            .contains("invented by the backend: 3, 16, 15"),
        "{report}"
    );
    drop(pool);
    assert!(witness.memory_exists());
    drop(held);
    assert!(!witness.memory_exists());
}

#[test]
#[cfg_attr(miri, ignore = "leaks on purpose")]
fn a_drain_that_fails_keeps_the_memory_for_ever() {
    let (pool, trick) = tricky();
    let witness = Witness::of(&pool);
    set(&trick, Trick::DrainFails);
    let Err(CloseError::Drain { report, .. }) = pool.close() else {
        panic!("drained")
    };
    assert_eq!(report.out.len(), 16);
    drop(pool);
    assert!(witness.memory_exists());
}

#[test]
fn a_backend_that_takes_nothing_in_makes_no_pool() {
    let name = unique("full");
    register(&name, |_| Ok(Box::new(Stack::new(4)))).unwrap();
    let pool = Pool::builder("too small")
        .objects(5)
        .size(64)
        .backend(&name)
        .build();
    assert!(matches!(pool, Err(CreateError::Fill { first: 0, .. })));
}
