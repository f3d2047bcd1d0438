//! The lock-free parts under every interleaving: `RUSTFLAGS="--cfg loom" cargo test --release -p hwpool --lib loom_`.
//!
//! Two threads, few operations: enough for each pair of operations that meet. Loom starts from the order in which the
//! main thread runs until it joins, and remembers only the last access to an atomic when it looks for other orders; so
//! the operation that comes first in the interesting order is the main thread's, and some models are here both ways.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::pool::backend::{Backend, BackendError};
use crate::pool::in_place::Fill;
use crate::pool::lifeline::Lifeline;
use crate::pool::ring::Ring;

fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// Dequeues one, if there is one.
fn one(ring: &Ring) -> Option<u32> {
    let mut out = [0];
    ring.dequeue(&mut out).ok().map(|()| out[0])
}

/// A ring, and a thread that does something with it meanwhile.
fn ring_beside<R: 'static>(
    ring: Ring,
    theirs: impl FnOnce(&Ring) -> R + 'static,
) -> (Arc<Ring>, thread::JoinHandle<R>) {
    let ring = Arc::new(ring);
    let shared = Arc::clone(&ring);
    (ring, thread::spawn(move || theirs(&shared)))
}

/// A ring of `capacity` that holds `objects`.
fn ring_with(capacity: u32, objects: &[u32]) -> Ring {
    let ring = Ring::new(capacity);
    ring.enqueue(objects).unwrap();
    ring
}

#[test]
fn loom_an_object_is_dequeued_once() {
    model(|| {
        let (ring, thread) = ring_beside(ring_with(2, &[7, 8]), one);
        let mut all = vec![one(&ring), thread.join().unwrap()];
        all.sort_unstable();
        assert_eq!(all, [Some(7), Some(8)]);
    });
}

#[test]
fn loom_what_is_dequeued_was_written_before() {
    model(|| {
        let (ring, thread) = ring_beside(Ring::new(2), |theirs| theirs.enqueue(&[7]).unwrap());
        let got = one(&ring);
        assert!(matches!(got, None | Some(7)));
        thread.join().unwrap();
        let later = one(&ring);
        assert_eq!(got.or(later), Some(7));
    });
}

/// Writes one word after the other, from this one on.
struct From(u32);

impl Fill for From {
    fn fill(self, words: &mut [u32]) {
        words
            .iter_mut()
            .zip(self.0..)
            .for_each(|(word, n)| *word = n);
    }

    fn fill_two(self, first: &mut [u32], second: &mut [u32]) {
        From(self.0 + first.len() as u32).fill(second);
        self.fill(first);
    }
}

#[test]
fn loom_what_is_filled_in_place_is_seen_whole() {
    model(|| {
        // From the second place on, so that two words go around the end.
        let ring = ring_with(2, &[1]);
        assert_eq!(one(&ring), Some(1));
        let (ring, thread) = ring_beside(ring, |theirs| {
            let mut seen = Vec::new();
            let _ = theirs.take_with(2, |run: &[u32]| seen.extend_from_slice(run));
            seen
        });
        ring.put_with(2, From(7)).unwrap();
        let seen = thread.join().unwrap();
        assert!(seen.is_empty() || seen == [7, 8], "{seen:?}");
        assert_eq!(ring.inside(), 2 - seen.len() as u32);
    });
}

#[test]
fn loom_what_was_written_is_dequeued_whole() {
    model(|| {
        let (ring, thread) = ring_beside(Ring::new(2), one);
        ring.enqueue(&[7]).unwrap();
        let got = thread.join().unwrap();
        assert_eq!(got.or_else(|| one(&ring)), Some(7));
    });
}

#[test]
fn loom_a_place_is_read_before_it_is_written_again() {
    model(|| {
        let (ring, thread) = ring_beside(ring_with(1, &[7]), |theirs| theirs.enqueue(&[8]).is_ok());
        assert_eq!(one(&ring), Some(7));
        let fitted = thread.join().unwrap();
        assert_eq!(one(&ring), fitted.then_some(8));
    });
}

#[test]
fn loom_nothing_is_dequeued_beyond_what_was_put_in() {
    model(|| {
        let (ring, thread) = ring_beside(Ring::new(2), one);
        ring.enqueue(&[7]).unwrap();
        let ours = one(&ring);
        let all = [ours, thread.join().unwrap()];
        assert_eq!(all.iter().flatten().count(), 1, "{all:?}");
    });
}

#[test]
fn loom_nothing_is_put_in_beyond_the_capacity() {
    model(|| {
        let (ring, thread) = ring_beside(ring_with(1, &[7]), |theirs| theirs.enqueue(&[8]).is_ok());
        assert_eq!(one(&ring), Some(7));
        let ours = ring.enqueue(&[7]).is_ok();
        assert_ne!(ours, thread.join().unwrap());
    });
}

#[test]
fn loom_two_producers_publish_in_order() {
    model(|| {
        let (ring, thread) = ring_beside(Ring::new(2), |theirs| theirs.enqueue(&[7]).unwrap());
        ring.enqueue(&[8]).unwrap();
        let first = one(&ring).unwrap();
        thread.join().unwrap();
        let second = one(&ring).unwrap();
        assert_eq!(first + second, 15);
    });
}

#[test]
fn loom_there_is_always_room_for_what_was_taken() {
    model(|| {
        let there_and_back = |ring: &Ring| {
            let object = one(ring).expect("two objects for two threads");
            ring.enqueue(&[object]).expect("room for what was taken");
        };
        let (ring, thread) = ring_beside(ring_with(2, &[7, 8]), there_and_back);
        there_and_back(&ring);
        thread.join().unwrap();
        let mut left = ring.drain().unwrap();
        left.sort_unstable();
        assert_eq!(left, [7, 8]);
    });
}

#[test]
fn loom_an_enqueue_is_in_the_drain_or_refused() {
    model(|| {
        let (ring, thread) = ring_beside(Ring::new(2), |theirs| theirs.enqueue(&[7]));
        let drained = ring.drain().unwrap();
        match thread.join().unwrap() {
            Ok(()) => assert_eq!(drained, [7]),
            Err(BackendError::Closed) => assert!(drained.is_empty()),
            Err(other) => panic!("{other}"),
        }
    });
}

/// A pool reduced to what its end is made of: the ring, the lifeline, and a count of frees.
struct End {
    ring: Ring,
    lifeline: Lifeline,
    /// Written by whoever uses the pool, without atomics: a free that does not come after every use is a race.
    used: loom::cell::UnsafeCell<u32>,
    frees: AtomicUsize,
}

// SAFETY: `used` is accessed under the lifeline's protocol, which is what loom checks here.
unsafe impl Sync for End {}

impl End {
    fn release(&self, n: usize) {
        if self.lifeline.release(n) {
            // SAFETY: the last hold is gone.
            self.used.with_mut(|used| unsafe { *used = u32::MAX });
            self.frees.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What the drop of a buffer does on a thread without a worker.
    fn drop_buffer(&self, object: u32) {
        self.lifeline.hold(1);
        if self.ring.enqueue(&[object]).is_err() {
            self.release(1);
        }
        // SAFETY: our hold keeps it from being freed; only reads happen until then.
        self.used
            .with(|used| assert_ne!(unsafe { *used }, u32::MAX));
        self.release(1);
    }

    /// What the drop of the last handle does.
    fn close(&self, objects: usize) {
        self.lifeline.hold(objects);
        let found = self.ring.drain().unwrap().len();
        if found > 0 {
            self.release(found);
        }
        self.release(1);
    }
}

#[test]
fn loom_a_pool_is_freed_once_after_every_use() {
    model(|| {
        let end = Arc::new(End {
            ring: Ring::new(2),
            lifeline: Lifeline::new(),
            used: loom::cell::UnsafeCell::new(0),
            frees: AtomicUsize::new(0),
        });
        end.ring.enqueue(&[0]).unwrap();
        let theirs = Arc::clone(&end);
        let thread = thread::spawn(move || theirs.drop_buffer(1));
        end.close(2);
        thread.join().unwrap();
        assert_eq!(end.frees.load(Ordering::Relaxed), 1);
    });
}
